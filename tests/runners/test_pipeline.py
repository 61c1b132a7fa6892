"""``sodbench run``: the built-in sample, and what prediction with a user's network reports."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from sodbench import demo_data
from sodbench.cli import main
from sodbench.images import write_grey, write_image
from sodbench.results import load_result
from sodbench.runners.training import train

pytestmark = pytest.mark.usefixtures("one_thread", "one_figure_format")

NETWORKS = """
from torch import nn

class Logits(nn.Conv2d):
    def __init__(self):
        super().__init__(3, 1, 1)

class Squashed(Logits):
    def forward(self, x):
        return super().forward(x).sigmoid()

class Choosy(Logits):
    def forward(self, x):
        if x.shape[-1] == 31:
            raise ValueError("too wide")
        return super().forward(x)
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A file of networks, and a dataset of three images."""
    (tmp_path / "nets.py").write_text(NETWORKS)
    rng = np.random.default_rng(0)
    for stem, width in {"a": 20, "b": 20, "c": 31}.items():
        write_image(
            tmp_path / f"data/Own/images/{stem}.png", rng.integers(0, 256, (16, width, 3), np.uint8)
        )
        mask = np.zeros((16, width), np.uint8)
        mask[4:9, 3:12] = 255
        write_grey(tmp_path / f"data/Own/masks/{stem}.png", mask)
    return tmp_path


def run(root: Path, model: str, *options: str) -> int:
    return main(
        ["run", "--datasets", str(root / "data/Own"), "-o", str(root / "out"), "--device", "cpu",
         "--model", f"{root}/nets.py:{model}", *options]
    )  # fmt: skip


def test_a_users_network_is_not_called_untrained(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(root, "Logits") == 0
    captured = capsys.readouterr()
    assert "nets-Logits" in captured.out and "untrained" not in captured.out.lower()
    assert "UNTRAINED" not in captured.err
    manifest = json.loads((root / "out/maps/nets-Logits/Own/prediction.json").read_text())
    assert manifest["weights"] == "as made by nets.py:Logits"


def test_a_doubtful_network_is_reported_and_is_status_1(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for _ in range(2):  # a rerun, which predicts nothing, reports it too
        assert run(root, "Squashed", "--quiet") == 1
        captured = capsys.readouterr()
        assert "nets-Squashed" in captured.out
        assert "nets.py:Squashed: its values for 3 image(s) are all in 0..1" in captured.err


def test_an_image_without_a_map_is_reported_with_its_reason(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(root, "Choosy") == 2
    error = capsys.readouterr().err
    assert "1 image(s) have no map; the other maps are finished" in error
    assert "c: 31x16 is refused by the network (ValueError: too wide" in error
    assert run(root, "Choosy", "--missing", "skip", "--quiet") == 1
    captured = capsys.readouterr()
    assert "nets-Choosy" in captured.out
    assert "c: 31x16 is refused by the network (ValueError: too wide" in captured.err


def test_the_sample_runs_from_drawing_to_report(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The same steps as ``sodbench run --sample``, with fewer images and one update of the network."""
    for name, character in demo_data.CHARACTERS.items():
        count = 8 if name == "DUTS-TR" else 2
        monkeypatch.setitem(demo_data.CHARACTERS, name, dataclasses.replace(character, count=count))
    recipe = dataclasses.replace(train.RECIPES["sample"], epochs=1, size=32, warmup=0)
    monkeypatch.setitem(train.RECIPES, "sample", recipe)
    out = tmp_path / "out"
    command = ["run", "--sample", "--datasets", "PASCAL-S", "-o", str(out), "--device", "cpu"]

    assert main(command) == 0
    captured = capsys.readouterr()
    assert f"report: {out}/report.md" in captured.out
    assert (
        "not a benchmark" in captured.err and "not a benchmark" in (out / "report.md").read_text()
    )
    methods = sorted(path.name for path in (out / "scores").iterdir())
    assert "csf-res2net50" in methods and len(methods) > 1  # and the baselines
    for method in methods:
        assert load_result(out / "scores" / method / "PASCAL-S").n == 2
    weights = list((out / "sample-model").glob("*.pth")) + list(
        (out / "sample-model").glob("*.safetensors")
    )
    assert weights and (out / "sample-data" / demo_data.DEMO_MARKER).is_file()

    before = {path: path.stat().st_mtime_ns for path in (out / "sample-data").rglob("*.*")}
    assert main(command) == 0  # nothing is drawn, fitted or predicted again
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert "are up to date and were reused" in capsys.readouterr().err
