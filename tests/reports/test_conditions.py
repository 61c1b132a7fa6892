"""Conditions that decide an exit status: --require, --fail-if, their uncertainty, JUnit XML and the summary."""

from xml.etree import ElementTree

import pytest
from synthetic import draw_pair, save_image, synthetic

from sodbench.cli import main
from sodbench.errors import SodbenchError
from sodbench.metrics.statistics.bootstrap import Interval
from sodbench.reports.compare import compare
from sodbench.reports.conditions import (
    Condition,
    check_condition,
    format_junit,
    format_summary,
    parse_condition,
)
from sodbench.reports.requirements import check_comparison, check_results

NAN = float("nan")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("f_max>=0.85", Condition("f_max", ">=", 0.85)),
        (" mae < .1 ", Condition("mae", "<", 0.1)),
        ("HKU-IS/test:s<=-5e-3", Condition("s", "<=", -0.005, "HKU-IS/test")),
        ("a:b:wf>+1", Condition("wf", ">", 1.0, "a:b")),
    ],
)
def test_conditions_are_read(text, expected):
    assert parse_condition(text, "--require") == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("f_max", "not of the form"),
        ("f_max=0.8", "not of the form"),
        ("f_max>=high", "not of the form"),
        ("f_max>=1.2.3", "is not a number"),
        ("f_mx>=0.8", "did you mean f_max"),
    ],
)
def test_other_conditions_are_refused(text, message):
    with pytest.raises(SodbenchError, match=message):
        parse_condition(text, "--require")


@pytest.mark.parametrize(
    ("interval", "failed"),
    [
        (Interval(0.86, 0.80, 0.90), {"value": False, "certain": False, "possible": True}),
        (Interval(0.84, 0.80, 0.90), {"value": True, "certain": False, "possible": True}),
        (Interval(0.80, 0.78, 0.84), {"value": True, "certain": True, "possible": True}),
        (Interval(0.90, 0.86, 0.94), {"value": False, "certain": False, "possible": False}),
        (Interval(0.90, NAN, NAN), {"value": False, "certain": True, "possible": True}),
        (Interval(NAN, NAN, NAN), {"value": True, "certain": True, "possible": True}),
    ],
)
def test_uncertainty_counts_as_it_was_chosen(interval, failed):
    condition = Condition("f_max", ">=", 0.85)
    for certainty, expected in failed.items():
        outcome = check_condition("m", condition, interval, certainty, required=True)
        assert outcome.failed == expected, certainty
    # the opposite condition, which must not be met, decides alike
    opposite = Condition("f_max", "<", 0.85)
    for certainty, expected in failed.items():
        outcome = check_condition("m", opposite, interval, certainty, required=False)
        assert outcome.failed == expected, certainty


def test_each_result_and_difference_is_checked_on_its_dataset():
    results = [synthetic("a", d, images=12) for d in ("SOD", "ECSSD")]
    conditions = [Condition("mae", "<", 0.0), Condition("s", ">=", 0.0, "SOD")]
    outcomes = check_results(results, conditions, "certain")
    assert [(o.subject, o.condition.metric, o.failed) for o in outcomes] == [
        ("a on SOD", "mae", True),
        ("a on SOD", "s", False),
        ("a on ECSSD", "mae", True),
    ]
    assert "interval [" in outcomes[0].reason
    worse = [synthetic("b", d, images=12, noise=0.9) for d in ("SOD", "ECSSD")]
    comparison = compare(worse, results, metrics=["mae", "s"], resamples=100)
    outcomes = check_comparison(comparison, [Condition("mae", ">", 0.001, "SOD")], "certain")
    assert [(o.subject, o.failed) for o in outcomes] == [("b - a on SOD", True)]


def test_outcomes_become_junit_and_markdown():
    condition = Condition("f_max", ">=", 0.85)
    intervals = (Interval(0.9, NAN, NAN), Interval(0.8, NAN, NAN))
    outcomes = [
        check_condition(f"<m{i}> & co", condition, interval, required=True)
        for i, interval in enumerate(intervals)
    ]
    suite = ElementTree.fromstring(format_junit("eval", outcomes))
    assert suite.attrib == {"name": "sodbench eval", "tests": "2", "failures": "1"}
    cases = suite.findall(".//testcase")
    assert [case.get("classname") for case in cases] == ["<m0> & co", "<m1> & co"]
    assert [len(case) for case in cases] == [0, 1]
    assert cases[1][0].get("message") == "f_max = 0.8000"
    text = format_summary("sodbench eval", outcomes, "| x |")
    assert "1 of 2 conditions failed" in text and "&lt;m0&gt;" in text and text.endswith("| x |\n")


@pytest.fixture
def folders(tmp_path):
    for seed in range(12):
        map_, mask = draw_pair(seed, 24, 24)
        save_image(tmp_path / f"toys/GT/{seed}.png", mask)
        for divisor in (1, 2):
            save_image(tmp_path / f"preds/m{divisor}/{seed}.png", map_ // divisor)
    return tmp_path


def test_the_commands_exit_with_1_and_write_what_was_asked_for(folders, capsys):
    junit, summary, results = folders / "j.xml", folders / "s.md", folders / "results"
    evaluate = [
        "--quiet",
        "eval",
        str(folders / "preds"),
        str(folders / "toys"),
        "-o",
        str(results),
    ]
    assert main([*evaluate, "--require", "mae<0.9", "--summary", str(summary)]) == 0
    assert "all conditions hold" in summary.read_text(encoding="utf-8")
    capsys.readouterr()
    asked = ["--require", "mae<0.001", "toys:s>0", "--certainty", "certain", "--junit", str(junit)]
    assert main([*evaluate, *asked]) == 1
    printed = capsys.readouterr()
    assert "2 of 4 condition(s) failed" in printed.err and "(--require mae < 0.001)" in printed.err
    assert junit.read_text(encoding="utf-8").count("<failure") == 2
    pair = ["--quiet", "compare", str(results / "m2"), str(results / "m1"), "--resamples", "100"]
    assert main([*pair, "--fail-if", "iou_max<-5"]) == 0
    assert main([*pair, "--fail-if", "mae>0.001", "--summary", str(summary)]) == 1
    assert summary.read_text(encoding="utf-8").count("###") == 2, "it is appended to"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--junit", "x.xml"], "--junit has no effect without --fail-if"),
        (["--certainty", "possible"], "--certainty has no effect without --fail-if"),
        (["--fail-if", "mae<1", "--junit", "own.xml"], "was not written by sodbench"),
        (["--fail-if", "mae"], "not of the form"),
    ],
)
def test_options_that_cannot_work_are_refused_before_results_are_read(
    options, message, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own.xml").write_text("<mine/>", encoding="utf-8")
    assert main(["compare", "a", "b", *options]) == 2
    assert message in capsys.readouterr().err
    assert (tmp_path / "own.xml").read_text(encoding="utf-8") == "<mine/>"


@pytest.mark.parametrize("option", ["--junit", "--summary"])
def test_files_for_the_outcome_are_not_written_among_maps_or_masks(option, folders, capsys):
    evaluate = ["--quiet", "eval", str(folders / "preds/m1"), str(folders / "toys/GT")]
    stored = folders / "results"
    assert main([*evaluate, "-o", str(stored)]) == 0
    pair = ["--quiet", "compare", str(stored), str(stored), "--fail-if", "mae>1"]
    for command in ([*evaluate, "--require", "mae<1"], pair):
        for place in ("preds/m1/x.xml", "toys/GT/x.md"):
            assert main([*command, option, str(folders / place)]) == 2
            assert "which holds images, masks or maps" in capsys.readouterr().err
            assert not (folders / place).exists()


def test_a_summary_is_not_added_to_a_file_that_is_no_text(folders, capsys):
    photo = folders / "photo.png"
    save_image(photo, draw_pair(0, 24, 24)[0])
    before = photo.read_bytes()
    evaluate = ["--quiet", "eval", str(folders / "preds/m1"), str(folders / "toys/GT")]
    assert main([*evaluate, "--require", "mae<1", "--summary", str(photo)]) == 2
    assert "photo.png: exists and is not a text file" in capsys.readouterr().err
    assert photo.read_bytes() == before


def test_a_condition_on_a_dataset_that_is_not_scored_is_refused(folders, capsys):
    arguments = ["eval", str(folders / "preds"), str(folders / "toys"), "--require", "SOD:mae<1"]
    assert main(arguments) == 2
    assert "there is no score on SOD; there are: toys" in capsys.readouterr().err


def test_compare_writes_a_file_of_a_known_format(folders, capsys):
    results = folders / "results"
    assert (
        main(["--quiet", "eval", str(folders / "preds"), str(folders / "toys"), "-o", str(results)])
        == 0
    )
    pair = ["--quiet", "compare", str(results / "m2"), str(results / "m1"), "--resamples", "100"]
    assert main([*pair, "-o", str(folders / "c.html")]) == 0
    assert "<html" in (folders / "c.html").read_text(encoding="utf-8")
    assert main([*pair, "-o", str(folders / "c.docx")]) == 2
    assert "it must end in .html, .md or .tex" in capsys.readouterr().err
