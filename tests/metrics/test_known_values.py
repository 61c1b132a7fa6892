"""Every metric of the catalogue on maps whose scores are known, under every protocol.

The expected values come from the definitions in docs/protocols.md: here from the pixels, one threshold at a time, and for
the maps of one or two levels once more in closed form.  Nothing is taken from sodbench.metrics but the names.
"""

import numpy as np
import pytest
from reference import pixels

from sodbench.metrics import Evaluator, catalogue

HEIGHT, WIDTH = 12, 15
# foreground in all four blocks of S, and farther from the border than the window of weighted F reaches
MASK = np.zeros((HEIGHT, WIDTH), bool)
MASK[4:8, 5:10] = True
PIXELS, FOREGROUND = MASK.size, int(MASK.sum())
SHARE = FOREGROUND / PIXELS


def one_pixel_off():
    map_ = MASK * np.uint8(255)
    map_[4, 5] = 0
    return map_


def graded():
    """Foreground of two grey levels on a black background: every pixel is ranked right."""
    map_ = np.where(MASK, 100, 0).astype(np.uint8)
    map_[4:8, 5:7] = 200
    return map_


MAPS = {
    "perfect": MASK * np.uint8(255),
    "inverted": ~MASK * np.uint8(255),
    "black": np.zeros(MASK.shape, np.uint8),
    "white": np.full(MASK.shape, 255, np.uint8),
    "constant 128": np.full(MASK.shape, 128, np.uint8),
    "one pixel off": one_pixel_off(),
    "graded": graded(),
    "random": np.random.default_rng(16).integers(3, 240, MASK.shape, dtype=np.uint8),
}
PROTOCOLS = ("salmetric", "pysodmetrics", "matlab")
MAP = {"salmetric": "raw", "pysodmetrics": "min-max", "matlab": "maximum"}
MAE_MAP = {"salmetric": "raw", "pysodmetrics": "min-max", "matlab": "min-max"}
OWN_COMPARISON = {"salmetric": ">", "pysodmetrics": "trunc>=", "matlab": ">="}
OTHER_COMPARISON = {"salmetric": "trunc>=", "pysodmetrics": "trunc>=", "matlab": ">="}
SMOOTHING = {"salmetric": 1e-4, "pysodmetrics": 0, "matlab": 0}
MAX_F_OF = {"salmetric": "meanpr", "pysodmetrics": "meanf", "matlab": "meanpr"}
CENTROID = {"salmetric": "half-even", "pysodmetrics": "half-even", "matlab": "half-up"}
OWN = ("precision", "recall", "f")
OTHERS = ("e", "iou", "dice", "specificity", "fpr", "ber", "accuracy", "kappa", "cohen_kappa")


def image_curves(map_, protocol):
    """Each curve at thresholds 0 to 255, from the binarised maps."""
    values = pixels.prepared(map_, MAP[protocol])
    curves = {name: np.empty(256) for name in (*OWN, *OTHERS, "tpr", "ppv")}
    for t in range(256):
        own = pixels.selected(values, t, OWN_COMPARISON[protocol])
        other = pixels.selected(values, t, OTHER_COMPARISON[protocol])
        smoothed = pixels.binary_measures(own, MASK, SMOOTHING[protocol])
        plain = pixels.binary_measures(other, MASK)
        for name in OWN:
            curves[name][t] = smoothed[name]
        for name in OTHERS:
            curves[name][t] = plain[name]
        curves["tpr"][t] = plain["recall"]
        ranked = pixels.binary_measures(other, MASK, SMOOTHING[protocol])
        curves["ppv"][t] = ranked["precision"]
    return curves


def image_scalars(map_, protocol):
    """Each score of the image that needs no curve."""
    values = pixels.prepared(map_, MAP[protocol])
    found = {"mae": pixels.mae(pixels.prepared(map_, MAE_MAP[protocol]), MASK)}
    if protocol == "matlab" and map_.min() == map_.max():
        found["mae"] = np.nan  # (v - min) / (max - min) is 0 / 0
    exact = protocol == "matlab"
    found["s"] = pixels.s_measure(values, MASK, CENTROID[protocol], exact)
    found["s_object"], found["s_region"] = pixels.s_parts(values, MASK, CENTROID[protocol], exact)
    found["wf"] = pixels.weighted_f(values, MASK)
    adaptive = pixels.binary_measures(pixels.adaptively_selected(map_, MAP[protocol]), MASK)
    return found | {f"{name}_adp": value for name, value in adaptive.items()}


def f_of(precision, recall):
    both = 0.3 * precision + recall
    return np.divide(1.3 * precision * recall, both, out=np.zeros(256), where=both > 0)


def trapezoids(x, y):
    """Area under the points, from the smallest x to the largest."""
    return sum(abs(x[i + 1] - x[i]) * (y[i + 1] + y[i]) / 2 for i in range(255))


def aggregates(maps, protocol):
    """Every aggregate of a set of images, by the definitions."""
    scalars = [image_scalars(map_, protocol) for map_ in maps]
    images = [image_curves(map_, protocol) for map_ in maps]
    mean = {name: np.mean([curves[name] for curves in images], axis=0) for name in images[0]}
    found = {
        name: np.nanmean([one[name] for one in scalars])
        if not all(np.isnan(one[name]) for one in scalars)
        else np.nan
        for name in scalars[0]
    }
    by_form = {"meanpr": f_of(mean["precision"], mean["recall"]), "meanf": mean["f"]}
    for form, curve in by_form.items():
        found[f"f_max_{form}"], found[f"f_mean_{form}"] = curve.max(), curve.mean()
    own = by_form[MAX_F_OF[protocol]]
    best = int(own.argmax())
    found |= {"f_max": own.max(), "f_mean": own.mean(), "threshold": best}
    found |= {"precision": mean["precision"][best], "recall": mean["recall"][best]}
    found["f_max_best"] = np.mean([curves["f"].max() for curves in images])
    for name in OTHERS:
        found[f"{name}_max"], found[f"{name}_mean"] = mean[name].max(), mean[name].mean()
    found["auc_pr"] = trapezoids(mean["recall"], mean["precision"])
    recall = 0.0
    found["ap"] = 0.0
    for t in range(255, -1, -1):
        found["ap"] += (mean["tpr"][t] - recall) * mean["ppv"][t]
        recall = mean["tpr"][t]
    found["auc_roc"] = trapezoids(mean["fpr"], mean["tpr"])
    if mean["fpr"].min() == mean["tpr"].min() == 1:
        found["auc_roc"] = 0.5  # nothing is ranked above anything else
    return found


def scored(maps, protocol):
    evaluator = Evaluator(protocol)
    for map_ in maps:
        evaluator.update(map_, MASK)
    return evaluator.compute()


@pytest.fixture(scope="module", params=PROTOCOLS)
def protocol(request):
    return request.param


@pytest.mark.parametrize("kind", MAPS)
def test_every_metric_of_one_map(kind, protocol):
    scores = scored([MAPS[kind]], protocol)
    expected = aggregates([MAPS[kind]], protocol)
    assert set(expected) == set(catalogue.aggregate_names()) == set(scores.metrics)
    for name, value in expected.items():
        assert scores.metrics[name] == pytest.approx(value, nan_ok=True, abs=1e-12), name


def test_every_metric_of_all_maps_together(protocol):
    scores = scored(list(MAPS.values()), protocol)
    expected = aggregates(list(MAPS.values()), protocol)
    for name, value in expected.items():
        assert scores.metrics[name] == pytest.approx(value, abs=1e-12), name


# -- closed forms ------------------------------------------------------------------------------------


def confusion(selected):
    """(TP, FP) of what a map of one or two levels can select."""
    background = PIXELS - FOREGROUND
    return {
        "nothing": (0, 0),
        "everything": (FOREGROUND, background),
        "foreground": (FOREGROUND, 0),
        "background": (0, background),
        "all but a pixel": (FOREGROUND - 1, 0),
    }[selected]


def iou_of(selected):
    tp, fp = confusion(selected)
    return tp / (FOREGROUND + fp)


WHITE_PART = {
    "perfect": "foreground", "inverted": "background", "black": "nothing", "white": "everything",
    "one pixel off": "all but a pixel",
}  # fmt: skip


def runs(kind, protocol):
    """What is selected at ``>=`` thresholds 0 to 255, as (how many thresholds, what)."""
    if kind == "constant 128" and protocol != "matlab":
        return [(129, "everything"), (127, "nothing")]  # 0..128
    if kind == "constant 128" or kind == "white":
        return [(256, "everything")]
    return [(1, "everything"), (255, WHITE_PART[kind])]


@pytest.mark.parametrize("kind", [kind for kind in MAPS if kind not in ("random", "graded")])
def test_iou_in_closed_form(kind, protocol):
    metrics = scored([MAPS[kind]], protocol).metrics
    parts = runs(kind, protocol)
    assert metrics["iou_max"] == pytest.approx(max(iou_of(what) for _, what in parts))
    assert metrics["iou_mean"] == pytest.approx(sum(n * iou_of(what) for n, what in parts) / 256)


V = 128 / 255
NAN = float("nan")
OFF = (FOREGROUND - 1) / FOREGROUND  # recall with one pixel missed
MAE = {
    "perfect": 0, "inverted": 1, "black": SHARE, "white": 1 - SHARE,
    "constant 128": SHARE * (1 - V) + (1 - SHARE) * V, "one pixel off": 1 / PIXELS,
}  # fmt: skip
AUC_ROC = {
    "perfect": 1, "inverted": 0, "black": 0.5, "white": 0.5, "constant 128": 0.5,
    "one pixel off": OFF + (1 - OFF) / 2,
}  # fmt: skip
# the lowest threshold selects everything, so recall always reaches 1 and chance is the share of foreground
AP = {
    "perfect": 1, "one pixel off": OFF + (1 - OFF) * SHARE,
    **dict.fromkeys(("inverted", "black", "white", "constant 128"), SHARE),
}  # fmt: skip
MAX_F = {  # where nothing better is selected than everything, F is that of everything
    "perfect": 1, "one pixel off": 1.3 * OFF / (0.3 + OFF),
    **dict.fromkeys(("inverted", "black", "white", "constant 128"), 1.3 * SHARE / (0.3 * SHARE + 1)),
}  # fmt: skip


@pytest.mark.parametrize("kind", AUC_ROC)
def test_areas_max_f_and_mae_in_closed_form(kind, protocol):
    metrics = scored([MAPS[kind]], protocol).metrics
    constant = kind in ("black", "white", "constant 128")
    mae = NAN if protocol == "matlab" and constant else MAE[kind]
    assert metrics["mae"] == pytest.approx(mae, nan_ok=True)
    assert metrics["auc_roc"] == pytest.approx(AUC_ROC[kind])
    assert metrics["ap"] == pytest.approx(AP[kind], abs=1e-6)
    if protocol == "salmetric" and kind in ("black", "inverted"):
        assert metrics["f_max"] < 3e-5  # nothing of the foreground is ever selected
    else:
        assert metrics["f_max"] == pytest.approx(MAX_F[kind], abs=2e-5)


def test_a_map_that_ranks_every_pixel_right_has_an_area_of_one(protocol):
    """Its ROC curve goes straight up before it goes right: points that share an x keep their order."""
    metrics = scored([MAPS["graded"]], protocol).metrics
    assert metrics["auc_roc"] == metrics["ap"] == metrics["f_max"] == 1


def false_alarm_weight():
    """The sum over the background of 2 - 2^(-d / 5), d the distance to the rectangle."""
    total = 0.0
    for y in range(HEIGHT):
        for x in range(WIDTH):
            apart = np.hypot(max(4 - y, 0, y - 7), max(5 - x, 0, x - 9))
            total += (2 - 0.5 ** (apart / 5)) * (apart > 0)
    return total


def test_s_and_weighted_f_in_closed_form(protocol):
    precision = FOREGROUND / (FOREGROUND + false_alarm_weight())
    v = 1 if protocol == "matlab" else V
    expected = {  # S, weighted F
        "perfect": (1, 1),
        "inverted": (0, 0),
        "black": ((1 - SHARE) / 2, 0),
        "white": (SHARE / 2, 2 * precision / (1 + precision)),
        "constant 128": (
            (SHARE * 2 * v / (v * v + 1) + (1 - SHARE) * 2 * (1 - v) / ((1 - v) ** 2 + 1)) / 2,
            2 * v * precision / (v + precision),
        ),
    }
    for kind, (s, wf) in expected.items():
        metrics = scored([MAPS[kind]], protocol).metrics
        assert metrics["s"] == pytest.approx(s, abs=1e-12), kind
        assert metrics["wf"] == pytest.approx(wf, abs=1e-12), kind


def test_no_map_beats_the_perfect_one(protocol):
    """In any metric that is listed: what a map cannot gain by is not worth a column."""
    best = scored([MAPS["perfect"]], protocol).metrics
    for kind, map_ in MAPS.items():
        metrics = scored([map_], protocol).metrics
        for name in catalogue.listed_names():
            direction = catalogue.METRICS[name].direction
            if direction == "neither" or np.isnan(metrics[name]):
                continue
            gain = (
                metrics[name] - best[name] if direction == "higher" else best[name] - metrics[name]
            )
            assert gain <= 1e-12, (kind, name)
