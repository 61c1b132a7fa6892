"""Several processes: one start of torchrun predicts and trains; the results are those of one process."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from sodbench.cli import main
from sodbench.datasets import Dataset
from sodbench.images import write_image
from sodbench.runners.training.log import read_log
from sodbench.runners.training.recipe import Recipe, change_recipe

BOTH = """
import json, os, sys
from sodbench.cli import main
statuses = [main(command) for command in json.loads(sys.argv[1])]
print(os.environ["RANK"], statuses)
"""


@pytest.fixture(scope="module")
def runs(
    tmp_path_factory: pytest.TempPathFactory, networks: Path, twelve: Dataset, one_thread: None
) -> tuple[Path, str]:
    """A folder with what one process made (``one``) and two (``two``), and what the two printed."""
    root = tmp_path_factory.mktemp("ranks")
    rng = np.random.default_rng(5)
    for stem, size in {"a": (20, 30), "b": (30, 20), "c": (20, 30), "d": (1, 1)}.items():
        write_image(root / "images" / f"{stem}.png", rng.integers(0, 256, (*size, 3), np.uint8))
    (root / "images" / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n broken")
    recipe = change_recipe(
        Recipe(), {"epochs": 2, "milestones": [0], "accumulate": 5, "learning_rate": 1e-2}
    )
    (root / "recipe.toml").write_text(recipe.to_toml())

    def commands(out: Path) -> list[list[str]]:
        common = ["--model", f"{networks}:small", "--device", "cpu"]
        data = ["--train", str(twelve.root), "--validate", str(twelve.root), "--random-start"]
        return [
            ["predict", str(root / "images"), "-o", str(out / "maps"), *common],
            ["train", *data, "--recipe", str(root / "recipe.toml"), "-o", str(out / "run"), *common],
        ]  # fmt: skip

    (root / "both.py").write_text(BOTH)
    torchrun = subprocess.Popen(
        [
            *(sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"),
            *(root / "both.py", json.dumps(commands(root / "two"))),
        ],
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert [main(command) for command in commands(root / "one")] == [1, 0]
        printed, messages = torchrun.communicate(timeout=600)
    finally:
        torchrun.terminate()
    assert torchrun.returncode == 0, messages[-2000:]
    assert "0 [1, 0]" in printed and "1 [0, 0]" in printed
    return root, messages


def test_two_processes_share_the_maps_and_one_manifest(runs: tuple[Path, str]) -> None:
    root, messages = runs
    assert messages.count("1 of 5 images have no map") == 1, messages
    one, two = (
        {p.name: p.read_bytes() for p in (root / name / "maps").iterdir()}
        for name in ("one", "two")
    )
    assert len(one) == 5
    assert one == two


def test_two_processes_train_as_one(runs: tuple[Path, str]) -> None:
    root, _ = runs
    one, two = (read_log(root / name / "run") for name in ("one", "two"))
    assert [r.keys() for r in one] == [r.keys() for r in two]
    losses = [[r["loss"] for r in log if "loss" in r] for log in (one, two)]
    np.testing.assert_allclose(losses[1], losses[0], rtol=1e-5)
    weights = [
        torch.load(root / name / "run" / "final.pth", weights_only=True) for name in ("one", "two")
    ]
    for name, value in weights[0].items():
        np.testing.assert_allclose(weights[1][name], value, rtol=2e-4, atol=2e-6, err_msg=name)
    assert json.loads((root / "two" / "run" / "run.json").read_text())["processes"] == 2
