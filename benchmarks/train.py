"""Images a second of training CSF: the ten images of an update together, compared with one by one.

    python benchmarks/train.py [--device cuda] [--sizes duts_dims.csv] [--quick] [-o FILE.json]

Pairs are drawn (smooth colours with grain, one ellipse) at sizes in the shares that DUTS-TR has them, or that
``--sizes`` lists. In one process, taking turns update by update, on the same images, read from JPEG and PNG:

- ``plain``        the reference's way, as a short script writes it: decode, one image, backward, ten times, then Adam;
                   torch's default arithmetic (TF32 in convolutions)
- ``one by one``   sodbench with sub_batch = 1: the same, images decoded ahead by threads
- ``exact``        images of equal size together
- ``padded``       all ten together on one canvas: sodbench's default on CUDA
- ``equal``        the same where all ten images have the commonest size: nothing is padded
- ``padded`` with IEEE float32, in contiguous memory, with bf16 autocast, and (``--compiled``) with torch.compile

Weights are random: the time does not depend on them. The losses of the first update are compared as well. The share
of an update's time that Python needs to start it shows what bounds it: near 1, starting the operations; less, the
device's arithmetic and memory.
"""

import argparse
import collections
import itertools
import json
import statistics
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from drawn import Size, read_sizes
from record import describe_machine, store
from torch import nn

from sodbench.datasets import Dataset, dataset_from_folders
from sodbench.images import read_grey, read_rgb, write_grey, write_image
from sodbench.models.devices import choose_device, tensor_float
from sodbench.models.inference import normalise
from sodbench.runners.distributed import ProcessGroup
from sodbench.runners.training.data import check_pairs, plan_epoch, prefetch_updates
from sodbench.runners.training.optimizer import initial_network, set_training_mode
from sodbench.runners.training.recipe import RECIPES, change_recipe
from sodbench.runners.training.update import Updater

# Shares of DUTS-TR's commonest sizes (height, width), in percent; the rest is spread over 418 others.
COMMON = {(300, 400): 31, (267, 400): 13, (400, 300): 9, (400, 267): 4, (268, 400): 4, (400, 400): 3,
          (266, 400): 2, (320, 400): 1, (400, 268): 1}  # fmt: skip
MODEL = "csf-res2net50"
# What each variant changes of the recipe ``reference``.
VARIANTS: dict[str, dict[str, Any]] = {
    "one by one": {"sub_batch": 1, "batching": "exact"},
    "exact": {"batching": "exact"},
    "padded": {"batching": "pad"},
    "equal": {"batching": "pad"},
    "padded fp32": {"batching": "pad", "precision": "fp32"},
    "padded contiguous": {"batching": "pad", "memory_format": "contiguous"},
    "padded bf16": {"batching": "pad", "precision": "bf16"},
    "padded compiled": {"batching": "pad", "compiled": True},
}
# Their first losses differ by rounding only.
SAME_MATHEMATICS = ("plain", "one by one", "exact", "padded")


@dataclass(frozen=True)
class Step:
    """One update: its loss, its gradient's norm, and the seconds until all its work was given to the device."""

    loss: float
    gradient_norm: float
    starting: float


def sizes(listed: Path | None, count: int) -> list[Size]:
    """Sizes of the images, drawn from the list's training images or from the shares above."""
    rng = np.random.default_rng(0)
    if listed:
        every = read_sizes(listed, "train")
        return [every[i] for i in rng.choice(len(every), count, replace=False)]
    known, shares = list(COMMON), np.array([*COMMON.values(), 100 - sum(COMMON.values())]) / 100
    other = [(int(height), 400) for height in rng.integers(220, 400, count)]
    choice = rng.choice(len(shares), count, p=shares)
    return [known[c] if c < len(known) else other[i] for i, c in enumerate(choice)]


def draw(root: Path, every: list[Size]) -> Dataset:
    """Write one pair for each size."""
    rng = np.random.default_rng(0)
    for number, (height, width) in enumerate(every):
        y, x = np.mgrid[:height, :width]
        waves = np.sin(
            x[..., None] / rng.uniform(10, 60, 3) + y[..., None] / rng.uniform(10, 60, 3)
        )
        grain = rng.uniform(-9, 9, (height, width, 3))
        centre, radius = rng.uniform(0.3, 0.7, 2), rng.uniform(0.1, 0.3, 2)
        inside = ((y / height - centre[0]) / radius[0]) ** 2 + (
            (x / width - centre[1]) / radius[1]
        ) ** 2 < 1
        write_image(
            root / f"image/{number:04d}.jpg",
            (128 + 90 * waves + grain).clip(0, 255).astype(np.uint8),
        )
        write_grey(root / f"mask/{number:04d}.png", np.where(inside, np.uint8(255), np.uint8(0)))
    return dataset_from_folders(root / "image", root / "mask", name="drawn")


def start() -> nn.Module:
    """CSF with random weights, always the same, that give each pixel another logit."""
    torch.manual_seed(0)
    return initial_network(MODEL, change_recipe(RECIPES["reference"], {"initialise": "kaiming"}))


def plain(dataset: Dataset, device: torch.device, updates: Iterator[list[int]]) -> Iterator[Step]:
    """A short script's training: one image after another."""
    model = start().to(device).eval()
    optimizer = torch.optim.Adam(
        [p for p in model.parameters() if p.requires_grad], 5e-5, weight_decay=5e-4
    )
    for indices in updates:
        began = time.perf_counter()
        total = 0.0
        # in convolutions only: torch's default
        with tensor_float(True):
            for i in indices:
                pair = dataset.samples[i]
                assert pair.image and pair.mask
                x = normalise(torch.from_numpy(read_rgb(pair.image))[None].to(device)).contiguous()
                y = torch.from_numpy(read_grey(pair.mask).pixels).to(device)[None, None].float()
                loss = F.binary_cross_entropy_with_logits(model(x), y / 255, reduction="sum") / 10
                loss.backward()
                total += loss.item()
            gradients = [p.grad for p in model.parameters() if p.grad is not None]
            norm = torch.nn.utils.get_total_norm(gradients)
            optimizer.step()
            optimizer.zero_grad()
        yield Step(total, norm.item(), time.perf_counter() - began)


def ours(
    dataset: Dataset, device: torch.device, updates: Iterator[list[int]], changes: dict[str, Any]
) -> Iterator[Step]:
    """sodbench's training loop: images read ahead, the next update's copied while this one runs."""
    recipe = change_recipe(RECIPES["reference"], {"flip": False, **changes})
    data = check_pairs(dataset, decode=False)
    updater = Updater(start(), recipe, device, ProcessGroup(device), MODEL)
    set_training_mode(updater.network, recipe)
    numbered = ((number, np.array(indices)) for number, indices in enumerate(updates))
    coming = map(updater.load, prefetch_updates(data, recipe, 0, numbered))
    batches = next(coming)
    while True:
        began = time.perf_counter()
        with tensor_float(updater.precision == "tf32"):
            finish = updater.start_update(batches, recipe.learning_rate)
            starting = time.perf_counter() - began
            batches = next(coming)
            result = finish()
        yield Step(result.loss, result.gradient_norm, starting)


def measure(
    device: torch.device,
    every: list[Size],
    names: tuple[str, ...],
    rounds: int,
    warm_up: int = 3,
    seconds: float = 1e9,
) -> dict[str, Any]:
    """Time variants on pairs of these sizes.

    Parameters
    ----------
    device : torch.device
    every : list of (int, int)
        Height and width of each pair.
    names : tuple of str
        Keys of `VARIANTS`.
    rounds, warm_up : int
        Timed updates of each variant, and updates before them, which a GPU needs for each new shape.
    seconds : float
        No round starts after this time.

    Returns
    -------
    dict
    """
    plan = [u.tolist() for u in plan_epoch(RECIPES["reference"], 0, len(every))]
    commonest = collections.Counter(every).most_common(1)[0][0]
    same = [i for i, size in enumerate(every) if size == commonest]
    times: dict[str, list[float]] = {name: [] for name in ("plain", *names)}
    starting: dict[str, list[float]] = {name: [] for name in times}
    first: dict[str, Step] = {}
    began_all = time.perf_counter()
    with tempfile.TemporaryDirectory() as scratch:
        dataset = draw(Path(scratch), every)
        runs = {"plain": plain(dataset, device, itertools.cycle(plan))}
        for name in names:
            updates = itertools.repeat(same[:10]) if name == "equal" else itertools.cycle(plan)
            runs[name] = ours(dataset, device, updates, VARIANTS[name])
        for number in range(warm_up + rounds):
            if number > warm_up and time.perf_counter() - began_all > seconds:
                break
            for name, run in runs.items():
                synchronise(device)
                began = time.perf_counter()
                step = next(run)
                synchronise(device)
                first.setdefault(name, step)
                if number >= warm_up:
                    times[name].append(time.perf_counter() - began)
                    starting[name].append(step.starting)
        for run in runs.values():
            run.close()
    rate = {name: 10 / statistics.median(t) for name, t in times.items()}
    return {
        "images_of_an_update": 10,
        "mean_height_and_width": np.mean(every, 0).round(1).tolist(),
        "sizes_in_an_update_on_average": round(
            statistics.mean(len({every[i] for i in indices}) for indices in plan), 2
        ),
        "rounds": len(times["plain"]),
        "images_per_second": {name: round(r, 3) for name, r in rate.items()},
        "times_plain": {name: round(r / rate["plain"], 2) for name, r in rate.items()},
        "share_of_time_in_starting": {
            name: round(statistics.median(starting[name]) / statistics.median(t), 2)
            for name, t in times.items()
            if name != "plain"
        },
        "loss_of_the_first_update": {name: step.loss for name, step in first.items()},
        "gradient_norm_of_the_first_update": {n: step.gradient_norm for n, step in first.items()},
    }


def synchronise(device: torch.device) -> None:
    """Wait until the device has nothing left to do."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def check_same_mathematics(result: dict[str, Any], device: torch.device) -> None:
    """Stop if variants of the same mathematics do not start with the same loss and gradient."""
    # a CPU computes in float32; TF32 keeps ten bits of each factor, and a gradient passes 50 layers twice
    loss_limit, gradient_limit = (1e-5, 1e-3) if device.type == "cpu" else (2e-3, 5e-2)
    for key, limit in (
        ("loss_of_the_first_update", loss_limit),
        ("gradient_norm_of_the_first_update", gradient_limit),
    ):
        values = [result[key][name] for name in SAME_MATHEMATICS if name in result[key]]
        if np.ptp(values) > limit * values[0]:
            raise SystemExit(f"{key} differs: {result[key]}")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--device", default="auto")
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--scale", type=float, default=1.0, help="of the images' sides")
    parser.add_argument("--sizes", type=Path, help="csv with columns split, height, width")
    parser.add_argument("--compiled", action="store_true", help="also with torch.compile (minutes)")
    parser.add_argument("--quick", action="store_true", help="fewer images, at most a minute")
    parser.add_argument("-o", "--output", type=Path)
    arguments = parser.parse_args()
    device = choose_device(arguments.device)
    every = [
        (round(h * arguments.scale), round(w * arguments.scale))
        for h, w in sizes(arguments.sizes, 100 if arguments.quick else 200)
    ]
    names = tuple(n for n in VARIANTS if arguments.compiled or n != "padded compiled")
    result = {
        "machine": describe_machine(device=device),
        **measure(device, every, names, arguments.rounds, seconds=45 if arguments.quick else 1e9),
    }
    print(json.dumps(result, indent=1))
    check_same_mathematics(result, device)
    store(result, arguments.output)


if __name__ == "__main__":
    main()
