"""Visits to count, and counts in a form that can be compared."""

import numpy as np

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


def comparable(batches, times=1):
    """What was counted, as values that compare equal where every bit is; ``times`` repeats it."""
    pairs, problems = {}, []
    for batch in batches:
        problems += batch.problems
        for task, stored in batch.pairs.items():
            for row in range(len(stored)):
                pairs.setdefault(task, []).append(_comparable(stored.read(np.array([row]))))
    return {task: times * own for task, own in pairs.items()}, times * problems


def _comparable(pair):
    counts = pair.counts
    arrays = [pair.records, counts.histogram, counts.tie_flags, counts.size, counts.absolute_error]
    arrays += [array for rule in counts.scheme.rules for array in counts.for_rule(rule)]
    arrays += counts.pixel_metrics.values()
    return pair.stems, [array.tobytes() for array in arrays]
