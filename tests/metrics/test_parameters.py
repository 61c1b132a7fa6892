"""Metrics with parameters in their names: fixed thresholds and other weights of precision."""

import json

import numpy as np
import pytest
from reference.scores import multiscale_iou

from sodbench import evaluate, load_results
from sodbench.errors import SodbenchError
from sodbench.images import write_grey
from sodbench.metrics import (
    PROTOCOLS,
    Evaluator,
    get_protocol,
    per_image_curves,
    pysodmetrics,
)
from sodbench.metrics.catalogue import THRESHOLD_FAMILIES, find_metric, parse_metric
from sodbench.metrics.parametric import WITH_BETA2
from sodbench.metrics.statistics.aggregates import ImageStatistics, needed_columns


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ("iou@0.5", "iou@0.5"),
        ("iou@.50", "iou@0.5"),
        ("f@1(b2=1.0)", "f@1(b2=1)"),
        ("f_max(b2=0.30)", "f_max(b2=0.3)"),
        ("wf(b2=1e-1)", "wf(b2=0.1)"),
        ("msiou_adp(levels=05)", "msiou_adp(levels=5)"),
        ("f_max", "f_max"),
        ("overall_f@.5(b2=1.0)", "overall_f@0.5(b2=1)"),
    ],
)
def test_a_name_is_parsed_and_printed_in_one_way(given, name):
    assert parse_metric(given).name == name
    assert parse_metric(name) == parse_metric(given) == find_metric(given)


def test_a_metric_with_parameters_has_the_direction_and_label_of_its_family():
    error = parse_metric("ber@0.5")
    assert (error.label, error.direction) == ("BER at 0.5", "lower")
    assert parse_metric("f_max(b2=1)").label == "max F, b2 = 1"
    assert parse_metric("wf(b2=0.3)").measurement == "wf"
    assert all(parse_metric(f"{name}(b2=2)").on_request for name in WITH_BETA2)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("iou@128", "a fixed threshold is a value in 0..1; grey level 128 is iou@0.502"),
        ("iou@127", "grey level 127 is iou@0.4981$"),
        ("iou@1000", "a fixed threshold is a value in 0..1$"),
        ("f_max(b2=0)", "b2, the weight of precision, must be a finite number above 0"),
        ("f_max(b2=1e400)", "b2, the weight of precision, must be a finite number above 0"),
        ("iou@٠.٥", "unknown metric"),
        ("iou@0.5(b2=1)", "unknown metric"),
        ("msiou_adp(levels=1)", "levels, the number of grids, must be at least 2"),
        ("msiou_adp(b2=1)", "unknown metric"),
        ("f_max(levels=5)", "unknown metric"),
        ("overall_iou", "unknown metric"),
        ("overall_e@0.5", "unknown metric"),
        ("overall_iou@0.5(b2=1)", "unknown metric"),
        ("iou@0.5(levels=5)", "unknown metric"),
        ("mae@0.5", r"unknown metric 'mae@0.5' \(did you mean mae"),
        ("s(b2=1)", "unknown metric"),
        ("iou@-1", "a fixed threshold is a value in 0..1"),
        ("f_max(b2=-1)", "b2, the weight of precision, must be a finite number above 0"),
        ("f_max(b3=1)", r"\(did you mean f_max\?\); parameters are written as in iou@0.5"),
        ("f_max(b2=x)", "parameters are written as in"),
        ("iou@", "unknown metric"),
    ],
)
def test_a_name_that_makes_no_sense_is_refused(name, reason):
    with pytest.raises(ValueError, match=reason):
        parse_metric(name)
    # names of stored files are not trusted: they have at least a label
    assert find_metric(name).name == name


def test_the_printed_threshold_selects_the_same_pixels():
    exact = parse_metric(f"iou@{127 / 255!r}")
    assert parse_metric(exact.name).parameters.threshold == 127 / 255
    evaluator = Evaluator("torch")
    evaluator.update(np.array([[0, 127, 127, 255]], np.uint8), np.array([[0, 0, 0, 255]], np.uint8))
    expected = {exact.name: 1, "iou@0.4981": 1, "iou@0.498": 1 / 3}
    metrics = evaluator.compute(metrics=list(expected)).metrics
    assert {name: metrics[name] for name in expected} == pytest.approx(expected)


@pytest.fixture(scope="module")
def drawn():
    rng = np.random.default_rng(3)
    maps = rng.integers(10, 250, (7, 12, 15), dtype=np.uint8)
    maps[0], maps[1, :6] = 130, 128
    masks = (rng.random((7, 12, 15)) > 0.6).astype(np.uint8) * np.uint8(255)
    masks[2] = 0
    evaluators = {}
    for name in PROTOCOLS:
        evaluators[name] = Evaluator(name)
        evaluators[name].update(maps, masks)
    return maps, masks, evaluators


def prepare(map_, preparation):
    low, high = int(map_.min()), int(map_.max())
    if preparation == "maximum":
        return map_ / high
    return (map_ - low) / (high - low) if preparation == "min-max" and high > low else map_ / 255


def quotient(a, b):
    return a / b if b else 0.0


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("threshold", [0.0, 0.5, 128 / 255, 1.0])
def test_a_fixed_threshold_selects_what_is_above_it(drawn, protocol, threshold):
    maps, masks, evaluators = drawn
    names = [f"{name}@{threshold}" for name in ("iou", "dice", "accuracy", "f", "recall")]
    names.append(f"f@{threshold}(b2=1)")
    scores = evaluators[protocol].compute(metrics=names)
    rules = get_protocol(protocol)
    expected = []
    for map_, mask in zip(maps, masks, strict=True):
        selected = prepare(map_, rules.map) > threshold
        inside = mask > 128
        tp, fp, fn = (
            (a & b).sum() for a, b in ((selected, inside), (selected, ~inside), (~selected, inside))
        )
        p, r = quotient(tp, tp + fp), quotient(tp, tp + fn)
        f = [quotient((1 + b) * p * r, b * p + r) for b in (0.3, 1)]
        has_none = rules.empty_masks != "keep" and not inside.any()
        own = np.array([f[0], r, f[1]])
        own[has_none] = np.nan
        row = [
            quotient(tp, tp + fp + fn),
            quotient(2 * tp, 2 * tp + fp + fn),
            np.mean(selected == inside),
        ]
        expected.append([*row, *np.where(has_none, np.nan, own)])
    got = scores.per_image[[parse_metric(name).name for name in names]].to_numpy()
    np.testing.assert_allclose(got, np.array(expected), atol=1e-12)
    means = [scores.metrics[parse_metric(name).name] for name in names]
    np.testing.assert_allclose(means, np.nanmean(expected, axis=0), atol=1e-12)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_the_usual_weight_gives_the_usual_metric(drawn, protocol):
    rules = get_protocol(protocol)
    usual = {name: rules.beta2 for name in WITH_BETA2} | {"wf": rules.weighted_beta2}
    names = [f"{name}(b2={weight})" for name, weight in usual.items()]
    scores = drawn[2][protocol].compute(metrics=names)
    for name, weight in usual.items():
        with_weight = f"{name}(b2={weight:g})"
        assert scores.metrics[with_weight] == scores.metrics[name]
        if name in scores.per_image:
            assert (
                scores.per_image[with_weight].fillna(-1) == scores.per_image[name].fillna(-1)
            ).all()


def test_another_weight_is_that_of_the_definition(drawn):
    evaluator = drawn[2]["salmetric"]
    scores = evaluator.compute(metrics=["f_max(b2=1)", "f_mean_meanpr(b2=2)"])
    p, r = scores.curves["precision"], scores.curves["recall"]
    assert scores.metrics["f_max(b2=1)"] == pytest.approx((2 * p * r / (p + r)).max(), abs=1e-15)
    mean = (3 * p * r / (2 * p + r)).mean()
    assert scores.metrics["f_mean_meanpr(b2=2)"] == pytest.approx(mean, abs=1e-15)
    # what was not asked for is not there
    assert [name for name in scores.metrics if "(" in name] == [
        "f_max(b2=1)",
        "f_mean_meanpr(b2=2)",
    ]


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_bootstrap_resamples_what_is_scored(drawn, protocol):
    names = ("f_mean", "f_max", "e_mean", "iou@0.5", "f_max(b2=1)", "f_mean(b2=1)", "auc_pr", "ece")
    names += ("overall_iou@0.5", "overall_f@0.5(b2=1)")
    evaluator, rules = drawn[2][protocol], get_protocol(protocol)
    scores = evaluator.compute(metrics=names)
    own, curves = needed_columns(names, rules)
    values = per_image_curves(evaluator.counts, rules, curves).curves
    columns = np.concatenate(
        [scores.per_image[list(own)].to_numpy(), *(values[name] for name in curves)], axis=1
    )
    complete = ~np.isnan(columns).any(axis=1)
    statistics = ImageStatistics(columns[complete], names, own, curves, rules)
    if complete.all():
        expected = [scores.metrics[name] for name in names]
    else:
        maps, masks, _ = drawn
        other = Evaluator(protocol)
        other.update(maps[complete], masks[complete])
        expected = [other.compute(metrics=names).metrics[name] for name in names]
    np.testing.assert_allclose(statistics.observed(), expected, atol=1e-12)


@pytest.mark.parametrize("number", [2, 5, 10, 19])
def test_multiscale_iou_takes_any_number_of_grids(number):
    rng = np.random.default_rng(8)
    map_, mask = rng.integers(0, 256, (2, 40, 50), dtype=np.uint8)
    name = f"msiou_adp(levels={number})"
    evaluator = Evaluator("salmetric", pixel_metrics=["msiou_adp"])
    evaluator.update(map_, mask)
    scores = evaluator.compute(metrics=[name])
    expected = multiscale_iou(map_ / 255, mask > 128, number)
    assert scores.metrics[name] == pytest.approx(expected, abs=1e-12)
    assert (scores.metrics[name] == scores.metrics["msiou_adp"]) == (number == 10)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_overall_metrics_are_of_all_pixels_together(drawn, protocol):
    maps, masks, evaluators = drawn
    names = ("overall_iou@0.5", "overall_dice@0.5", "overall_recall@0.3", "overall_f@0.5(b2=1)")
    scores = evaluators[protocol].compute(metrics=names)
    values = np.stack([prepare(map_, get_protocol(protocol).map) for map_ in maps])
    inside = masks > 128

    def count(threshold):
        selected = values > threshold
        return [int(part.sum()) for part in (selected & inside, selected & ~inside, inside)]

    tp, fp, foreground = count(0.5)
    dice = 2 * tp / (tp + fp + foreground)
    other = count(0.3)
    # F with b2 = 1 is Dice
    expected = [tp / (foreground + fp), dice, other[0] / foreground, dice]
    assert [scores.metrics[name] for name in names] == pytest.approx(expected, abs=1e-12)
    assert not any("overall" in name for name in (*scores.per_image, *scores.curves))
    assert {name for name in scores.metrics if "overall" in name} == set(names)


def test_overall_metrics_are_pysodmetrics_without_samples(drawn):
    maps, masks, evaluators = drawn
    binary = {"with_dynamic": False, "with_adaptive": False, "with_binary": True}
    handlers = {
        "overall_iou@0.5": pysodmetrics.IOUHandler(**binary, sample_based=False),
        "overall_f@0.5": pysodmetrics.FmeasureHandler(**binary, beta=0.3, sample_based=False),
        "overall_ber@0.5": pysodmetrics.BERHandler(**binary, sample_based=False),
    }
    recorder = pysodmetrics.FmeasureV2(metric_handlers=handlers)
    for map_, mask in zip(maps, masks, strict=True):
        recorder.step(map_, mask)
    metrics = evaluators["pysodmetrics"].compute(metrics=list(handlers)).metrics
    for name, value in recorder.get_results().items():
        assert metrics[name] == pytest.approx(value["binary"], abs=1e-9)


def test_every_family_has_fixed_thresholds(drawn):
    names = [f"{family}@0.5" for family in THRESHOLD_FAMILIES]
    scores = drawn[2]["pysodmetrics"].compute(metrics=names)
    assert all(0 <= scores.metrics[name] <= 1 or "kappa" in name for name in names)


@pytest.fixture
def folders(tmp_path):
    rng = np.random.default_rng(0)
    for kind in ("maps", "masks"):
        (tmp_path / kind).mkdir()
    for i in range(3):
        mask = np.zeros((20, 24), np.uint8)
        mask[4 : 14 + i, 5:18] = 255
        write_grey(tmp_path / "masks" / f"{i}.png", mask)
        noise = rng.integers(0, 150, mask.shape)
        write_grey(tmp_path / "maps" / f"{i}.png", (mask * 0.4 + noise).astype(np.uint8))
    return tmp_path


def test_the_command_line_prints_stores_and_checks_them_without_reading_images_again(
    folders, capsys
):
    from sodbench.cli import main

    def run(*options):
        status = main(
            [
                "eval",
                f"{folders}/maps",
                f"{folders}/masks",
                "-o",
                f"{folders}/out",
                "--format",
                "json",
                *options,
            ]
        )
        printed = capsys.readouterr()
        return status, json.loads(printed.out), printed.err

    status, content, _ = run("--metrics", "mae", "--jobs", "1")
    assert status == 0
    options = (
        "--metrics",
        "mae,iou@.50",
        "f_max(b2=1)",
        "--show-worst",
        "1",
        "--sort-by",
        "iou@0.5",
    )
    counts = folders / "out" / "maps" / folders.name / "counts.npz"
    before = counts.stat().st_mtime_ns
    _, content, messages = run(*options, "--require", "f_max(b2=1)>0.1")
    assert list(content["results"][0]["metrics"]) == ["mae", "iou@0.5", "f_max(b2=1)"]
    # the stored result is written again, with more metrics, from the counts that were there
    assert "reused" not in messages
    assert counts.stat().st_mtime_ns == before
    assert "iou@0.5" in counts.with_name("scores.csv").read_text()
    _, again, messages = run(*options)
    assert "1 of 1 results are up to date" in messages
    assert again["results"] == content["results"]
    assert run(*options, "--require", "iou@0.5>0.99")[0] == 1
    stored = load_results(folders / "out")[0]
    assert stored.metrics["iou@0.5"] == content["results"][0]["metrics"]["iou@0.5"]
    assert stored.policy.metrics == ("f_max(b2=1)", "iou@0.5")
    assert stored.counts is not None  # the stored numbers follow from the counts
    assert "iou@0.5" in stored.rescored("pysodmetrics").metrics


def test_every_wrong_name_is_reported_at_once(folders, capsys):
    from sodbench.cli import main

    command = ["eval", f"{folders}/maps", f"{folders}/masks", "--metrics", "iou@128", "hcee", "mae"]
    assert main(command) == 2
    message = capsys.readouterr().err
    assert (
        "grey level 128 is iou@0.502; unknown metric 'hcee' (did you mean hce?); 'sodbench eval"
        in message
    )


def test_python_takes_the_same_names(folders):
    result = evaluate(folders / "maps", folders / "masks", metrics=["iou@0.5", "mae"])
    assert result.policy.metrics == ("iou@0.5",)
    assert 0 < result.metrics["iou@0.5"] < 1
    with pytest.raises(SodbenchError, match=r"iou@2: a fixed threshold is a value in 0\.\.1"):
        evaluate(folders / "maps", folders / "masks", metrics=["iou@2"])
