"""Whole-set parity on real maps: three methods on the SOD set against the programs' own output."""

import json

import numba
import numpy as np
import pandas as pd
import pytest

from sodbench.images import read_grey
from sodbench.metrics import Counts, PreparedMask, count_pair, score
from sodbench.metrics.schemes import COUNTS_ONLY

pytestmark = pytest.mark.real
METHODS = ("Amulet", "DSS", "CSNet-L-x2")


@pytest.fixture(scope="module")
def masks(shared):
    return {
        path.stem: read_grey(path).pixels for path in sorted((shared / "real/SOD/GT").iterdir())
    }


@pytest.fixture(scope="module", params=METHODS)
def counted(request, shared, masks):
    folder = shared / "real/preds" / request.param / "SOD"
    maps = {stem: read_grey(folder / f"{stem}.png").pixels for stem in masks}
    counts = Counts.concatenate(count_pair(maps[s], PreparedMask(masks[s])).counts for s in masks)
    return request.param, counts, maps


@pytest.fixture(scope="module")
def expected(shared):
    return json.loads((shared / "gold/sod_expected.json").read_text())


def test_salmetric(counted, masks, expected):
    method, counts, maps = counted
    metrics = score(counts, "salmetric", list(masks)).metrics
    printed = expected[method]["salmetric_cpp_1thread_float32"]
    for name in ("f_max", "precision", "recall"):
        assert metrics[name] == pytest.approx(printed[name], abs=2e-6)
    # the program's own float32 sums, redone, are its printed value; ours is the exact one
    assert float32_mae(maps, masks) == pytest.approx(printed["mae"], abs=2e-8)
    exact = np.mean([np.abs(maps[s].astype(float) - masks[s]).mean() / 255 for s in masks])
    assert metrics["mae"] == pytest.approx(exact, rel=1e-14)
    assert metrics["mae"] == pytest.approx(printed["mae"], rel=2e-4)


@pytest.mark.parametrize(
    ("method", "area"), [("DSS", 0.8495), ("Amulet", 0.9164), ("CSNet-L-x2", 0.9298)]
)
def test_the_roc_area_under_salmetric(shared, masks, method, area):
    """To four digits; sal_eval_toolbox prints .8495 and .9164 for the first two, whose maps reach from 0 to 255."""
    folder = shared / "real/preds" / method / "SOD"
    counts = Counts.concatenate(
        count_pair(
            read_grey(folder / f"{stem}.png").pixels, PreparedMask(masks[stem], COUNTS_ONLY)
        ).counts
        for stem in masks
    )
    assert score(counts, "salmetric", list(masks)).metrics["auc_roc"] == pytest.approx(
        area, abs=5e-5
    )


def test_average_precision_and_roc_area_of_forty_pairs(shared, masks):
    """The evaluator of eval-co-sod and VST prints AP .92862 and AUC .96704 for them, from 255 thresholds instead of 256."""
    stems = list(masks)[:40]
    folder = shared / "real/preds/CSNet-L-x2/SOD"
    counts = Counts.concatenate(
        count_pair(
            read_grey(folder / f"{stem}.png").pixels, PreparedMask(masks[stem], COUNTS_ONLY)
        ).counts
        for stem in stems
    )
    metrics = score(counts, "pysodmetrics", stems).metrics
    assert metrics["ap"] == pytest.approx(0.928617528455288, abs=2e-4)
    assert metrics["auc_roc"] == pytest.approx(0.9670432209968567, abs=5e-5)


def float32_mae(maps, masks):
    """MAE as SalMetric sums it: one float32 accumulator per image, then one over the images."""
    total = np.float32(0)
    for stem, mask in masks.items():
        error = np.abs(maps[stem].astype(float) - mask) / 255
        total += np.float32(float32_sum(error.ravel())) / np.float32(error.size)
    return float(total / np.float32(len(masks)))


@numba.njit
def float32_sum(addends):
    total = np.float32(0)
    for addend in addends:
        total = np.float32(np.float64(total) + addend)
    return total


def test_pysodmetrics(counted, masks, expected):
    method, counts, _ = counted
    metrics = score(counts, "pysodmetrics", list(masks)).metrics
    for name, value in expected[method]["pysodmetrics_1.6.2"].items():
        assert metrics[name] == pytest.approx(value, abs=1e-12), name


def test_matlab(counted, masks, shared):
    method, counts, _ = counted
    file = shared / "gold/sal_eval_toolbox_SOD" / f"{method}_per_image.csv"
    if not file.exists():
        pytest.skip(f"the toolbox was not run on {method}")
    scores = score(counts, "matlab", list(masks))
    toolbox = pd.read_csv(file, dtype={"name": str}).set_index("name")
    names = {
        "mae": "MAE",
        "s": "S_measure",
        "precision_adp": "adp_precision",
        "recall_adp": "adp_recall",
        "f_adp": "adp_F",
    }
    for ours, theirs in names.items():
        assert (scores.per_image[ours] - toolbox[theirs]).abs().max() < 1e-9
    curve = pd.read_csv(file.with_name(f"{method}_curve.csv")).iloc[::-1]
    for ours, theirs in {
        "precision": "Pre",
        "recall": "Recall",
        "fpr": "FPR",
        "iou": "IoU",
    }.items():
        assert np.abs(scores.curves[ours] - curve[theirs].to_numpy()).max() < 1e-12
    summary = json.loads((file.parent / "summary.json").read_text())[method]
    for ours, theirs in {"f_max": "MaxFmeasure", "auc_roc": "AUC", "iou_max": "maxIoU"}.items():
        assert scores.metrics[ours] == pytest.approx(summary[theirs], abs=1e-12)
