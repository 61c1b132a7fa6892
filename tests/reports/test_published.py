"""Published numbers: the user's own, a choice of rows, and measured against published."""

import pytest
from synthetic import report_page, synthetic

from sodbench.errors import SodbenchError
from sodbench.reports import plot_style
from sodbench.reports.analysis import analyse
from sodbench.reports.published import load_published, read_published_file
from sodbench.reports.published_rows import published_comparison_table


def write(tmp_path, text, name="mine.csv"):
    file = tmp_path / name
    file.write_text(text, encoding="utf-8")
    return file


def test_every_fault_of_a_file_is_named_with_its_line(tmp_path):
    file = write(
        tmp_path,
        "method,dataset,metric,value,protocol\nA,SOD,f_mx,.8,matlab\nA,SOD,mae,x,matlab\n,SOD,mae,.1,matlab\n"
        "A,SOD,s,.7,matlab\nA,SOD,s,.7,matlab\nB,SOD,s,.7,nope\n",
    )
    with pytest.raises(SodbenchError) as error:
        read_published_file(file)
    message = str(error.value)
    for part in (
        "line 2: unknown metric 'f_mx' (did you mean f_max?)",
        "line 3: 'x' is not a number",
        "line 4: method, dataset and metric must not be empty",
        "line 6: a second value of A SOD s",
        "line 7: unknown protocol 'nope'",
        "several values of protocol",
    ):
        assert part in message, part
    with pytest.raises(SodbenchError, match="has no column metric, value"):
        read_published_file(write(tmp_path, "method,dataset\nA,SOD\n"))
    with pytest.raises(SodbenchError, match="has no row"):
        read_published_file(write(tmp_path, "method,dataset,metric,value\n"))


@pytest.mark.parametrize(
    ("value", "message"),
    [("92.8", "92.8 is above 1; write f_max as a share"), ("0,928", "line 2 has more values")],
)
def test_percentages_and_decimal_commas_are_refused(tmp_path, value, message):
    with pytest.raises(SodbenchError, match=message):
        read_published_file(write(tmp_path, f"method,dataset,metric,value\nA,SOD,f_max,{value}\n"))
    grey_level = write(tmp_path, "method,dataset,metric,value\nA,SOD,threshold,124\n")
    assert list(read_published_file(grey_level).values.values()) == [124]


def test_rows_are_chosen_by_source_and_method(tmp_path):
    file = write(tmp_path, "method,dataset,metric,value\nX,DUTS-TE,mae,.05\nDSS,SOD,mae,.1\n")
    tables = load_published([str(file), "sal_eval_toolbox"], ["dss", "X"])
    assert [table.methods for table in tables] == [("X", "DSS"), ("DSS",)]
    with pytest.raises(SodbenchError, match="no row of Nope"):
        load_published([str(file)], ["Nope"])
    with pytest.raises(SodbenchError, match="no such table and no such CSV file"):
        load_published(["nope.csv"])


def test_measured_numbers_are_compared_under_the_protocol_of_the_evaluator(tmp_path):
    results = [synthetic("A", "SOD"), synthetic("B", "SOD")]
    matlab = results[0].rescored("matlab").metrics
    text = "method,dataset,metric,value,protocol\n"
    text += (
        f"a,SOD,f_max,{matlab['f_max']:.3f},matlab\na,SOD,mae,{matlab['mae'] + 0.01:.3f},matlab\n"
    )
    known = read_published_file(write(tmp_path, text))
    unknown = read_published_file(
        write(
            tmp_path,
            f"method,dataset,metric,value\nB,SOD,s,{results[1].metrics['s']:.2f}\n",
            "b.csv",
        )
    )
    analysis = analyse(results, resamples=100)
    table = published_comparison_table(analysis, [known, unknown], {})
    rows = {row.key: [cell.text for cell in row.cells] for row in table.rows}
    assert rows["A SOD f_max"][3:] == ["within rounding", "matlab", "mine.csv"]
    assert rows["A SOD mae"][3] == "differs"
    assert rows["B SOD s"][3] == "within rounding" and rows["B SOD s"][4].endswith("≈")
    assert published_comparison_table(analysis, [], {}) is None


def test_metrics_on_request_may_be_published(tmp_path):
    file = write(tmp_path, "method,dataset,metric,value\nA,SOD,hce_raw,2000\nA,SOD,iou@0.5,.9\n")
    (table,) = load_published([str(file)])
    assert table.values == {("A", "SOD", "hce_raw"): 2000.0, ("A", "SOD", "iou@0.5"): 0.9}
    file.write_text("method,dataset,metric,value\nA,SOD,iou@.50,.9\nA,SOD,hcee,9\n", "utf-8")
    with pytest.raises(SodbenchError, match=r"'iou@.50' as iou@0.5; .*'hcee' \(did you mean hce"):
        load_published([str(file)])


def test_a_report_shows_labels_everywhere_and_notes_a_source_without_numbers(tmp_path, monkeypatch):
    monkeypatch.setattr(plot_style, "save_figure", lambda *_: {})
    methods = write(
        tmp_path, '[A]\nlabel = "A (ours)"\ncolour = "#ff0000"\n[Aa]\nyear = 2020\n', "methods.toml"
    )
    file = write(tmp_path, "method,dataset,metric,value,citation\nA,SOD,s,.5,me\nB,SOD,s,.5,me\n")
    page = report_page(
        [synthetic("A", "SOD"), synthetic("B", "SOD")],
        tmp_path / "r.md",
        methods=["B", "A"],
        baseline="A",
        methods_file=methods,
        published=[str(file), "csf"],
        published_methods=["A", "CSF+Res2Net-50"],
        resamples=100,
        images=[],
    )
    text = page.read_text(encoding="utf-8")
    assert "Difference to A (ours)" in text and "A (ours) SOD S" in text
    assert "B, as published" not in text
    assert "csf: no number of these datasets and metrics" in text.replace("\\", "")
    assert "no result of 'Aa', so these entries have no effect" in text
