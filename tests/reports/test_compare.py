"""The paired comparison of two results."""

import json

import numpy as np
import pytest
from synthetic import synthetic

from sodbench import evaluate
from sodbench.errors import SodbenchError
from sodbench.metrics.statistics.significance import holm
from sodbench.reports.compare import compare, format_comparison


def test_numbers_are_those_of_the_results_and_the_better_one_wins():
    one, two = synthetic("A_1", "SOD", noise=0.1), synthetic("B", "SOD", noise=0.7)
    comparison = compare([one], [two], resamples=400)
    assert comparison.first == "A_1" and len(comparison.comparisons) == 5
    for d in comparison.comparisons:
        assert d.first_value == pytest.approx(one.metrics[d.metric])
        assert d.second_value == pytest.approx(two.metrics[d.metric])
        assert d.low <= d.difference <= d.high
        assert d.p < 0.01 and d.p <= d.p_holm
        assert d.wins == d.images == 12
    assert comparison == compare([one], [two], resamples=400)


def test_a_method_is_not_better_than_itself():
    one = synthetic("A", "SOD")
    comparison = compare([one], [one], resamples=200)
    assert {d.p for d in comparison.comparisons} == {1.0}
    assert {(d.wins, d.ties, d.losses) for d in comparison.comparisons} == {(0, 12, 0)}
    assert comparison.first == "A (first)"


def test_prints_in_every_format():
    comparison = compare(
        [synthetic("A_1", "SOD")], [synthetic("B", "SOD", noise=0.5)], resamples=100
    )
    assert "SOD MAE ↓" in format_comparison(comparison, "table")
    assert "| A\\_1" in format_comparison(comparison, "markdown")
    assert format_comparison(comparison, "csv").startswith(
        "first,second,dataset,metric,images,a,b,low,high,p,"
    )
    assert json.loads(format_comparison(comparison, "json"))["comparisons"][0]["metric"] == "mae"


def test_both_tests_are_corrected_and_named():
    comparison = compare([synthetic("A", "own", noise=0.3)], [synthetic("B", "own", noise=0.33)])
    raw = np.array([d.p_wilcoxon for d in comparison.comparisons])
    assert [d.p_wilcoxon_holm for d in comparison.comparisons] == pytest.approx(holm(raw))
    assert (holm(raw) > raw).any()
    text = format_comparison(comparison, "table")
    assert "bootstrap p (Holm)" in text and "Wilcoxon p (Holm)" in text
    assert (
        "the intervals are not corrected" in text and "own (12 images): with fewer than 50" in text
    )


def test_a_comparison_prints_itself_and_reads_folders(tmp_path):
    pair = []
    for method, noise in (("A", 0.2), ("B", 0.6)):
        synthetic(method, "own", noise=noise, folder=tmp_path)
        maps, output = tmp_path / "maps" / method, tmp_path / method
        pair.append(
            evaluate(maps, tmp_path / "masks", name=method, dataset_name="own", output=output)
        )
    comparison = compare(tmp_path / "A", str(tmp_path / "B"), metrics=["mae"], resamples=100)
    assert comparison == compare(*pair, metrics=["mae"], resamples=100)
    lines = repr(comparison).splitlines()
    assert lines[0] == "PairedComparison: A against B" and lines[1].startswith("  own mae: 0.")
    assert str(comparison) == format_comparison(comparison, "table")


def test_few_images_have_no_interval_and_no_test():
    comparison = compare(
        [synthetic("A", "own", images=9)], [synthetic("B", "own", images=9, noise=0.9)]
    )
    for d in comparison.comparisons:
        assert np.isnan([d.low, d.high, d.p, d.p_holm, d.p_wilcoxon, d.p_wilcoxon_holm]).all()
    assert "own (9 images): too few images (below 10)" in comparison.remarks[0]


def test_a_difference_of_zero_has_no_sign():
    one = synthetic("A", "SOD")
    assert "-0.0000" not in (
        text := format_comparison(compare([one], [one], resamples=100), "table")
    )
    assert "+0.0000" not in text


def test_different_images_and_signatures_are_named():
    comparison = compare([synthetic("A", "SOD")], [synthetic("B", "SOD", missing=2)], resamples=100)
    assert {d.images for d in comparison.comparisons} == {10}
    assert "A has 12 images, B has 10; compared on the 10 that both have" in comparison.remarks[0]
    assert "signatures differ" in comparison.remarks[1]


def test_different_masks_under_the_same_names_are_named():
    comparison = compare([synthetic("A", "own")], [synthetic("B", "own", seed=1)], resamples=100)
    assert "own: 12 of 12 images were scored against different masks" in comparison.remarks[0]


def test_results_that_cannot_be_compared_are_refused():
    a, b = synthetic("A", "SOD"), synthetic("B", "ECSSD")
    with pytest.raises(SodbenchError, match="no common result on any dataset; A has SOD; B has"):
        compare([a], [b])
    with pytest.raises(SodbenchError, match="one side of a comparison is one method"):
        compare([a, b], [a])
    with pytest.raises(SodbenchError, match="scored under salmetric, B under matlab"):
        compare([a], [synthetic("B", "SOD", protocol="matlab")])


def test_a_metric_without_a_direction_is_refused_and_never_dropped():
    pair = [synthetic("A", "own")], [synthetic("B", "own", noise=0.9)]
    for metrics in (["threshold"], ["mae", "ber_max"]):
        with pytest.raises(SodbenchError, match=f"--metrics {metrics[-1]}: no method is better"):
            compare(*pair, metrics=metrics, resamples=100)


def test_metrics_that_single_images_lack_count_no_images():
    pair = [synthetic("A", "own")], [synthetic("B", "own", noise=0.9)]
    comparison = compare(*pair, metrics=["auc_roc", "mae"], resamples=100)
    text = format_comparison(comparison, "table")
    assert "0 / 0 / 0" not in text and "12 / 0 / 0" in text
