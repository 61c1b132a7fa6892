"""How long ``sodbench data check`` takes for as many files as the six test sets have.

    python benchmarks/data_check.py [--scale 1.0] [-o benchmarks/results/data_check.json]

The datasets are drawn: under the official names, images of smooth random colours with grain at 300x400 or 400x300 (the
commonest sizes of DUTS), JPEG but for HKU-IS, whose images are PNG, and masks with one ellipse.  In one run:

- ``check``   sodbench.runners.data.check.check_datasets on all sets: everything it looks for, with all processors
- ``plain``   what a short script of one's own would do, one thread: Pillow decodes image and mask, sizes are compared,
              numpy.unique gives the mask's levels, SHA-256 of the image's file finds exact copies

``--scale`` draws that share of each set.  Files are read once beforehand, so both find them in the file cache.  The
load average is stored too: on a busy machine ``processor_seconds`` over the cores shows what an idle one would take.
"""

import argparse
import hashlib
import io
import os
import statistics
import tempfile
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image
from record import describe_machine, print_and_store, wall_and_processor

from sodbench.console import track
from sodbench.datasets import DATASETS, TEST_SETS, Dataset, find_dataset, official_names
from sodbench.runners.data.check import check_datasets

ROUNDS = 2


@cache
def base(number: int) -> np.ndarray:
    """One of a few images [h, w, 3] of smooth colours and grain, from which the others are shifted."""
    rng = np.random.default_rng(number)
    height, width = (300, 400) if number % 3 else (400, 300)
    coarse = Image.fromarray(rng.integers(0, 256, (12, 16, 3), np.uint8))
    smooth = np.asarray(coarse.resize((width, height), Image.Resampling.BICUBIC), np.int16)
    return np.clip(smooth + rng.integers(-9, 10, (height, width, 1)), 0, 255).astype(np.uint8)


def draw(job: tuple[Path, str, str, int]) -> None:
    root, stem, extension, seed = job
    rng = np.random.default_rng(seed)
    image = base(seed % 60)
    height, width = image.shape[:2]
    first, second = (
        np.roll(one, (rng.integers(height), rng.integers(width)), axis=(0, 1))
        for one in (image, image[::-1])
    )
    image = first // 2 + second // 2  # of two shifts: no two images are alike
    y, x = np.ogrid[:height, :width]
    centre = rng.uniform(0.3, 0.7, 2) * (height, width)
    radius = rng.uniform(0.1, 0.3, 2) * (height, width)
    inside = ((y - centre[0]) / radius[0]) ** 2 + ((x - centre[1]) / radius[1]) ** 2 < 1
    options = {"quality": 90} if extension == ".jpg" else {"compress_level": 1}
    Image.fromarray(image).save(root / f"images/{stem}{extension}", **options)
    Image.fromarray(np.where(inside, np.uint8(255), np.uint8(0))).save(root / f"GT/{stem}.png")


def draw_sets(root: Path, scale: float) -> None:
    jobs = []
    for name in TEST_SETS:
        for folder in ("images", "GT"):
            (root / name / folder).mkdir(parents=True)
        stems = sorted(official_names(name))
        for stem in stems[: max(1, round(scale * len(stems)))]:
            jobs.append((root / name, stem, DATASETS[name].extension, len(jobs)))
    with ProcessPoolExecutor() as pool:
        for _ in track(list(pool.map(draw, jobs, chunksize=64)), "drawing"):
            pass


def plain(datasets: list[Dataset]) -> int:
    seen: set[bytes] = set()
    faults = 0
    for dataset in datasets:
        for sample in dataset.samples:
            assert sample.image and sample.mask
            data = sample.image.read_bytes()
            image = np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))
            mask = np.asarray(Image.open(sample.mask).convert("L"))
            digest = hashlib.sha256(data).digest()
            faults += image.shape[:2] != mask.shape
            faults += not np.isin(np.unique(mask), (0, 255)).all()
            faults += digest in seen
            seen.add(digest)
    return faults


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--scale", type=float, default=1.0)
    parser.add_argument("-o", "--output", type=Path)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch)
        draw_sets(root, arguments.scale)
        datasets = [find_dataset(name, root) for name in TEST_SETS]
        pairs = sum(len(dataset) for dataset in datasets)
        size = sum(path.stat().st_size for path in root.rglob("*.*") if path.is_file())
        assert plain(datasets) == 0  # also brings the files into the cache
        kinds: set[str] = set()
        ours, theirs, resolve = [], [], []
        for _ in range(ROUNDS):
            ours.append(
                wall_and_processor(
                    lambda: kinds.update(p.kind for r in check_datasets(datasets) for p in r.faults)
                )
            )
            theirs.append(wall_and_processor(lambda: plain(datasets)))
            resolve.append(
                wall_and_processor(lambda: [find_dataset(name, root) for name in TEST_SETS])
            )
    assert kinds <= {"missing"}, kinds
    medians = {
        name: [statistics.median(column) for column in zip(*times, strict=True)]
        for name, times in (("check", ours), ("plain", theirs), ("find_dataset", resolve))
    }
    result = {
        "machine": describe_machine(("numpy", "PIL", "scipy", "numba", "deflate")),
        "scale": arguments.scale,
        "pairs": pairs,
        "megabytes": round(size / 1e6),
        "rounds": ROUNDS,
        "seconds": {name: round(clock, 2) for name, (clock, _) in medians.items()},
        "processor_seconds": {name: round(busy, 2) for name, (_, busy) in medians.items()},
        "ratio_plain_to_check": round(medians["plain"][0] / medians["check"][0], 2),
        "load_average_at_end": round(os.getloadavg()[0], 1),
    }
    print_and_store(result, arguments.output)


if __name__ == "__main__":
    main()
