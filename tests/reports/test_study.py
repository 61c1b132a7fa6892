"""What a report states, checked against the metrics themselves."""

import numpy as np
import pytest
from synthetic import synthetic

from sodbench.errors import SodbenchError
from sodbench.reports.statistics import weighted_means
from sodbench.reports.study import statistics, study

MEASURES = [
    "mae", "f_max", "f_mean", "f_adp", "f_max_meanf", "f_max_meanpr", "f_max_best", "precision", "recall",
    "threshold", "s", "e_max", "e_mean", "wf", "iou_max", "dice_mean", "ber_adp", "auc_pr", "auc_roc",
]  # fmt: skip


@pytest.mark.parametrize("protocol", ["salmetric", "pysodmetrics", "matlab"])
def test_statistics_give_back_every_aggregate(protocol):
    result = synthetic("m", "SOD", protocol=protocol, images=30)
    found = statistics(result, result.counts, MEASURES)
    even = np.full((1, result.n), 1 / result.n)
    again = found.aggregate(weighted_means(even, found.columns))[0]
    expected = [result.metrics[name] for name in MEASURES]
    assert again == pytest.approx(expected, abs=1e-12)


def test_a_resample_is_the_score_of_the_images_drawn():
    """The bootstrap's shortcut (means under weights) against scoring the drawn images again."""
    from sodbench.metrics import Counts, score

    result = synthetic("m", "SOD", images=9)
    drawn = np.array([0, 0, 3, 3, 3, 5, 7, 8, 8])
    counts = Counts.concatenate([result.counts[[i]] for i in drawn])
    expected = score(counts, "salmetric", [str(i) for i in range(9)]).metrics
    found = statistics(result, result.counts, MEASURES)
    weights = np.bincount(drawn, minlength=9)[None] / 9
    again = found.aggregate(weighted_means(weights, found.columns))[0]
    assert again == pytest.approx([expected[n] for n in MEASURES], abs=1e-12)


def three(**options):
    noises = {"good": 0.1, "fair": 0.5, "poor": 0.9}
    return [synthetic(m, "SOD", noise=n, images=20, **options) for m, n in noises.items()]


def test_intervals_hold_their_value_and_comparisons_find_the_better_method():
    found = study(three(), resamples=300)
    for interval in found.intervals.values():
        assert interval.low <= interval.value <= interval.high
    assert found.beaten()["good", "SOD", "f_max"] == ["fair", "poor"]
    assert ("poor", "SOD", "mae") not in found.beaten()
    assert ("poor", "SOD", "mae") in found.differing_from("good")
    for c in found.comparisons:
        assert c.wins + c.ties + c.losses == c.images == 20
        assert c.low <= c.difference <= c.high


def test_the_same_seed_gives_the_same_study_and_a_further_set_changes_nothing():
    alone = study(three(), resamples=100)
    more = study([*three(), synthetic("good", "ECSSD")], resamples=100)
    assert alone.intervals == {k: v for k, v in more.intervals.items() if k[1] == "SOD"}
    assert alone.intervals != study(three(), resamples=100, seed=1).intervals
    assert more.datasets == ("ECSSD", "SOD")  # the standard order


def test_methods_on_different_images_are_compared_on_the_common_ones():
    short = synthetic("short", "SOD", noise=0.1, images=20, missing=3)
    found = study([*three(), short], resamples=100)
    assert {c.images for c in found.comparisons} == {17}
    assert "17 images that all of them have" in found.notes[0]
    assert (
        found.intervals["good", "SOD", "mae"].value == found.results["good", "SOD"].metrics["mae"]
    )


def test_different_protocols_are_shown_but_not_compared():
    results = [
        synthetic("a", "SOD"),
        synthetic("a", "SOD", protocol="matlab"),
        synthetic("b", "SOD"),
    ]
    found = study(results, resamples=100)
    assert found.methods == ("a (salmetric)", "a (matlab)", "b")
    assert {(c.first, c.second) for c in found.comparisons} == {("a (salmetric)", "b")}


def test_size_groups_split_the_images_and_score_them():
    found = study(three(), resamples=100)
    assert sum(found.size_counts["SOD"]) == 20
    groups = found.sizes["good", "SOD"]
    for group, count in zip(groups, found.size_counts["SOD"], strict=True):
        assert (group is None) == (count == 0)
    # one group holding every image has the whole set's score
    small = study([synthetic("one", "SOD", images=3)], resamples=100)
    whole = [
        g
        for g, n in zip(small.sizes["one", "SOD"], small.size_counts["SOD"], strict=True)
        if n == 3
    ]
    for group in whole:
        assert group.value == pytest.approx(small.results["one", "SOD"].metrics["f_max"])


def test_max_f_under_each_protocol_is_that_of_the_result_rescored():
    result = synthetic("m", "SOD", images=15)
    found = study([result], resamples=100).by_protocol["m", "SOD"]
    assert found == pytest.approx(
        {p: result.rescored(p).metrics["f_max"] for p in ("salmetric", "pysodmetrics", "matlab")},
        abs=1e-12,
    )


def test_unknown_names_and_double_results_are_refused():
    with pytest.raises(SodbenchError, match="no result of the method nobody; there are: good"):
        study(three(), methods=["nobody"])
    with pytest.raises(SodbenchError, match="no result of the data set ECSSD"):
        study(three(), datasets=["ECSSD"])
    with pytest.raises(SodbenchError, match="two results of good on SOD under salmetric"):
        study([three()[0], three()[0]])


def test_one_method_on_one_set_needs_no_comparison():
    found = study([synthetic("only", "SOD")], resamples=100)
    assert found.comparisons == () and found.critical_differences() == {}
