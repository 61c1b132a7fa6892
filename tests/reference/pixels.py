"""Every metric straight from the pixels, slowly and transparently, to compare the fast code with.

Each function follows the definition in the paper or program it names and shares no code with sodbench.metrics.
Maps and masks are uint8 [h, w].  A prepared map is float64 in [0, 1]; a foreground is bool.
"""

from fractions import Fraction

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

EPS = np.spacing(1.0)
Floats = NDArray[np.float64]


def prepared(map_: NDArray[np.uint8], preparation: str) -> Floats:
    """The map as the evaluator sees it: raw, min-max (a constant one left), divided by its maximum (a black one left)."""
    p = map_ / 255
    low, high = p.min(), p.max()
    if preparation == "min-max" and high > low:
        p = (p - low) / (high - low)
    if preparation == "maximum" and high > 0:
        p = p / high
    return p


def split(foreground: NDArray[np.bool_], centroid: str) -> tuple[int, int]:
    """First row and column below and right of the mask's centroid."""
    height, width = foreground.shape
    rows, columns = np.nonzero(foreground)
    if len(rows) == 0:
        return height, width
    centre = (Fraction(int(rows.sum()), len(rows)), Fraction(int(columns.sum()), len(columns)))
    if centroid == "half-even":  # numpy's round of the 0-based mean, plus 1
        return round(centre[0]) + 1, round(centre[1]) + 1
    if centroid == "before":  # the centroid's own row and column are below and right
        return round(centre[0]), round(centre[1])
    # MATLAB's round of the 1-based mean: halves go up
    return tuple(int((c + 1 + Fraction(1, 2)) // 1) for c in centre)  # type: ignore[return-value]


def joint(map_: NDArray[np.uint8], mask: NDArray[np.uint8], above: int, centroid: str) -> Floats:
    """Number of pixels by quadrant (row by row), mask class and grey level, [4, 2, 256]."""
    foreground = mask > above
    row, column = split(foreground, centroid)
    counts = np.zeros((4, 2, 256), int)
    for y in range(map_.shape[0]):
        for x in range(map_.shape[1]):
            quadrant = 2 * (y >= row) + (x >= column)
            counts[quadrant, int(foreground[y, x]), map_[y, x]] += 1
    return counts


def selected(p: Floats, threshold: int, comparison: str) -> NDArray[np.bool_]:
    """The map binarised at a threshold of 0..255."""
    if comparison == ">":
        return np.rint(p * 255) > threshold  # SalMetric compares the bytes of a raw map
    if comparison == "trunc>=":
        return np.trunc(p * 255) >= threshold
    if comparison == ">=254":  # 255 thresholds, the last one twice
        return p >= min(threshold, 254) / 254
    if comparison.startswith("colon"):  # MATLAB's 1:-1/255:0
        limit = 1 + (255 - threshold) * (-1 / 255)
        return p >= limit if comparison == "colon>=" else p > limit
    return p >= threshold / 255


def adaptively_selected(map_: NDArray[np.uint8], preparation: str) -> NDArray[np.bool_]:
    """The map binarised at twice its mean, at most 1 (PySODMetrics, with numpy's mean; exact for MATLAB)."""
    if preparation != "maximum":
        p = prepared(map_, preparation)
        return p >= min(2 * p.mean(), 1)
    high = int(map_.max()) or 255
    threshold = min(2 * Fraction(int(map_.sum(dtype=int)), map_.size), Fraction(high))
    return map_ >= float(threshold)  # grey levels and their doubled mean are far apart or equal


def adaptively_selected_for_e(
    map_: NDArray[np.uint8], preparation: str, how: str
) -> NDArray[np.bool_]:
    """The same as E-measure's programs compare it: above the threshold, or with a threshold that may be above 1."""
    if how == ">=":
        return adaptively_selected(map_, preparation)
    if how == ">=unclipped":
        p = prepared(map_, preparation)
        return p >= 2 * p.mean()
    # > in exact arithmetic, of a min-max map
    low, high = int(map_.min()), int(map_.max())
    if low == high:
        low, high = 0, 255
    mean = Fraction(int(map_.sum(dtype=int)), map_.size)
    threshold = min(2 * (mean - low), Fraction(high - low))
    return np.vectorize(lambda level: int(level) - low > threshold, otypes=[bool])(map_)


def confusion(
    binary: NDArray[np.bool_], foreground: NDArray[np.bool_]
) -> tuple[int, int, int, int]:
    """TP, FP, FN, TN."""
    return (
        int((binary & foreground).sum()),
        int((binary & ~foreground).sum()),
        int((~binary & foreground).sum()),
        int((~binary & ~foreground).sum()),
    )


def quotient(numerator: float, denominator: float) -> float:
    """0 where undefined."""
    return numerator / denominator if denominator else 0.0


def binary_metrics(
    binary: NDArray[np.bool_], foreground: NDArray[np.bool_], smoothing: float = 0.0
) -> dict[str, float]:
    """Every metric of a binarised map but E; precision, recall and F with SalMetric's smoothing if given."""
    tp, fp, fn, tn = confusion(binary, foreground)
    n = tp + fp + fn + tn
    precision = quotient(tp + smoothing, tp + fp + smoothing)
    recall = quotient(tp + smoothing, tp + fn + smoothing)
    accuracy = (tp + tn) / n
    sensitivity, specificity = quotient(tp, tp + fn), quotient(tn, tn + fp)
    chance = ((tp + fp) * (tp + fn) + (tn + fn) * (tn + tp)) / n**2
    cohen = ((tp + fp) * (tp + fn) + (tn + fn) * (tn + fp)) / n**2
    return {
        "precision": precision,
        "recall": recall,
        "f": quotient(1.3 * precision * recall, 0.3 * precision + recall),
        "iou": quotient(tp, tp + fp + fn),
        "dice": quotient(2 * tp, 2 * tp + fp + fn),
        "specificity": specificity,
        "fpr": quotient(fp, fp + tn),
        "ber": 1 - (sensitivity + specificity) / 2,
        "accuracy": accuracy,
        "kappa": quotient(accuracy - chance, 1 - chance),
        "cohen_kappa": quotient(accuracy - cohen, 1 - cohen),
    }


def e_measure(binary: NDArray[np.bool_], foreground: NDArray[np.bool_]) -> float:
    """Fan et al., IJCAI 2018, pixel by pixel."""
    n = binary.size
    if not foreground.any():
        enhanced = 1.0 - binary
    elif foreground.all():
        enhanced = 1.0 * binary
    else:
        a = binary - binary.mean()
        b = foreground - foreground.mean()
        alignment = 2 * a * b / (a * a + b * b + EPS)
        enhanced = (alignment + 1) ** 2 / 4
    return float(enhanced.sum() / (n - 1 + EPS))


def mae(p: Floats, mask: Floats) -> float:
    """Mean absolute error of a map and a mask, both in [0, 1]."""
    return float(np.abs(p - mask).mean())


def s_measure(p: Floats, foreground: NDArray[np.bool_], centroid: str, exact: bool) -> float:
    """Fan et al., ICCV 2017, as in PySODMetrics 1.6.2; NaN for an empty block.

    exact: the mean of a flat block is its value, not what numpy's sum of rounded numbers makes of it.
    """
    objects, regions = s_parts(p, foreground, centroid, exact)
    return regions if np.isnan(regions) else max(0.0, float((objects + regions) / 2))


def s_parts(
    p: Floats, foreground: NDArray[np.bool_], centroid: str, exact: bool
) -> tuple[float, float]:
    """The object part and the region part of S."""
    if not foreground.any():
        return (float(1 - p.mean()),) * 2
    if foreground.all():
        return (float(p.mean()),) * 2
    share = foreground.mean()
    objects = share * _object(p[foreground]) + (1 - share) * _object(1 - p[~foreground])
    row, column = split(foreground, centroid)
    height, width = p.shape
    regions, weights = 0.0, 1.0
    for place, (rows, columns) in enumerate(
        [
            (slice(None, row), slice(None, column)),
            (slice(None, row), slice(column, None)),
            (slice(row, None), slice(None, column)),
            (slice(row, None), slice(column, None)),
        ]
    ):
        block, truth = p[rows, columns], foreground[rows, columns]
        if block.size == 0:
            return float(objects), float("nan")
        weight = block.size / (height * width) if place < 3 else weights
        weights -= weight
        regions += weight * _similarity(block, truth * 1.0, exact)
    return float(objects), float(regions)


def _object(x: Floats) -> float:
    mean = x.mean()
    deviation = x.std(ddof=1) if x.size > 1 else 0.0
    return float(2 * mean / (mean * mean + 1 + deviation + EPS))


def _similarity(block: Floats, truth: Floats, exact: bool) -> float:
    n = block.size
    x = block.flat[0] if exact and (block == block.flat[0]).all() else block.mean()
    y = truth.mean()
    spread_x = ((block - x) ** 2).sum() / (n - 1 + EPS)
    spread_y = ((truth - y) ** 2).sum() / (n - 1 + EPS)
    together = ((block - x) * (truth - y)).sum() / (n - 1 + EPS)
    a = 4 * x * y * together
    b = (x * x + y * y) * (spread_x + spread_y)
    if a != 0:
        return float(a / (b + EPS))
    return 1.0 if b == 0 else 0.0


def weighted_f(p: Floats, foreground: NDArray[np.bool_], beta_squared: float = 1.0) -> float:
    """Margolin et al., CVPR 2014, with scipy's distance transform and a two-dimensional Gaussian."""
    if not foreground.any():
        return 0.0
    distance, (rows, columns) = ndimage.distance_transform_edt(~foreground, return_indices=True)
    error = np.abs(p - foreground)
    nearest = error[rows, columns]
    offset = np.arange(-3, 4)
    kernel = np.exp(-(offset[:, None] ** 2 + offset**2) / (2 * 5**2))
    mean = ndimage.correlate(nearest, kernel / kernel.sum(), mode="constant", cval=0)
    inside = np.minimum(error, mean)[foreground]
    outside = (error * (2 - np.exp(np.log(0.5) / 5 * distance)))[~foreground]
    tp, fp = max(foreground.sum() - inside.sum(), 0), outside.sum()
    recall = max(1 - inside.mean(), 0)
    precision = tp / (tp + fp + EPS)
    f = (1 + beta_squared) * recall * precision / (recall + beta_squared * precision + EPS)
    return float(f)
