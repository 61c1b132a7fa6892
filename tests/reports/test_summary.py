"""The first lines of a report: the headline and the alerts."""

from synthetic import synthetic

from sodbench.errors import Problem
from sodbench.reports.analysis import analyse
from sodbench.reports.summary import find_alerts, write_headline


def test_the_headline_names_the_leader_its_lead_and_the_exceptions():
    results = [
        synthetic("good", "own", noise=0.1, images=30),
        synthetic("bad", "own", noise=0.9, images=30),
    ]
    analysis = analyse(results, resamples=200)
    text = write_headline(analysis)
    assert text.startswith("good leads in 5 of 5 metrics on own. Max F: good over bad by 0.")
    (c,) = (c for c in analysis.comparisons if c.metric == "f_max")
    assert f"[{c.low:.3f}, {c.high:.3f}]" in text and "p < 0.001" in text


def test_over_several_datasets_it_counts_columns_and_significant_leads():
    results = [
        synthetic(m, d, noise=n, images=20)
        for d in ("A", "B")
        for m, n in (("good", 0.1), ("bad", 0.9))
    ]
    text = write_headline(analyse(results, resamples=200))
    assert text.startswith("good is best in 10 of 10 columns (2 datasets, 5 metrics).")
    assert "first on 2 of 2 datasets, on 2 of them significantly better" in text


def test_datasets_with_different_methods_are_described_by_themselves():
    results = [
        synthetic(m, d, noise=n, images=20)
        for d, methods in (("A", ("good", "bad")), ("B", ("fine", "poor")))
        for m, n in zip(methods, (0.1, 0.9), strict=True)
    ]
    text = write_headline(analyse(results, resamples=200))
    assert text.startswith("good leads in 5 of 5 metrics on A. Max F: good over bad by 0.")
    assert "fine leads in 5 of 5 metrics on B. Max F: fine over poor by 0." in text
    assert "of 10" not in text and "of 2 datasets" not in text


def test_many_groups_of_methods_are_left_to_the_table():
    results = [
        synthetic(m + d, d, noise=n, images=12)
        for d in "ABCD"
        for m, n in (("good", 0.1), ("bad", 0.9))
    ]
    text = write_headline(analyse(results, resamples=100))
    assert text.startswith("The datasets have results of different methods")


def test_methods_that_lead_equally_often_are_all_named():
    results = [
        synthetic(m, d, noise=n, images=20)
        for d, noises in (("A", (0.1, 0.9)), ("B", (0.9, 0.1)))
        for m, n in zip(("one", "two"), noises, strict=True)
    ]
    text = write_headline(analyse(results, resamples=200))
    assert text.startswith("one and two are each best in 5 of 10 columns")
    assert "Max F: one is first on 1 of 2 datasets, on 1 of them significantly" in text
    assert "; two is first on 1 of 2 datasets, on 1 of them significantly" in text


def test_a_lead_that_is_not_significant_is_called_so():
    results = [synthetic("a", "own", images=12), synthetic("b", "own", images=12)]
    assert "not significantly" in write_headline(analyse(results, resamples=200))


def test_nothing_is_claimed_where_nothing_is_compared():
    alone = write_headline(analyse([synthetic("a", "own", images=12)], resamples=100))
    assert alone.startswith("a on own: max F ") and "[" in alone and "leads" not in alone
    mixed = [synthetic("a", "own"), synthetic("b", "own", protocol="matlab")]
    assert write_headline(analyse(mixed, resamples=100)).startswith(
        "No two results here can be compared"
    )


def test_alerts_are_counted_and_lead_to_their_section():
    problems = tuple(Problem("grey-mask", f"{i}.png", "x") for i in range(3))
    results = [
        synthetic("a", "SOD", images=12, problems=problems),
        synthetic("b", "SOD", images=12),
        synthetic("c", "SOD", images=12, protocol="matlab"),
    ]
    alerts = {a.kind: a for a in find_alerts(analyse(results, resamples=100), ["--bench: x"])}
    assert (alerts["grey-mask"].count, alerts["grey-mask"].anchor) == (3, "problems")
    assert (alerts["not compared"].count, alerts["not compared"].anchor) == (1, "uncertainty")
    assert alerts["not compared"].line.startswith("not compared: 1 result made in another way")
    assert alerts["few images"].line == "few images: 1 of 1 datasets with fewer than 50 images"
    assert alerts["number of images"].count == 3 and alerts["inputs"].count == 1


def test_one_of_something_is_singular():
    problem = Problem("black-map", "1.png", "x")
    results = [synthetic("a", "own", images=12, problems=(problem,))]
    alerts = {a.kind: a.line for a in find_alerts(analyse(results, resamples=100), ["--bench: x"])}
    assert alerts["black-map"] == "black-map: 1 map without any foreground"
    assert alerts["inputs"] == "inputs: 1 remark on the inputs of this report"


def test_a_mask_counts_once_and_maps_of_one_name_count_for_each_method():
    problems = (Problem("grey-mask", "1.png", "x"), Problem("size", "1.png", "x"))
    results = [synthetic(m, "own", images=12, problems=problems) for m in "ab"]
    alerts = {a.kind: a.count for a in find_alerts(analyse(results, resamples=100), [])}
    assert (alerts["grey-mask"], alerts["size"]) == (1, 2)
