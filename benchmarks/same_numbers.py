"""Every number of two versions of sodbench, compared bit by bit: what a change of the code must not change.

    python benchmarks/same_numbers.py store OLD --real FOLDER   # with the old code
    python benchmarks/same_numbers.py store NEW --real FOLDER   # with the new code
    python benchmarks/same_numbers.py compare OLD NEW

``store`` runs the command line of the installed sodbench over real predictions (``FOLDER/real``), the committed
fixtures and maps that are missing or of another size, under each protocol, and keeps what it stores and prints.
It also keeps the logits of the CSF network and of one training step, with weights given by a rule.
``compare`` exits with status 1 where a number differs in any bit, or is missing.  The values stay outside the
repository.
"""

import argparse
import csv
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
PROTOCOLS = ("salmetric", "pysodmetrics", "matlab")


def commands(real: Path, fixtures: Path) -> Iterator[tuple[str, list[str]]]:
    """The name of each case, and the arguments of ``sodbench eval`` that it is scored with."""
    yield "real", [str(real / "preds"), str(real)]
    edge = real / "edge"
    mixed = [str(edge / "ECSSD-gt3/pred_352x352"), str(edge / "ECSSD-gt3/GT")]
    yield "resized", [*mixed, "--resize", "bilinear"]
    yield (
        "missing-zero-nearest",
        [
            str(edge / "ECSSD-gt3/pred_DSS"),
            str(edge / "ECSSD-gt3/GT"),
            *("--missing", "zero", "--resize", "nearest"),
        ],
    )
    yield "resized-nearest", [*mixed, "--missing", "zero", "--resize", "nearest"]
    yield (
        "missing-skip",
        [
            str(edge / "ECSSD-gt3/pred_DSS"),
            str(edge / "ECSSD-gt3/GT"),
            *("--missing", "skip"),
        ],
    )
    yield "colour", [str(edge / "LFSD3/pred_RGBA"), str(edge / "LFSD3/GT_1bit")]
    yield "panorama", [str(edge / "F360iSOD3/pred_EGNet_RGB"), str(edge / "F360iSOD3/GT")]
    peer = edge / "pysodmetrics_test_data"
    yield "grey-masks", [str(peer / "preds"), str(peer / "masks")]
    yield "fixtures", [str(fixtures / "maps"), str(fixtures / "masks"), "--undefined", "skip"]
    yield "shard", [str(real / "preds/DSS/SOD"), str(real / "SOD/GT"), "--shard", "2/3"]


def write_fixtures(folder: Path) -> None:
    """Write the maps and masks of tests/data/metrics_public.npz as images."""
    from PIL import Image

    with np.load(ROOT / "tests/data/metrics_public.npz") as arrays:
        for name in arrays.files:
            which = {"pred": "maps", "gt": "masks"}.get(name.split("_")[0])
            if which and arrays[name].dtype == np.uint8 and arrays[name].ndim == 2:
                path = folder / which / f"{name.split('_')[1]}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(arrays[name]).save(path)


def store(folder: Path, shared: Path) -> None:
    """Score every case, and keep the numbers in ``folder``."""
    folder.mkdir(parents=True)
    write_fixtures(folder / "fixtures")
    for case, arguments in commands(shared / "real", folder / "fixtures"):
        for protocol in PROTOCOLS:
            output = folder / case / protocol
            command = [sys.executable, "-m", "sodbench", "eval", *arguments]
            command += ["--protocol", protocol, "-o", str(output), "--format", "json", "--quiet"]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode not in (0, 1):
                sys.exit(f"{' '.join(command)}\n{done.stderr}")
            (output / "printed.json").write_text(done.stdout)
            print(f"{case}, {protocol}: status {done.returncode}", flush=True)
    np.savez(folder / "network.npz", **network_numbers())


def network_numbers() -> dict[str, np.ndarray[Any, Any]]:
    """Logits of the CSF network, and the weights after one training step, for weights given by a rule."""
    import torch

    sys.path[:0] = [str(ROOT / "tests")]
    from reference import model_rule

    from sodbench.models import create_model

    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    model = create_model("csf-res2net50")
    model_rule.load(model)
    images = torch.linspace(-2, 2, 2 * 3 * 96 * 128).reshape(2, 3, 96, 128).sin()
    with torch.no_grad():
        logits = model.eval()(images).numpy()
    optimiser = torch.optim.Adam(model.parameters(), lr=5e-5, weight_decay=5e-4)
    target = (images[:, :1] > 0).float()
    loss = torch.nn.functional.binary_cross_entropy_with_logits(model(images), target)
    loss.backward()
    optimiser.step()
    after = {
        f"after/{key}": value.detach().numpy()
        for key, value in list(model.state_dict().items())[::25]
    }
    return {"logits": logits, "loss": np.array(loss.item()), **after}


def numbers(folder: Path) -> dict[str, Any]:
    """All numbers that ``store`` kept, by name."""
    values: dict[str, Any] = {}
    for path in sorted(folder.rglob("printed.json")):
        for result in json.loads(path.read_text())["results"]:
            name = f"{path.parent.relative_to(folder)} {result['method']} {result['dataset']}"
            values |= {f"{name} printed {k}": v for k, v in result["metrics"].items()}
            values[f"{name} n"] = result["n"]
    for path in sorted(folder.rglob("result.json")):
        name = str(path.parent.relative_to(folder))
        result = json.loads(path.read_text())
        values |= {f"{name} {key}": value for key, value in result["metrics"].items()}
        values |= {f"{name} curve {key}": value for key, value in result["curves"].items()}
    for path in sorted(folder.rglob("scores.csv")):
        with path.open(newline="") as file:
            for row in csv.DictReader(file):
                name = f"{path.parent.relative_to(folder)} {row['stem']}"
                texts = {"stem", "map", "mask", "image", "method", "dataset", "protocol"}
                values |= {f"{name} {k}": v for k, v in row.items() if k not in texts}
    with np.load(folder / "network.npz") as arrays:
        values |= {f"network {name}": arrays[name].tobytes() for name in arrays.files}
    return values


def compare(old: Path, new: Path) -> int:
    """Print what differs; return the exit status."""
    before, after = numbers(old), numbers(new)
    missing = [name for name in before if name not in after]
    # repr, so that -0.0 and NaN are compared as they are
    differing = [n for n in before if n in after and repr(before[n]) != repr(after[n])]
    for kind, names in (("missing", missing), ("different", differing)):
        for name in names[:20]:
            print(f"{kind}: {name}: {str(before[name])[:60]} -> {str(after.get(name))[:60]}")
    added = len(after.keys() - before.keys())
    print(
        f"{len(before)} values compared: {len(missing)} missing, {len(differing)} different, {added} new"
    )
    return 1 if missing or differing or not before else 0


def main() -> int:
    """Read the command line and run one of the two commands."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    storing = commands.add_parser("store", help="score every case with the installed sodbench")
    storing.add_argument("folder", type=Path)
    storing.add_argument("--real", type=Path, required=True, metavar="FOLDER")
    comparing = commands.add_parser("compare", help="compare two stored folders")
    comparing.add_argument("old", type=Path)
    comparing.add_argument("new", type=Path)
    given = parser.parse_args()
    if given.command == "store":
        store(given.folder, given.real.resolve())
        return 0
    return compare(given.old, given.new)


if __name__ == "__main__":
    sys.exit(main())
