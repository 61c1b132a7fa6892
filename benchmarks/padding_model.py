"""What padding images of different sizes to one canvas costs and saves, from the sizes of DUTS alone.

    python benchmarks/padding_model.py SIZES.csv [-o benchmarks/results/padding_model.json]

SIZES.csv has the columns split (train, test), height, width.  Nothing is run: a run of the network (forward, or forward and
backward) costs launches whatever its size, and arithmetic by the pixels of its canvas, so the numbers that decide are

- training, updates of ten images in drawn order: runs of an update, pixels of the canvases per pixel of the images, and
  the number of distinct canvases (n, height, width) over an epoch, each of which a compiler or cuDNN prepares once;
- prediction, batches of at most 32 of the test set: the same for the whole set.
"""

import argparse
import random
from collections import defaultdict
from collections.abc import Callable, Iterable
from pathlib import Path

from drawn import Size, read_sizes
from record import store

Batch = list[Size]
Grouping = Callable[[list[Size]], list[Batch]]

UPDATE, BATCH, EPOCHS = 10, 32, 3


def canvas(batch: Batch, multiple: int) -> Size:
    """The smallest canvas of the batch whose sides are multiples."""
    height, width = (max(size[k] for size in batch) for k in (0, 1))
    return -(-height // multiple) * multiple, -(-width // multiple) * multiple


def group_by(sizes: Iterable[Size], key: Callable[[Size], object], most: int) -> list[Batch]:
    groups = defaultdict(list)
    for size in sizes:
        groups[key(size)].append(size)
    return [
        group[start : start + most]
        for group in groups.values()
        for start in range(0, len(group), most)
    ]


def is_portrait(size: Size) -> bool:
    return size[0] > size[1]


def one_by_one(sizes: list[Size]) -> list[Batch]:
    return [[size] for size in sizes]


def exact(sizes: list[Size]) -> list[Batch]:
    return group_by(sizes, lambda size: size, BATCH)


def together(sizes: list[Size]) -> list[Batch]:
    return [sizes]


def by_orientation(sizes: list[Size]) -> list[Batch]:
    return group_by(sizes, is_portrait, BATCH)


def sorted_by_size(sizes: list[Size]) -> list[Batch]:
    return by_orientation(sorted(sizes))


def by_canvas(multiple: int) -> Grouping:
    return lambda sizes: group_by(sorted(sizes), lambda size: canvas([size], multiple), BATCH)


def exact_where_full(multiple: int) -> Grouping:
    """Whole batches of one size as they are, the rest by canvas."""

    def group(sizes: list[Size]) -> list[Batch]:
        batches = exact(sizes)
        rest = [size for batch in batches if len(batch) < BATCH for size in batch]
        return [batch for batch in batches if len(batch) == BATCH] + by_canvas(multiple)(rest)

    return group


def describe(batches: list[Batch], multiple: int) -> dict[str, float]:
    """Runs, canvases and pixels; a batch of one size is not padded."""
    canvases = [b[0] if len(set(b)) == 1 else canvas(b, multiple) for b in batches]
    pixels = sum(len(b) * h * w for b, (h, w) in zip(batches, canvases, strict=True))
    own = sum(h * w for batch in batches for h, w in batch)
    return {
        "runs": len(batches),
        "images_a_run": round(sum(map(len, batches)) / len(batches), 2),
        "canvases": len(set(canvases)),
        "shapes": len({(len(b), c) for b, c in zip(batches, canvases, strict=True)}),
        "pixels": round(pixels / own, 4),
    }


def model_training(sizes: list[Size]) -> dict[str, dict[str, float]]:
    """Averages over the updates of some epochs, in orders drawn from a fixed seed."""
    draw = random.Random(0)
    updates = []
    for _ in range(EPOCHS):
        order = draw.sample(sizes, len(sizes))
        updates += [order[start : start + UPDATE] for start in range(0, len(order), UPDATE)]
    policies: dict[str, tuple[Grouping, int]] = {
        "one by one": (one_by_one, 1),
        "exact sizes": (exact, 1),
        "one canvas": (together, 1),
        "one canvas, multiples of 16": (together, 16),
        "one canvas, multiples of 32": (together, 32),
        "a canvas for each orientation": (by_orientation, 1),
        "a canvas for each orientation, multiples of 16": (by_orientation, 16),
        "a canvas for each orientation, multiples of 32": (by_orientation, 32),
        "one canvas of 400x400": (together, 400),
    }
    table = {}
    for name, (group, multiple) in policies.items():
        row = describe([batch for update in updates for batch in group(update)], multiple)
        table[name] = {"runs_an_update": round(row.pop("runs") / len(updates), 2), **row}
    return table


def model_prediction(sizes: list[Size]) -> dict[str, dict[str, float]]:
    policies: dict[str, tuple[Grouping, int]] = {
        "one by one": (one_by_one, 1),
        "exact sizes": (exact, 1),
        "sorted by orientation and size": (sorted_by_size, 1),
        "sorted, multiples of 16": (sorted_by_size, 16),
        "sorted, multiples of 32": (sorted_by_size, 32),
        "by canvas, multiples of 16": (by_canvas(16), 16),
        "by canvas, multiples of 32": (by_canvas(32), 32),
        "exact where full, else by canvas, multiples of 16": (exact_where_full(16), 16),
        "exact where full, else by canvas, multiples of 32": (exact_where_full(32), 32),
    }
    return {name: describe(group(sizes), multiple) for name, (group, multiple) in policies.items()}


def print_table(title: str, table: dict[str, dict[str, float]]) -> None:
    columns = next(iter(table.values())).keys()
    print(f"{title:52}" + "".join(f"{name:>16}" for name in columns))
    for name, row in table.items():
        print(f"  {name:50}" + "".join(f"{value:16g}" for value in row.values()))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("sizes", type=Path)
    parser.add_argument("-o", "--output", type=Path)
    options = parser.parse_args()
    result = {
        "training": model_training(read_sizes(options.sizes, "train")),
        "prediction": model_prediction(read_sizes(options.sizes, "test")),
    }
    for title, table in result.items():
        print_table(title, table)
    store(result, options.output)


if __name__ == "__main__":
    main()
