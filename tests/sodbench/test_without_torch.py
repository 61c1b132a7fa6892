"""Without PyTorch, or with an old one, everything but networks works, and what needs one says what to install."""

import json
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import torch

from sodbench.cli import main
from sodbench.errors import SodbenchError
from sodbench.models.devices import MIN_TORCH
from sodbench.models.state_files import read_state

# torch and torchvision as if they were not installed, for several commands in one process
WITHOUT_TORCH = """
import json, sys
sys.modules["torch"] = sys.modules["torchvision"] = None
from sodbench.cli import main
from sodbench.reports import plot_style
plot_style.FORMATS = ("svg",)  # the others take time
for command in json.loads(sys.argv[1]):
    print("status", main(command))
    print("next command", file=sys.stderr)
"""


def run(commands, folder):
    """The statuses of the commands and the standard error of each."""
    words = [sys.executable, "-c", WITHOUT_TORCH, json.dumps(commands)]
    done = subprocess.run(words, capture_output=True, text=True, check=True, cwd=folder)
    statuses = [line for line in done.stdout.splitlines() if line.startswith("status ")]
    return statuses, done.stderr.split("next command\n")[:-1]


def test_commands_with_a_network_say_in_one_line_what_to_install(folders):
    statuses, messages = run(
        [
            ["predict", "data/toys/images", "-o", "out"],
            ["run", "--datasets", "data/toys"],
            ["run", "--sample"],
            ["train", "--train", "data/toys", "-o", "run", "--recipe", "scratch"],
            ["bench"],
            ["export", "-o", "net.onnx"],
        ],
        folders,
    )
    assert statuses == ["status 2"] * 6
    for message in messages:
        last = message.splitlines()[-1]
        assert last == (
            "sodbench: error: this command needs torch, which is not installed: "
            "pip install 'sodbench[models]'"
        )
        assert "Traceback" not in message
    assert not (folders / "sample-run").exists() and not (folders / "out").exists()


def test_everything_else_works(folders):
    """Scoring, the baselines, reports, what is done with datasets, and the recipes of trainings."""
    baseline = ["run", "--datasets", "data/toys", "--model", "centre-prior", "--output", "results"]
    commands = [
        baseline,
        ["predict", "data/toys/images", "-o", "out", "--model", "frequency-tuned"],
        ["eval", "maps", "data/toys", "-o", "scores"],
        ["verify", "scores", "maps", "data/toys"],
        ["compare", "results", "scores", "--resamples", "100"],
        ["data", "check", "data/toys"],
        ["models"],
        ["train", "--print-recipe", "--set", "loss=structure"],
    ]
    statuses, messages = run(commands, folders)
    assert statuses == ["status 0"] * len(commands), messages
    assert (folders / "results/report.md").is_file()


OLD_TORCH = (
    "this command needs PyTorch 2.6 or newer, because older ones can run code of a file of weights; 2.5.1+cu124 is "
    "installed. To keep that, make another environment: pip install 'sodbench[models]'"
)


@pytest.mark.parametrize(
    "command",
    [
        ["predict", "data/toys/images", "-o", "out"],
        ["predict", "data/toys/images", "-o", "out", "--checkpoint", "weights.pth"],
        ["run", "--datasets", "data/toys", "-o", "out"],
        ["run", "--sample", "-o", "out"],
        ["train", "--train", "data/toys", "-o", "out", "--recipe", "scratch"],
        ["bench"],
        ["export", "-o", "net.onnx"],
    ],
    ids=" ".join,
)
def test_an_older_torch_than_declared_is_refused(command, folders, monkeypatch, capsys):
    monkeypatch.chdir(folders)
    monkeypatch.setattr(torch, "__version__", "2.5.1+cu124")
    Path("weights.pth").write_bytes(b"PK")
    assert main(command) == 2
    assert capsys.readouterr().err.splitlines()[-1] == f"sodbench: error: {OLD_TORCH}"
    assert not Path("out").exists() and not Path("net.onnx").exists()


def test_an_older_torch_does_not_load_weights(monkeypatch, tmp_path):
    torch.save({"weight": torch.zeros(1)}, tmp_path / "weights.pth")
    monkeypatch.setattr(torch, "__version__", "2.5.1+cu124")
    with pytest.raises(SodbenchError, match=r"PyTorch 2\.6 or newer"):
        read_state(tmp_path / "weights.pth")


def test_baselines_run_with_an_older_torch(folders, monkeypatch):
    monkeypatch.chdir(folders)
    monkeypatch.setattr(torch, "__version__", "1.13.1")
    assert main(["predict", "data/toys/images", "-o", "out", "--model", "centre-prior"]) == 0


@pytest.mark.parametrize("version", ["2.6.0", "2.10.0a0+b4e4ee8", "3.0.0"])
def test_newer_versions_of_torch_are_accepted(version, monkeypatch, tmp_path):
    torch.save({"weight": torch.zeros(1)}, tmp_path / "weights.pth")
    monkeypatch.setattr(torch, "__version__", version)
    assert read_state(tmp_path / "weights.pth")


def test_the_oldest_torch_is_the_declared_one():
    project = Path(__file__).parents[2] / "pyproject.toml"
    extras = tomllib.loads(project.read_text())["project"]["optional-dependencies"]
    assert f"torch>={'.'.join(map(str, MIN_TORCH))}" in extras["models"]
