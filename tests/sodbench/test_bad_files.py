"""Files that are not what their name says end in one line that names them, with exit status 2."""

import json
import resource
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import torch
from torch import nn

from sodbench.cli import main
from sodbench.errors import SodbenchError
from sodbench.models.checkpoints import load_checkpoint
from sodbench.models.devices import choose_device
from sodbench.reports.methods_file import read_methods_file
from sodbench.runners.data.extract import ArchiveError, extract
from sodbench.runners.training.log import LOG, TrainingLog, draw_curve, read_log
from sodbench.runners.training.recipe import load_recipe

DEEP = "[" * 200_000


def one_line(capsys, *words):
    """The error is one line that holds these words."""
    message = capsys.readouterr().err
    lines = [line for line in message.splitlines() if line.startswith("sodbench:")]
    assert len(lines) == 1 and lines[0].startswith("sodbench: error: "), message
    assert "Traceback" not in message and all(word in lines[0] for word in words), message


@pytest.mark.parametrize("fault", ["deep", "unreadable", "binary"])
def test_a_record_of_the_prediction_that_cannot_be_read_costs_no_score(
    fault, maps, monkeypatch, capsys
):
    record = maps / "preds/prediction.json"
    record.write_bytes(b"\xff\xfe" if fault == "binary" else DEEP.encode())
    if fault == "unreadable":
        read = Path.read_text

        def refuse(path, *args, **kwargs):
            if path == record:
                raise PermissionError(13, "Permission denied", str(path))
            return read(path, *args, **kwargs)

        monkeypatch.setattr(Path, "read_text", refuse)
    assert main(["eval", str(maps / "preds"), str(maps / "gt")]) == 0
    printed = capsys.readouterr()
    assert "mae" in printed.out and f"{record}: cannot be read" in printed.err


def test_a_deep_record_of_the_prediction_is_refused_by_predict(maps, capsys):
    (maps / "out").mkdir()
    (maps / "out/prediction.json").write_text(DEEP)
    command = ["predict", str(maps / "gt"), "--model", "centre-prior", "-o", str(maps / "out")]
    assert main(command) == 2
    one_line(capsys, "prediction.json", "damaged")


def test_a_deep_toml_file_is_refused(tmp_path, capsys):
    deep = tmp_path / "deep.toml"
    deep.write_text("name = " + DEEP)
    assert main(["train", "--recipe", str(deep), "--print-recipe"]) == 2
    one_line(capsys, "deep.toml", "cannot be read as TOML")
    assert main(["data", "check", str(deep)]) == 2
    assert "deep.toml: cannot be read as TOML" in capsys.readouterr().err


def test_a_deep_configuration_is_refused(tmp_path, capsys, monkeypatch):
    deep = tmp_path / "deep.toml"
    deep.write_text("protocol = " + DEEP)
    monkeypatch.setenv("SODBENCH_CONFIG", str(deep))
    assert main(["eval", "maps", "gt"]) == 2
    one_line(capsys, "deep.toml", "cannot be read as TOML")


def test_a_deep_file_of_methods_is_refused(tmp_path):
    deep = tmp_path / "deep.toml"
    deep.write_text("DSS = " + DEEP)
    with pytest.raises(SodbenchError, match=r"deep\.toml: cannot be read as TOML"):
        read_methods_file(deep)


def test_a_toml_file_with_a_nul_in_a_path_is_refused(tmp_path, capsys):
    file = tmp_path / "own.toml"
    file.write_text('name = "x"\nmasks = "a\\u0000b"\n')
    assert main(["data", "check", str(file)]) == 2
    assert "own.toml: expected" in capsys.readouterr().err


@pytest.mark.parametrize("content", [DEEP, "[1]", "\x00", "nul"])
def test_a_bench_record_that_is_none_is_refused(content, maps, capsys):
    assert main(["eval", str(maps / "preds"), str(maps / "gt"), "-o", str(maps / "out")]) == 0
    capsys.readouterr()
    (maps / "bench.json").write_text(content)
    command = ["report", str(maps / "out"), "-o", str(maps / "report.md")]
    assert main([*command, "--bench", str(maps / "bench.json")]) == 2
    one_line(capsys, "bench.json", "not a record of 'sodbench bench -o FILE'")


@pytest.mark.parametrize("which", ["name", "list"])
def test_a_name_that_is_too_long_for_a_file_is_one_line(which, maps, capsys):
    options = ["--name", "n" * 300, "-o", str(maps / "out")]
    if which == "list":
        (maps / "pairs.txt").write_text(f"{'m' * 300}.png {'g' * 300}.png\n")
        assert main(["eval", "--pairs", str(maps / "pairs.txt")]) == 2
    else:
        assert main(["eval", str(maps / "preds"), str(maps / "gt"), *options]) == 2
    message = capsys.readouterr().err
    assert "File name too long" in message or "not there" in message
    assert "Traceback" not in message and "internal error" not in message


@pytest.mark.parametrize("change", ["learning_rate=nan", "weight_decay=inf", "scales=[1.0, nan]"])
def test_numbers_of_a_recipe_are_finite(change):
    with pytest.raises(SodbenchError, match=f"{change.partition('=')[0]} = .*: must be "):
        load_recipe("reference", [change])


# ------------------------------------------------------------------------------------ the disk is full


def limited(arguments, cwd, most):
    """Run a command that can write no file of more than so many bytes."""
    return subprocess.run(
        [sys.executable, "-m", "sodbench", *arguments],
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (most, most)),
    )


def test_a_report_that_does_not_fit_on_the_disk_is_one_line(maps, capsys):
    assert main(["eval", str(maps / "preds"), str(maps / "gt"), "-o", str(maps / "out")]) == 0
    done = limited(["report", "out", "-o", "report"], maps, 4000)
    assert done.returncode == 2 and "Traceback" not in done.stderr
    last = done.stderr.splitlines()[-1]
    assert last.startswith("sodbench: error: report/figures/") and "make room" in last


def test_a_training_log_that_does_not_fit_on_the_disk_is_named(tmp_path):
    def fill():
        with TrainingLog(tmp_path, 0) as log:
            log._file.close()
            log._file = Path("/dev/full").open("w")  # noqa: SIM115  closed by the log
            log.write({"step": 1, "loss": 0.5})

    with pytest.raises(SodbenchError, match=r"log\.jsonl: cannot be written .*make room"):
        fill()


@pytest.mark.parametrize(
    "line",
    [
        "[1]",
        "{}",
        '{"step": "1"}',
        '{"step": 1, "loss": "x"}',
        '{"step": 1, "validation": 3}',
        DEEP,
    ],
)
def test_a_line_of_a_training_log_that_is_no_record_is_named(line, tmp_path):
    good = json.dumps({"step": 1, "loss": 0.5})
    (tmp_path / LOG).write_text(f"{good}\n{line}\n{good}\n")
    with pytest.raises(SodbenchError, match=r"log\.jsonl: line 2 is not a record"):
        read_log(tmp_path)


def test_the_last_line_of_a_training_log_may_be_cut_off(tmp_path):
    good = json.dumps({"step": 1, "loss": 0.5})
    (tmp_path / LOG).write_text(f'{good}\n{{"step": 2, "lo')
    assert read_log(tmp_path) == [{"step": 1, "loss": 0.5}]
    (tmp_path / LOG).write_bytes(b"\xff\n")
    with pytest.raises(SodbenchError, match=r"log\.jsonl: line 1 is not a record"):
        draw_curve(tmp_path)


# ------------------------------------------------------------------------------------- weights, devices


ODD = {
    "sparse": lambda: torch.eye(3).to_sparse(),
    "compressed": lambda: torch.eye(3).to_sparse_csr(),
    "quantised": lambda: torch.quantize_per_tensor(torch.eye(3), 0.1, 0, torch.qint8),
    "without data": lambda: torch.empty(3, 3, device="meta"),
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", ODD)
def test_tensors_without_plain_numbers_are_refused(kind, tmp_path):
    network = nn.Linear(3, 3)
    torch.save({**network.state_dict(), "weight": ODD[kind]()}, tmp_path / "odd.pth")
    with pytest.raises(SodbenchError, match=r"(?s)odd\.pth: .*1 tensors of another kind: weight "):
        load_checkpoint(network, tmp_path / "odd.pth")


@pytest.mark.parametrize("name", ["meta", "xpu", "vulkan", "", "cpu:x", "gpu"])
def test_a_device_that_cannot_compute_is_refused(name):
    with pytest.raises(SodbenchError, match="unknown device"):
        choose_device(name)


def test_a_broken_lzma_member_of_an_archive_is_refused(tmp_path):
    archive = tmp_path / "set.zip"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_LZMA) as opened:
        opened.writestr("SOD/a.png", bytes(range(256)) * 40)
    content = bytearray(archive.read_bytes())
    start = content.index(b"SOD/a.png") + len(b"SOD/a.png") + 9  # after the properties
    content[start : start + 8] = b"\xff" * 8
    archive.write_bytes(content)
    with pytest.raises(ArchiveError, match=r"set\.zip: no intact ZIP archive"):
        extract(archive, tmp_path / "out")
    assert not (tmp_path / "out").exists()


POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:" + 64 * "0" + "\nsize 12345\n"


@pytest.mark.parametrize("file", ["net.pth", "net.safetensors", "net.onnx"])
def test_a_pointer_of_git_lfs_in_place_of_weights_is_named(maps, capsys, file):
    weights = maps / file
    weights.write_text(POINTER)
    model = (
        [str(weights)] if file.endswith(".onnx") else ["csnet-L-x1", "--checkpoint", str(weights)]
    )
    command = ["predict", str(maps / "gt"), "-o", str(maps / "out"), "--model", *model]
    assert main(command) == 2
    one_line(capsys, file, "Git LFS", "git lfs pull")


@pytest.mark.parametrize("folder", ["gt", "preds"])
def test_a_pointer_of_git_lfs_in_place_of_an_image_is_named(maps, capsys, folder):
    image = next((maps / folder).glob("*.png"))
    image.write_text(POINTER)
    assert main(["eval", str(maps / "preds"), str(maps / "gt")]) == 2
    assert "Git LFS" in capsys.readouterr().err
    command = ["predict", str(maps / folder), "--model", "centre-prior", "-o", str(maps / "out")]
    assert main(command) == 1
    message = capsys.readouterr().err
    assert image.name in message and "git lfs pull" in message


def test_a_file_without_a_factory_is_named(tmp_path, capsys):
    (tmp_path / "net.py").write_text("import os\n")
    command = ["predict", str(tmp_path), "--model", f"{tmp_path}/net.py:build", "-o", "out"]
    (tmp_path / "a.png").touch()
    assert main(command) == 2
    one_line(capsys, "no callable 'build' in it; it defines no function or class")
