"""The numbers of a report, checked against the metrics themselves."""

import dataclasses
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from synthetic import synthetic

from sodbench.datasets.attributes import SIZE_GROUPS
from sodbench.errors import SodbenchError
from sodbench.metrics import PROTOCOLS, Counts, PreparedMask, catalogue, count_pair, score
from sodbench.metrics.statistics.bootstrap import dataset_seed, draw_resamples, resampled_sums
from sodbench.metrics.statistics.significance import MIN_IMAGES, holm, p_ranges
from sodbench.reports.analysis import analyse
from sodbench.reports.compare import compare
from sodbench.reports.result_statistics import f_max_under_each_protocol, image_statistics
from sodbench.results.pair_table import PairTable

METRIC_NAMES = [
    "mae", "f_max", "f_mean", "f_adp", "f_max_meanf", "f_max_meanpr", "f_max_best", "precision", "recall",
    "threshold", "s", "e_max", "e_mean", "wf", "iou_max", "dice_mean", "ber_adp", "auc_pr", "auc_roc",
]  # fmt: skip


def statistics(result, counts, names):
    """Those of all images in the table's order."""
    return image_statistics(result, counts, names, np.arange(len(counts)))


@pytest.mark.parametrize("protocol", ["salmetric", "pysodmetrics", "matlab"])
def test_statistics_give_back_every_aggregate(protocol):
    result = synthetic("m", "SOD", protocol=protocol, images=30)
    own = statistics(result, result.counts, METRIC_NAMES)
    expected = [result.metrics[name] for name in METRIC_NAMES]
    assert own.observed() == pytest.approx(expected, abs=1e-12)


@pytest.fixture
def with_black_constant_empty_and_full(data):
    """Counts of the cases of metrics_public.npz whose S is defined, but for those of a few pixels."""
    cases = [i for i in range(26) if i not in (12, 13, 14, 16, 17)]
    with np.load(data / "metrics_public.npz") as archive:
        return Counts.concatenate(
            count_pair(archive[f"pred_{i:03d}"], PreparedMask(archive[f"gt_{i:03d}"])).counts
            for i in cases
        )


@pytest.mark.parametrize("protocol", [n for n, p in PROTOCOLS.items() if not p.on_request])
def test_statistics_leave_out_what_the_scores_leave_out(
    with_black_constant_empty_and_full, protocol
):
    counts = with_black_constant_empty_and_full
    scores = score(counts, protocol, [f"{i:03d}" for i in range(len(counts))])
    assert bool(scores.left_out) == (protocol == "matlab")
    result = replace(
        synthetic("m", "SOD", protocol=protocol, images=2),
        metrics=scores.metrics,
        in_memory=(PairTable(scores.stems, {}, scores.image_values), None),
    )
    own = statistics(result, counts, catalogue.aggregate_names())
    expected = [scores.metrics[name] for name in catalogue.aggregate_names()]
    assert own.observed() == pytest.approx(expected, abs=1e-12)
    for name, value in scores.metrics.items():  # each alone, as from the fewest curves
        assert statistics(result, counts, [name]).observed()[0] == pytest.approx(value, abs=1e-12)


def test_max_f_under_each_protocol_is_what_each_of_them_scores(with_black_constant_empty_and_full):
    counts = with_black_constant_empty_and_full
    stems = [f"{i:03d}" for i in range(len(counts))]
    scores = {
        name: score(counts, name, stems).metrics
        for name, p in PROTOCOLS.items()
        if not p.on_request
    }
    result = replace(synthetic("m", "SOD", images=2), metrics=scores["salmetric"])
    f_max = f_max_under_each_protocol(result, counts)
    assert f_max == pytest.approx({n: m["f_max"] for n, m in scores.items()}, abs=1e-12)


def test_a_resample_is_the_score_of_the_images_drawn():
    """The bootstrap's shortcut (means under weights) against scoring the drawn images again."""
    result = synthetic("m", "SOD", images=9)
    drawn = np.array([0, 0, 3, 3, 3, 5, 7, 8, 8])
    counts = Counts.concatenate([result.counts[[i]] for i in drawn])
    expected = score(counts, "salmetric", [str(i) for i in range(9)]).metrics
    own = statistics(result, result.counts, METRIC_NAMES)
    draws = np.bincount(drawn, minlength=9)[None].astype(np.uint8)
    again = own.aggregate(resampled_sums(draws, own.columns).means)[0]
    assert again == pytest.approx([expected[n] for n in METRIC_NAMES], abs=1e-12)


def three(**options):
    noises = {"good": 0.1, "fair": 0.5, "poor": 0.9}
    return [synthetic(m, "SOD", noise=n, images=20, **options) for m, n in noises.items()]


def test_intervals_hold_their_value_and_comparisons_find_the_better_method():
    analysis = analyse(three(), resamples=300)
    for interval in analysis.intervals.values():
        assert interval.low <= interval.value <= interval.high
    assert analysis.wins_over()["good", "SOD", "f_max"] == ["fair", "poor"]
    assert ("poor", "SOD", "mae") not in analysis.wins_over()
    assert ("poor", "SOD", "mae") in analysis.differing_from("good")
    for c in analysis.comparisons:
        assert c.wins + c.ties + c.losses == c.images == 20
        assert c.low <= c.difference <= c.high


def test_the_same_seed_gives_the_same_numbers_and_another_dataset_changes_nothing():
    alone = analyse(three(), resamples=100)
    more = analyse([*three(), synthetic("good", "ECSSD")], resamples=100)
    assert alone.intervals == {k: v for k, v in more.intervals.items() if k[1] == "SOD"}
    assert alone.intervals != analyse(three(), resamples=100, seed=1).intervals
    assert more.datasets == ("ECSSD", "SOD")  # the standard order


def test_a_method_on_other_images_is_not_compared():
    short = synthetic("short", "SOD", noise=0.1, images=20, missing=3)
    analysis = analyse([*three(), short], resamples=100)
    assert {c.images for c in analysis.comparisons} == {20}
    assert "short" not in {m for c in analysis.comparisons for m in (c.first, c.second)}
    assert analysis.comparable.reasons["short", "SOD"] == (
        "n:17 instead of n:20; missing:skip(3) instead of missing:error"
    )
    assert analysis.ranking.methods == ("good", "fair", "poor")
    assert np.isfinite(analysis.intervals["short", "SOD", "mae"].low)


def test_a_method_scored_on_other_masks_of_the_same_names_is_not_compared():
    other = synthetic("other", "SOD", noise=0.1, images=20, seed=1)
    assert list(other.table.index) == list(three()[0].table.index)
    analysis = analyse([*three(), other], resamples=100)
    assert analysis.comparable.reasons == {("other", "SOD"): "scored on other images or masks"}
    assert analysis.comparable.compared["SOD"] == ("good", "fair", "poor")


@pytest.mark.parametrize(("images", "intervals", "note"), [(9, False, "too few"), (10, True, "too narrow"),
                                                           (49, True, "too narrow"), (50, True, "")])  # fmt: skip
def test_few_images_have_no_intervals_and_no_tests_and_some_more_have_a_warning(
    images, intervals, note
):
    results = [synthetic(m, "own", noise=n, images=images) for m, n in (("a", 0.1), ("b", 0.9))]
    analysis = analyse(results, resamples=100)
    assert np.isfinite(analysis.intervals["a", "own", "f_max"].low) == intervals
    assert bool(analysis.comparisons) == intervals
    assert note in "".join(analysis.notes) and bool(analysis.notes) == bool(note)


def test_stored_files_that_do_not_belong_together_are_refused():
    result = synthetic("m", "SOD", images=12)
    fewer = result.stored_pairs().read(np.arange(11))
    broken = dataclasses.replace(
        result, in_memory=(result.pair_table, fewer), folder=Path("results/m")
    )
    with pytest.raises(
        SodbenchError, match=r"results/m: scores.csv has 12 rows, counts.npz has 11"
    ):
        analyse([broken], resamples=100)
    with pytest.raises(
        SodbenchError, match=r"results/m: scores.csv has 12 rows, counts.npz has 11"
    ):
        compare([broken], [synthetic("n", "SOD", images=12)], resamples=100)


def test_a_decision_that_another_seed_would_change_is_undecided():
    """Two methods whose p is close to .05: whatever the seed, none of the decided ones contradict each other."""
    results = [
        synthetic("a", "own", noise=0.5, images=40),
        synthetic("b", "own", noise=0.515, images=40),
    ]
    decisions: dict[str, set[str]] = {}
    undecided = 0
    for seed in range(40):
        for c in analyse(results, resamples=100, seed=seed).comparisons:
            undecided += c.undecided
            assert not (c.undecided and c.winner)
            if not c.undecided:
                decisions.setdefault(c.metric, set()).add(c.winner)
    assert undecided
    assert all(len(rules) == 1 for rules in decisions.values()), decisions


def test_different_protocols_are_shown_but_not_compared():
    results = [
        synthetic("a", "SOD"),
        synthetic("a", "SOD", protocol="matlab"),
        synthetic("b", "SOD"),
    ]
    analysis = analyse(results, resamples=100)
    assert analysis.methods == ("a (salmetric)", "a (matlab)", "b")
    assert {(c.first, c.second) for c in analysis.comparisons} == {("a (salmetric)", "b")}


def test_groups_of_images_are_scored_like_datasets():
    """By hand: score the images of each group again; and groups drawn apart add up to the whole set's intervals."""
    from sodbench.metrics import score

    result = synthetic("m", "SOD", images=40, noise=0.5)
    share = result.counts.histogram[:, :, 1].sum(axis=(1, 2)) / result.counts.size.prod(axis=1)
    parity = pd.Categorical(["odd", "even"] * 19 + [None] * 2, ["even", "odd", "never"])
    attributes = {"SOD": pd.DataFrame({"parity": parity}, index=result.table.index)}
    analysis = analyse([result], attributes=attributes, resamples=200)
    size, other = (b for b in analysis.breakdowns if b.metric.name == "f_max")
    assert (size.attribute, size.groups) == ("object size", SIZE_GROUPS)
    assert (other.attribute, other.groups) == ("parity", ("even", "odd", "never"))
    assert other.images["SOD"] == (19, 19, 0) and other.values["m", "SOD"][2] is None
    members = [share <= 0.1, (share > 0.1) & (share <= 0.3), share > 0.3]
    assert size.images["SOD"] == tuple(m.sum() for m in members)
    members = {"object size": members, "parity": [parity == "even", parity == "odd"]}
    assert len(analysis.breakdowns) == 2 * len(analysis.metrics) == 10
    for breakdown in analysis.breakdowns:
        intervals = breakdown.values["m", "SOD"]
        for images, interval in zip(members[breakdown.attribute], intervals, strict=False):
            if images.any():
                rows = np.flatnonzero(images)
                alone = score(result.counts[rows], "salmetric", [str(i) for i in rows]).metrics
                assert interval.value == pytest.approx(alone[breakdown.metric.name], abs=1e-12)
                assert np.isnan(interval.low) == (len(rows) < MIN_IMAGES)
                if len(rows) >= MIN_IMAGES:
                    assert interval.low <= interval.value <= interval.high
    plain = statistics(result, result.counts, ["f_max"]).distribution(
        list(draw_resamples(40, 200, dataset_seed("SOD", 0)))
    )
    whole = analysis.intervals["m", "SOD", "f_max"]
    assert np.quantile(plain, [0.025, 0.975]) == pytest.approx([whole.low, whole.high], abs=1e-6)


def test_max_f_under_each_protocol_is_that_of_the_result_rescored():
    result = synthetic("m", "SOD", images=15)
    f_max = analyse([result], resamples=100).by_protocol["m", "SOD"]
    assert f_max == pytest.approx(
        {p: result.rescored(p).metrics["f_max"] for p in result.protocols},
        abs=1e-12,
    )


def test_unknown_names_and_duplicate_results_are_refused():
    with pytest.raises(SodbenchError, match="no result of the method nobody; there are: good"):
        analyse(three(), methods=["nobody"])
    with pytest.raises(SodbenchError, match="no result of the dataset ECSSD"):
        analyse(three(), datasets=["ECSSD"])
    with pytest.raises(SodbenchError, match="two results of good on SOD under salmetric"):
        analyse([three()[0], three()[0]])


def test_one_method_on_one_dataset_needs_no_comparison():
    analysis = analyse([synthetic("only", "SOD")], resamples=100)
    assert analysis.comparisons == () and analysis.critical_differences() == {}


def test_report_and_compare_make_the_same_tests():
    """One pair in both: the same p-values, intervals and images; only the corrections are over other families."""
    results = [
        synthetic("a", "own", noise=0.5, images=40),
        synthetic("b", "own", noise=0.53, images=40),
    ]
    report = analyse(results, resamples=500).comparisons
    alone = compare(*results, resamples=500).comparisons
    assert [c.metric for c in report] == [c.metric for c in alone] and len(report) == 5
    for one, other in zip(report, alone, strict=True):
        for name in ("first_value", "second_value", "difference", "low", "high", "p", "p_wilcoxon"):
            assert getattr(one, name) == pytest.approx(getattr(other, name), abs=2e-6), name
        assert (one.wins, one.ties, one.losses) == (other.wins, other.ties, other.losses)
        assert one.p_holm == one.p and other.p_holm >= other.p


def test_methods_are_tested_within_each_group_of_images():
    good, bad = (
        synthetic("good", "SOD", noise=0.1, images=40),
        synthetic("bad", "SOD", noise=0.9, images=40),
    )
    half = ["one" if i < 20 else "few" if i < 25 else "two" for i in range(40)]
    groups = pd.DataFrame({"half": pd.Categorical(half)}, index=good.table.index)
    analysis = analyse([good, bad], attributes={"SOD": groups}, resamples=200)
    own = [b for b in analysis.breakdowns if b.attribute == "half"]
    assert [b.metric for b in own] == list(analysis.metrics)
    for breakdown in own:
        assert breakdown.wins == {("good", "SOD", group): ("bad",) for group in ("one", "two")}
    same = analyse(
        [good, synthetic("also", "SOD", noise=0.1, images=40)],
        attributes={"SOD": groups},
        resamples=200,
    )
    assert not any(b.wins for b in same.breakdowns if b.attribute == "half")


def test_tests_within_groups_are_corrected_over_all_groups_and_metrics_of_the_attribute():
    """By hand: the p of every pair, group and metric in one family."""
    results = [
        synthetic(m, "own", noise=n, images=60) for m, n in (("a", 0.5), ("b", 0.52), ("c", 0.54))
    ]
    attribute = pd.Categorical(["one", "two"] * 30)
    frame = pd.DataFrame({"half": attribute}, index=results[0].table.index)
    analysis = analyse(results, attributes={"own": frame}, resamples=300)
    draws = list(draw_resamples(60, 300, dataset_seed("own", 0)))
    names = [m.name for m in analysis.metrics]
    family = {}
    for group in ("one", "two"):
        rows = np.flatnonzero(attribute == group)
        drawn = [d[:, rows] for d in draws]
        parts = {r.method: statistics(r, r.counts, names).select(rows) for r in results}
        for first, second in (("a", "b"), ("a", "c"), ("b", "c")):
            observed = parts[first].observed() - parts[second].observed()
            resampled = parts[first].distribution(drawn) - parts[second].distribution(drawn)
            p = p_ranges(observed, resampled.T, len(rows))[0]
            family |= {(group, first, second, n): v for n, v in zip(names, p, strict=True)}
    p_holm = dict(zip(family, holm(np.array(list(family.values()))), strict=True))
    undecided = {k for k, p in p_holm.items() if 0.04 < p < 0.06}
    expected = {k for k, p in p_holm.items() if p < 0.05} - undecided
    wins = {
        (group, *sorted((winner, loser)), b.metric.name)
        for b in analysis.breakdowns
        for (winner, _, group), losers in b.wins.items()
        for loser in losers
        if b.attribute == "half"
    }
    assert wins - undecided == expected and expected
    # a correction column by column would find more
    alone = {n: [k for k in family if k[0] == "one" and k[3] == n] for n in names}
    by_column = {
        k
        for keys in alone.values()
        for k, p in zip(keys, holm(np.array([family[k] for k in keys])), strict=True)
        if p < 0.05
    }
    assert by_column - expected
