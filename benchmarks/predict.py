"""From JPEG to PNG: ``sodbench predict`` against the plain loop, on the same images and weights, in one run.

    python benchmarks/predict.py IMAGES [--masks GT] [--count 24] [--rounds 3] [--device auto]
                                 [--precisions fp32 bf16] [--checkpoint FILE] [-o FILE.json]

The plain loop does what the reference's test script does: one image at a time, fp32, one loader process, sigmoid, encoding in
the loop.  Its network is sodbench's, as built: neither folded nor channels-last.  Its PNG compression is the quickest
(level 1); sodbench uses libdeflate's level 1.  Programs alternate, round by round, after a warm-up on the first two images.  Reported:

- images a second of each, median over rounds, and the ratio to the plain loop;
- peak memory: of the process on a CPU, of the device on CUDA;
- pixels: the largest grey-level difference from the plain loop's maps, the share of pixels that differ, the mean;
  with ``--masks`` also MAE, max F and S of every program's maps;
- the network's own throughput at the commonest size, pixels on the device, for the share that end to end reaches, and the
  arithmetic it amounts to (multiply-adds counted twice), as a share of the device's peak where that is known.

Without ``--checkpoint`` the weights are those of tests/reference/model_rule.py.  On a GPU:

    python benchmarks/predict.py IMAGES --device cuda --count 2000 --precisions fp32 tf32 bf16 fp16
"""

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch.utils.data import DataLoader

from sodbench.models import create_model, load_checkpoint
from sodbench.models.devices import choose_device, describe_machine, tensor_float
from sodbench.models.inference import InferenceNetwork
from sodbench.runners.benchmark import count_macs, peak_memory, reset_peak_memory
from sodbench.runners.prediction.inputs import find_images
from sodbench.runners.prediction.predict import predict
from sodbench.runners.prediction.predictors import NetworkPredictor

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "reference"))
import model_rule

Samples = Sequence[tuple[str, Path]]
PEAK_TFLOPS = {"fp32": 67, "tf32": 495, "bf16": 989, "fp16": 989}
"""Dense, of NVIDIA's H100 SXM and H200 data sheets."""


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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("images", type=Path)
    parser.add_argument("--masks", type=Path)
    parser.add_argument("--count", type=int, default=24)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--precisions", nargs="+", default=["fp32"])
    parser.add_argument("--checkpoint", type=Path)
    parser.add_argument("-o", "--output", type=Path)
    arguments = parser.parse_args()

    device = choose_device(arguments.device)
    samples = find_images([arguments.images])[: arguments.count]
    model = create_model("csf-res2net50").eval()
    if arguments.checkpoint:
        load_checkpoint(model, arguments.checkpoint)
    else:
        state = {
            k: torch.from_numpy(model_rule.tensor(k, tuple(v.shape), 0))
            for k, v in model.state_dict().items()
        }
        model.load_state_dict(state)
    plain = create_model("csf-res2net50").eval().to(device)
    plain.load_state_dict(model.state_dict())

    def ours(precision: str) -> Callable[[Samples, Path], object]:
        predictor = NetworkPredictor(
            model, "csf-res2net50", device=str(device), precision=precision
        )
        return lambda chosen, out: predict(predictor, chosen, out)

    programs: dict[str, Callable[[Samples, Path], object]] = {
        "plain": lambda chosen, out: plain_loop(plain, chosen, out, device),
        **{precision: ours(precision) for precision in arguments.precisions},
    }
    seconds: dict[str, list[float]] = {name: [] for name in programs}
    peaks: dict[str, int] = dict.fromkeys(programs, 0)
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as scratch:
        for name, program in programs.items():
            program(samples[:2], Path(scratch, "warm", name))
        for i in range(arguments.rounds):
            for name, program in programs.items():
                reset_peak_memory(device)
                out = Path(scratch, str(i), name)
                seconds[name].append(timed(lambda p=program, o=out: p(samples, o), device))
                peaks[name] = max(peaks[name], peak_memory(device))
                print(f"round {i}: {name} {seconds[name][-1]:.2f} s", file=sys.stderr)
        maps = {name: Path(scratch, "0", name) for name in programs}
        record: dict[str, Any] = {
            "machine": {**describe_machine(device), "cores": os.cpu_count(), "load_before": load},
            "threads": torch.get_num_threads(),
            "images": len(samples),
            "rounds": arguments.rounds,
            "weights": "checkpoint" if arguments.checkpoint else "tests/reference/model_rule.py",
            "programs": {},
        }
        for name in programs:
            median = statistics.median(seconds[name])
            record["programs"][name] = {
                "images_per_second": len(samples) / median,
                "seconds": [round(s, 3) for s in seconds[name]],
                "times_plain": statistics.median(seconds["plain"]) / median,
                "peak_memory_mib": round(peaks[name] / 2**20),
            }
            if name != "plain":
                difference = differences(samples, maps[name], maps["plain"])
                record["programs"][name]["differences"] = difference
            if arguments.masks:
                record["programs"][name]["scores"] = scores(samples, maps[name], arguments.masks)

    (size, _), *_ = Counter(Image.open(path).size[::-1] for _, path in samples).most_common(1)
    macs = count_macs(model, *size)
    for precision in arguments.precisions:
        most = 128 if device.type == "cuda" else 1
        own = own_throughput(model, device, precision, size, most)
        tflops = 2 * macs * own["images_per_second"] / 1e12
        program = record["programs"][precision]
        program["network_alone"] = {
            "size": list(size),
            **own,
            "tflops": tflops,
            "end_to_end_share": program["images_per_second"] / own["images_per_second"],
        }
        if any(chip in record["machine"]["device_name"] for chip in ("H100", "H200")):
            program["network_alone"]["share_of_peak"] = tflops / PEAK_TFLOPS[precision]
    text = json.dumps(record, indent=2)
    print(text)
    if arguments.output:
        arguments.output.parent.mkdir(parents=True, exist_ok=True)
        arguments.output.write_text(text + "\n")


if __name__ == "__main__":
    main()
