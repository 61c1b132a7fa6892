"""Everything that needs a GPU, in one command: parity, prediction, training, cost of every model, scoring on many cores.

    python benchmarks/gpu.py --quick|--full [--data-root DIR] [--weights csnet-L-x2=FILE ...] [--onnx FILE]
                             [--sizes duts_dims.csv] [--only PART ...] [-o FILE.json]

Each part is a process of its own with a time limit, and its record is stored as soon as it ends, so one part that fails or
takes too long costs only itself. ``--quick`` takes at most eight minutes on one H100 or H200 with 16 cores, with
everything that it draws; ``--full`` repeats more and trains longer. ``--device cpu --tiny`` tries the script itself.

- ``parity``   logits and maps of the GPU against the CPU's in float32; tf32, bf16 and fp16 against float32
- ``predict``  benchmarks/predict.py: from JPEG to PNG against the plain loop, and the share of the network's own speed
- ``train``    benchmarks/train.py: images a second of an update, padded and grouped, against one by one
- ``fit``      benchmarks/train_sod.py: a real training on 200 images of SOD, scored on the other 100
- ``trained``  what each precision changes in the scores of that network (needs ``fit``)
- ``fixed``    a network of one input size: images of different sizes in one batch against batches of one size
- ``bench``    ``sodbench bench`` of every registered model and of an ONNX file
- ``evaluate`` benchmarks/evaluate.py: scoring by 1, 2, 4, 8 and 16 processes

DIR holds SOD in any layout. Without it, parity uses drawn images, and ``fit`` and ``trained`` are left out. ``--sizes`` is a
table of image sizes (columns split, height, width), without which ``predict`` is left out. ``--only`` adds to the file that
is there.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from drawn import draw_images
from record import describe_machine, store

from sodbench.cli.train import hold_out
from sodbench.datasets import find_dataset
from sodbench.errors import SodbenchError

HERE = Path(__file__).parent
PARTS = ("parity", "predict", "train", "fit", "trained", "fixed", "bench", "evaluate")

# Seconds that a part may take: --quick, --full.
LIMITS = {
    "parity": (90, 600),
    "predict": (150, 900),
    "train": (90, 600),
    "fit": (120, 1800),
    "trained": (60, 300),
    "fixed": (60, 120),
    "bench": (150, 900),
    "evaluate": (120, 600),
}
# Options without which a part is left out.
NEEDS = {"predict": "sizes", "fit": "data_root", "trained": "data_root", "fixed": "data_root"}

ALL_CORES = ("1", "2", "4", "8", "16")
PRECISIONS = ("tf32", "bf16", "fp16")


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    length = parser.add_mutually_exclusive_group(required=True)
    length.add_argument("--quick", action="store_true")
    length.add_argument("--full", action="store_true")
    length.add_argument("--tiny", action="store_true", help="a few images: try the script")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--data-root", type=Path)
    parser.add_argument("--weights", nargs="*", default=[], metavar="MODEL=FILE")
    parser.add_argument("--onnx", type=Path)
    parser.add_argument("--sizes", type=Path, help="csv with columns split, height, width")
    parser.add_argument("--only", nargs="+", choices=PARTS)
    parser.add_argument(
        "--work", type=Path, help="folder for maps and networks (default: temporary)"
    )
    parser.add_argument("-o", "--output", type=Path)
    parser.add_argument("--part", choices=PARTS, help=argparse.SUPPRESS)
    return parser.parse_args()


def main() -> None:
    arguments = parse()
    if arguments.part:
        parts = {"parity": parity, "trained": trained, "fixed": fixed, "bench": bench}
        record = parts[arguments.part](arguments)
        store(record, arguments.output)
        return
    if arguments.work:
        arguments.work.mkdir(parents=True, exist_ok=True)
        run_parts(arguments, arguments.work)
    else:
        with tempfile.TemporaryDirectory() as folder:
            run_parts(arguments, Path(folder))


def run_parts(arguments: argparse.Namespace, work: Path) -> None:
    """Run the parts, one process each; store the record after each of them, and print a table of all."""
    from sodbench.models.devices import choose_device

    machine = describe_machine(device=choose_device(arguments.device))
    name = machine["device_name"].lower().replace(" ", "_")
    output = arguments.output or HERE / "results" / f"gpu_{name}.json"
    record: dict[str, Any] = {
        "machine": machine,
        "length": "quick" if arguments.quick else "full" if arguments.full else "tiny",
        "seconds": {},
    }
    if arguments.only and output.exists():
        # parts that are not measured again stay
        record = json.loads(output.read_text()) | {"machine": record["machine"]}
    for part in arguments.only or PARTS:
        needs = NEEDS.get(part)
        if needs and not getattr(arguments, needs):
            print(f"{part}: left out, because it needs --{needs.replace('_', '-')}", flush=True)
            continue
        result = work / f"{part}.json"
        began = time.perf_counter()
        outcome = run_part(command(part, arguments, work, result), part, arguments)
        record["seconds"][part] = round(time.perf_counter() - began, 1)
        record[part] = json.loads(result.read_text()) if result.exists() else {"failed": outcome}
        store(record, output)
        print(f"{part}: {outcome}, {record['seconds'][part]} s", flush=True)
    print("\n".join(table(record)))


def run_part(words: list[str], part: str, arguments: argparse.Namespace) -> str:
    limit = LIMITS[part][not arguments.quick]
    try:
        done = subprocess.run(words, timeout=limit, check=False)
    except subprocess.TimeoutExpired:
        return f"stopped after {limit} s"
    return "done" if done.returncode == 0 else f"failed with status {done.returncode}"


def command(part: str, arguments: argparse.Namespace, work: Path, result: Path) -> list[str]:
    """Return the command line of a part."""
    python, device, tiny = [sys.executable], ["--device", arguments.device], arguments.tiny
    sizes = ["--sizes", str(arguments.sizes)] if arguments.sizes else []
    real = ["--data-root", str(arguments.data_root)] if arguments.data_root else []
    out = ["-o", str(result)]
    match part:
        case "predict":
            count = "8" if tiny else "1500" if arguments.quick else "5000"
            precisions = ["fp32"] if arguments.device == "cpu" else ["tf32", "bf16"]
            rounds = "1" if tiny else "2" if arguments.quick else "3"
            plain = ["--plain-count", "2" if tiny else "150" if arguments.quick else "500"]
            options = ["--count", count, "--rounds", rounds, "--precisions", *precisions, *plain]
            return [*python, str(HERE / "predict.py"), *options, *sizes, *device, *out]
        case "train":
            options = ["--scale", "0.2", "--rounds", "1"] if tiny else ["--quick"]
            return [*python, str(HERE / "train.py"), *options, *sizes, *device, *out]
        case "fit":
            minutes = "0.05" if tiny else "0.8" if arguments.quick else "20"
            options = ["--minutes", minutes, "--json", str(result), "-o", str(work / "fit")]
            return [*python, str(HERE / "train_sod.py"), *real, *options, *device]
        case "evaluate":
            cores = ("1", "2") if tiny else ("1", "4", "16") if arguments.quick else ALL_CORES
            options = ["--cores", *cores, "--pairs", "200" if tiny else "20000"]
            return [*python, str(HERE / "evaluate.py"), *options, *out]
        case _:
            length = "--full" if arguments.full else "--tiny" if tiny else "--quick"
            own = [length, "--part", part, "--work", str(work)]
            onnx = ["--onnx", str(arguments.onnx)] if arguments.onnx else []
            weights = ["--weights", *arguments.weights] if arguments.weights else []
            return [*python, __file__, *own, *real, *onnx, *weights, *device, *out]


# --- the parts that have no script of their own ---------------------------------------------------


def parity(arguments: argparse.Namespace) -> dict[str, Any]:
    """Compare the GPU with the CPU, and the precisions with float32; see `compare_devices`, `compare_precisions`."""
    record: dict[str, Any] = {"csf-res2net50, weights by rule": compare_devices(arguments)}
    for model, file in (text.split("=", 1) for text in arguments.weights):
        samples = find_samples(arguments)
        record[f"{model}, trained"] = compare_precisions(arguments, model, Path(file), samples)
    return record


def compare_devices(arguments: argparse.Namespace) -> dict[str, Any]:
    """Compare logits and maps of CSF on the device with the CPU's, both in float32, and precisions with float32."""
    import numpy as np
    from predict import differences

    from sodbench.images import read_rgb
    from sodbench.models.inference import InferenceNetwork

    samples = find_samples(arguments)
    some = samples[:: max(1, len(samples) // 20)][:20]
    gaps = []
    here, there = (InferenceNetwork(rule_network(), d, "fp32") for d in ("cpu", arguments.device))
    for _, path in some:
        pixels = read_rgb(path)[None]
        gap = here.logits(pixels).cpu() - there.logits(pixels).cpu()
        gaps.append(float(gap.abs().max()))
    del here, there
    maps = arguments.work / "parity"
    for device in ("cpu", arguments.device):
        make_maps(rule_network(), some, maps / f"{device}-first", device, "fp32")
    record: dict[str, Any] = {
        "images": len(some),
        "largest_logit_difference_fp32": float(np.max(gaps)),
        "maps_fp32": differences(some, maps / f"{arguments.device}-first", maps / "cpu-first"),
    }
    record["precisions"] = precision_changes(arguments, samples, rule_network, "rule")
    return record


def compare_precisions(
    arguments: argparse.Namespace, model: str, weights: Path, samples: Any
) -> dict[str, Any]:
    """Compare the maps and scores of a trained network at each precision with those in float32."""
    from sodbench.models import create_model, load_checkpoint

    def network() -> Any:
        made = create_model(model).eval()
        load_checkpoint(made, weights)
        return made

    return precision_changes(arguments, samples, network, model)


def precision_changes(
    arguments: argparse.Namespace, samples: Any, network: Any, name: str
) -> dict[str, Any]:
    from predict import differences, scores

    maps = arguments.work / "precisions" / name
    changes: dict[str, Any] = {"images": len(samples)}
    for precision in ("fp32", *(PRECISIONS if arguments.device != "cpu" else ("bf16",))):
        make_maps(network(), samples, maps / precision, arguments.device, precision)
        changes[precision] = {}
        if precision != "fp32":
            changes[precision] = differences(samples, maps / precision, maps / "fp32")
        if arguments.data_root:
            found = scores(
                samples,
                maps / precision,
                find_dataset("SOD", arguments.data_root).samples[0].mask.parent,
            )
            changes[precision]["scores"] = found
            before = changes["fp32"]["scores"]
            changes[precision]["changes"] = {k: v - before[k] for k, v in found.items()}
    return changes


def trained(arguments: argparse.Namespace) -> dict[str, Any]:
    """Compare the precisions with the network that the part ``fit`` trained, on the images held out there."""
    weights = arguments.work / "fit" / "training" / "final.pth"
    _, held_out = hold_out(find_dataset("SOD", arguments.data_root), 100)
    samples = [(sample.stem, sample.image) for sample in held_out.samples]
    samples = samples[:2] if arguments.tiny else samples
    return compare_precisions(arguments, "csf-res2net50", weights, samples)


def fixed(arguments: argparse.Namespace) -> dict[str, Any]:
    """Predict with CSF at 224x224, batches of mixed sizes against batches of one size; the maps must be the same."""
    from predict import differences

    from sodbench.models.declarations import InputSize
    from sodbench.runners.prediction.predict import predict
    from sodbench.runners.prediction.predictors import NetworkPredictor

    samples, record = find_samples(arguments), {}
    for name, padding in (("mixed", True), ("one size", False)):
        network = rule_network()
        network.input_size = InputSize(fixed=(224, 224))
        network.handles_padding = False
        predictor = NetworkPredictor(
            network, "network", device=arguments.device, precision="fp32", padding=padding
        )
        record[name] = {}
        # cuDNN chooses its algorithms in the first pass
        for number in ("first", "second"):
            out = arguments.work / "fixed" / f"{name} {number}"
            began = time.perf_counter()
            predict(predictor, samples, out)
            rate = len(samples) / (time.perf_counter() - began)
            record[name][f"images_per_second_{number}"] = rate
        record[name]["shapes"] = len(predictor.shapes)
    maps = arguments.work / "fixed"
    record["differences"] = differences(samples, maps / "mixed second", maps / "one size second")
    return record


def bench(arguments: argparse.Namespace) -> dict[str, Any]:
    """Measure what every registered model costs, and an ONNX file."""
    from sodbench.models import model_names
    from sodbench.models.user_code import FAILURES
    from sodbench.runners.benchmark import benchmark

    # all of them in the default precision first, in case the time does not suffice for both
    models: list[tuple[str, str | None]] = [(name, None) for name in model_names()]
    if arguments.onnx:
        models.append((str(arguments.onnx), None))
    if not arguments.tiny:
        models += [(name, "bf16") for name in model_names()]
    sizes = ((224, 224), (300, 400))
    if not arguments.full:
        sizes = ((64, 64),) if arguments.tiny else ((300, 400),)
    repeats = 1 if arguments.tiny else 5
    records: dict[str, Any] = {}
    for model, precision in models:
        label = f"{Path(model).name}{', ' + precision if precision else ''}"
        print(label, flush=True)
        try:
            records[label] = benchmark(
                model, device=arguments.device, precision=precision, sizes=sizes, repeats=repeats
            )
        # one model that fails must not lose the others' figures
        except (SodbenchError, *FAILURES) as error:
            records[label] = {"failed": f"{type(error).__name__}: {error}"}
        store(records, arguments.output)
    return records


def find_samples(arguments: argparse.Namespace) -> Any:
    """Return the stems and files of the real images, or of some that are drawn."""
    if arguments.data_root:
        samples = find_dataset("SOD", arguments.data_root).samples
        return [(sample.stem, sample.image) for sample in samples][: 2 if arguments.tiny else 300]
    return draw_images(arguments.work / "drawn", ((300, 400), (267, 400), (400, 300), (64, 80)) * 3)


def rule_network() -> Any:
    """Return CSF with the weights of tests/reference/model_rule.py."""
    from predict import load_model

    return load_model(None)


def make_maps(network: Any, samples: Any, out: Path, device: str, precision: str) -> None:
    from sodbench.runners.prediction.predict import predict
    from sodbench.runners.prediction.predictors import NetworkPredictor

    predictor = NetworkPredictor(network, "network", device=device, precision=precision)
    summary = predict(predictor, samples, out)
    if summary.problems:
        raise SystemExit(f"{len(summary.problems)} images failed: {summary.problems[0]}")


# --- the table ------------------------------------------------------------------------------------


def table(record: dict[str, Any], prefix: str = "") -> list[str]:
    """Return the record's numbers as lines ``part.name  value``."""
    lines = []
    for key, value in record.items():
        name = f"{prefix}{key}"
        if isinstance(value, dict):
            lines += table(value, f"{name}.")
        elif isinstance(value, float):
            lines.append(f"{name:90} {value:.6g}")
        elif isinstance(value, (int, str)) or (isinstance(value, list) and len(value) <= 8):
            lines.append(f"{name:90} {value}")
    return lines


if __name__ == "__main__":
    main()
