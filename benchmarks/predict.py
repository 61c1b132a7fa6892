"""From JPEG to PNG: ``sodbench predict`` against the plain loop, on the same images and weights, in one run.

    python benchmarks/predict.py IMAGES [--masks GT] [--count 24] [--rounds 3] [--device auto]
                                 [--precisions fp32 bf16] [--variants default exact ...] [--checkpoint FILE] [-o FILE.json]
    python benchmarks/predict.py --sizes SIZES.csv --device cuda --count 1500 --precisions fp32 tf32 bf16 fp16
    python benchmarks/predict.py --stand-in [--count 1200]

The plain loop does what the reference's test script does: one image at a time, fp32, one loader process, sigmoid, encoding in
the loop.  Its network is sodbench's, as built: neither folded nor channels-last.  Its PNG compression is the quickest
(level 1); sodbench uses libdeflate's level 1.  Programs alternate, round by round, after a warm-up on the first two images.  Reported:

- images a second of each: the first pass, in which a GPU's shapes of batches are new, and the median of the others; the ratio
  of the median to that of the plain loop;
- peak memory: of the process on a CPU, of the device on CUDA;
- pixels: the largest grey-level difference from the plain loop's maps, the share of pixels that differ, the mean;
  with ``--masks`` also MAE, max F and S of every program's maps;
- the network's own throughput at the commonest size, pixels on the device, for the share that end to end reaches, and the
  arithmetic it amounts to (multiply-adds counted twice), as a share of the device's peak where that is known.

``--sizes`` draws the images: a set of 300x400, and a set with the sizes of the file's test images (columns split, height, width).
Variants of each precision: ``default``; ``exact``, batches of one size; ``no-graphs``; ``compile``; ``contiguous``, not channels-last.

``--stand-in`` measures everything but the network, with one that costs nothing: decoding and encoding by 1, 2, 4 ... threads and
processes, and the pipeline.  The CPU time of the pipeline that is neither decoding nor encoding is what Python between them costs.

Without ``--checkpoint`` the weights are those of tests/reference/model_rule.py.
"""

import argparse
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import torch
from drawn import draw_images, read_sizes
from PIL import Image
from record import describe_machine, print_and_store
from torch.utils.data import DataLoader

from sodbench.images import decode_rgb, read_bytes, write_grey
from sodbench.models import create_model, get_input_size, load_checkpoint
from sodbench.models.devices import choose_device, tensor_float
from sodbench.models.inference import InferenceNetwork
from sodbench.parallel import processors
from sodbench.runners.benchmark import count_macs, peak_memory, reset_peak_memory
from sodbench.runners.prediction.folder import describe_image
from sodbench.runners.prediction.inputs import find_images
from sodbench.runners.prediction.predict import predict
from sodbench.runners.prediction.predictors import NetworkPredictor

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "reference"))
import model_rule

Samples = Sequence[tuple[str, Path]]
Program = Callable[[Samples, Path], object]
ONE_SIZE = (300, 400)
PEAK_TFLOPS = {"fp32": 67, "tf32": 495, "bf16": 989, "fp16": 989}
"""Dense, of NVIDIA's H100 SXM and H200 data sheets."""
VARIANTS: dict[str, dict[str, Any]] = {
    "default": {},
    "exact": {"padding": False},
    "no-graphs": {"graphs": False},
    "compile": {"compiled": True, "graphs": False},
    "contiguous": {},
}


class Images(torch.utils.data.Dataset):
    """What the reference's dataset returns: a normalised float32 image [3, h, w] and its name."""

    def __init__(self, samples: Samples):
        self.samples = samples

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, str]:
        stem, path = self.samples[index]
        image = np.asarray(Image.open(path).convert("RGB"), np.float32) / 255
        image -= np.array((0.485, 0.456, 0.406))
        image /= np.array((0.229, 0.224, 0.225))
        return torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1))), stem


def plain_loop(network: torch.nn.Module, samples: Samples, out: Path, device: torch.device) -> None:
    out.mkdir(parents=True, exist_ok=True)
    for x, (stem,) in DataLoader(Images(samples), batch_size=1, num_workers=1):
        with torch.no_grad():
            p = torch.sigmoid(network(x.to(device))).cpu().numpy()
        pixels = np.rint(255 * p[0, 0]).astype(np.uint8)
        Image.fromarray(pixels).save(out / f"{stem}.png", compress_level=1)


def differences(samples: Samples, ours: Path, plain: Path) -> dict[str, float]:
    largest, differing, total, pixels = 0, 0, 0, 0
    for stem, _ in samples:
        a, b = (np.asarray(Image.open(d / f"{stem}.png"), np.int16) for d in (ours, plain))
        gap = np.abs(a - b)
        largest = max(largest, int(gap.max()))
        differing += int((gap > 0).sum())
        total += int(gap.sum())
        pixels += gap.size
    return {
        "pixels": pixels,
        "largest_grey_levels": largest,
        "share_that_differs": differing / pixels,
        "mean_grey_levels": total / pixels,
    }


def scores(samples: Samples, maps: Path, masks: Path) -> dict[str, float]:
    """MAE, max F and S of the maps that are there."""
    from sodbench.images import read_grey
    from sodbench.metrics import Evaluator

    evaluator = Evaluator(protocol="salmetric")
    for stem, _ in samples:
        evaluator.update(
            read_grey(maps / f"{stem}.png").pixels, read_grey(masks / f"{stem}.png").pixels
        )
    metrics = evaluator.compute().metrics
    return {name: metrics[name] for name in ("mae", "f_max", "s")}


def own_throughput(
    model: torch.nn.Module, device: torch.device, precision: str, size: tuple[int, int], most: int
) -> dict[str, Any]:
    """Images a second of the network alone, normalised pixels to logits on the device."""
    network = InferenceNetwork(model, device, precision)
    best: dict[str, Any] = {"images_per_second": 0.0}
    batch = 1
    while batch <= most:
        dtype = next(network.network.parameters()).dtype  # type: ignore[attr-defined]
        x = torch.randn(batch, 3, *size, device=device, dtype=dtype)
        x = x.to(memory_format=torch.channels_last)
        with torch.inference_mode(), tensor_float(precision == "tf32"):
            try:
                times = [timed(lambda x=x: network.network(x), device) for _ in range(7)][2:]
            except torch.OutOfMemoryError:
                break
        rate = batch / statistics.median(times)
        if rate > best["images_per_second"]:
            best = {"images_per_second": rate, "batch": batch}
        batch *= 2
    return best


def timed(work: Callable[[], object], device: torch.device) -> float:
    start = time.perf_counter()
    work()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - start


# ---- programs ------------------------------------------------------------------------------------------


def load_model(checkpoint: Path | None) -> torch.nn.Module:
    model = create_model("csf-res2net50").eval()
    if checkpoint:
        load_checkpoint(model, checkpoint)
    else:
        model_rule.load(model)
    return model


def make_plain(model: torch.nn.Module, device: torch.device) -> Program:
    """The plain loop, with a copy of the network that is not prepared."""
    plain = create_model("csf-res2net50").eval().to(device)
    plain.load_state_dict(model.state_dict())
    return lambda samples, out: plain_loop(plain, samples, out, device)


def make_ours(
    model: torch.nn.Module, device: torch.device, precision: str, variant: str = "default"
) -> Program:
    """``sodbench predict``, in a variant of `VARIANTS`."""
    options = VARIANTS[variant]
    if device.type != "cuda":
        options = {name: value for name, value in options.items() if name == "compiled"}
    predictor = NetworkPredictor(
        model, "csf-res2net50", device=str(device), precision=precision, **options
    )
    if variant == "contiguous":
        predictor.network._change_to_contiguous()
    return lambda samples, out: predict(predictor, samples, out)


def compare(
    programs: dict[str, Program],
    samples: Samples,
    device: torch.device,
    rounds: int,
    masks: Path | None = None,
    plain_count: int | None = None,
) -> dict[str, dict[str, Any]]:
    """Run programs in turn, and compare their speed and maps with those of the program ``plain``, if it is there.

    ``plain`` may run on the first ``plain_count`` images only, because it takes so long.
    """
    of_program = {name: samples[:plain_count] if name == "plain" else samples for name in programs}
    seconds: dict[str, list[float]] = {name: [] for name in programs}
    peaks: dict[str, int] = dict.fromkeys(programs, 0)
    records: dict[str, dict[str, Any]] = {}
    with tempfile.TemporaryDirectory() as scratch:
        for name, program in programs.items():
            program(samples[:2], Path(scratch, "warm", name))
        for i in range(rounds):
            for name, program in programs.items():
                reset_peak_memory(device)
                out = Path(scratch, str(i), name)
                chosen = of_program[name]
                seconds[name].append(timed(lambda p=program, c=chosen, o=out: p(c, o), device))
                peaks[name] = max(peaks[name], peak_memory(device))
                print(f"round {i}: {name} {seconds[name][-1]:.2f} s", file=sys.stderr)
        maps = {name: Path(scratch, "0", name) for name in programs}
        rates = {
            name: len(of_program[name]) / statistics.median(times[1:] or times)
            for name, times in seconds.items()
        }
        for name in programs:
            records[name] = {
                "images": len(of_program[name]),
                "images_per_second": rates[name],
                "images_per_second_first": len(of_program[name]) / seconds[name][0],
                "seconds": [round(s, 3) for s in seconds[name]],
                "peak_memory_mib": round(peaks[name] / 2**20),
            }
            if "plain" in programs:
                records[name]["times_plain"] = rates[name] / rates["plain"]
                if name != "plain":
                    both = of_program["plain"]
                    records[name]["differences"] = differences(both, maps[name], maps["plain"])
            if masks:
                records[name]["scores"] = scores(of_program[name], maps[name], masks)
    return records


def describe_network_alone(
    model: torch.nn.Module, device: torch.device, precision: str, size: tuple[int, int]
) -> dict[str, Any]:
    """Throughput of the network alone at a size, and its share of the device's peak."""
    own = own_throughput(model, device, precision, size, 128 if device.type == "cuda" else 1)
    macs = count_macs(model, get_input_size(model).for_image(*size))
    tflops = 2 * macs * own["images_per_second"] / 1e12
    alone = {"size": list(size), **own, "tflops": tflops}
    if any(chip in describe_machine(device=device)["device_name"] for chip in ("H100", "H200")):
        alone["share_of_peak"] = tflops / PEAK_TFLOPS[precision]
    return alone


def measure_set(
    model: torch.nn.Module,
    samples: Samples,
    device: torch.device,
    arguments: argparse.Namespace,
) -> dict[str, Any]:
    """All programs on one set of images."""
    programs = {"plain": make_plain(model, device)}
    for precision in arguments.precisions:
        for variant in arguments.variants:
            name = precision if variant == "default" else f"{precision} {variant}"
            programs[name] = make_ours(model, device, precision, variant)
    records = compare(
        programs, samples, device, arguments.rounds, arguments.masks, arguments.plain_count
    )
    (size, _), *_ = Counter(Image.open(path).size[::-1] for _, path in samples).most_common(1)
    for precision in arguments.precisions:
        alone = describe_network_alone(model, device, precision, size)
        for name in programs:
            if name.split()[0] == precision:
                rate = records[name]["images_per_second"]
                records[name]["network_alone"] = {
                    **alone,
                    "end_to_end_share": rate / alone["images_per_second"],
                }
    return {"images": len(samples), "programs": records}


# ---- without a network ---------------------------------------------------------------------------------


class StandIn:
    """A network that costs nothing: for every image the same map, smooth as most saliency maps are."""

    name = "stand-in"
    device = None
    default_batch_size = 128
    pads = True
    shape_pixels = 0

    def __init__(self) -> None:
        self.shapes: set[tuple[int, int, int]] = set()
        y, x = np.mgrid[-1:1:512j, -1:1:512j]
        distance = np.hypot(x * (1 + 0.3 * np.sin(9 * y)), y) - 0.5 + 0.02 * np.sin(40 * x * y)
        self._map = np.rint(255 / (1 + np.exp(30 * distance))).astype(np.uint8)

    def allocate(self, shape: tuple[int, ...]) -> np.ndarray:
        return np.empty(shape, np.uint8)

    def make_map(self, height: int, width: int) -> np.ndarray:
        return self._map[:height, :width]

    def start(self, pixels: np.ndarray, max_side: int | None, sizes: Any = None) -> Any:
        sizes = [pixels.shape[1:3]] * len(pixels) if sizes is None else sizes
        maps = [self.make_map(*size) for size in sizes]
        return lambda: maps

    def describe(self) -> dict[str, Any]:
        return {"model": self.name}

    def problems(self, finished: bool) -> list[Any]:
        return []


def decode_file(path: Path, out: np.ndarray | None = None) -> float:
    """Decode an image as the pipeline does; return the CPU seconds of this thread."""
    start = time.thread_time()
    content = read_bytes(path)
    decode_rgb(content, path, np.empty((*ONE_SIZE, 3), np.uint8) if out is None else out)
    describe_image(content)
    return time.thread_time() - start


def encode_file(path: Path) -> float:
    """Write a map as the pipeline does; return the CPU seconds of this thread."""
    start = time.thread_time()
    write_grey(path, _STAND_IN.make_map(*ONE_SIZE), lambda digest: f"map {digest}")
    return time.thread_time() - start


def measure_pool(
    work: Callable[[Path], float], paths: Sequence[Path], pool: Executor, chunk: int
) -> dict[str, float]:
    """Images a second of a pool, and the CPU milliseconds of an image."""
    list(pool.map(work, paths[:64], chunksize=chunk))
    start = time.perf_counter()
    cpu = list(pool.map(work, paths, chunksize=chunk))
    rate = len(paths) / (time.perf_counter() - start)
    return {"images_per_second": rate, "cpu_ms_per_image": 1e3 * statistics.mean(cpu)}


def measure_scaling(
    work: Callable[[Path], float], paths: Sequence[Path]
) -> dict[str, dict[str, dict[str, float]]]:
    """`measure_pool` for 1, 2, 4 ... workers, as threads and as processes."""
    record: dict[str, dict[str, dict[str, float]]] = {"threads": {}, "processes": {}}
    workers = [n for n in (1, 2, 4, 8, 16) if n <= max(1, processors())]
    for n in workers:
        with ThreadPoolExecutor(n) as threads:
            record["threads"][str(n)] = measure_pool(work, paths, threads, 1)
        with ProcessPoolExecutor(n, get_context("forkserver")) as processes:
            record["processes"][str(n)] = measure_pool(work, paths, processes, 8)
    return record


def measure_pipeline(samples: Samples, rounds: int) -> dict[str, Any]:
    """JPEG to PNG with the stand-in: the best of several runs, with its CPU time."""
    best: dict[str, Any] = {}
    for _ in range(rounds):
        with tempfile.TemporaryDirectory() as scratch:
            start, cpu, main = time.perf_counter(), time.process_time(), time.thread_time()
            predict(_STAND_IN, samples, Path(scratch, "maps"))
            rate = len(samples) / (time.perf_counter() - start)
            if rate > best.get("images_per_second", 0):
                best = {
                    "images_per_second": rate,
                    "cpu_ms_per_image": 1e3 * (time.process_time() - cpu) / len(samples),
                    "main_thread_ms_per_image": 1e3 * (time.thread_time() - main) / len(samples),
                }
    return best


def measure_stand_in(count: int, rounds: int) -> dict[str, Any]:
    """Everything but the network."""
    from sodbench.images.fast_jpeg import _load_decoder

    with tempfile.TemporaryDirectory() as scratch:
        samples = draw_images(Path(scratch, "images"), [ONE_SIZE] * count)
        paths = [path for _, path in samples]
        record: dict[str, Any] = {
            "images": count,
            "bytes_per_image": statistics.mean(path.stat().st_size for path in paths),
            "decoder": "simplejpeg" if _load_decoder() else "Pillow",
            "pipeline": measure_pipeline(samples, rounds),
            "decode": measure_scaling(decode_file, paths),
        }
        maps = [Path(scratch, f"map{i}.png") for i in range(count)]
        record["encode"] = measure_scaling(encode_file, maps)
        record["bytes_per_map"] = maps[0].stat().st_size
    work = sum(record[kind]["threads"]["1"]["cpu_ms_per_image"] for kind in ("decode", "encode"))
    between = record["pipeline"]["cpu_ms_per_image"] - work
    record["pipeline"]["between_ms_per_image"] = between
    return record


_STAND_IN = StandIn()


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("images", type=Path, nargs="?")
    parser.add_argument("--sizes", type=Path)
    parser.add_argument("--stand-in", action="store_true")
    parser.add_argument("--masks", type=Path)
    parser.add_argument("--count", type=int)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--plain-count", type=int, help="images for the plain loop (default: all)")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--precisions", nargs="+", default=["fp32"])
    parser.add_argument("--variants", nargs="+", choices=VARIANTS, default=["default"])
    parser.add_argument("--checkpoint", type=Path)
    parser.add_argument("-o", "--output", type=Path)
    arguments = parser.parse_args()
    if sum((bool(arguments.images), bool(arguments.sizes), arguments.stand_in)) != 1:
        parser.error("give a folder of images, --sizes, or --stand-in")
    return arguments


def main() -> None:
    arguments = parse_arguments()
    device = torch.device("cpu") if arguments.stand_in else choose_device(arguments.device)
    record: dict[str, Any] = {
        "machine": describe_machine(device=device),
        "rounds": arguments.rounds,
    }
    if arguments.stand_in:
        record |= measure_stand_in(arguments.count or 1200, arguments.rounds)
    else:
        model = load_model(arguments.checkpoint)
        record["weights"] = (
            "checkpoint" if arguments.checkpoint else "tests/reference/model_rule.py"
        )
        if arguments.images:
            samples = find_images([arguments.images])[: arguments.count or 24]
            record |= measure_set(model, samples, device, arguments)
        else:
            count = arguments.count or 1500
            every = read_sizes(arguments.sizes, "test")
            mixed = [every[i * len(every) // count] for i in range(count)]
            with tempfile.TemporaryDirectory() as scratch:
                for name, sizes in (("one_size", [ONE_SIZE] * count), ("mixed", mixed)):
                    samples = draw_images(Path(scratch, name), sizes)
                    record[name] = measure_set(model, samples, device, arguments)
    print_and_store(record, arguments.output)


if __name__ == "__main__":
    main()
