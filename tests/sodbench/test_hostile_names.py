"""Names and fields that a file's author chose are shown in every message and page, and obeyed in none."""

import http.server
import itertools
import json
import os
import subprocess
import sys
import threading
import xml.etree.ElementTree

import numpy as np
import pytest
import torch
from hostile import TEXTS, acts_on_terminal, as_file_name
from torch import nn

from sodbench.cli import main
from sodbench.errors import SodbenchError
from sodbench.images import write_grey
from sodbench.models.checkpoints import load_checkpoint, read_state
from sodbench.reports import plot_style
from sodbench.runners.data.fetch import Limits, fetch

hostile = pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
NAMES = {kind: as_file_name(text) for kind, text in TEXTS.items()}
STORABLE = {kind: name for kind, name in NAMES.items() if kind != "surrogate"}
"""Names that UTF-8 can hold, so that results of them can be stored."""

MASK = np.zeros((12, 16), np.uint8)
MASK[:, :8] = 255


def run(capsys, *arguments, statuses=(0, 1)):
    """Run a command; what it prints holds no control sequence, and is returned."""
    status = main([str(argument) for argument in arguments])
    out, err = capsys.readouterr()
    assert status in statuses, err
    assert not acts_on_terminal(out, allowed="\n"), out
    assert not acts_on_terminal(err, allowed="\n"), err
    assert "internal error" not in err and "Traceback" not in err
    return out, err


# ------------------------------------------------------------------------------------- names of files


@pytest.fixture
def folders(tmp_path):
    """Masks with hostile names, and maps of which the first is unreadable, the second missing, one more is extra."""
    for i, name in enumerate(NAMES.values()):
        write_grey(tmp_path / f"gt/{name}.png", MASK)
        if i != 1:
            write_grey(tmp_path / f"preds/{name}.png", np.roll(MASK, i, axis=1))
    (tmp_path / f"preds/{NAMES['colour']}.png").write_bytes(b"\x1b[2J no image")
    write_grey(tmp_path / f"preds/extra{NAMES['line']}.png", MASK)
    write_grey(tmp_path / f"preds/{NAMES['bell']}.png", np.zeros((24, 32), np.uint8))
    return tmp_path


@pytest.mark.parametrize("style", ["table", "markdown", "csv", "json"])
def test_names_of_maps_and_masks(style, folders, capsys):
    command = ["eval", folders / "preds", folders / "gt", "--format", style, "--show-worst", "40"]
    out, err = run(capsys, *command, "--missing", "zero")
    assert "\\x1b[31mred" in err and "\\nsodbench: error: forged line" in err
    assert not any(line.startswith("sodbench:") for line in err.splitlines())
    if style == "json":
        stems = {image["stem"] for image in json.loads(out)["worst"][0]["images"]}
        assert stems == set(NAMES.values())  # exact, whatever they hold
    _, err = run(capsys, *command, statuses=[2])
    assert sum(line.startswith("sodbench: error:") for line in err.splitlines()) == 1
    run(capsys, *command, "--dry-run")


def test_names_in_data_commands(folders, capsys):
    (folders / "root").mkdir()
    for name in STORABLE.values():
        place = folders / "root" / f"s{name}"
        (place / "Imgs").mkdir(parents=True)
        write_grey(place / f"GT/{name}.png", MASK)
        write_grey(place / f"Imgs/{name}.png", MASK)
    root = ["--data-root", folders / "root"]
    for style in ("table", "markdown", "json"):
        run(capsys, "data", "list", *root, "--format", style)
        run(capsys, "data", "check", *root, "--format", style)
    run(capsys, "data", "check", *root, "-o", folders / "check.md")
    page = (folders / "check.md").read_text()
    assert not acts_on_terminal(page) and "<script" not in page
    run(capsys, "data", "check", folders / "root" / NAMES["line"], statuses=[2])


def test_names_of_data_in_statistics(folders, capsys):
    for kind in ("script",):
        for part in ("Imgs", "GT"):
            write_grey(folders / "root" / f"s{NAMES[kind]}" / part / "a.png", MASK)
    out = folders / "stats"
    run(capsys, "data", "stats", "--data-root", folders / "root", "-o", out)
    page = (out / "stats.md").read_text()
    assert not acts_on_terminal(page) and "<script" not in page.replace("\\", "")
    for kind in ("colour", "line"):  # such a name cannot be that of a file
        root = folders / f"root of {kind}"
        for part in ("Imgs", "GT"):
            write_grey(root / f"s{NAMES[kind]}" / part / "a.png", MASK)
        assert main(["data", "stats", "--data-root", str(root), "-o", str(folders / kind)]) == 2
        message = capsys.readouterr().err
        assert not acts_on_terminal(message) and "cannot be written to disk" in message


# ------------------------------------------------------------------- methods, datasets and their pages


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """Results of a method for each hostile name, and of one method on some hostile datasets."""
    place = tmp_path_factory.mktemp("hostile")
    datasets = ("clear", "line", "c1", "reordered", "script", "pipe", "latex", "percent")
    for number, (kind, name) in enumerate(STORABLE.items()):
        for stem, shift in (("a", 1), ("b", 2), ("c", 3)):
            write_grey(place / f"preds/{name}/SOD/{stem}.png", np.roll(MASK, shift, axis=1))
            write_grey(place / f"gt/SOD/{stem}.png", MASK)
            if kind in datasets:
                map_ = np.roll(MASK, shift, axis=1)
                write_grey(place / f"one/ours/{number}{name}/{stem}.png", map_)
                write_grey(place / f"many/{number}{name}/{stem}.png", MASK)
    assert main(["eval", f"{place}/preds", f"{place}/gt", "-o", f"{place}/methods"]) == 0
    assert main(["eval", f"{place}/one", f"{place}/many", "-o", f"{place}/datasets"]) == 0
    return place


@pytest.mark.parametrize("tree", [("preds", "gt"), ("one", "many")])
@pytest.mark.parametrize("style", ["table", "markdown", "csv", "json"])
def test_names_of_methods_and_datasets_in_eval(tree, style, results, capsys):
    command = ["eval", *(results / part for part in tree), "--format", style]
    out, _ = run(capsys, *command)
    if style == "table":
        rows = len(STORABLE) if tree[0] == "preds" else 8
        assert len(out.splitlines()) == 2 + rows + 2  # no name begins a line
    run(capsys, *command, "--protocol", "all", "--show-worst", "2")
    for option in ("--methods", "--datasets"):
        run(capsys, *command, option, "no\x1b[31msuch\nname", statuses=[2])


@pytest.mark.parametrize("which", ["methods", "datasets"])
def test_names_of_methods_and_datasets_in_reports(which, results, capsys, tmp_path, monkeypatch):
    monkeypatch.setattr(plot_style, "FORMATS", ("svg",))  # the only one with text to look at
    command = ["report", results / which, "-o", tmp_path / "report", "--resamples", "100"]
    run(capsys, *command, "--metrics", "mae", "f_max")
    pages = [
        p
        for p in (tmp_path / "report").rglob("*")
        if p.suffix not in (".png", ".pdf", ".webp", ".jpg")
    ]
    assert {p.suffix for p in pages if p.is_file()} >= {
        ".md",
        ".html",
        ".tex",
        ".csv",
        ".json",
        ".svg",
    }
    for page in pages:
        if page.is_file():
            text = page.read_bytes().decode("utf-8")
            allowed = "\n\t" if page.suffix in (".txt", ".js", ".svg", ".html") else "\n"
            assert not acts_on_terminal(text, allowed), page
            if page.suffix in (".md", ".html"):
                assert "<script>alert" not in text
            if page.suffix == ".tex":
                assert r"\input{secret}" not in text
            if page.suffix == ".svg":
                xml.etree.ElementTree.fromstring(text)


def test_names_in_a_comparison(results, capsys):
    folders = sorted((results / "methods").iterdir())
    styles = itertools.cycle(["table", "markdown", "csv", "json"])
    for (first, second), style in zip(itertools.pairwise(folders), styles, strict=False):
        command = ["compare", first, second, "--format", style, "--resamples", "100"]
        run(capsys, *command, "--metrics", "mae")


@hostile
def test_fields_of_a_stored_result(text, results, capsys, tmp_path):
    """Whether an edited result is refused or shown, its fields are not obeyed."""
    source = min((results / "methods").rglob("result.json")).parent
    content = json.loads((source / "result.json").read_text())
    for field in ("method", "signature"):
        place = tmp_path / field
        place.mkdir()
        for name in ("scores.csv", "counts.npz"):
            os.link(source / name, place / name)
        (place / "result.json").write_text(json.dumps(content | {field: text}))
        compare = ["compare", place, source, "--resamples", "100", "--metrics", "mae"]
        run(capsys, *compare, statuses=[0, 2])
        run(capsys, "merge", place, "-o", tmp_path / f"merged-{field}", statuses=[0, 1, 2])


@hostile
def test_fields_of_a_record_of_a_prediction(text, capsys, tmp_path):
    write_grey(tmp_path / "images/a.png", MASK)
    write_grey(tmp_path / "out/a.png", MASK)
    write_grey(tmp_path / "gt/a.png", MASK)
    fields = ("model", "checkpoint", "sodbench", "precision", "images", text)
    (tmp_path / "out/prediction.json").write_text(json.dumps(dict.fromkeys(fields, text)))
    command = ["predict", tmp_path / "images", "-o", tmp_path / "out", "--model", "centre-prior"]
    run(capsys, *command, statuses=[2])
    run(capsys, "eval", tmp_path / "out", tmp_path / "gt")


@hostile
def test_names_and_keys_of_a_toml_file(text, capsys, tmp_path):
    write_grey(tmp_path / "gt/a.png", MASK)
    quoted = json.dumps(text.replace("\udce9", "e"))  # TOML has no lone surrogates
    for content in (
        f'name = {quoted}\nmasks = "gt"\n',
        f'name = "x"\nmasks = {quoted}\n',
        f'name = "x"\nmasks = "gt"\nlist = {quoted}\n',
        f"{quoted} = 3\n",
    ):
        (tmp_path / "own.toml").write_text(content)
        run(capsys, "data", "check", tmp_path / "own.toml", statuses=[0, 1, 2])
        run(
            capsys,
            "eval",
            tmp_path / "gt",
            tmp_path / "own.toml",
            "--allow-swapped",
            statuses=[0, 1, 2],
        )
        run(capsys, "train", "--print-recipe", "--recipe", tmp_path / "own.toml", statuses=[2])


@hostile
def test_lines_of_a_list(text, capsys, tmp_path):
    write_grey(tmp_path / "gt/a.png", MASK)
    write_grey(tmp_path / "maps/a.png", MASK)
    (tmp_path / "items.txt").write_bytes(f"a\n{text}\n".encode("utf-8", "surrogateescape"))
    run(capsys, "eval", "--pairs", tmp_path / "items.txt", statuses=[2])
    listed = ["--items", tmp_path / "items.txt"]
    run(capsys, "eval", tmp_path / "maps", tmp_path / "gt", *listed, statuses=[0, 1, 2])


# ------------------------------------------------------------------------------------- checkpoints


class Small(nn.Module):
    def __init__(self):
        super().__init__()
        self.head = nn.Linear(2, 2)


def commands_of(message):
    """The commands that a message prints, for a user to paste into a shell."""
    return [line.strip() for line in message.splitlines() if line.startswith("  python ")]


def paste(command, folder):
    """Run a printed command in a shell; return what its Python, which does nothing, gets as arguments."""
    (folder / "bin").mkdir()
    (folder / "bin/python").write_text('#!/bin/sh\nprintf "%s\\0" "$@" > bin/arguments\n')
    (folder / "bin/python").chmod(0o755)
    path = f"{folder / 'bin'}:{os.environ['PATH']}"
    subprocess.run(["sh", "-c", command], cwd=folder, check=True, env=os.environ | {"PATH": path})
    assert {entry.name for entry in folder.iterdir()} == {"bin"}
    return os.fsdecode((folder / "bin/arguments").read_bytes()).split("\0")[:-1]


@hostile
def test_the_key_around_the_weights_runs_nothing(text, tmp_path):
    if "\udce9" in text:
        pytest.skip("a pickle cannot hold lone surrogates")
    file = tmp_path / "net.pth"
    torch.save({text: Small().state_dict(), "other": Small().state_dict()}, file)
    with pytest.raises(SodbenchError) as refused:
        read_state(file)
    message = str(refused.value)
    assert not acts_on_terminal(message) and "several sets of weights" in message
    assert not commands_of(message)


class Trainer:
    """Something that a checkpoint should not hold."""


@hostile
def test_the_name_of_a_checkpoint_runs_nothing(text, tmp_path):
    file = tmp_path / f"{as_file_name(text)}.pth"
    torch.save({"trainer": Trainer(), "state_dict": Small().state_dict()}, tmp_path / "plain")
    (tmp_path / "plain").rename(file)
    with pytest.raises(SodbenchError, match="holds Python objects other than tensors") as refused:
        load_checkpoint(Small(), file)
    message = str(refused.value)
    assert not acts_on_terminal(message)
    (command,) = commands_of(message)
    (tmp_path / "shell").mkdir()
    option, code, *_ = paste(command, tmp_path / "shell")
    assert option == "-c"
    assert str(file) in [c for c in compile(code, "pasted", "exec").co_consts if isinstance(c, str)]


@pytest.mark.parametrize("content", ["trainer", "whole network", "NumPy arrays"])
def test_the_printed_command_takes_the_weights_out(content, tmp_path, monkeypatch):
    name = 'été "1".pth'
    network = torch.nn.Linear(2, 1)
    contents = {
        "trainer": {"trainer": slice(3), "state_dict": network.state_dict()},
        "whole network": network,
        "NumPy arrays": {"model": {k: v.numpy() for k, v in network.state_dict().items()}},
    }
    torch.save(contents[content], tmp_path / name)
    with pytest.raises(SodbenchError) as refused:
        load_checkpoint(Small(), tmp_path / name)
    (command,) = commands_of(str(refused.value))
    (tmp_path / "shell").mkdir()
    option, code, *others = paste(command, tmp_path / "shell")
    assert option == "-c"
    # here, because another process would import PyTorch again
    (tmp_path / "output").mkdir()
    monkeypatch.chdir(tmp_path / "output")
    monkeypatch.setattr(sys, "argv", [option, *others])
    exec(compile(code, "pasted", "exec"), {"__name__": "__main__"})  # noqa: S102
    (written,) = (tmp_path / "output").iterdir()
    assert written.name == 'été "1"-weights.pth'
    loaded = torch.nn.Linear(2, 1)
    load_checkpoint(loaded, written)
    assert torch.equal(loaded.weight, network.weight)


@hostile
def test_names_of_tensors(text, tmp_path):
    if "\udce9" in text:
        pytest.skip("a pickle cannot hold lone surrogates")
    for content in (
        {text: torch.zeros(2), "head.weight": torch.zeros(2, 2)},
        {text: 3, "head.weight": torch.zeros(2)},
        {text: torch.eye(2).to_sparse()},
        {f"base.{text}": torch.zeros(2)},
    ):
        torch.save(content, tmp_path / "net.pth")
        with pytest.raises(SodbenchError) as refused:
            load_checkpoint(Small(), tmp_path / "net.pth")
        message = str(refused.value)
        assert not acts_on_terminal(message)
        assert not any(line.startswith("sodbench:") for line in message.splitlines())


# ------------------------------------------------------------------------------------------ network


@pytest.mark.parametrize("kind", ["colour", "title", "bell", "c1", "substitution"])
def test_the_reason_of_a_server(kind, tmp_path, capsys):
    class Refusing(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(404, TEXTS[kind])
            self.end_headers()

        def log_message(self, *_):
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Refusing) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}/x"
        try:
            with pytest.raises(SodbenchError) as refused:
                fetch(url, tmp_path / "x", limits=Limits(attempts=1))
        finally:
            server.shutdown()  # a thread of a closed server would spin for ever
    assert not acts_on_terminal(str(refused.value))
