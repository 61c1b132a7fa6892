"""Visits to count, and counts in a form that can be compared."""

import numpy as np

from sodbench.errors import Problem
from sodbench.images import write_grey
from sodbench.metrics import compile_kernels
from sodbench.runners.evaluation.count import Visit


def write_visits(folder):
    """Forty masks with three maps each, and one of everything that can be wrong."""
    compile_kernels()
    rng = np.random.default_rng(0)
    visits = []
    for number in range(40):
        mask, maps = folder / f"gt/{number:02d}.png", []
        size = (20 + number, 31)
        write_grey(mask, np.where(rng.random(size) < 0.4, 255, 0).astype(np.uint8))
        for method in range(3):
            path = folder / f"m{method}/{number:02d}.png"
            write_grey(path, rng.integers(0, 256, size if number != 9 else (7, 8), np.uint8))
            maps.append((method, path))
        visits.append(Visit(f"{number:02d}", mask, tuple(maps)))
    (folder / "m1/05.png").write_bytes(b"no image")
    (folder / "m2/06.png").unlink()
    (folder / "gt/07.png").write_bytes(b"")
    return visits


def comparable(values):
    """The outcomes of counted visits as values that compare equal where every bit is."""
    return [[_comparable(outcome) for outcome in outcomes] for _, outcomes in values]


def _comparable(outcome):
    if isinstance(outcome, Problem):
        return outcome
    counts = outcome.counts
    histograms = [counts.histogram, *(histogram for histogram, _ in counts.deviations.values())]
    numbers = counts.tie_flags, counts.absolute_error, counts.pixel_metrics
    return outcome.record, outcome.problem, [h.tobytes() for h in histograms], repr(numbers)
