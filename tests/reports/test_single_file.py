"""The page in one file: it needs no other file, holds its numbers, and keeps to its size."""

import json
import re
from dataclasses import replace

import pytest
from PIL import Image
from synthetic import ODD, synthetic

from sodbench.errors import SodbenchError
from sodbench.reports import plot_style
from sodbench.reports.inputs import ReportOptions
from sodbench.reports.report import SINGLE_PAGE, write_report


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    return [
        synthetic(m, "SOD", folder=folder, noise=n)
        for m, n in zip(ODD[:2], (0.1, 0.4), strict=True)
    ]


@pytest.fixture(scope="module")
def full(results, tmp_path_factory):
    """The page without a limit, in a folder of its own."""
    out = tmp_path_factory.mktemp("full") / "mail.html"
    assert write_report(results, out, ReportOptions(resamples=100)).page == out
    return out


@pytest.fixture
def no_figures(monkeypatch):
    monkeypatch.setattr(plot_style, "save_figure", lambda *_: {})
    dot = Image.new("RGB", (1, 1))
    monkeypatch.setattr(plot_style, "draw_png", lambda _, file, __: dot.save(file, "PNG"))


def test_one_file_holds_everything_and_its_numbers_can_be_taken_out(full):
    assert [p.name for p in full.parent.iterdir()] == ["mail.html"]
    text = full.read_text(encoding="utf-8")
    for address in re.findall(r'(?:src|href)="([^"]*)"', text):
        assert address.startswith(("data:", "#")), address[:60]
    assert text.count("data:image/webp;base64,") > 12 * 4, "12 images of 4 kinds, and figures"
    numbers = re.search(
        r'<script type="application/json" id="report-json">(.*?)</script>', text, re.DOTALL
    )
    stored = json.loads(numbers[1])
    assert {row["method"] for row in stored["scores"]} == set(ODD[:2])


def test_thumbnails_are_left_out_where_the_file_would_become_too_large(results, full, tmp_path):
    small = tmp_path / "small.html"
    limit = (full.stat().st_size - 10_000) / 1e6
    write_report(results, small, ReportOptions(resamples=100, max_size=limit))
    assert small.stat().st_size <= limit * 1e6
    shown = re.search(r"thumbnails of (\d+) of 12 images", small.read_text(encoding="utf-8"))
    assert 0 < int(shown[1]) < 12


@pytest.mark.usefixtures("no_figures")
def test_a_limit_that_is_missed_is_a_problem(results, tmp_path):
    options = ReportOptions(resamples=100, max_size=0.01)
    (problem,) = write_report(results, tmp_path / "small.html", options).problems
    assert "--max-size 0.01: the file has 0." in problem
    options = replace(options, single_file=True)
    assert write_report(results, tmp_path / "report", options).problems == (problem,)


@pytest.mark.usefixtures("no_figures")
def test_a_folder_gets_it_on_request_and_other_files_are_left_alone(results, tmp_path):
    out = tmp_path / "report"
    write_report(results, out, ReportOptions(resamples=100, single_file=True))
    assert (out / SINGLE_PAGE).is_file()
    write_report(results, out, ReportOptions(resamples=100))
    assert not (out / SINGLE_PAGE).exists(), "a file of the earlier report"
    for _ in range(2):  # its own file is replaced
        write_report(results, tmp_path / "own.html", ReportOptions(resamples=100))
    mine = tmp_path / "mine.html"
    mine.write_text("<html>my page</html>", encoding="utf-8")
    with pytest.raises(SodbenchError, match="was not written by sodbench"):
        write_report(results, mine, ReportOptions(resamples=100))
    with pytest.raises(SodbenchError, match="holds images, masks or maps"):
        write_report(results, results[0].folders["maps"] + "/x.html")


@pytest.mark.parametrize(
    ("name", "single_file"), [("mail.html", False), ("mail.md", False), ("report", True)]
)
def test_links_to_images_are_refused_in_a_file_that_is_made_to_be_moved(
    results, tmp_path, name, single_file
):
    options = ReportOptions(resamples=100, link_images=True, single_file=single_file)
    with pytest.raises(SodbenchError, match="made to be moved"):
        write_report(results, tmp_path / name, options)
    assert list(tmp_path.iterdir()) == []
