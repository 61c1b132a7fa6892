"""The command line as a whole: light to start, honest about errors."""

import csv
import io
import json
import subprocess
import sys

import numpy as np
import pytest

from sodbench.cli import COMMANDS, main
from sodbench.images import write_grey

HEAVY = ("torch", "torchvision", "pandas", "matplotlib", "scipy", "scipy.linalg", "numba", "numpy")


def test_help_imports_nothing_heavy():
    """Of any command; one process prints the heavy packages after each."""
    code = (
        "import contextlib, io, sys\n"
        "from sodbench.cli import main\n"
        f"for command in {[['--help'], ['--version'], *([c, '--help'] for c in COMMANDS)]!r}:\n"
        "    with contextlib.suppress(SystemExit), contextlib.redirect_stdout(io.StringIO()) as out: main(command)\n"
        f"    print(*command, len(out.getvalue()) > 10, *[name for name in {HEAVY!r} if name in sys.modules])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    expected = ["--help True", "--version True", *(f"{c} --help True" for c in COMMANDS)]
    assert done.stdout.splitlines() == expected


# Runs evaluations and a report, and prints after both which heavy packages are loaded; and after the evaluations what of
# SciPy the program itself has imported, and what it has imported after one more import.
WATCH_IMPORTS = f"""
import builtins, json, sys
import_module, imported = builtins.__import__, []

def watch(name, globals=None, *others, **named):
    # called for modules that are loaded already, too
    if name.partition(".")[0] == "scipy" and (globals or {{}}).get("__name__", "").startswith("sodbench"):
        imported.append(name)
    return import_module(name, globals, *others, **named)

builtins.__import__ = watch
from sodbench.cli import main

def loaded():
    return [name for name in {HEAVY!r} if name in sys.modules]

evaluation, report = json.loads(sys.argv[1])
for _ in range(2):  # the second one finds everything stored
    assert main(evaluation) == 0
print("IMPORTED", json.dumps([loaded(), imported]))
import sodbench.metrics.size_invariant
print("IMPORTED", json.dumps(imported))
from sodbench.reports import plot_style
plot_style.FORMATS = ("svg",)  # the others take time
assert main(report) == 0
print("IMPORTED", json.dumps(loaded()))
"""


@pytest.fixture(scope="module")
def imports(tmp_path_factory):
    """What WATCH_IMPORTS prints."""
    place = tmp_path_factory.mktemp("imports")
    for folder in ("maps", "gt"):
        write_grey(place / folder / "a.png", np.eye(9, dtype=np.uint8) * 255)
    commands = [
        ["eval", f"{place}/maps", f"{place}/gt", "-o", f"{place}/out", "--protocol", "all"],
        ["report", f"{place}/out", "-o", f"{place}/report.md", "--metrics", "mae"],
    ]
    words = [sys.executable, "-c", WATCH_IMPORTS, json.dumps(commands)]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    assert (place / "report.md").exists()
    return [
        json.loads(line.removeprefix("IMPORTED"))
        for line in done.stdout.splitlines()
        if line.startswith("IMPORTED")
    ]


def test_eval_imports_neither_pandas_nor_scipy(imports):
    (heavy, imported), later, _ = imports
    # numba imports SciPy when it starts, and scipy.linalg when it compiles
    assert set(heavy) - {"scipy", "scipy.linalg"} == {"numba", "numpy"}
    assert imported == [] and later == ["scipy"]


def test_eval_and_report_do_not_import_torch(imports):
    loaded = imports[-1]
    assert {"numba", "matplotlib"} <= set(loaded)
    assert "torch" not in loaded and "torchvision" not in loaded


def test_an_error_is_one_message_and_status_2(capsys):
    assert main(["run", "--datasets", "DUTS-TS"]) == 2
    message = capsys.readouterr().err
    assert message.startswith("sodbench: error: ") and "did you mean DUTS-TE" in message
    assert "Traceback" not in message


def test_run_without_data_names_where_it_looked(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["run", "--all-datasets"]) == 2
    message = capsys.readouterr().err
    assert "folder named ECSSD" in message and "layouts" in message
    assert "--sample" in message and "sodbench data" in message


def test_run_with_a_list_and_no_data_speaks_of_the_data(tmp_path, capsys):
    command = ["run", "--data-root", str(tmp_path), "--datasets", "SOD", "--items", "items.txt"]
    assert main(command) == 2
    message = capsys.readouterr().err
    assert "dataset SOD not found" in message and "--items" not in message
    assert main(["run", "--data-root", str(tmp_path), "--datasets", "SOD,pascals"]) == 2
    assert "nor were found: pascals" in capsys.readouterr().err


def test_run_asks_which_data(capsys):
    assert main(["run"]) == 2
    assert "--sample" in capsys.readouterr().err


def test_ctrl_c_within_compiled_code_is_an_interruption(monkeypatch, capsys):
    """numba's boxing of a result meets the signal, and Python calls that a SystemError."""

    def interrupted(*_, **__):
        try:
            raise KeyboardInterrupt
        except KeyboardInterrupt as cause:
            raise SystemError("returned a result with an exception set") from cause

    monkeypatch.setattr("sodbench.datasets.find_masks", interrupted)
    assert main(["eval", "maps", "gt"]) == 130
    assert "interrupted" in capsys.readouterr().err

    def broken(*_, **__):
        raise SystemError("something else")

    monkeypatch.setattr("sodbench.datasets.find_masks", broken)
    assert main(["eval", "maps", "gt"]) == 70
    assert "internal error: SystemError: something else" in capsys.readouterr().err


def test_an_unknown_command_exits_with_2(capsys):
    with pytest.raises(SystemExit) as stop:
        main(["evaluate"])
    assert stop.value.code == 2
    assert "invalid choice" in capsys.readouterr().err


@pytest.fixture
def maps(tmp_path):
    """Ground truth gt/SOD/ and maps of one method preds/ours/SOD/: right, half wrong, all wrong."""
    mask = np.zeros((12, 16), np.uint8)
    mask[:, :8] = 255
    for stem, shift in (("right", 0), ("half", 4), ("wrong", 8)):
        write_grey(tmp_path / f"gt/SOD/{stem}.png", mask)
        write_grey(tmp_path / f"preds/ours/SOD/{stem}.png", np.roll(mask, shift, axis=1))
    return tmp_path


def score(maps, *options):
    return main(["eval", str(maps / "preds"), str(maps / "gt"), *options])


@pytest.mark.parametrize("place", ["before", "after"])
def test_quiet_before_and_after_the_command(maps, capsys, place):
    command = ["eval", str(maps / "preds"), str(maps / "gt")]
    assert main(["--quiet", *command] if place == "before" else [*command, "--quiet"]) == 0
    captured = capsys.readouterr()
    assert "ours" in captured.out and not captured.err


@pytest.mark.usefixtures("one_figure_format")
def test_quiet_after_an_action_of_a_command(tmp_path, capsys):
    for options, notes in (([], True), (["--quiet"], False)):
        (tmp_path / "data").mkdir(exist_ok=True)
        write_grey(tmp_path / "data/Own/masks/a.png", np.eye(9, dtype=np.uint8) * 255)
        write_grey(tmp_path / "data/Own/images/a.png", np.eye(9, dtype=np.uint8))
        root = ["--data-root", str(tmp_path / "data")]
        output = ["-o", str(tmp_path / "stats")]
        assert main(["data", "stats", "Own", *root, *output, *options]) == 0
        assert ("written" in capsys.readouterr().err) is notes


def test_the_worst_images_stand_in_the_json(maps, capsys):
    assert score(maps, "--format", "json", "--show-worst", "2", "--protocol", "all") == 0
    printed = json.loads(capsys.readouterr().out)
    (worst,) = printed["worst"]
    assert (worst["method"], worst["dataset"], worst["metric"]) == ("ours", "SOD", "mae")
    folder = maps / "preds/ours/SOD"
    assert worst["images"] == [
        {"stem": "wrong", "map": str(folder / "wrong.png"), "value": 1.0},
        {"stem": "half", "map": str(folder / "half.png"), "value": 0.5},
    ]
    assert score(maps, "--format", "json") == 0
    assert "worst" not in json.loads(capsys.readouterr().out)


def test_the_worst_images_do_not_spoil_a_csv(maps, capsys):
    assert score(maps, "--format", "csv", "--show-worst", "1", "--sort-by", "f_max", "--quiet") == 0
    captured = capsys.readouterr()
    (row,) = csv.DictReader(io.StringIO(captured.out))
    assert row["method"] == "ours" and float(row["mae"]) == 0.5
    assert "the 1 worst by f_max" in captured.err and "wrong.png" in captured.err


@pytest.mark.parametrize("style", ["table", "markdown"])
def test_the_worst_images_below_a_table(maps, capsys, style):
    (maps / "preds/ours/SOD/right.png").unlink()
    options = ["--show-worst", "3", "--missing", "zero", "--format", style]
    assert score(maps, *options) == 1
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[-1].rpartition("/")[2] for line in lines[-3:]] == [
        "wrong.png",
        "half.png",
        "map)",
    ]
    assert "right (no map)" in lines[-1]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--sort-by", "f_mux"], "theirs are mae, "),
        (["--sort-by", "iou_curve"], "theirs are mae, "),
        (["--sort-by", "wf", "--no-weighted-f"], "which --no-weighted-f leaves out"),
        (["--sort-by", "ber_max"], "no image is worst by ber_max"),
        (["--sort-by", "fpr_max"], "no image is worst by fpr_max"),
    ],
)
def test_a_metric_that_images_do_not_have_is_refused_before_scoring(
    maps, capsys, options, expected
):
    assert score(maps, "--show-worst", "3", *options, "-o", str(maps / "out")) == 2
    captured = capsys.readouterr()
    assert expected in captured.err and not captured.out and not (maps / "out").exists()


def test_eval_finds_ground_truth_by_name_below_a_data_root(maps, capsys):
    command = ["eval", str(maps / "preds"), "sod", "--format", "json"]
    assert main([*command, "--data-root", str(maps / "gt")]) == 2  # masks only, no dataset
    (maps / "gt/SOD").rename(maps / "GT")
    (maps / "data/SOD").mkdir(parents=True)
    (maps / "GT").rename(maps / "data/SOD/GT")
    capsys.readouterr()
    assert main([*command, "--data-root", str(maps / "data")]) == 0
    (row,) = json.loads(capsys.readouterr().out)["results"]
    assert (row["dataset"], row["n"]) == ("SOD", 3)


def test_a_list_of_items_of_one_of_several_sets(maps, capsys):
    write_grey(maps / "gt/ECSSD/right.png", np.eye(9, dtype=np.uint8) * 255)
    (maps / "items.txt").write_text("right\nhalf.png\n")
    options = ["--items", str(maps / "items.txt"), "--format", "json"]
    assert score(maps, *options) == 2
    assert "there are several: ECSSD, SOD; choose one with --datasets" in capsys.readouterr().err
    assert score(maps, *options, "--datasets", "sod") == 0
    (row,) = json.loads(capsys.readouterr().out)["results"]
    assert row["dataset"].startswith("SOD/list-") and row["n"] == 2


@pytest.mark.usefixtures("one_figure_format")
def test_run_refuses_two_sets_of_one_name_and_merges_aliases(maps, capsys):
    for root in ("data", "old"):
        for name in ("SOD", "Own"):
            write_grey(maps / root / name / "GT/a.png", np.eye(9, dtype=np.uint8) * 255)
            write_grey(maps / root / name / "Imgs/a.png", np.eye(9, dtype=np.uint8))
    command = ["run", "--model", "centre-prior", "--data-root", str(maps / "data")]
    command += ["-o", str(maps / "out"), "--datasets"]
    assert main([*command, "Own", str(maps / "old/Own")]) == 2
    assert "two datasets are called Own" in capsys.readouterr().err
    assert not (maps / "out").exists()
    assert main([*command, "SOD,sod", str(maps / "data/SOD")]) == 0
    captured = capsys.readouterr()
    assert captured.err.count("SOD is named several times") == 1
    assert captured.out.count("centre-prior") == 1


def test_run_refuses_a_set_that_cannot_be_scored_before_predicting(maps, capsys):
    for folder in ("GT", "Imgs"):
        write_grey(maps / f"data/SOD/{folder}/a.png", np.eye(9, dtype=np.uint8) * 255)
    (maps / "data/SOD/test.lst").write_text("a.png\ngone.png\n")
    command = ["run", "--model", "centre-prior", "--data-root", str(maps / "data")]
    assert main([*command, "--datasets", "SOD", "-o", str(maps / "out")]) == 2
    message = capsys.readouterr().err
    assert "nothing was predicted" in message and "gone: named in" in message
    assert not (maps / "out").exists()


@pytest.mark.parametrize("which", [["--sample"], ["--datasets", "SOD"]])
def test_run_refuses_torchrun(which, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert main(["run", *which, "-o", str(tmp_path / "out")]) == 2
    assert "in one process" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_recipe_is_printed_without_a_folder(capsys):
    assert main(["train", "--print-recipe"]) == 0
    assert "learning_rate" in capsys.readouterr().out
    assert main(["train"]) == 2
    assert "-o RUN" in capsys.readouterr().err


@pytest.mark.parametrize("jobs", ["0", "-1", "two"])
def test_jobs_are_a_positive_number(jobs, capsys):
    with pytest.raises(SystemExit) as stop:
        main(["data", "check", "--jobs", jobs])
    assert stop.value.code == 2 and "--jobs" in capsys.readouterr().err
