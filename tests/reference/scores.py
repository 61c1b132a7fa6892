"""Every metric of the catalogue, slowly and from the pixels: the twin of sodbench.metrics.scores.

The definitions are those of docs/protocols.md.  Nothing is imported from sodbench.
"""

import itertools
import math
from dataclasses import dataclass

import numpy as np
from reference import pixels
from reference.human_correction_effort import human_correction_effort
from scipy import ndimage


@dataclass(frozen=True)
class Conventions:
    """One evaluation program's conventions, as docs/protocols.md lists them."""

    foreground_above: int
    centroid: str
    map: str
    mae_map: str
    mae_mask: str
    comparison: str
    other_comparison: str
    smoothing: float
    f_max: str
    exact_means: bool
    leaves_out: str  # what has no value without foreground: nothing, curves, or F at the adaptive threshold as well
    undefined_constant_mae: bool
    comparison_of_e: str
    adaptive_e: str = ">="
    skips_undefined_s: bool = False
    weighted_beta2: float = 1.0
    empty_wf: str = "zero"
    n_thresholds: int = 256


CONVENTIONS = {
    "salmetric": Conventions(
        128, "half-even", "raw", "raw", "raw", ">", "trunc>=", 1e-4, "meanpr", False, "", False, "trunc>="
    ),
    "pysodmetrics": Conventions(
        128, "half-even", "min-max", "min-max", "binary", "trunc>=", "trunc>=", 0, "meanf", False, "", False, "trunc>="
    ),
    "matlab": Conventions(
        25, "half-up", "maximum", "min-max", "binary", ">=", ">=", 0, "meanpr", True, "curves", True, ">=", skips_undefined_s=True
    ),
    "codtoolbox": Conventions(
        128, "half-up", "min-max", "min-max", "binary", "colon>=", "colon>=", 0, "meanf", True, "", False, "colon>",
        adaptive_e=">",
    ),
    "torch": Conventions(
        127, "before", "raw", "raw", "raw", ">=254", ">=254", 0, "meanf", False, "all", False, ">=254",
        adaptive_e=">=unclipped", weighted_beta2=0.3, empty_wf="background", n_thresholds=255,
    ),
}  # fmt: skip
FAMILIES = ("e", "iou", "dice", "specificity", "fpr", "ber", "accuracy", "kappa", "cohen_kappa")
F_CURVES = ("precision", "recall", "f")
RANKING_CURVES = ("tpr", "ppv", "fpr")
CURVES = (*F_CURVES, *FAMILIES, "tpr", "ppv", "level_share", "level_foreground")
MEASURED = ("biou", "tiou")
SOURCES = ("missed", "spurious", "boundary", "grey")


def image_curves(map_, mask, rules):
    """Each curve at thresholds 0 to 255, from the binarised maps; NaN where undefined."""
    values, foreground = pixels.prepared(map_, rules.map), mask > rules.foreground_above
    curves = {name: np.empty(256) for name in CURVES}
    known = {}

    def measure(metric, binary, *arguments):
        """Compute each binary map once: thresholds between two grey levels select the same pixels."""
        key = (metric, binary.tobytes(), *arguments)
        if key not in known:
            known[key] = metric(binary, foreground, *arguments)
        return known[key]

    for t in range(256):
        own = pixels.selected(values, t, rules.comparison)
        other = pixels.selected(values, t, rules.other_comparison)
        smoothed = measure(pixels.binary_metrics, own, rules.smoothing)
        plain = measure(pixels.binary_metrics, other)
        ranked = measure(pixels.binary_metrics, other, rules.smoothing)
        for name in F_CURVES:
            curves[name][t] = smoothed[name]
        for name in set(FAMILIES) - {"e"}:
            curves[name][t] = plain[name]
        of_e = pixels.selected(values, t, rules.comparison_of_e)
        curves["e"][t] = measure(pixels.e_measure, of_e)
        curves["tpr"][t], curves["ppv"][t] = plain["recall"], ranked["precision"]
    if rules.leaves_out and not foreground.any():
        curves |= dict.fromkeys(F_CURVES, np.full(256, np.nan))
    if rules.leaves_out and (not foreground.any() or foreground.all()):
        curves |= dict.fromkeys(RANKING_CURVES, np.full(256, np.nan))
    for level in range(256):
        curves["level_share"][level] = (map_ == level).mean()
        curves["level_foreground"][level] = ((map_ == level) & foreground).mean()
    levels = np.trunc(255 * pixels.prepared(map_, "min-max")).astype(np.uint8)
    curves["biou"] = soft_boundary_iou(levels, mask > 128)
    curves["tiou"] = thin_boundary_iou(levels, mask > 128)
    return curves


def image_scalars(map_, mask, rules):
    """Each metric of an image that needs no curve."""
    values, foreground = pixels.prepared(map_, rules.map), mask > rules.foreground_above
    truth = mask / 255 if rules.mae_mask == "raw" else foreground
    scalars = {"mae": pixels.mae(pixels.prepared(map_, rules.mae_map), truth)}
    if rules.undefined_constant_mae and map_.min() == map_.max():
        scalars["mae"] = np.nan  # (v - min) / (max - min) is 0 / 0
    s = pixels.s_measure(values, foreground, rules.centroid, rules.exact_means)
    parts = pixels.s_parts(values, foreground, rules.centroid, rules.exact_means)
    scalars |= {"s": s, "s_object": parts[0], "s_region": parts[1]}
    adaptive = pixels.adaptively_selected(map_, rules.map)
    scalars |= {
        f"{name}_adp": value for name, value in pixels.binary_metrics(adaptive, foreground).items()
    }
    of_e = pixels.adaptively_selected_for_e(map_, rules.map, rules.adaptive_e)
    scalars["e_adp"] = pixels.e_measure(of_e, foreground)
    if rules.leaves_out == "all" and not foreground.any():
        scalars |= dict.fromkeys(("f_adp", "precision_adp", "recall_adp"), np.nan)
    scalars |= {name: twin(values, foreground) for name, twin in PIXEL_METRICS.items()}
    scalars["wf"] = pixels.weighted_f(values, foreground, rules.weighted_beta2)
    if rules.empty_wf == "background" and not foreground.any():
        scalars["wf"] = 1 - values.mean()
    scalars |= mae_sources(pixels.prepared(map_, rules.mae_map), truth, foreground, scalars["mae"])
    # these have conventions of their own, whatever the protocol
    stretched, truth = pixels.prepared(map_, "min-max"), mask > 128
    scalars["mse"] = ((stretched - foreground) ** 2).mean()
    scalars["boundary_iou"] = iou_of_rims(map_ > 128, truth)
    scalars["mba"] = mean_boundary_accuracy(map_ > 128, truth)
    scalars["hce"] = human_correction_effort(stretched > 0.5, truth)
    scalars["hce_raw"] = human_correction_effort(map_ > 128, truth)
    return scalars


def mean_of(curve, name, rules):
    """The mean over the thresholds that count."""
    return curve.mean() if name in MEASURED else curve[: rules.n_thresholds].mean()


def aggregates(pairs, protocol):
    """Every metric of a set of images."""
    return per_image_and_aggregates(pairs, protocol)[1]


def per_image_and_aggregates(pairs, protocol):
    """Every metric that a single image has, for each image, and every metric of all together."""
    rules = CONVENTIONS[protocol]
    scalars = [image_scalars(map_, mask, rules) for map_, mask in pairs]
    images = [image_curves(map_, mask, rules) for map_, mask in pairs]
    rows = [dict(numbers) for numbers in scalars]
    for row, curves in zip(rows, images, strict=True):
        for name in ("f", *FAMILIES, *MEASURED):
            row[f"{name}_max"] = curves[name].max()
            row[f"{name}_mean"] = mean_of(curves[name], name, rules)
    return rows, _aggregates(scalars, images, rules)


def _aggregates(scalars, images, rules):
    mean = {name: defined_mean([curves[name] for curves in images]) for name in images[0]}
    left_out = {"mae", "mba", "relaxed_f", "f_adp", "precision_adp", "recall_adp"}
    left_out |= {f"mae_{source}" for source in SOURCES}
    left_out |= {"s", "s_object", "s_region"} if rules.skips_undefined_s else set()
    metrics = {}
    for name in scalars[0]:
        values = [one[name] for one in scalars]
        metrics[name] = defined_mean(values) if name in left_out else np.mean(values)
    by_form = {"meanpr": f_of(mean["precision"], mean["recall"]), "meanf": mean["f"]}
    for form, curve in by_form.items():
        metrics[f"f_max_{form}"] = curve.max()
        metrics[f"f_mean_{form}"] = mean_of(curve, "f", rules)
    own = by_form[rules.f_max]
    best = int(own.argmax())
    metrics |= {"f_max": own.max(), "f_mean": mean_of(own, "f", rules)}
    metrics["threshold"] = np.nan if np.isnan(own.max()) else best
    metrics |= {"precision": mean["precision"][best], "recall": mean["recall"][best]}
    metrics["f_max_best"] = defined_mean([curves["f"].max() for curves in images])
    for name in (*FAMILIES, *MEASURED):
        metrics[f"{name}_max"] = mean[name].max()
        metrics[f"{name}_mean"] = mean_of(mean[name], name, rules)
    metrics["ece"] = 0.0
    for level in range(256):
        expected = mean["level_share"][level] * level / 255
        metrics["ece"] += abs(mean["level_foreground"][level] - expected)
    metrics["auc_pr"] = trapezoids(mean["recall"], mean["precision"])
    recall = metrics["ap"] = 0.0
    for t in range(255, -1, -1):
        metrics["ap"] += (mean["tpr"][t] - recall) * mean["ppv"][t]
        recall = mean["tpr"][t]
    metrics["auc_roc"] = trapezoids(mean["fpr"], mean["tpr"])
    if mean["fpr"].min() == mean["tpr"].min() == 1:
        metrics["auc_roc"] = 0.5  # nothing is ranked above anything else
    return metrics


def defined_mean(values):
    """The mean over images, of numbers or curves, without those that are NaN."""
    defined = [value for value in values if not np.isnan(value).any()]
    return np.mean(defined, axis=0) if defined else np.full(np.shape(values[0]), np.nan)


def f_of(precision, recall):
    """F of two curves; 0 where both are 0."""
    both = 0.3 * precision + recall
    return np.divide(1.3 * precision * recall, both, out=both * 0, where=both > 0)


def trapezoids(x, y):
    """Area under the points, from the smallest x to the largest."""
    return sum(abs(x[i + 1] - x[i]) * (y[i + 1] + y[i]) / 2 for i in range(255))


# -- metrics that need pixels ------------------------------------------------------------------------


def adaptive(values):
    return values >= min(2 * values.mean(), 1)


def boundary_iou(values, foreground):
    return iou_of_rims(adaptive(values), foreground)


def iou_of_rims(binary, foreground):
    """Cheng et al., CVPR 2021: erode by 3x3 again and again, and compare what was removed."""

    def removed(mask):
        width = max(1, round(0.02 * math.hypot(*mask.shape)))
        return mask & ~ndimage.binary_erosion(mask, np.ones((3, 3)), iterations=width)

    a, b = removed(binary), removed(foreground)
    return (a & b).sum() / (a | b).sum() if (a | b).any() else 0.0


def soft_boundary_iou(levels, foreground):
    """The evaluators of InSPyReNet and BiRefNet: as `iou_of_rims`, of a grey map at each threshold; float64 [256]."""
    side = 2 * max(1, round(0.02 * math.hypot(*levels.shape))) + 1

    def rim(image):
        return image - ndimage.minimum_filter(image, side, mode="constant", cval=0)

    ours, theirs = rim(levels), rim(foreground.astype(np.uint8)) > 0
    curve = np.empty(256)
    for t in range(256):
        selected = ours >= t
        spurious = (selected & ~theirs).sum()
        curve[t] = (selected & theirs).sum() / (max(theirs.sum(), 1) + spurious)
    return curve


def thin_boundary_iou(levels, foreground):
    """InSPyReNet's TIoU: of the map on a rim of the mask that is 0.1 % of the diagonal wide; float64 [256]."""
    side = 2 * max(1, round(0.001 * math.hypot(*levels.shape))) + 1
    inner = ndimage.minimum_filter(foreground.astype(np.uint8), side, mode="constant", cval=0)
    rim = foreground & (inner == 0)
    levels = np.where(rim, levels, 0)
    curve = np.empty(256)
    for t in range(256):
        selected = levels >= t
        curve[t] = (selected & rim).sum() / (max(rim.sum(), 1) + (selected & ~rim).sum())
    return curve


def mae_sources(values, truth, foreground, mae):
    """MAE by what kind of pixel the error is of; the distance to the other class from all pairs of pixels' coordinates."""
    height, width = foreground.shape
    reach = max(1, round(0.02 * math.hypot(height, width)))
    total = dict.fromkeys(SOURCES, 0.0)
    for y, x in np.ndindex(height, width):
        around = foreground[
            max(y - reach, 0) : y + reach + 1,
            max(x - reach, 0) : x + reach + 1,
        ]
        if (around != foreground[y, x]).any():
            source = "boundary"
        elif (values[y, x] > 0.5) == foreground[y, x]:
            source = "grey"
        else:
            source = "missed" if foreground[y, x] else "spurious"
        total[source] += abs(values[y, x] - truth[y, x])
    if np.isnan(mae):
        return dict.fromkeys((f"mae_{source}" for source in SOURCES), np.nan)
    return {f"mae_{source}": error / foreground.size for source, error in total.items()}


def relaxed_boundary_f(values, foreground):
    """U2-Net's relaxed boundary F, with scipy's erosion by a cross and its distances to the outlines."""

    def outline(region):
        return region & ~ndimage.binary_erosion(region, border_value=1)

    ours, theirs = outline(values > 0.5), outline(foreground)
    if not theirs.any():
        return np.nan
    precision = recall = 0.0
    if ours.any():
        precision = (ndimage.distance_transform_edt(~theirs)[ours] <= 3).mean()
        recall = (ndimage.distance_transform_edt(~ours)[theirs] <= 3).mean()
    both = 0.3 * precision + recall
    return 1.3 * precision * recall / both if both else 0.0


def mean_boundary_accuracy(binary, foreground):
    """CascadePSP: at five radii the accuracy where a disk meets both classes; NaN where there is no contour."""
    height, width = foreground.shape
    accuracies = []
    for i in range(5):
        radius = 1 + int(((width + height) / 300 - 1) / 5 * i)
        rows = range(-radius, radius + 1)
        half = [round(math.sqrt(radius**2 - dy**2)) for dy in rows]
        disk = [[abs(dx) <= most for dx in rows] for most in half]
        meets_foreground = ndimage.binary_dilation(foreground, disk)
        meets_background = ndimage.binary_dilation(~foreground, disk)
        band = meets_foreground & meets_background
        accuracies.append((binary == foreground)[band].mean() if band.any() else np.nan)
    return np.mean(accuracies)


def multiscale_iou(values, foreground, number=10):
    """Ahmadzadeh et al., ICIP 2021: outlines by a Sobel filter, on grids from the lower right corner."""

    def cells(mask, side):
        edges = np.zeros(mask.shape, bool)
        for axis in (0, 1):
            edges |= ndimage.sobel(mask.astype(float), axis=axis, mode="constant") != 0
        height, width = edges.shape
        rows, columns = np.nonzero(edges)
        return {
            ((height - 1 - y) // side, (width - 1 - x) // side)
            for y, x in zip(rows.tolist(), columns.tolist(), strict=True)
        }

    ratios = []
    for level in (int(9 * k / (number - 1)) for k in range(number)):
        ours, theirs = cells(adaptive(values), 2**level), cells(foreground, 2**level)
        ratios.append((len(ours & theirs) + 1) / (len(theirs) + 1))
    return sum((a + b) / 2 for a, b in itertools.pairwise(ratios)) / (number - 1)


def size_invariant_mae(values, foreground):
    """Li et al., ICML 2024: the objects are found by flooding."""
    error = np.abs(values - foreground)
    left = {tuple(place) for place in np.argwhere(foreground).tolist()}
    objects = []
    while left:
        part, border = set(), {left.pop()}
        while border:
            y, x = border.pop()
            part.add((y, x))
            near = {(y + 1, x), (y - 1, x), (y, x + 1), (y, x - 1)} & left
            left -= near
            border |= near
        objects.append(part)
    if not objects:
        return error.mean()
    least = min(50, max(map(len, objects)))
    outside, boxes = np.ones(foreground.shape, bool), []
    for part in objects:
        if len(part) >= least:
            rows, columns = zip(*part, strict=True)
            box = slice(min(rows), max(rows) + 1), slice(min(columns), max(columns) + 1)
            boxes.append(error[box].mean())
            outside[box] = False
    if not outside.any():
        return np.nan
    share = outside.sum() / (~outside).sum()
    return (sum(boxes) + share * error[outside].mean()) / (len(boxes) + share)


def context_measure(values, foreground):
    """Wang et al., 2025, with scipy's filter; NaN where the foreground's pixels are on an oblique line."""
    places = np.argwhere(foreground)
    covariance = np.eye(2) / 4
    reach = [1, 1]
    if len(places) > 1:
        covariance = np.cov(places.T)
        for axis in range(2):
            covariance[axis, axis] = covariance[axis, axis] or pixels.EPS
        covariance = covariance * 36 / (covariance[0, 0] + covariance[1, 1])
        reach = [round(3 * math.sqrt(covariance[axis, axis])) for axis in range(2)]
    if np.linalg.det(covariance) / (covariance[0, 0] * covariance[1, 1]) < 1e-12:
        return np.nan
    inverse = np.linalg.inv(covariance)
    kernel = np.empty((2 * reach[0] + 1, 2 * reach[1] + 1))
    for y in range(kernel.shape[0]):
        for x in range(kernel.shape[1]):
            offset = np.array([y - reach[0], x - reach[1]])
            kernel[y, x] = np.exp(-0.5 * offset @ inverse @ offset)
    kernel /= kernel.sum()
    # PySODMetrics filters the mask by a kernel in single precision, into single precision
    rounded = kernel.astype(np.float32)
    if (
        kernel.size < 130
    ):  # OpenCV sums small kernels in single precision, too, one element after the other
        around = np.pad(foreground, ((reach[0], reach[0]), (reach[1], reach[1])), mode="reflect")
        shown = np.zeros(foreground.shape, np.float32)
        for y, x in np.ndindex(*foreground.shape):
            for i, j in np.ndindex(*kernel.shape):
                shown[y, x] += rounded[i, j] * np.float32(around[y + i, x + j])
    else:
        shown = ndimage.correlate(foreground.astype(float), rounded.astype(float), mode="mirror")
        shown = shown.astype(np.float32)
    relevance = (shown * values).sum() / (values.sum() + pixels.EPS)
    met = 1 - np.exp(-ndimage.correlate(values, kernel, mode="mirror"))
    completeness = math.e / (math.e - 1) * met[foreground].sum() / (foreground.sum() + pixels.EPS)
    return 2 * relevance * completeness / (relevance + completeness + pixels.EPS)


PIXEL_METRICS = {
    "relaxed_f": relaxed_boundary_f,
    "biou_adp": boundary_iou,
    "msiou_adp": multiscale_iou,
    "si_mae": size_invariant_mae,
    "cm": context_measure,
}
