"""``sodbench run`` with a user's network: what prediction reports reaches the user and the exit status."""

import json
from pathlib import Path

import numpy as np
import pytest

from sodbench.cli import main
from sodbench.images import write_grey, write_image

pytestmark = pytest.mark.usefixtures("one_thread")

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
    assert "c: 16x31 is refused by the network (ValueError: too wide" in error
    assert run(root, "Choosy", "--missing", "skip", "--quiet") == 1
    captured = capsys.readouterr()
    assert "nets-Choosy" in captured.out
    assert "c: 16x31 is refused by the network (ValueError: too wide" in captured.err
