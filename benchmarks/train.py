"""Images a second of training CSF: the ten images of an update grouped by size, compared with one by one.

    python benchmarks/train.py [--device cpu] [--scale 1.0] [-o benchmarks/results/train_cpu.json]

Pairs are drawn (smooth colours with grain, one ellipse) at sizes in the shares that DUTS-TR has them, or that
``--sizes duts_dims.csv`` lists. In one process, taking turns update by update, on the same images:

- ``plain``      the reference's way, as a short script writes it: decode, one image, backward, ten times, then Adam
- ``one-by-one`` sodbench, recipe ``reference`` with sub_batch = 1: the same, images decoded ahead by threads
- ``group_by_size``    sodbench, recipe ``reference``: equal sizes run together
- ``equal``      the same where all ten images have one size, the most that grouping can give
- and ``group_by_size`` with channels_last, and with bf16 autocast (another arithmetic: rounding differs)

Weights are random: the time does not depend on them. Losses of the first update are compared as well.
"""

import argparse
import collections
import csv
import itertools
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from sodbench.datasets import Dataset, dataset_from_folders
from sodbench.images import read_grey, read_rgb, write_grey, write_image
from sodbench.models import create_model
from sodbench.models.devices import choose_device, describe_machine, tensor_float
from sodbench.models.inference import normalise
from sodbench.runners.distributed import ProcessGroup
from sodbench.runners.training.data import check_pairs, plan_epoch, prefetch_updates
from sodbench.runners.training.optimizer import set_training_mode
from sodbench.runners.training.recipe import RECIPES, change_recipe
from sodbench.runners.training.update import Updater

# Shares of DUTS-TR's commonest sizes (height, width), in percent; the rest is spread over 418 others.
COMMON = {(300, 400): 31, (267, 400): 13, (400, 300): 9, (400, 267): 4, (268, 400): 4, (400, 400): 3,
          (266, 400): 2, (320, 400): 1, (400, 268): 1}  # fmt: skip
IMAGES = 200


def sizes(listed: Path | None, rng: np.random.Generator) -> list[tuple[int, int]]:
    """Sizes of the images, drawn from the list's training images or from the shares above."""
    if listed:
        with listed.open() as file:
            every = [
                (int(r["height"]), int(r["width"]))
                for r in csv.DictReader(file)
                if r["split"] == "train"
            ]
        return [every[i] for i in rng.choice(len(every), IMAGES, replace=False)]
    known, shares = list(COMMON), np.array([*COMMON.values(), 100 - sum(COMMON.values())]) / 100
    other = [(int(height), 400) for height in rng.integers(220, 400, IMAGES)]
    choice = rng.choice(len(shares), IMAGES, p=shares)
    return [known[c] if c < len(known) else other[i] for i, c in enumerate(choice)]


def draw(root: Path, every: list[tuple[int, int]], rng: np.random.Generator) -> Dataset:
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


def plain(dataset: Dataset, device: torch.device) -> Callable[[list[int]], float]:
    """A short script's training step: one image after another."""
    torch.manual_seed(0)
    model = create_model("csf-res2net50").to(device).eval()
    optimizer = torch.optim.Adam(
        [p for p in model.parameters() if p.requires_grad], 5e-5, weight_decay=5e-4
    )

    def update(indices: list[int]) -> float:
        total = 0.0
        for i in indices:
            pair = dataset.samples[i]
            assert pair.image and pair.mask
            x = normalise(torch.from_numpy(read_rgb(pair.image))[None].to(device)).contiguous()
            y = torch.from_numpy(read_grey(pair.mask).pixels).to(device)[None, None].float() / 255
            loss = F.binary_cross_entropy_with_logits(model(x), y, reduction="sum") / 10
            loss.backward()
            total += loss.item()
        optimizer.step()
        optimizer.zero_grad()
        return total

    return update


def ours(
    dataset: Dataset, device: torch.device, changes: dict[str, Any]
) -> Callable[[list[int]], float]:
    """An update of sodbench's, its images read ahead as in training."""
    recipe = change_recipe(RECIPES["reference"], {"flip": False, **changes})
    torch.manual_seed(0)
    data = check_pairs(dataset, decode=False)
    name = "csf-res2net50"
    updater = Updater(create_model(name), recipe, device, ProcessGroup(device), name)
    set_training_mode(updater.network, recipe)

    def update(indices: list[int]) -> float:
        (items,) = prefetch_updates(data, recipe, 0, [(0, np.array(indices))])
        return updater.make_update(items, recipe.learning_rate).loss

    return update


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--device", default="auto")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--scale", type=float, default=1.0, help="of the images' sides")
    parser.add_argument("--sizes", type=Path, help="csv with columns split, height, width")
    parser.add_argument("-o", "--output", type=Path)
    arguments = parser.parse_args()
    device = choose_device(arguments.device)
    rng = np.random.default_rng(0)
    every = [
        (round(h * arguments.scale), round(w * arguments.scale))
        for h, w in sizes(arguments.sizes, rng)
    ]
    commonest = collections.Counter(every).most_common(1)[0][0]

    with tempfile.TemporaryDirectory() as scratch, tensor_float(False):
        dataset = draw(Path(scratch), every, rng)
        variants = {
            "plain": plain(dataset, device),
            "one-by-one": ours(dataset, device, {"sub_batch": 1}),
            "group_by_size": ours(dataset, device, {}),
            "equal": ours(dataset, device, {}),
            "group_by_size channels_last": ours(dataset, device, {"channels_last": True}),
            "group_by_size bf16 channels_last": ours(
                dataset, device, {"precision": "bf16", "channels_last": True}
            ),
        }
        plan = [u.tolist() for u in plan_epoch(RECIPES["reference"], 0, IMAGES)]
        same = [i for i, size in enumerate(every) if size == commonest]
        seconds: dict[str, list[float]] = {name: [] for name in variants}
        first: dict[str, float] = {}
        for round_, indices in zip(range(arguments.rounds + 1), itertools.cycle(plan)):
            for name, update in variants.items():
                if device.type == "cuda":
                    torch.cuda.synchronize()
                began = time.perf_counter()
                loss = update(same[:10] if name == "equal" else indices)
                if device.type == "cuda":
                    torch.cuda.synchronize()
                if round_ == 0:  # warms up; all begin with the same weights
                    first[name] = loss
                else:
                    seconds[name].append(time.perf_counter() - began)
    rate = {name: 10 / statistics.median(s) for name, s in seconds.items()}
    exact = ("plain", "one-by-one", "group_by_size")
    assert np.ptp([first[n] for n in exact]) < 1e-5 * first["plain"], first
    groups = statistics.mean(len({every[i] for i in indices}) for indices in plan)
    result = {
        "machine": {
            **describe_machine(device),
            "cores": os.cpu_count(),
            "threads": torch.get_num_threads(),
        },
        "images_of_an_update": 10,
        "mean_height_and_width": np.mean(every, 0).round(1).tolist(),
        "sizes_in_an_update_on_average": round(groups, 2),
        "rounds": arguments.rounds,
        "images_per_second": {name: round(r, 3) for name, r in rate.items()},
        "times_one_by_one": {name: round(r / rate["one-by-one"], 2) for name, r in rate.items()},
        "loss_of_the_first_update": first,
        "load_average_at_end": round(os.getloadavg()[0], 2),
    }
    text = json.dumps(result, indent=1) + "\n"
    print(text, end="")
    if arguments.output:
        arguments.output.parent.mkdir(parents=True, exist_ok=True)
        arguments.output.write_text(text)


if __name__ == "__main__":
    main()
