"""Which results a report compares: only those that were made in the same way from the same images."""

import json
import re

import pandas as pd
import pytest
from synthetic import report_page, synthetic

from sodbench.cli import main
from sodbench.reports import plot_style
from sodbench.reports.analysis import analyse
from sodbench.reports.comparability import Ranking, find_comparable, find_ranking
from sodbench.reports.image_counts import _official_images, check_image_counts, dataset_heading
from sodbench.results import Signature


@pytest.fixture(autouse=True)
def without_figures(monkeypatch):
    """No figure is drawn: these are tests of tables and text."""
    monkeypatch.setattr(plot_style, "save_figure", lambda *_: {})


def rows_of(markdown, title):
    """The rows of the table of this title in a Markdown report, by their first cell."""
    lines = markdown.split(f"**{title}**")[1].splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith("|"))
    rows = {}
    for line in lines[start + 2 :]:
        if not line.startswith("|"):
            break
        cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
        rows[cells[0]] = cells[1:]
    return rows


def mixed(**options):
    """The best method of three was scored under another protocol."""
    return [
        synthetic("other", "own", noise=0.05, protocol="pysodmetrics", **options),
        synthetic("good", "own", noise=0.3, **options),
        synthetic("poor", "own", noise=0.9, **options),
    ]


def test_a_result_under_another_protocol_has_no_place_no_rank_and_is_tied_with_no_method(tmp_path):
    out = tmp_path / "out"
    report_page(mixed(), out, resamples=200, images=[], baseline="good")
    text = (out / "report.md").read_text("utf-8")
    scores = rows_of(text, "Scores")
    assert scores["goodᵇ"][0].startswith("**") and "*" not in "".join(scores["otherᵃ"])
    assert scores["otherᵃ"][-1] == "not compared"
    assert all("[†]" in cell for cell in scores["otherᵃ"][:-1])
    best = rows_of(text, "Best and tied methods")
    assert {(row[0], row[2]) for row in best.values()} == {("good", "other")}
    assert "- other on own: protocol:pysodmetrics instead of protocol:salmetric" in text
    assert set(rows_of(text, "Difference to good")["other"]) == {"not compared"}
    assert (
        rows_of(text, "Comparisons with the other methods, over all datasets and metrics")["other"]
        == ["not compared"] * 3
    )


def test_every_number_in_csv_and_json_has_its_protocol_signature_and_mark(tmp_path):
    results = mixed()
    report_page(results, tmp_path / "out", resamples=200, images=[])
    tables = tmp_path / "out" / "tables"
    scores = pd.read_csv(tables / "scores.csv", index_col=0, float_precision="round_trip")
    assert scores.loc["other", "own protocol"] == "pysodmetrics"
    assert scores.loc["other", "own signature"] == str(results[0].signature)
    assert scores.loc["other", "own f_max"] == results[0].metrics["f_max"]
    assert scores["own f_max mark"].to_dict()["other"] == "†"
    assert scores["own f_max place"].to_dict()["good"] == 1
    assert scores.loc["good", "own f_max better than"] == "poor"
    intervals = pd.read_csv(tables / "intervals.csv", index_col=0, float_precision="round_trip")
    assert (intervals["own f_max low"] <= intervals["own f_max"]).all()
    assert (intervals["own f_max high"] >= intervals["own f_max"]).all()
    rows = pd.read_csv(tables / "scores_long.csv", float_precision="round_trip")
    assert list(rows.columns[:9]) == [
        "method", "dataset", "metric", "value", "low", "high", "n", "protocol", "signature",
    ]  # fmt: skip
    assert len(rows) == 3 * 5 and set(rows["n"]) == {12}
    for _, row in rows.iterrows():
        result = next(r for r in results if r.method == row["method"])
        assert row["value"] == result.metrics[row["metric"]]
        assert row["signature"] == str(result.signature) and row["protocol"] == result.protocol
        assert row["compared"] == (row["method"] != "other")
        assert (row["mark"] == "†") == (row["method"] == "other")
    for name in ("all_comparisons", "all_groups"):
        table = pd.read_csv(tables / f"{name}.csv", float_precision="round_trip")
        assert {"metric", "protocol", "signature"} <= set(table.columns), name
    content = json.loads((tmp_path / "out" / "report.json").read_text("utf-8"))
    assert [c["key"] for c in content["tables"]["scores"]["columns"]][1] == "own f_max"
    cell = content["tables"]["scores"]["rows"][0]["cells"][1]
    assert (cell["mark"], cell["signature"]) == ("†", str(results[0].signature))
    assert content["scores"][0]["protocol"] == "pysodmetrics"
    comparisons = pd.read_csv(tables / "comparisons.csv", index_col=0, float_precision="round_trip")
    assert comparisons["p_holm"].dtype == float and comparisons["difference low"].dtype == float


def test_a_method_alone_on_a_dataset_has_no_place_and_no_rank(tmp_path):
    results = [synthetic(m, "SOD", noise=n) for m, n in (("a", 0.1), ("b", 0.9))]
    results.append(synthetic("alone", "own", noise=0.01))
    text = report_page(results, tmp_path / "r.md", resamples=100, images=[]).read_text("utf-8")
    row = rows_of(text, "Scores")["aloneᶜ"]
    assert row[-1] == "not compared" and "*" not in "".join(row)
    assert not any(label.startswith("own") for label in rows_of(text, "Best and tied methods"))
    assert "- alone on own: the only result on this dataset" in text
    assert "Mean rank over datasets" not in text  # there is but one that methods share
    assert "max F, S, max E, weighted F on SOD, with ranks among the 2 methods" in text
    only = report_page(results[2:], tmp_path / "only.md", resamples=100, images=[])
    assert "best" not in only.read_text("utf-8").partition("## Curves")[0].replace("best on", "")


def test_results_of_two_policies_are_not_compared():
    touched = synthetic("touched", "own", resized=3)
    analysis = analyse([synthetic("a", "own"), synthetic("b", "own"), touched], resamples=100)
    assert analysis.comparable.reasons == {
        ("touched", "own"): "resize:bilinear(3) instead of resize:none"
    }
    assert {(c.first, c.second) for c in analysis.comparisons} == {("a", "b")}


def test_images_are_chosen_by_the_scores_of_comparable_methods(tmp_path):
    """The one image on which the method under another protocol fails is not the most disputed one."""
    other, *compared = mixed(folder=tmp_path / "data")
    other.table.loc["im_005", "f_max"] = 0.0
    for result in compared:
        result.table["f_max"] = 0.5
    compared[0].table.loc["im_007", "f_max"] = 0.9
    out = tmp_path / "out"
    report_page([other, *compared], out, resamples=100, images=["disputed"], thumbnails=1)
    shown = (
        (out / "report.md")
        .read_text("utf-8")
        .partition("Images of own with ground truth (GT) and maps; ")[2]
    )
    assert "im\\_007: where the methods differ most" in shown
    assert [p.name for p in (out / "thumbnails/own/mask").glob("0*")] != ["000005.jpg"]
    data = (out / "data" / "dataset-0.js").read_text("utf-8")
    assert '"compared":[false,true,true]' in data


def test_the_larger_class_is_compared_and_of_equal_ones_that_of_the_most_common_protocol():
    salmetric = Signature("salmetric", n=300, version="0.1.0")
    matlab = Signature("matlab", n=300, version="0.1.0")
    comparable = find_comparable(
        {
            ("a", "X"): matlab,
            ("b", "X"): matlab,
            ("c", "X"): salmetric,
            ("d", "X"): salmetric,
            ("a", "Y"): salmetric,
            ("b", "Y"): Signature("salmetric", n=300, version="0.2.0"),
            ("c", "Y"): matlab,
            ("a", "Z"): salmetric,
            ("b", "Z"): matlab,
        }
    )
    assert comparable.compared == {"X": ("c", "d"), "Y": ("a", "b"), "Z": ()}
    assert comparable.usual["X"] == salmetric
    assert comparable.reasons["a", "Z"] == "no other result was made in the same way"
    assert comparable.reasons["b", "Z"] == "protocol:matlab instead of protocol:salmetric"


def test_ranked_methods_have_all_the_datasets_that_ranks_are_over():
    assert find_ranking({"A": "abc", "B": "ab", "C": ""}) == Ranking(("a", "b"), ("A", "B"))
    assert find_ranking({"A": "abcde", "B": "ab"}) == Ranking(tuple("abcde"), ("A",))
    assert find_ranking({"A": "ab", "B": "bc"}) == Ranking(("a", "b"), ("A",))
    assert find_ranking({"A": "", "B": ""}) == Ranking()


# ---- the number of images -------------------------------------------------------------------------


def test_a_heading_names_an_unofficial_number_of_images(tmp_path):
    results = [synthetic(m, "ECSSD", noise=n, images=16) for m, n in (("a", 0.1), ("b", 0.9))]
    out = tmp_path / "out"
    report_page(results, out, resamples=100, images=[])
    text = (out / "report.md").read_text("utf-8")
    assert "2 methods on ECSSD (16 of 1,000 images), scored" in text
    assert "**Scores**\n\nECSSD (16 of 1,000 images):\n\n| method" in text
    assert "a, b on ECSSD: images: 16 of 1,000 images were scored, 16 of them not official" in text
    assert "None: every mask" not in text
    # headings only: rows would be too long to be read
    assert "| ECSSD: a − b " in text and "| ECSSD max F " in text
    assert "ECSSD (16 of 1,000 images)" in (out / "index.html").read_text("utf-8")
    assert "ECSSD (16 of 1,000 images)" in (out / "report.tex").read_text("utf-8")


def test_official_numbers():
    assert len(_official_images("SOD")) == 300 and len(_official_images("HKU-IS/test")) == 1447
    assert _official_images("my own") is None and _official_images("SOD/first10") is None
    assert dataset_heading("SOD", [300, 300]) == "SOD"
    assert dataset_heading("SOD", [298, 300]) == "SOD (298 to 300 of 300 images)"
    assert dataset_heading("HKU-IS", [1447]) == "HKU-IS (1,447 of 4,447 images)"
    assert dataset_heading("mine", [7]) == "mine"
    assert dataset_heading("SOD", [14], drawn=True) == "SOD (14 drawn images)"


def test_official_numbers_of_other_images_are_a_problem():
    result = synthetic("m", "SOD", images=12)
    stems = sorted(_official_images("SOD"))[:11]
    result.table.index = pd.Index([*stems, "mine"], name="stem")
    assert check_image_counts({("m", "SOD"): result}) == [
        "m on SOD: images: 12 of 300 images were scored, 1 of them not official ones of SOD"
    ]


def test_the_demo_data_borrows_names_of_datasets_without_a_problem():
    sample = synthetic("m", "ECSSD", images=12, provenance={"sample": True})
    assert check_image_counts({("m", "ECSSD"): sample}) == []
    assert analyse([sample], resamples=100).heading("ECSSD") == "ECSSD (12 drawn images)"
    assert len(check_image_counts({("m", "ECSSD"): synthetic("m", "ECSSD", images=12)})) == 1


@pytest.mark.real
def test_dss_under_pysodmetrics_next_to_two_methods_under_salmetric(shared, tmp_path):
    """The published maps: DSS is neither best in weighted F nor tied with CSNet in max F."""
    for method, protocol in (
        ("DSS", "pysodmetrics"),
        ("Amulet", "salmetric"),
        ("CSNet-L-x2", "salmetric"),
    ):
        arguments = ["eval", f"{shared}/real/preds/{method}/SOD", f"{shared}/real/SOD/GT"]
        options = ["--name", method, "--protocol", protocol, "-o", str(tmp_path / "results")]
        assert main([*arguments, *options]) == 0
    out = tmp_path / "report.md"
    assert main(["report", str(tmp_path / "results"), "-o", str(out), "--images", "random"]) == 0
    text = out.read_text("utf-8")
    dss = rows_of(text, "Scores")["DSSᶜ"]
    assert dss[-2] == "0.718 [†]" and dss[-1] == "not compared"
    best = rows_of(text, "Best and tied methods")
    assert best["SOD max F"][0] == "CSNet-L-x2" and best["SOD weighted F"][0] == "Amulet"
    assert all(row[2] == "DSS" and "DSS" not in row[1] for row in best.values())


def test_a_dataset_of_few_images_ranks_no_method_and_does_not_change_other_ranks(tmp_path):
    results = [synthetic(m, "SOD", noise=n) for m, n in (("a", 0.1), ("b", 0.9), ("c", 0.5))]
    results += [synthetic(m, "tiny", noise=n, images=9) for m, n in (("a", 0.1), ("b", 0.9))]
    analysis = analyse(results, resamples=100)
    assert analysis.ranking == Ranking(("a", "b", "c"), ("SOD",))
    page = report_page(
        results, tmp_path / "r.md", resamples=100, images=[], metrics=["mae", "f_max"]
    )
    text = page.read_text("utf-8")
    for row in rows_of(text, "Scores").values():
        assert row[-1] != "not compared" and "*" not in "".join(row[2:4])
    assert not any(label.startswith("tiny") for label in rows_of(text, "Best and tied methods"))
    assert "tiny (9 images): too few images (below 10) for intervals, tests and ranks" in text


def test_with_a_single_method_no_image_is_disputed(tmp_path):
    alone = synthetic("alone", "own", folder=tmp_path / "data")
    text = report_page([alone], tmp_path / "r.md", resamples=100).read_text("utf-8")
    assert "best on average" in text and "where the methods differ most" not in text


def test_scores_of_two_protocols_choose_no_image_together(tmp_path):
    """Two results that do not compare: neither their mean nor their difference says anything of an image."""
    other, good = mixed(folder=tmp_path / "data")[:2]
    good.table["f_max"] = 0.5
    good.table.loc["im_004", "f_max"] = 0.9
    other.table["f_max"] = 0.5
    other.table.loc["im_004", "f_max"] = 0.0
    text = report_page([good, other], tmp_path / "r.md", resamples=100).read_text("utf-8")
    assert "im\\_004: best on average" in text and "where the methods differ most" not in text


def test_a_metric_without_a_direction_has_no_best_image_and_no_best_method(tmp_path):
    results = [
        synthetic(m, "own", noise=n, folder=tmp_path / "d") for m, n in (("a", 0.1), ("b", 0.9))
    ]
    page = report_page(results, tmp_path / "r.md", resamples=100, metrics=["ber_max"])
    text = page.read_text("utf-8")
    assert "on average" not in text and "Best and tied methods" not in text
    assert "where the methods differ most" in text


def test_only_maxima_are_described_as_of_the_best_threshold_of_an_image(tmp_path):
    result = synthetic("a", "own", folder=tmp_path / "data")
    for metric, noted in (("mae", False), ("f_max", True), ("f_adp", False)):
        page = report_page([result], tmp_path / f"{metric}.md", resamples=100, metrics=[metric])
        assert ("best threshold of that image" in page.read_text("utf-8")) == noted, metric
