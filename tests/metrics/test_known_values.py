"""Every metric of the catalogue on maps whose scores are known, under every protocol.

The expected values come from the definitions in docs/protocols.md: from the pixels, one threshold at a time
(tests/reference/scores.py), and for the maps of one or two levels also in closed form.
"""

import numpy as np
import pytest
from reference import scores as reference

from sodbench.metrics import Evaluator, catalogue

HEIGHT, WIDTH = 12, 15
# foreground in all four blocks of S, and farther from the border than the window of weighted F reaches
MASK = np.zeros((HEIGHT, WIDTH), bool)
MASK[4:8, 5:10] = True
WHITE = MASK * np.uint8(255)
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
    expected = reference.aggregates([(MAPS[kind], WHITE)], protocol)
    assert set(catalogue.aggregate_names()) == set(scores.metrics)
    for name in scores.metrics:
        value = expected[name]
        assert scores.metrics[name] == pytest.approx(value, nan_ok=True, abs=1e-12), name


def test_every_metric_of_all_maps_together(protocol):
    scores = scored(list(MAPS.values()), protocol)
    expected = reference.aggregates([(map_, WHITE) for map_ in MAPS.values()], protocol)
    for name, value in scores.metrics.items():
        assert value == pytest.approx(expected[name], abs=1e-12), name


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
