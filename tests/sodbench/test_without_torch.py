"""Without PyTorch everything but networks works, and what needs one says what to install."""

import json
import subprocess
import sys

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
