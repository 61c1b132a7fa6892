"""Metrics and protocols of the user's own: registered once, they are computed, stored and printed like the others."""

import json
from dataclasses import replace

import numpy as np
import pytest

from sodbench.cli import main
from sodbench.images import write_grey
from sodbench.metrics import (
    PROTOCOLS,
    CountingRule,
    Evaluator,
    catalogue,
    register_metric,
    register_protocol,
    register_threshold_family,
    registration,
)
from sodbench.metrics.catalogue import Metric, ThresholdFamily


@pytest.fixture(autouse=True)
def registry():
    """Forget afterwards what a test registers."""
    registered = (
        catalogue.METRICS,
        catalogue.THRESHOLD_FAMILIES,
        registration._formulas,
        registration._pixel_functions,
        PROTOCOLS,
    )
    before = [dict(entries) for entries in registered]
    yield
    for entries, original in zip(registered, before, strict=True):
        entries.clear()
        entries.update(original)


def mean_level(values, foreground):
    return values[foreground].mean()


def jaccard(tp, fp, positives, negatives):
    return tp / np.maximum(positives + fp, 1)


LEVEL = Metric("mean_level", "mean level", "higher", "mean value inside the mask")
JACCARD = ThresholdFamily("jaccard", "Jaccard", "Jaccard index")


def pair(seed=0):
    rng = np.random.default_rng(seed)
    mask = np.where(rng.random((24, 31)) < 0.3, 255, 0).astype(np.uint8)
    return rng.integers(0, 256, mask.shape, dtype=np.uint8), mask


@pytest.mark.parametrize("protocol", list(PROTOCOLS))
def test_a_registered_metric_of_binarised_maps_has_all_forms_and_a_curve(protocol):
    register_threshold_family(JACCARD, jaccard)
    evaluator = Evaluator(protocol)
    evaluator.update(*pair())
    scores = evaluator.compute()
    assert np.array_equal(scores.curves["jaccard"], scores.curves["iou"])
    for form in ("adp", "max", "mean"):
        assert scores.metrics[f"jaccard_{form}"] == scores.metrics[f"iou_{form}"]
    assert set(scores.metrics) == set(catalogue.aggregate_names())
    assert set(scores.per_image.columns) == set(catalogue.per_image_names())


def test_a_registered_metric_that_needs_pixels_is_computed_for_every_pair():
    register_metric(LEVEL, mean_level)
    map_, mask = pair()
    evaluator = Evaluator()
    evaluator.update(map_, mask)
    level = evaluator.compute().metrics["mean_level"]
    assert level == pytest.approx(map_[mask > 0].mean() / 255, abs=1e-12)
    stretched = (map_[mask > 0] - map_.min()) / (map_.max() - map_.min())
    assert evaluator.compute("pysodmetrics").metrics["mean_level"] == pytest.approx(
        stretched.mean(), abs=1e-12
    )


@pytest.fixture
def folders(tmp_path):
    for seed in range(2):
        map_, mask = pair(seed)
        write_grey(tmp_path / "maps" / f"{seed}.png", map_)
        mask[:3] = 60  # foreground or not, as the protocol says
        write_grey(tmp_path / "gt" / f"{seed}.png", mask)
    return [str(tmp_path / "maps"), str(tmp_path / "gt"), "--jobs", "1"]


@pytest.mark.usefixtures("one_figure_format")
def test_a_registered_metric_reaches_the_command_line(folders, tmp_path, capsys):
    register_threshold_family(JACCARD, jaccard)
    names = "jaccard_max,iou_max,jaccard_adp"
    options = ["--format", "json", "--metrics", names, "-o", str(tmp_path / "out")]
    assert main(["eval", *folders, *options]) == 0
    metrics = json.loads(capsys.readouterr().out)["results"][0]["metrics"]
    assert metrics["jaccard_max"] == metrics["iou_max"]
    assert main(["eval", *folders, "--metrics", "jaccard_max"]) == 0
    assert "jaccard_max" in capsys.readouterr().out
    assert main(["eval", "--metrics", "help"]) == 0
    assert "max Jaccard" in capsys.readouterr().out
    assert (
        main(["report", str(tmp_path / "out"), "--metrics", names, "-o", str(tmp_path / "r.md")])
        == 0
    )
    assert "max Jaccard" in (tmp_path / "r.md").read_text()


def test_a_registered_metric_that_needs_pixels_reaches_the_command_line(folders, tmp_path, capsys):
    register_metric(LEVEL, mean_level)
    options = ["--metrics", "mean_level,wf", "--format", "json", "-o", str(tmp_path / "out")]
    for _ in range(2):  # counted, then read from the stored counts
        assert main(["eval", *folders, *options]) == 0
        (result,) = json.loads(capsys.readouterr().out)["results"]
        evaluator = Evaluator()
        for seed in range(2):
            map_, mask = pair(seed)
            mask[:3] = 60
            evaluator.update(map_, mask, str(seed))
        expected = evaluator.compute().metrics["mean_level"]
        assert result["metrics"]["mean_level"] == pytest.approx(expected, abs=1e-12)


def test_a_registered_protocol_reaches_the_command_line(folders, capsys):
    rule = CountingRule(50, "half-even")
    register_protocol(replace(PROTOCOLS["pysodmetrics"], name="half", rule=rule))
    assert main(["eval", *folders, "--protocol", "half", "--format", "json"]) == 0
    (result,) = json.loads(capsys.readouterr().out)["results"]
    assert result["protocol"] == "half" and "gt:>50" in result["signature"]
    evaluator = Evaluator("half")
    for seed in range(2):
        map_, mask = pair(seed)
        mask[:3] = 60
        evaluator.update(map_, mask, str(seed))
    for name, value in evaluator.compute().metrics.items():
        if name in result["metrics"]:
            assert result["metrics"][name] == pytest.approx(value, abs=1e-12), name


@pytest.mark.parametrize("name", ["mae", "Mean level", "", "a-b"])
def test_a_name_that_is_taken_or_unusable_is_refused(name):
    with pytest.raises(ValueError, match="metric"):
        register_metric(replace(LEVEL, name=name), mean_level)


def test_a_curve_that_exists_is_refused():
    with pytest.raises(ValueError, match="curve named 'tpr'"):
        register_threshold_family(replace(JACCARD, name="tpr"), jaccard)


@pytest.mark.parametrize("name", ["salmetric", "all", "", "a|b"])
def test_a_protocol_with_an_unusable_name_is_refused(name):
    own = replace(PROTOCOLS["salmetric"], name=name, title="own")
    with pytest.raises(ValueError, match="protocol"):
        register_protocol(own)


def test_a_protocol_may_be_registered_again():
    register_protocol(PROTOCOLS["matlab"])
    assert list(PROTOCOLS) == ["salmetric", "pysodmetrics", "matlab", "codtoolbox", "torch"]


def test_only_metrics_that_need_pixels_are_asked_for():
    with pytest.raises(ValueError, match="'mae' is not a metric that needs pixels; these are wf"):
        Evaluator(pixel_metrics=["mae"])
