"""Parity with the reference programs, per image and over curves, on the committed synthetic cases."""

import json
from dataclasses import replace

import numpy as np
import pytest

from sodbench.metrics import (
    PROTOCOLS,
    Counts,
    Evaluator,
    PreparedMask,
    count_pair,
    get_protocol,
    per_image_metrics,
    score,
)

CASES = 26
CODED_AS_ONES = 22
SCALARS = {
    "mae": "mae",
    "s": "sm",
    "wf": "wfm",
    "e_adp": "em_adp",
    "f_adp": "fm_adp",
    "precision_adp": "pre_adp",
    "recall_adp": "rec_adp",
    "iou_adp": "iou_adp",
    "dice_adp": "dice_adp",
    "specificity_adp": "spec_adp",
    "fpr_adp": "fpr_adp",
    "ber_adp": "ber_adp",
    "accuracy_adp": "oa_adp",
    "kappa_adp": "kappa_adp",
}
CURVES = {
    "e": "em_curve",
    "f": "fm_curve",
    "precision": "pre_curve",
    "recall": "rec_curve",
    "iou": "iou_curve",
    "dice": "dice_curve",
    "specificity": "spec_curve",
    "fpr": "fpr_curve",
    "ber": "ber_curve",
    "accuracy": "oa_curve",
    "kappa": "kappa_curve",
}
NORMALISED = PROTOCOLS["pysodmetrics"]
AS_STORED = replace(NORMALISED, name="pysodmetrics-as-stored", map="raw", mae_map="raw")


@pytest.fixture(scope="module")
def fixture(data):
    with np.load(data / "metrics_public.npz") as archive:
        return dict(archive)


@pytest.fixture(scope="module")
def counts(fixture):
    return Counts.concatenate(
        count_pair(fixture[f"pred_{i:03d}"], PreparedMask(fixture[f"gt_{i:03d}"])).counts
        for i in range(CASES)
    )


def assert_equal(result, expected, tolerance):
    """Within the tolerance, relative where the expected value is above 1; NaN exactly where expected."""
    assert np.array_equal(np.isnan(result), np.isnan(expected))
    error = np.abs(result - expected) / np.maximum(1, np.abs(expected))
    assert np.nanmax(error) <= tolerance


@pytest.mark.parametrize(("key", "rules"), [("pysod", NORMALISED), ("pysod_nonorm", AS_STORED)])
def test_every_metric_is_that_of_pysodmetrics(fixture, counts, key, rules):
    images = per_image_metrics(counts, rules)
    for ours, theirs in SCALARS.items():
        assert_equal(images.scalars[ours], fixture[f"{key}/{theirs}"], 1e-12)
    for ours, theirs in CURVES.items():
        assert_equal(images.curves[ours], fixture[f"{key}/{theirs}"], 1e-12)


def test_precision_recall_and_f_are_those_of_salmetric(fixture, counts):
    images = per_image_metrics(counts, PROTOCOLS["salmetric"])
    for ours, theirs in {"precision": "precision", "recall": "recall", "f": "fmeasure"}.items():
        assert_equal(images.curves[ours], fixture[f"salmetric/{theirs}"].astype(float), 3e-7)
    assert_equal(images.scalars["f_max"], fixture["salmetric/maxf"].astype(float), 3e-7)
    # the program adds up float32 pixel by pixel; see test_reference for its own sum
    assert_equal(images.scalars["mae"], fixture["salmetric/mae"].astype(float), 1e-5)


def test_the_dataset_curves_are_those_of_salmetric(fixture, counts, data):
    scores = score(counts, "salmetric", [f"{i:03d}" for i in range(CASES)])
    for ours, theirs in {"precision": "precision", "recall": "recall"}.items():
        assert_equal(
            scores.curves[ours], fixture[f"salmetric_dataset/{theirs}_t1"].astype(float), 3e-7
        )
    keys = json.loads((data / "metrics_keys.json").read_text())
    printed = keys["files"]["metrics_public.npz"]["dataset"]["salmetric_t1"]
    result = [scores.metrics[name] for name in ("f_max", "precision", "recall")]
    assert result == pytest.approx(
        [printed["maxf"], printed["p_at_max"], printed["r_at_max"]], abs=2e-6
    )


def test_aggregates_are_those_of_pysodmetrics(counts, data):
    keys = json.loads((data / "metrics_keys.json").read_text())
    expected = keys["files"]["metrics_public.npz"]["dataset"]["pysod"]
    metrics = score(counts, "pysodmetrics", [f"{i:03d}" for i in range(CASES)]).metrics
    names = {
        "mae": "mae",
        "wf": "wfm",
        "f_max": "maxfm",
        "f_mean": "avgfm",
        "f_adp": "adpfm",
        "e_max": "maxem",
        "e_mean": "avgem",
        "e_adp": "adpem",
    }
    for ours, theirs in names.items():
        assert metrics[ours] == pytest.approx(expected[theirs], rel=1e-12)
    assert np.isnan(metrics["s"])  # cases 13 and 14 have an empty block


def test_an_undefined_s_is_named_and_left_out_only_on_request(counts):
    stems = [f"{i:03d}" for i in range(CASES)]
    kept = score(counts, "pysodmetrics", stems)
    assert kept.undefined == ("013", "014")
    assert str(kept.signature).endswith("|protocol:pysodmetrics|n:26|gt:>128|undefined:keep(2)")
    skipped = score(counts, "pysodmetrics", stems, undefined_s="skip")
    assert skipped.metrics["s"] == pytest.approx(kept.per_image["s"].dropna().mean(), abs=1e-15)


def test_matlab_names_what_it_leaves_out_of_each_mean(counts):
    scores = score(counts, "matlab", [f"{i:03d}" for i in range(CASES)])
    empty, full, constant = (
        {"003", "004", "022"},
        {"005", "016"},
        {"004", "006", "007", "008", "009", "016"},
    )
    assert set(scores.empty_masks) == empty
    assert {name: set(stems) for name, stems in scores.left_out.items()} == {
        "mae": constant,
        "f_max": empty,
        "auc_roc": empty | full,
    }
    assert set(scores.per_image.index[scores.per_image["mae"].isna()]) == constant


def test_a_set_of_empty_masks_has_no_max_f_and_no_threshold_under_matlab(fixture):
    empty = Counts.concatenate(
        count_pair(fixture[f"pred_{i:03d}"], PreparedMask(fixture[f"gt_{i:03d}"])).counts
        for i in (3, 4, 22)
    )
    metrics = score(empty, "matlab", ["a", "b", "c"]).metrics
    undefined = {name for name, value in metrics.items() if np.isnan(value)}
    of_f = (
        "f_max",
        "f_mean",
        "f_max_meanpr",
        "f_max_meanf",
        "f_mean_meanpr",
        "f_mean_meanf",
        "f_max_best",
    )
    of_others = (
        "precision",
        "recall",
        "threshold",
        "ap",
        "auc_pr",
        "auc_roc",
        "fpr_max",
        "fpr_mean",
    )
    assert undefined == {*of_f, *of_others}


@pytest.mark.parametrize("name", ["salmetric", "pysodmetrics"])
def test_the_other_protocols_leave_nothing_out(counts, name):
    scores = score(counts, name, [f"{i:03d}" for i in range(CASES)])
    assert scores.left_out == {} and scores.empty_masks == ("003", "004", "022")


@pytest.mark.parametrize("name", PROTOCOLS)
def test_the_f_curve_is_the_one_whose_maximum_is_max_f(fixture, name):
    evaluator = Evaluator(name, pixel_metrics=())
    for i in range(CASES):
        # as float: a mask of 0 and 1 is ambiguous
        evaluator.update(fixture[f"pred_{i:03d}"] / 255, fixture[f"gt_{i:03d}"] / 255)
    scores = evaluator.compute()
    curves, metrics = scores.curves, scores.metrics
    last = PROTOCOLS[name].n_thresholds
    assert curves["f"].max() == metrics["f_max"] and curves["f"][:last].mean() == metrics["f_mean"]
    for form in ("meanpr", "meanf"):
        assert curves[f"f_{form}"].max() == metrics[f"f_max_{form}"]
        assert curves[f"f_{form}"][:last].mean() == metrics[f"f_mean_{form}"]
    own = ">" if name == "salmetric" else PROTOCOLS[name].comparison
    expected = {
        curve: own
        if curve in ("precision", "recall") or curve.split("_")[0] == "f"
        else PROTOCOLS[name].secondary_comparison
        for curve in curves
    } | ({"e": "colon>"} if name == "codtoolbox" else {})
    expected |= dict.fromkeys(("calibration", "level_share", "level_foreground"), "=")
    assert scores.comparisons == expected
    assert scores.comparisons["tpr"] == scores.comparisons["fpr"] == scores.comparisons["ppv"]


def test_the_two_forms_of_max_f_differ(counts):
    stems = [f"{i:03d}" for i in range(CASES)]
    salmetric = score(counts, "salmetric", stems).metrics
    assert salmetric["f_max"] == salmetric["f_max_meanpr"] != salmetric["f_max_meanf"]
    pysodmetrics = score(counts, "pysodmetrics", stems).metrics
    assert pysodmetrics["f_max"] == pysodmetrics["f_max_meanf"] != pysodmetrics["f_max_meanpr"]
    assert pysodmetrics["f_max_best"] > pysodmetrics["f_max"]


def test_an_unknown_protocol_is_refused_with_the_known_ones():
    with pytest.raises(ValueError, match="salmetric, pysodmetrics, matlab"):
        get_protocol("salmetrics")


def test_the_evaluator_accepts_the_same_images_in_several_forms(fixture):
    evaluator = Evaluator(protocol="pysodmetrics")
    for i in range(CASES):
        if i != CODED_AS_ONES:
            evaluator.update(fixture[f"pred_{i:03d}"], fixture[f"gt_{i:03d}"])
    coded = fixture[f"pred_{CODED_AS_ONES:03d}"], fixture[f"gt_{CODED_AS_ONES:03d}"]
    evaluator.update(*coded)  # of which PySODMetrics sees an empty mask
    whitened = per_image_metrics(
        count_pair(coded[0], PreparedMask(coded[1] * np.uint8(255))).counts, NORMALISED
    ).scalars["wf"]
    expected = np.append(np.delete(fixture["pysod/wfm"], CODED_AS_ONES), whitened)
    assert whitened[0] > 0
    assert_equal(evaluator.compute().per_image["wf"].to_numpy(), expected, 1e-12)
