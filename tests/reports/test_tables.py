"""Tables: marks, ranks, signatures, escaping; golden files for Markdown, CSV and LaTeX."""

import json
import os
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from synthetic import ODD

from sodbench.errors import SodbenchError
from sodbench.metrics.catalogue import METRICS, REPORT_METRICS, find_metric
from sodbench.quoting import markdown_text
from sodbench.reports import latex, markdown, published_rows, score_tables, tables
from sodbench.reports.analysis import Analysis
from sodbench.reports.comparability import Comparable, Ranking, find_ranking
from sodbench.reports.document import Document, Figure, Section
from sodbench.reports.published import PublishedTable
from sodbench.reports.selection import select_metrics
from sodbench.results import Signature

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
def test_equal_printed_numbers_share_a_place(values, direction, expected):
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
    ranks = score_tables.mean_ranks(values, metrics, ranking)
    assert ranks.ranks == pytest.approx([(1.5 + 2) / 2, (1.5 + 1) / 2, 3, np.nan], nan_ok=True)
    assert ranks.columns == (("A", "mae"), ("C", "mae"))
    assert score_tables.mean_ranks(values, metrics, find_ranking({"A": "x"})) is None
    undefined = values.copy()
    undefined.loc["y", ("C", "mae")] = np.nan
    assert score_tables.mean_ranks(undefined, metrics, ranking).columns == (("A", "mae"),)


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


def test_an_unknown_metric_is_refused_with_the_known_ones():
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


def test_footnotes_name_what_differs_between_signatures():
    usual = "sodbench:0.1.0|protocol:salmetric|n:{}|missing:error|resize:none|gt:>128"
    lines = {
        ("a", "SOD"): usual.format(300),
        ("b", "SOD"): usual.format(300),
        ("c", "SOD"): usual.format(298).replace("missing:error", "missing:skip(2)"),
        ("a", "ECSSD"): usual.format(1000),
        ("c", "ECSSD"): usual.format(1000).replace("0.1.0", "0.2.0"),
        ("b", "ECSSD"): usual.format(1000).replace("salmetric", "matlab"),
        ("a", "HKU-IS/test"): usual.format(1447).replace("|n:", "|subset:test|n:"),
        ("b", "HKU-IS/test"): usual.format(1447).replace("|n:", "|subset:test|n:"),
    }
    signatures = {key: Signature.parse(line) for key, line in lines.items()}
    marks, notes = score_tables.signature_marks(signatures)
    assert marks == {("c", "SOD"): "†", ("c", "ECSSD"): "‡", ("b", "ECSSD"): "§"}
    assert notes[0] == (
        "† was made in another way and is not compared with the others: n:298 instead of n:300; "
        "missing:skip(2) instead of missing:error."
    )
    assert notes[1] == "‡ was made by another version: sodbench:0.2.0 instead of sodbench:0.1.0."
    assert notes[2].endswith(
        "not compared with the others: protocol:matlab instead of protocol:salmetric."
    )
    assert score_tables.signature_marks(dict(list(signatures.items())[:2])) == ({}, [])


# ---- golden files -----------------------------------------------------------------------------


def example() -> tables.Table:
    """A table with every kind of cell and name."""
    datasets = ("SOD", "own_set <1>")
    metrics = (find_metric("mae"), find_metric("f_max"))
    values = pd.DataFrame(
        [
            [0.1, 0.9, 0.05, 0.95],
            [0.1001, 0.8, 0.06, np.nan],
            [0.2, 0.7, np.nan, np.nan],
            [0.3, 0.85, 0.055, 0.94],
        ],
        index=list(ODD),
        columns=pd.MultiIndex.from_product([datasets, ("mae", "f_max")]),
    )
    scored = [(m, d) for d in datasets for m in ODD if (m, d) != (ODD[2], datasets[1])]
    result = SimpleNamespace(
        signature=Signature.parse(SIGNATURE), protocol="salmetric", n=300, provenance={}
    )
    wins = [
        SimpleNamespace(winner=ODD[0], loser=m, dataset="SOD", metric="f_max", tested=False)
        for m in (ODD[2], ODD[1])
    ]
    compared = {d: tuple(m for m, e in scored if e == d) for d in datasets}
    analysis = Analysis(
        results=dict.fromkeys(scored, result),
        methods=ODD,
        datasets=datasets,
        metrics=metrics,
        values=values,
        intervals={},
        comparisons=tuple(wins),
        breakdowns=(),
        by_protocol={},
        resamples=100,
        seed=0,
        comparable=Comparable(compared, dict.fromkeys(datasets, result.signature), {}, compared),
        ranking=find_ranking(compared),
        image_groups={},
    )
    table = score_tables.score_table(analysis)
    second = table.rows[1]
    marked = [replace(cell, mark="†") if i < 2 else cell for i, cell in enumerate(second.cells)]
    table = replace(
        table,
        title="Scores_1 & more",
        rows=(table.rows[0], replace(second, cells=tuple(marked)), *table.rows[2:]),
        notes=("† was made with 50% & <other> means_", *table.notes),
    )
    source = PublishedTable(
        name="x",
        title="Table_1",
        citation="",
        transcribed_from="",
        evaluator="not_stated",
        notes=(),
        methods=("X_Net",),
        values={("X_Net", "SOD", "mae"): 0.08},
        caveats={("X_Net", "SOD", "mae"): "a misprint"},
    )
    return published_rows.add_published(table, analysis, [source])


@pytest.mark.parametrize(
    ("file", "render"),
    [
        ("table.md", markdown.format_table),
        ("table.tex", latex.format_table),
        ("table_coloured.tex", lambda t: latex.format_table(t, colours=True)),
        ("table.csv", lambda t: t.frame().to_csv(lineterminator="\n")),
    ],
)
def test_tables_are_rendered_like_the_stored_files(file, render):
    """SODBENCH_REGOLD=1 rewrites the files; read the difference before committing it."""
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
    stored = json.loads((odd_report / "report.json").read_text(encoding="utf-8"))
    scores = stored["tables"]["scores"]
    own = [row for row in scores["rows"] if not row["published"]]
    assert [row["label"] for row in own] == list(ODD)
    frame = pd.read_csv(
        odd_report / "tables" / "scores.csv", index_col=0, float_precision="round_trip"
    )
    assert frame.iloc[0, 0] == own[0]["cells"][0]["value"]


def test_an_alternative_text_ends_with_a_clause_and_not_at_a_decimal_point():
    figure = Figure("size", "IoU at 0.5 by object size, with intervals.", lambda: None)
    document = Document("title", (Section("Scores", (figure,), "scores"),))
    text = markdown.format_document(document, "figures")
    assert "![IoU at 0.5 by object size](figures/size.png)" in text
