"""Score tables as text, CSV and JSON."""

import csv
import io
import json

import numpy as np
import pytest
from synthetic import ODD, synthetic

from sodbench.errors import Problem
from sodbench.reports.text import (
    find_worst_images,
    format_csv,
    format_scores,
    format_scores_csv,
    format_scores_json,
    format_table,
)


@pytest.fixture
def results():
    return [synthetic(method, "own", noise=0.2 + 0.1 * i) for i, method in enumerate(ODD)]


def test_a_table_quotes_headers_and_cells_for_where_it_is_shown():
    headers, rows = ["a_b", "n"], [["x\n|y", 3]]
    assert format_table(headers, rows).splitlines()[-1] == "x\\n|y    3"
    lines = format_table(headers, rows, markdown=True).splitlines()
    assert lines[0].startswith("| a\\_b") and "| x \\|y" in lines[2]
    assert lines[1].endswith("-:|")  # numbers are aligned right
    assert format_table(headers, rows, align="rl").splitlines()[-1].endswith("  3")


def test_csv_has_all_digits_and_one_line_for_each_row():
    text = format_csv(["name", "value"], [["two\nlines, quoted", 0.1 + 0.2], ["none", np.nan]])
    assert list(csv.reader(io.StringIO(text))) == [
        ["name", "value"],
        ["two\\nlines, quoted", "0.30000000000000004"],
        ["none", ""],
    ]


def test_scores_in_csv_are_those_of_the_results(results):
    rows = list(csv.DictReader(io.StringIO(format_scores_csv(results, ["mae", "f_max"]))))
    assert [row["method"] for row in rows] == list(ODD)
    for row, result in zip(rows, results, strict=True):
        assert float(row["f_max"]) == result.metrics["f_max"]
        assert row["signature"] == str(result.signature)


def test_protocols_are_shown_side_by_side_with_their_differences():
    pair = [synthetic("m", "own", protocol=p) for p in ("salmetric", "matlab")]
    lines = format_scores(pair, ["mae", "threshold"]).splitlines()
    assert lines[0].split("  ")[0] == "m on own" and lines[0].endswith("matlab - salmetric")
    mae, threshold = (line.split() for line in lines[2:4])
    change = pair[1].metrics["mae"] - pair[0].metrics["mae"]
    assert float(mae[3]) == pytest.approx(change, abs=6e-5)
    assert all(float(number).is_integer() for number in threshold[1:])


def test_json_has_the_promised_keys_and_null_for_undefined(results):
    results[0].metrics["s"] = float("nan")
    problem = Problem("extra", "a.png", "no mask")
    content = json.loads(format_scores_json(results[:1], [problem]))
    assert list(content) == ["results", "problems"]
    assert list(content["results"][0]) == ["method", "dataset", "protocol", "n", "signature", "metrics"]  # fmt: skip
    assert content["results"][0]["metrics"]["s"] is None
    assert content["problems"] == [{"kind": "extra", "file": "a.png", "detail": "no mask"}]
    assert list(json.loads(format_scores_json(results, metrics=["mae"]))["results"][0]["metrics"]) == ["mae"]  # fmt: skip


@pytest.mark.parametrize(("metric", "pick"), [("mae", max), ("f_max", min)])
def test_the_worst_images_come_first_and_undefined_ones_last(results, metric, pick):
    result = results[1]
    scores = dict(result.table[metric])
    result.table.loc["im_004", metric] = np.nan
    images = find_worst_images(result, metric, 12).images
    assert images[0][2] == pick(score for stem, score in scores.items() if stem != "im_004")
    assert images[-1][0] == "im_004"


def test_columns_of_a_terminal_are_aligned_whatever_the_script():
    rows = [["中文", "0.1234"], ["e\u0301te\u0301", "1"], [" SOD ", ""]]
    assert format_table(["method", "mae"], rows).splitlines() == [
        "method       mae",
        "--------  ------",
        "中文      0.1234",
        "e\u0301te\u0301            1",
        "SOD",
    ]
