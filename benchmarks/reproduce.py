"""Published numbers, reproduced with really trained weights: predict, score, measure and report, on the 300 images of SOD.

    python benchmarks/reproduce.py --sod SOD --weights WEIGHTS -o reproduced [--models u2netp csnet-L-x2 csnet-L-x1]

``SOD`` holds ``Imgs`` and ``GT``. ``WEIGHTS`` holds ``u2netp.onnx`` (``sodbench data download u2netp``) and the tensors of
the authors' ``csnet-L-x1.pth.tar`` and ``csnet-L-x2.pth.tar``, under these names or as ``.pth``. It exits with status 1 where a
number differs by more than 0.001 from the one that the authors' own pipeline gives. docs/reproductions.md shows the numbers.
Run again, it continues: maps, scores and measured speeds that are in the output folder are kept.
"""

import argparse
import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

TOLERANCE = 1e-3
METRICS = ("mae", "f_max", "s", "wf")


@dataclass(frozen=True)
class Method:
    """A trained model, what its authors' pipeline gives on SOD, and what was published."""

    files: tuple[str, ...]
    options: tuple[str, ...]
    # MAE, max F, S, weighted F under the protocol salmetric, by a program independent of sodbench
    expected: tuple[float, ...]


METHODS = {
    "u2netp": Method(("u2netp.onnx",), ("--preset", "u2net"), (0.1208, 0.8478, 0.7665, 0.7068)),
    "csnet-L-x2": Method(
        ("csnet-L-x2.pth.tar", "csnet-L-x2.pth"),
        ("--model", "csnet-L-x2"),
        (0.1381, 0.8262, 0.7481, 0.6323),
    ),
    # nothing independent was measured for it through its authors' own resizing
    "csnet-L-x1": Method(("csnet-L-x1.pth.tar", "csnet-L-x1.pth"), ("--model", "csnet-L-x1"), ()),
}


def run(*arguments: object) -> str:
    """Run a command of sodbench; return what it prints."""
    command = [sys.executable, "-m", "sodbench", *map(str, arguments)]
    print("sodbench", *map(str, arguments), file=sys.stderr)
    done = subprocess.run(command, check=False, stdout=subprocess.PIPE, text=True)
    if done.returncode:
        sys.exit(f"stopped: sodbench {arguments[0]} ended with status {done.returncode}")
    return done.stdout


def choose_model(name: str, folder: Path) -> list[object]:
    """The options that choose a method's network and weights."""
    method = METHODS[name]
    files = [folder / file for file in method.files if (folder / file).is_file()]
    if not files:
        sys.exit(f"{folder}: {' or '.join(method.files)} is missing; or leave {name} out: --models")
    return [*method.options, "--model" if files[0].suffix == ".onnx" else "--checkpoint", files[0]]


def reproduce(name: str, model: list[object], arguments: argparse.Namespace) -> dict[str, float]:
    """Predict, score and measure one method; return its metrics."""
    output = arguments.output
    maps, scores = output / "maps" / name / "SOD", output / "results" / name
    run("predict", arguments.sod / "Imgs", "-o", maps, *model, "--device", arguments.device)
    text = run(
        *(
            "eval",
            maps,
            arguments.sod / "GT",
            "-o",
            scores,
            "--name",
            name,
            "--dataset-name",
            "SOD",
        ),
        *("--protocol", "salmetric", "--format", "json"),
    )
    record = output / f"bench-{name}.json"
    if not record.is_file():
        size = ["--sizes", "400x300", "--repeats", "3", "--device", arguments.device]
        run("bench", *model, *size, "--name", name, "-o", record)
    (result,) = json.loads(text)["results"]
    metrics: dict[str, float] = result["metrics"]
    return metrics


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sod", type=Path, required=True, help="folder with Imgs and GT")
    parser.add_argument("--weights", type=Path, required=True, help="folder with the weights")
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--models", nargs="+", choices=METHODS, default=list(METHODS))
    parser.add_argument("--device", default="cpu")
    arguments = parser.parse_args()
    # a file that is missing is named before anything is predicted
    models = {name: choose_model(name, arguments.weights) for name in arguments.models}
    print("| method | " + " | ".join(METRICS) + " |\n|---|" + "--:|" * len(METRICS))
    status = 0
    for name, model in models.items():
        metrics = reproduce(name, model, arguments)
        print(f"| {name} | " + " | ".join(f"{metrics[m]:.4f}" for m in METRICS) + " |", flush=True)
        for metric, expected in zip(METRICS, METHODS[name].expected, strict=False):
            if abs(metrics[metric] - expected) > TOLERANCE:
                print(f"{name}: {metric} is {metrics[metric]:.4f} instead of {expected}")
                status = 1
    results = [arguments.output / "results" / name for name in arguments.models]
    benches = [arguments.output / f"bench-{name}.json" for name in arguments.models]
    run("report", *results, "--bench", *benches, "-o", arguments.output / "report.md")
    return status


if __name__ == "__main__":
    sys.exit(main())
