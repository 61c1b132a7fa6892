"""Tables: marks, ranks, signatures, escaping; golden files for Markdown, CSV and LaTeX."""

import json
import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from synthetic import ODD

from sodbench.errors import SodbenchError
from sodbench.metrics.catalogue import METRICS, find_metric
from sodbench.quoting import markdown_text
from sodbench.reports import latex, markdown, sections, tables
from sodbench.reports.comparability import Ranking, find_ranking
from sodbench.reports.selection import REPORT_METRICS, select_metrics

GOLDEN = Path(__file__).parent / "golden"
SIGNATURE = "sodbench:0.1.0|protocol:salmetric|n:4|missing:error|resize:none|gt:>128"


@pytest.mark.parametrize(
    ("values", "direction", "expected"),
    [
        ([0.9, 0.8, 0.7, 0.6], 1, [1, 2, 3, 0]),
        ([0.9, 0.8, 0.7, 0.6], -1, [0, 3, 2, 1]),
        ([0.9, 0.9, 0.7, 0.6], 1, [1, 1, 3, 0]),
        ([0.9, 0.8, 0.8, 0.6], 1, [1, 2, 2, 0]),
        ([0.9001, 0.9004, 0.7, 0.6], 1, [1, 1, 3, 0]),  # equal as printed
        ([0.9, 0.8, 0.7], 1, [1, 2, 0]),
        ([0.9, 0.8], 1, [1, 0]),
        ([0.9], 1, [0]),
        ([np.nan, 0.8, 0.7, 0.6, 0.5], 1, [0, 1, 2, 3, 0]),
        ([0.9, 0.8, 0.7, 0.6], 0, [0, 0, 0, 0]),
        ([0.5, 0.5, 0.5, 0.5], 1, [1, 1, 1, 1]),
    ],
)
def test_places(values, direction, expected):
    assert tables.rank_marks(values, direction) == expected


def test_mean_ranks_are_over_the_datasets_that_all_ranked_methods_share():
    values = pd.DataFrame(
        {
            ("A", "mae"): [0.1, 0.1, 0.3, 0.01],
            ("B", "f_max"): [0.9, np.nan, 0.8, np.nan],
            ("C", "mae"): [0.2, 0.1, 0.3, np.nan],
        },
        index=list("xyzw"),
    )
    values.columns = pd.MultiIndex.from_tuples(values.columns)
    metrics = [find_metric("mae"), find_metric("f_max")]
    ranking = find_ranking({"A": "xyzw", "B": "xz", "C": "xyz"})
    assert ranking == Ranking(("x", "y", "z"), ("A", "C"))
    found = tables.mean_ranks(values, metrics, ranking)
    assert found.ranks == pytest.approx([(1.5 + 2) / 2, (1.5 + 1) / 2, 3, np.nan], nan_ok=True)
    assert found.columns == (("A", "mae"), ("C", "mae"))
    assert tables.mean_ranks(values, metrics, find_ranking({"A": "x"})) is None
    undefined = values.copy()
    undefined.loc["y", ("C", "mae")] = np.nan
    assert tables.mean_ranks(undefined, metrics, ranking).columns == (("A", "mae"),)


def test_a_zero_has_no_sign_and_a_negative_number_a_minus():
    assert (
        tables.format_difference(-0.00001) == "0.000"
        and tables.format_difference(0.00001) == "0.000"
    )
    assert (
        tables.format_difference(-0.02) == "−0.020" and tables.format_difference(0.02) == "+0.020"
    )
    assert tables.format_score(-0.0001) == "0.000" and tables.format_score(-0.5) == "−0.500"


def test_directions_are_those_of_the_metrics():
    lower_is_better = {m.name for m in METRICS.values() if m.direction == "lower"}
    maxima = {"ber_max", "fpr_max"}  # of an error, over all thresholds: neither direction is better
    for name in {
        *lower_is_better,
        *REPORT_METRICS,
        "iou_max",
        "cohen_kappa_mean",
        "auc_pr",
    } - maxima:
        assert (find_metric(name).sign < 0) == (name in lower_is_better), name
    assert {find_metric(name).sign for name in ("threshold", *maxima)} == {0}
    assert find_metric("cohen_kappa_max").label == "max Cohen's kappa"
    assert find_metric("f_adp").label == "adaptive F"


def test_choose_names_what_there_is():
    assert [m.name for m in select_metrics(["s", "mae", "x"])] == ["mae", "s"]
    with pytest.raises(SodbenchError, match=r"no result has the metric nope; there are: mae"):
        select_metrics(["mae"], ["nope"])


def test_split_keeps_groups_whole():
    columns = tuple(tables.Column(g, h) for g in "ABC" for h in ("x", "y"))
    row = tables.Row("m", tuple(tables.Cell(str(i)) for i in range(6)))
    parts = tables.Table("t", "T", columns, (row,), ("note",)).split(4 * 3)
    assert [[c.group for c in p.columns] for p in parts] == [["A", "A", "B", "B"], ["C", "C"]]
    assert [c.text for c in parts[1].rows[0].cells] == ["4", "5"]
    assert parts[0].notes == () and parts[1].notes == ("note",)


def test_signature_marks_say_what_differs():
    usual = "sodbench:0.1.0|protocol:salmetric|n:{}|missing:error|resize:none|gt:>128"
    signatures = {
        ("a", "SOD"): usual.format(300),
        ("b", "SOD"): usual.format(300),
        ("c", "SOD"): usual.format(298).replace("missing:error", "missing:skip(2)"),
        ("a", "ECSSD"): usual.format(1000),
        ("c", "ECSSD"): usual.format(1000).replace("0.1.0", "0.2.0"),
        ("b", "ECSSD"): usual.format(1000).replace("salmetric", "matlab"),
        ("a", "HKU-IS/test"): usual.format(1447).replace("|n:", "|subset:test|n:"),
        ("b", "HKU-IS/test"): usual.format(1447).replace("|n:", "|subset:test|n:"),
    }
    marks, notes = sections.signature_marks(signatures)
    assert marks == {("c", "SOD"): "†", ("c", "ECSSD"): "‡", ("b", "ECSSD"): "§"}
    assert notes[0] == (
        "† was made in another way and is not compared with the others: n:298 instead of n:300; "
        "missing:skip(2) instead of missing:error."
    )
    assert notes[1] == "‡ was made by another version: sodbench:0.2.0 instead of sodbench:0.1.0."
    assert notes[2].endswith(
        "not compared with the others: protocol:matlab instead of protocol:salmetric."
    )
    assert sections.signature_marks(dict(list(signatures.items())[:2])) == ({}, [])


# ---- golden files -----------------------------------------------------------------------------


def example() -> tables.Table:
    """A table with every kind of cell and name."""
    columns = [("SOD", "mae"), ("SOD", "f_max"), ("own_set <1>", "mae"), ("own_set <1>", "f_max")]
    values = pd.DataFrame(
        [
            [0.1, 0.9, 0.05, 0.95],
            [0.1001, 0.8, 0.06, np.nan],
            [0.2, 0.7, np.nan, np.nan],
            [0.3, 0.85, 0.055, 0.94],
        ],
        index=list(ODD),
        columns=pd.MultiIndex.from_tuples(columns),
    )
    compared = {"SOD": ODD, "own_set <1>": [m for m in ODD if m != ODD[2]]}
    table = tables.score_table(
        values,
        [find_metric("mae"), find_metric("f_max")],
        compared=compared,
        ranking=find_ranking(compared),
        signatures={(m, "SOD"): SIGNATURE for m in ODD}
        | {(m, "own_set <1>"): SIGNATURE for m in ODD if m != ODD[2]},
        beaten={(ODD[0], "SOD", "f_max"): [ODD[2], ODD[1]]},
        marks={(ODD[1], "SOD"): "†"},
        notes=["† was made with 50% & <other> means_"],
        title="Scores_1 & more",
    )
    cells = (tables.Cell("0.080", 0.08, mark="?"), *[tables.Cell()] * 4, tables.Cell("not_stated"))
    published = tables.Row("X_Net, as published", cells, published=True)
    return tables.with_published(table, [published], ["salmetric"] * 4, ["A note."])


@pytest.mark.parametrize(
    ("file", "render"),
    [
        ("table.md", markdown.format_table),
        ("table.tex", latex.format_table),
        ("table_coloured.tex", lambda t: latex.format_table(t, colours=True)),
        ("table.csv", lambda t: t.frame().to_csv(lineterminator="\n")),
    ],
)
def test_golden(file, render, monkeypatch):
    """SODBENCH_REGOLD=1 rewrites the files; read the difference before committing it."""
    # with wcwidth installed, tabulate pads wide characters otherwise than without it
    monkeypatch.setattr("tabulate.WIDE_CHARS_MODE", False)
    text = render(example())
    if os.environ.get("SODBENCH_REGOLD"):
        GOLDEN.mkdir(exist_ok=True)
        (GOLDEN / file).write_text(text, encoding="utf-8")
    assert text == (GOLDEN / file).read_text(encoding="utf-8")


def test_markdown_escapes_everything_that_means_something():
    assert markdown_text("a|b*c_d`e[f]<g>&\\$") == "a\\|b\\*c\\_d\\`e\\[f\\]&lt;g&gt;&amp;\\\\\\$"
    assert markdown.code_span("plain|x") == "`plain|x`"
    assert markdown.code_span("a`b``c") == "```a`b``c```"
    assert markdown.code_span("`") == "`` ` ``"


def test_latex_escapes_everything_that_means_something():
    assert latex.latex_text("50%_a & #$^~{}\\") == (
        r"50\%\_a \& \#\$\textasciicircum{}\textasciitilde{}\{\}\textbackslash{}"
    )
    assert latex.latex_text("βΔé漢") == r"$\beta$$\Delta$é\sodbenchchar{6F22}{漢}"
    assert latex.latex_text("e\u0301") == "é"  # composed
    assert latex.latex_text("a ≈ −0.5") == r"a $\approx$ $-$0.5"


def test_a_report_stores_the_same_tables_as_json(odd_report):
    found = json.loads((odd_report / "report.json").read_text(encoding="utf-8"))
    scores = found["tables"]["scores"]
    own = [row for row in scores["rows"] if not row["published"]]
    assert [row["label"] for row in own] == list(ODD)
    frame = pd.read_csv(odd_report / "tables" / "scores.csv", index_col=0)
    assert frame.iloc[0, 0] == own[0]["cells"][0]["value"]
