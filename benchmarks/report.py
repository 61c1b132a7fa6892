"""How long statistics and reports take: `python benchmarks/report.py [--quick]`.

Synthetic results: real counts of drawn pairs, repeated at random up to the size wanted.
- bootstrap: 16,784 images (the six standard sets together) x 5 methods, 1000 resamples, five classical metrics, all
  intervals and paired tests; and scipy.stats.bootstrap for one method and MAE alone, in the same run.
- report: 30 methods x 6 sets of 300 images, everything that `sodbench report DIR` writes, without and with the thumbnails of
  54,000 maps of 60 x 80 pixels, 1,800 masks and 1,800 images.
The result goes to benchmarks/results/report.json.
"""

import argparse
import statistics as stats
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
from record import describe_machine, print_and_store, wall_and_processor

from sodbench.images import write_grey, write_image
from sodbench.metrics import Counts, PreparedMask, count_pair, score
from sodbench.reports.analysis import analyse
from sodbench.reports.inputs import ReportOptions
from sodbench.reports.report import write_report
from sodbench.results import Policy, Result, ResultInfo
from sodbench.results.derivation import build_result
from sodbench.results.pair_table import FILE_COLUMNS, PairTable
from sodbench.results.stored_pairs import PAIR_RECORD, StoredPairs

SIZES = {
    "ECSSD": 1000,
    "PASCAL-S": 850,
    "DUT-OMRON": 5168,
    "HKU-IS": 4447,
    "SOD": 300,
    "DUTS-TE": 5019,
}


def pool(pairs: int, quality: float, seed: int, folder: Path) -> Counts:
    """Counts of drawn pairs: a disc, and a blurred, disturbed map of it; ``folder`` gets the files."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[:60, :80]
    parts = []
    for number in range(pairs):
        distance = np.hypot(rows - rng.uniform(15, 45), columns - rng.uniform(15, 65))
        inside = rng.uniform(5, 22) - distance
        map_ = 1 / (1 + np.exp(-inside / 2)) + rng.normal(0, 0.5 - 0.4 * quality, inside.shape)
        mask = np.where(inside > 0, 255, 0).astype(np.uint8)
        pixels = np.clip(255 * map_, 0, 255).astype(np.uint8)
        parts.append(count_pair(pixels, PreparedMask(mask)).counts)
        write_grey(folder / "map" / f"{number}.png", pixels)
        write_grey(folder / "mask" / f"{number}.png", mask)
        write_image(folder / "image" / f"{number}.jpg", np.stack([pixels, mask, mask], axis=2))
    return Counts.concatenate(parts)


def result(
    method: str, dataset: str, images: int, counts: Counts, seed: int, folder: Path
) -> Result:
    """A result of ``images`` pairs drawn from counted ones, whose files are in ``folder``; the order of masks is that of the dataset."""
    rng = np.random.default_rng(seed)
    drawn = rng.integers(0, len(counts), images)
    chosen = counts[drawn]
    stems = [f"{dataset}_{i:05d}" for i in range(images)]
    files = PairTable(
        tuple(stems),
        {
            kind: [f"{number}.{'jpg' if kind == 'image' else 'png'}" for number in drawn]
            for kind in FILE_COLUMNS
        },
        {"height": np.full(images, 60), "width": np.full(images, 80)},
    )
    info = ResultInfo(
        method=method,
        dataset=dataset,
        files=files,
        policy=Policy().applied(n_missing=0, n_resized=0),
        problems=(),
        folders={f"{kind}s": str(folder / kind) for kind in FILE_COLUMNS},
        provenance={},
    )
    pairs = StoredPairs(files.stems, np.zeros(images, PAIR_RECORD), chosen)
    return build_result(score(chosen, "salmetric", stems), info, pairs)


def timed(work: Callable[[], object], repeats: int) -> dict[str, object]:
    """The seconds of each repeat, and their medians."""
    wall, processor = zip(*(wall_and_processor(work) for _ in range(repeats)), strict=True)
    return {
        "median_s": round(stats.median(wall), 2),
        "all_s": [round(s, 2) for s in wall],
        "median_cpu_s": round(stats.median(processor), 2),
    }


def scipy_mae(values: np.ndarray) -> None:
    from scipy.stats import bootstrap

    bootstrap(
        (values,),
        np.mean,
        n_resamples=1000,
        method="percentile",
        batch=50,
        rng=np.random.default_rng(0),
    )


def measure(folder: Path, share: int, repeats: int) -> dict[str, object]:
    """Draw everything below a folder, and measure with one in ``share`` images."""
    measurements: dict[str, object] = {}
    images = sum(SIZES.values()) // share
    drawn = [folder / f"drawn-{i}" for i in range(5)]
    counts = [pool(300, q, i, drawn[i]) for i, q in enumerate(np.linspace(0.3, 1, 5))]
    import scipy.stats  # importing it takes a second or more, once  # noqa: F401

    five = [result(f"method {i}", "all six", images, c, 7, drawn[i]) for i, c in enumerate(counts)]
    measurements["bootstrap"] = {
        "images": images,
        "methods": 5,
        "resamples": 1000,
        **timed(lambda: analyse(five, resamples=1000), repeats),
    }
    mae = five[0].table["mae"].to_numpy(float)
    measurements["scipy_one_method_mae_alone"] = timed(lambda: scipy_mae(mae), repeats)

    many = [
        result(f"method {i:02d}", dataset, 300 // share, counts[i % 5], i, drawn[i % 5])
        for dataset in SIZES
        for i in range(30)
    ]
    for name, thumbnails in (("", 0), ("_with_thumbnails", None)):
        page, options = folder / f"report{name}", ReportOptions(thumbnails=thumbnails)
        written = timed(partial(write_report, many, page, options), 1)
        size = sum(f.stat().st_size for f in page.rglob("*.*")) / 1e6
        key = f"report_30_methods_6_sets_of_{300 // share}{name}"
        measurements[key] = {**written, "folder_MB": round(size, 1)}
    return measurements


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a tenth of the images, one repeat")
    arguments = parser.parse_args()
    share, repeats = (10, 1) if arguments.quick else (1, 3)
    measurements: dict[str, object] = {
        "machine": describe_machine(("numpy", "scipy", "pandas", "matplotlib"))
    }

    with tempfile.TemporaryDirectory() as folder:
        measurements |= measure(Path(folder), share, repeats)
    output = Path(__file__).parent / "results" / "report.json"
    print_and_store(measurements, None if arguments.quick else output)


if __name__ == "__main__":
    main()
