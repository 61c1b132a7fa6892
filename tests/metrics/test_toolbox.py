"""``matlab`` against sal_eval_toolbox itself, on black, constant, empty and full images.

The expected numbers were printed by the toolbox's own performCalcu.m (commit b4696d6), run unchanged in Octave 7.3 with its
image package (``waitbar`` and ``close`` replaced by functions that do nothing) on the cases of metrics_public.npz, written as
PNG in the order below, and on the RC maps of CSSD18.  NaN is what the program printed.
"""

import numpy as np
import pytest

from sodbench.images import read_grey
from sodbench.metrics import Counts, PreparedMask, count_pair, score

NAN = float("nan")
# not included: masks of one or two pixels and images of one, for which the program's histogram has another shape
CASES = {
    "ordinary": (0, 1, 2, 10, 11, 14, 15, 18, 19, 20, 21, 23, 25),
    "without the empty masks": (0, 1, 2),
    "a black map": (0, 1, 6, 2, 20),
    "constant maps": (0, 7, 8, 9, 2),
    "empty masks": (0, 3, 4, 22, 1, 2),
    "a full mask": (0, 5, 1, 2),
    "everything": (0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 14, 15, 18, 19, 20, 21, 22, 23, 25),
}
NAMES = (
    "mae", "s", "f_max", "auc_roc", "iou_max", "iou_mean", "precision_adp", "recall_adp", "f_adp",
)  # fmt: skip
TOOLBOX = {
    "ordinary": (
        0.40266777894741523, 0.47596693615638724, 0.5282781695784804, 0.5829079902684018, 0.4406116163498633,
        0.3534976029163871, 0.480812102898483, 0.2372620030142891, 0.3033353314273859,
    ),
    "without the empty masks": (
        0.25435655918747396, 0.656340214465512, 0.761680245336063, 0.8659914569991888, 0.6992941594382941,
        0.5258408090822813, 0.6648148148148149, 0.4293801678914985, 0.5810433361816519,
    ),
    "a black map": (
        0.3120201427021523, 0.5089958657781747, 0.4849742638180841, 0.6922126208737236, 0.426828404059923,
        0.32148461828995906, 0.5365888888888889, 0.45762810073489907, 0.4969911751373613,
    ),
    "constant maps": (
        0.33808961563987183, 0.30931555713307685, 0.4692611924836888, 0.360335940912953, 0.39414715218707164,
        0.3117379898100894, 0.3527991333452872, 0.6953434225844004, 0.3366852221085176,
    ),
    "empty masks": (
        0.3532124690435438, 0.6610046626235399, NAN, NAN, 0.17790569518937738,
        NAN, 0.33240740740740743, 0.21469008394574926, 0.29052166809082597,
    ),
    "a full mask": (
        0.3141757950865629, 0.6188467851531767, 0.8076428434921316, NAN, 0.7120354254806434,
        0.5214542950833163, 0.7486111111111111, 0.32409273908734815, 0.4444607397864392,
    ),
    "everything": (
        0.42070670604722027, 0.4457969696921079, NAN, NAN, 0.31690955165592943,
        NAN, 0.4144310954479388, 0.3377445948505074, 0.2669255974377988,
    ),
}  # fmt: skip
RC_ON_CSSD18 = (
    0.233193125389929, 0.5572525997591313, 0.49800051406583723, 0.7828226253880675, 0.4266847650081053,
    0.2870721636296305, 0.44058116508825396, 0.6814802734630034, 0.452306776765683,
)  # fmt: skip


def scored(data, cases):
    with np.load(data / "metrics_public.npz") as archive:
        pairs = [(archive[f"pred_{i:03d}"], archive[f"gt_{i:03d}"]) for i in cases]
    counts = Counts.concatenate(count_pair(map_, PreparedMask(mask)).counts for map_, mask in pairs)
    return score(counts, "matlab", [f"{i:03d}" for i in cases])


def assert_equal_but(result, expected, but=()):
    for name, value in zip(NAMES, expected, strict=True):
        if name not in but:
            assert result[name] == pytest.approx(value, abs=1e-13), name


@pytest.mark.parametrize(
    "kind", ["ordinary", "without the empty masks", "a black map", "constant maps"]
)
def test_every_printed_number_equals_the_toolboxs(data, kind):
    assert_equal_but(scored(data, CASES[kind]).metrics, TOOLBOX[kind])


def test_a_full_mask_has_no_roc_curve_but_counts_elsewhere(data):
    scores = scored(data, CASES["a full mask"])
    assert_equal_but(scores.metrics, TOOLBOX["a full mask"], but=["auc_roc"])
    assert scores.left_out == {"auc_roc": ("005",)}
    # where the program prints NaN, the area is that of the other images
    others = TOOLBOX["without the empty masks"][NAMES.index("auc_roc")]
    assert scores.metrics["auc_roc"] == pytest.approx(others, abs=1e-13)


@pytest.mark.parametrize("kind", ["empty masks", "everything"])
def test_empty_masks_count_in_adaptive_f_and_have_no_max_f(data, kind):
    scores = scored(data, CASES[kind])
    # the IoU of a black map with an empty mask is 0/0 in the program, which makes its whole curve NaN but for t = 0
    undefined = ["f_max", "auc_roc", "iou_max", "iou_mean"]
    assert_equal_but(scores.metrics, TOOLBOX[kind], but=undefined)
    assert scores.left_out["f_max"] == ("003", "004", "022") == scores.empty_masks
    assert not np.isnan([scores.metrics[name] for name in undefined]).any()


def test_max_f_and_auc_with_empty_masks_are_those_of_the_other_images(data):
    result = scored(data, CASES["empty masks"]).metrics
    expected = dict(zip(NAMES, TOOLBOX["without the empty masks"], strict=True))
    for name in ("f_max", "auc_roc"):
        assert result[name] == pytest.approx(expected[name], abs=1e-13)


def test_empty_masks_count_as_zero_in_iou(data):
    """All maps that share a mask with nothing in common have IoU 0, so three such images halve the mean of three."""
    without = scored(data, CASES["without the empty masks"]).metrics
    result = scored(data, CASES["empty masks"]).metrics
    for name in ("iou_max", "iou_mean"):
        assert result[name] == pytest.approx(without[name] / 2, abs=1e-13)


@pytest.mark.real
def test_rc_on_cssd18_with_its_black_map(shared):
    masks = sorted((shared / "real/CSSD18/GT").glob("*.png"))
    maps = shared / "real/preds/RC/CSSD18"
    counts = Counts.concatenate(
        count_pair(
            read_grey(maps / f"{mask.stem}_RC.png").pixels, PreparedMask(read_grey(mask).pixels)
        ).counts
        for mask in masks
    )
    scores = score(counts, "matlab", [mask.stem for mask in masks])
    assert_equal_but(scores.metrics, RC_ON_CSSD18)
    assert {name: len(stems) for name, stems in scores.left_out.items()} == {"mae": 1}
