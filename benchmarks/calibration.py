"""How often the intervals of reports contain the true value, and how often their tests find a difference where there is none.

    python benchmarks/calibration.py RESULTS [--trials 600]

RESULTS holds results of two or more methods on one dataset. The dataset's images are the population, so that its scores are the
true values:

- coverage: n images are drawn with replacement, and the interval of each metric is computed as in a report;
- size: n images are drawn, the two methods are swapped at random image by image, so that there is no difference, and p is
  computed as in a report. A test of the 5 % level should find a difference in 5 % of the trials.

docs/reports.md quotes the numbers.
"""

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np

from sodbench.metrics.statistics.aggregates import ImageStatistics
from sodbench.metrics.statistics.bootstrap import draw_resamples, percentiles
from sodbench.metrics.statistics.significance import ALPHA, p_ranges
from sodbench.reports.result_statistics import image_statistics, load_counts
from sodbench.results import Result, load_results

METRICS = ("mae", "f_max", "s", "e_max")


def load_statistics(result: Result, stems: list[str]) -> ImageStatistics:
    """The per-image statistics of a result, in the order of ``stems``."""
    row = {str(stem): i for i, stem in enumerate(result.table.index)}
    rows = np.array([row[stem] for stem in stems])
    return image_statistics(result, load_counts(result), METRICS, rows)


def measure_coverage(statistics: ImageStatistics, n: int, trials: int, resamples: int):
    """The share of trials in which each metric's interval contains the score of the whole dataset."""
    rng = np.random.default_rng(n)
    truth, population = statistics.observed(), len(statistics.columns)
    inside = np.zeros(len(METRICS))
    for trial in range(trials):
        sample = statistics.select(rng.integers(0, population, n))
        low, high = percentiles(sample.distribution(list(draw_resamples(n, resamples, trial))).T)
        inside += (low <= truth) & (truth <= high)
    return inside / trials


def measure_size(one: ImageStatistics, two: ImageStatistics, n: int, trials: int, resamples: int):
    """The share of trials in which p of each metric is below the level although the methods do not differ."""
    rng = np.random.default_rng(n + 1)
    found = np.zeros(len(METRICS))
    for trial in range(trials):
        rows = rng.integers(0, len(one.columns), n)
        swap = rng.random(n)[:, None] < 0.5
        a, b = one.columns[rows], two.columns[rows]
        sides = [replace(one, columns=np.where(swap, x, y)) for x, y in ((a, b), (b, a))]
        draws = list(draw_resamples(n, resamples, trial))
        difference = sides[0].observed() - sides[1].observed()
        distribution = (sides[0].distribution(draws) - sides[1].distribution(draws)).T
        found += p_ranges(difference, distribution, n)[0] < ALPHA
    return found / trials


def main() -> None:
    """Print both as Markdown tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("results", type=Path)
    parser.add_argument("--trials", type=int, default=600)
    parser.add_argument("--resamples", type=int, default=1000)
    parser.add_argument("--images", type=int, nargs="+", default=[50, 300])
    arguments = parser.parse_args()
    results = load_results(arguments.results)
    stems = sorted(map(str, results[0].table.index))
    statistics = {r.method: load_statistics(r, stems) for r in results}
    first, second = list(statistics)[:2]
    print(f"| n | what | {' | '.join(METRICS)} |\n|---|---|{'---|' * len(METRICS)}")
    for n in arguments.images:
        for method in (first, second):
            share = measure_coverage(statistics[method], n, arguments.trials, arguments.resamples)
            cells = " | ".join(f"{100 * x:.1f} %" for x in share)
            print(f"| {n} | coverage, {method} | {cells} |", flush=True)
        share = measure_size(
            statistics[first], statistics[second], n, arguments.trials, arguments.resamples
        )
        cells = " | ".join(f"{100 * x:.1f} %" for x in share)
        print(f"| {n} | size, {first} and {second} | {cells} |", flush=True)


if __name__ == "__main__":
    main()
