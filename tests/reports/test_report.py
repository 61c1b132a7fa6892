"""The files of a report: what is written, what is refused and what is reported."""

import csv
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from synthetic import ODD, report_page, synthetic

from sodbench.cli import main
from sodbench.errors import Problem, SodbenchError
from sodbench.metrics.catalogue import METRICS
from sodbench.reports import panel_plots, plot_style
from sodbench.reports.analysis import analyse
from sodbench.reports.attributes import read_attributes
from sodbench.reports.browser import plan_browser
from sodbench.reports.citations import bibtex
from sodbench.reports.image_grids import image_grids
from sodbench.reports.inputs import ReportInputs, ReportOptions, read_costs
from sodbench.reports.markdown import REPORT_MARKER
from sodbench.reports.published import load_published
from sodbench.reports.sections import build_document


@pytest.fixture
def png_only(monkeypatch):
    """PNG only: embedding fonts in PDF takes most of the time."""
    monkeypatch.setattr(plot_style, "FORMATS", ("png",))


@pytest.fixture
def without_figures(monkeypatch):
    """For tests of the text alone: no figure is drawn."""
    monkeypatch.setattr(plot_style, "save_figure", lambda *_: {})


def test_a_markdown_report_has_its_figures_next_to_it(odd_results, tmp_path, png_only):
    out = tmp_path / "report.md"
    assert report_page(odd_results[:4], out, resamples=100, sample=True) == out
    text = out.read_text(encoding="utf-8")
    assert text.startswith(REPORT_MARKER)
    assert "> This is the built-in sample." in text
    for heading in (
        "Summary",
        "Scores",
        "Curves",
        "Per-image scores",
        "Problems found",
        "Provenance",
    ):
        assert f"\n## {heading}\n" in text
    assert "extra: no mask &amp; no hope 100%: a\\_b&lt;c&gt;.png" in text
    assert f"`{odd_results[0].signature}`" in text
    assert "@inproceedings{movahedi2010design" in text
    shown = [
        line.split("](")[1].split(")")[0] for line in text.splitlines() if line.startswith("![")
    ]
    assert len(shown) >= 6
    for image in shown:
        assert (tmp_path / image).stat().st_size > 1000
    for raw in ("<b>", "|*_`"):
        assert raw not in text.replace("`sodbench", "")


def test_every_figure_has_a_key_of_its_own_and_a_caption(odd_results):
    inputs = ReportInputs(ReportOptions(), None, (), {}, {})
    figures = build_document(analyse(odd_results, resamples=100), inputs).figures
    assert len({figure.key for figure in figures}) == len(figures) > 6
    assert all(figure.caption.endswith(".") for figure in figures)


def test_a_folder_gets_every_format(odd_report):
    for name in ("index.html", "report.md", "report.tex", "report.json", "assets/report.js"):
        assert (odd_report / name).stat().st_size > 500
    for name in ("scores", "intervals", "best", "record", "comparisons", "differences", "ranks"):
        assert (odd_report / "tables" / f"{name}.csv").is_file()
        assert (odd_report / "tables" / f"{name}.tex").is_file()
    rows = list(csv.DictReader((odd_report / "tables/all_comparisons.csv").open(encoding="utf-8")))
    assert len(rows) == 6 * 2 * 5  # pairs x sets x metrics
    thumbnails = list((odd_report / "thumbnails").rglob("0*"))
    assert len(thumbnails) == 2 * 12 * (2 + 4)


class Tags(HTMLParser):
    """Collects the elements and text of a page."""

    def __init__(self):
        super().__init__()
        self.tags: list[tuple[str, dict]] = []
        self.text: list[str] = []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.text.append(data)


def test_the_page_needs_no_network_and_escapes_names(odd_report):
    page = (odd_report / "index.html").read_text(encoding="utf-8")
    tags = Tags()
    tags.feed(page)
    for tag, attributes in tags.tags:
        assert tag != "b"
        for name in ("src", "href"):
            target = attributes.get(name) or ""
            assert not target.startswith(("http:", "https:", "//")), target
            if target and not target.startswith(("#", "data:")):
                assert (odd_report / target).is_file(), target
    assert ODD[1] in tags.text and ODD[3] in tags.text
    for file in (odd_report / "data").iterdir():
        assert file.read_bytes().isascii()
    labelled = {a["id"] for _, a in tags.tags if "id" in a}
    for _, attributes in tags.tags:
        if "aria-labelledby" in attributes:
            assert attributes["aria-labelledby"] in labelled
    images = [a for tag, a in tags.tags if tag == "img"]
    assert images and all(a.get("alt") for a in images)


def test_images_on_another_drive_cannot_be_linked(odd_results, tmp_path, monkeypatch):
    def refuse(*_):
        raise ValueError("path is on mount 'D:', start on mount 'C:'")

    analysis = analyse(odd_results[:1], resamples=100)
    monkeypatch.setattr("os.path.relpath", refuse)  # as on Windows
    with pytest.raises(SodbenchError, match=r"0\.png: is on another drive than the report"):
        plan_browser(analysis, None, tmp_path)


def test_latex_labels_need_no_escapes(odd_report):
    labels = re.findall(r"\\label\{([^}]*)\}", (odd_report / "report.tex").read_text("utf-8"))
    assert "tab:by-object-size" in labels
    assert all(re.fullmatch("[a-z0-9:-]+", label) for label in labels)


@pytest.mark.skipif(not shutil.which("pdflatex"), reason="no pdflatex on this machine")
def test_the_latex_compiles(odd_report, tmp_path):
    copies = tmp_path / "figures"
    shutil.copytree(odd_report / "figures", copies, ignore=shutil.ignore_patterns("*.pdf"))
    shutil.copy(odd_report / "report.tex", tmp_path)
    done = subprocess.run(
        ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "report.tex"],
        cwd=tmp_path,
        capture_output=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-2000:]
    assert (tmp_path / "report.pdf").stat().st_size > 10_000


def test_the_same_results_give_the_same_report(odd_results, tmp_path, without_figures):
    for name in ("a", "b"):
        report_page(odd_results[:2], tmp_path / name / "report.md", resamples=100, images=[])
    assert (tmp_path / "a" / "report.md").read_bytes() == (
        tmp_path / "b" / "report.md"
    ).read_bytes()


def test_figures_are_the_same_bytes_in_every_format(tmp_path):
    def drawn(folder):
        panels = {"SOD": {"m": (np.array([0.0, 1.0]), np.array([1.0, 0.5]))}}
        figure = panel_plots.curve_panels(
            panels, "recall", "precision", plot_style.line_styles(["m"])
        )
        return plot_style.save_figure(figure, folder, "pr")

    one, two = drawn(tmp_path / "one"), drawn(tmp_path / "two")
    assert set(one) == {"png", "svg", "pdf"}
    for kind in one:
        assert one[kind].read_bytes() == two[kind].read_bytes()


def test_thumbnails_are_made_once(odd_results, tmp_path, monkeypatch, without_figures):
    from sodbench.reports import gallery

    made = []
    original = gallery.load_thumbnail
    monkeypatch.setattr(gallery, "load_thumbnail", lambda *a: made.append(a[0]) or original(*a))
    options = {"resamples": 100, "images": []}
    report_page(odd_results[:1], tmp_path / "out", **options)
    assert len(made) == 12 * 3
    report_page(odd_results[:1], tmp_path / "out", **options)
    assert len(made) == 12 * 3
    report_page(odd_results[:2], tmp_path / "out", **options)
    assert len(made) == 12 * 4


def test_a_grid_of_many_methods_shows_the_best_and_the_emphasised_ones(tmp_path):
    results = [
        synthetic(f"m{i}", "own", noise=0.9 - i / 10, folder=tmp_path / "data", images=10)
        for i in range(8)
    ]
    analysis = analyse(results, resamples=20)
    order = analysis.values[("own", "f_max")].sort_values().index
    (figure,), _ = image_grids(analysis, ["best"])
    titles = [axes.get_title() for axes in figure.draw().axes]
    assert titles == ["image", "GT", *(m for m in analysis.methods if m not in order[:2])]
    assert "6 of 8 methods are shown" in figure.caption
    (figure,), _ = image_grids(analysis, ["best"], [order[0]])
    titles = [axes.get_title() for axes in figure.draw().axes]
    assert titles == ["image", "GT", *(m for m in analysis.methods if m not in order[1:3])]


def test_missing_images_are_reported_and_change_no_number(tmp_path, without_figures):
    results = [synthetic("m", "SOD", folder=tmp_path / "data")]
    shutil.rmtree(tmp_path / "data" / "images")
    shutil.rmtree(tmp_path / "data" / "maps")
    out = report_page(results, tmp_path / "report.md", resamples=100)
    text = out.read_text(encoding="utf-8")
    assert "are no longer where they were when they were scored" in text
    assert "the numbers are not affected" in text
    without = [synthetic("m", "SOD")]  # no folders at all: in memory
    text = report_page(without, tmp_path / "other.md", resamples=100).read_text(encoding="utf-8")
    assert "images_1" not in text


def test_different_signatures_are_marked_and_explained(tmp_path, without_figures):
    results = [
        synthetic("a", "SOD"),
        synthetic("b", "SOD"),
        synthetic("c", "SOD", missing=2),
        synthetic("d", "SOD", protocol="matlab"),
    ]
    text = report_page(results, tmp_path / "r.md", resamples=100, images=[]).read_text("utf-8")
    row = next(line for line in text.splitlines() if line.startswith("| c"))
    assert row.count("[†]") == 5
    assert (
        "† was made in another way" in text and "missing:skip(2) instead of missing:error" in text
    )
    assert "‡ was made in another way" in text and "protocol:matlab" in text


def test_published_rows_are_marked_and_not_ranked(tmp_path, without_figures):
    results = [synthetic(m, "SOD", noise=n) for m, n in (("a", 0.1), ("b", 0.3), ("c", 0.6))]
    plain, with_rows = (
        report_page(results, tmp_path / f"{n}.md", resamples=100, images=[], published=p)
        for n, p in (("plain", None), ("rows", []))
    )
    own = next(line for line in plain.read_text("utf-8").splitlines() if line.startswith("| a"))
    text = with_rows.read_text("utf-8")
    same = next(line for line in text.splitlines() if line.startswith("| a"))
    assert [c.strip() for c in own.split("|")[1:-1]] == [c.strip() for c in same.split("|")[1:-2]]
    row = next(line for line in text.splitlines() if "*CPD (VGG16), as published*" in line)
    assert "0.113 [?]" in row and "not stated (ICON table 1)" in row
    assert "CSF+Res2Net-50, as published" not in text, "it has no number"
    assert "csf: no number of these datasets and metrics" in text.replace("\\", "")
    assert "the decimal point is missing" in text


def test_published_tables_are_complete_and_caveats_are_noted():
    sources = {s.name: s for s in load_published()}
    assert set(sources) == {"csf", "icon", "salod", "u2net", "sal_eval_toolbox"}
    assert sources["csf"].values == {} and sources["csf"].methods == ("CSF+Res2Net-50",)
    assert sources["icon"].values["CPD (VGG16)", "SOD", "mae"] == 0.113
    assert sources["sal_eval_toolbox"].values["DSS", "SOD", "f_max"] == 0.844
    for source in sources.values():
        for (_, _, metric), value in source.values.items():
            assert 0 < value < (0.3 if metric == "mae" else 1), source.name
    with pytest.raises(
        SodbenchError, match="--published nope: no such table and no such CSV file; there are: csf"
    ):
        load_published(["nope"])


def test_every_citation_of_the_catalogue_has_a_bibtex_entry():
    for metric in METRICS.values():
        assert bool(metric.citation) == bool(bibtex([], [], [metric.name])), metric.name


def test_templates_are_filled_in_with_the_right_escaping(odd_results, tmp_path, without_figures):
    (tmp_path / "mine.tex.j2").write_text(
        r"\title{((( document.title )))} ((( tables.scores|table )))"
    )
    (tmp_path / "mine.html").write_text("<p>{{ document.title }}</p>")

    def fill(name):
        report_page(
            odd_results[:2],
            tmp_path / "out" / "report.md",
            title="a_b <c>",
            template=tmp_path / name,
            resamples=100,
            images=[],
        )

    fill("mine.tex.j2")
    tex = (tmp_path / "out" / "mine.tex").read_text("utf-8")
    assert tex.startswith(r"\title{a\_b \textless{}c\textgreater{}} % Written")
    assert r"\toprule" in tex
    fill("mine.html")
    assert (tmp_path / "out" / "mine.html").read_text("utf-8") == "<p>a_b &lt;c&gt;</p>"
    assert not (tmp_path / "out" / "mine.tex").exists()  # of the report that this one replaced
    (tmp_path / "bad.md").write_text("{% if %}")
    with pytest.raises(SodbenchError, match=r"--template .*bad.md"):
        report_page(
            odd_results[:1], tmp_path / "out" / "x.md", template=tmp_path / "bad.md", resamples=100
        )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{{ 1 / 0 }}", "ZeroDivisionError: division by zero"),
        ("{{ cycler.__init__.__globals__.os.getpid() }}", "unsafe"),
    ],
)
def test_a_template_that_fails_or_reaches_for_python_is_refused(
    text, message, odd_results, tmp_path, without_figures
):
    template = tmp_path / "mine.md"
    template.write_text(text)
    with pytest.raises(SodbenchError, match=f"--template .*mine.md: .*{message}"):
        report_page(
            odd_results[:1], tmp_path / "out" / "x.md", template=template, resamples=100, images=[]
        )


@pytest.mark.parametrize("name", ["report.md", ""])
def test_a_template_replaces_only_its_own_unmodified_file(name, tmp_path, without_figures):
    results = [synthetic("m", "SOD")]
    template = tmp_path / "mine.txt.j2"
    out = tmp_path / "out" / name
    target = tmp_path / "out" / "mine.txt"

    def write(text):
        template.write_text(text)
        report_page(results, out, template=template, resamples=100, images=[])

    write("one")
    write("two")
    assert target.read_text() == "two"
    target.write_text("two, and my own words")
    with pytest.raises(SodbenchError, match=r"mine.txt: was modified since the report was written"):
        write("three")
    assert target.read_text() == "two, and my own words"
    target.unlink()
    write("three")
    assert target.read_text() == "three"


def stats_of(result, folder, images=None):
    """What ``sodbench data stats`` writes: ten small single objects at the border, the others large and in two parts."""
    stems = list(result.table.index)[:images]
    few = np.arange(len(stems)) < 10
    frame = pd.DataFrame(
        {
            "height": 24, "width": 30, "object_size": np.where(few, 0.05, 0.5), "objects": np.where(few, 1, 2),
            "border": few, "centre_distance": 0.1, "contrast": np.linspace(0, 1, len(stems)),
        },
        index=pd.Index(stems, name="stem"),
    )  # fmt: skip
    folder.mkdir(exist_ok=True)
    frame.to_csv(folder / f"{result.dataset.replace('/', '-')}.csv")
    return folder


def test_scores_by_kind_of_image(tmp_path, png_only, capsys, monkeypatch):
    results = [synthetic(m, "HKU-IS/test", images=14, noise=n) for m, n in (("a", 0.1), ("b", 0.6))]
    monkeypatch.setattr("sodbench.results.load_results", lambda _: results)
    stats = stats_of(results[0], tmp_path / "stats")
    arguments = ["report", "x", "-o", str(tmp_path / "out"), "--resamples", "100"]
    assert main([*arguments, "--attributes", str(stats), "--images", "random"]) == 0
    tables = tmp_path / "out" / "tables"
    by_border = pd.read_csv(tables / "by_border.csv", index_col=0)
    free, touching = "HKU-IS/test f_max free, n = 4", "HKU-IS/test f_max touching, n = 10"
    assert list(by_border.columns)[:4] == [free, touching, f"{touching} low", f"{touching} high"]
    rows = pd.read_csv(tables / "all_groups.csv")
    rows = rows[(rows.group == "several") & (rows.method == "a")]
    assert list(rows.metric) == ["mae", "f_max", "s", "e_max", "wf"]
    several = rows[rows.metric == "f_max"]
    assert several["images"].item() == 4 and several["low"].isna().item()
    assert several["value"].item() == by_border.loc["a"].iloc[0]
    assert {p.stem for p in (tmp_path / "out/figures").glob("*.png")} > {
        "by_object_size", "by_objects", "by_border", "by_position", "by_contrast"
    }  # fmt: skip
    text = (tmp_path / "out" / "report.md").read_text("utf-8")
    assert "Groups of fewer than 10 images are too small to rank methods by" in text
    page = (tmp_path / "out" / "index.html").read_text("utf-8")
    assert 'id="table-by_contrast"' in page and r"by\_contrast" not in page
    assert (tables / "by_position.tex").is_file()
    touching = pd.read_csv(tables / "by_border_mae.csv", index_col=0)[
        "HKU-IS/test mae touching, n = 10"
    ]
    assert 0 < touching["a"] < touching["b"]
    assert "**MAE by border**" in text and page.count('<details class="more">') == 4 * 5


def test_any_csv_with_stems_is_a_source_of_attributes(tmp_path):
    """As SOC's nine attributes, a column of 0 and 1 each; words; numbers; empty cells are in no group."""
    result = synthetic("m", "SOC", images=12)
    stems = list(result.table.index)
    frame = pd.DataFrame(
        {
            "stem": stems,
            "AC": [i % 2 for i in range(12)],
            "weather": ["sun", "rain", ""] * 4,
            "depth": [i / 7 for i in range(12)],
            "people": [i % 3 for i in range(12)],
        }
    )
    file = tmp_path / "anything.csv"
    frame.to_csv(file, index=False)
    groups = read_attributes([file], [result])["SOC"]
    assert {c: list(groups[c].cat.categories) for c in groups} == {
        "AC": ["yes", "no"],
        "weather": ["rain", "sun"],
        "depth": ["lowest third", "middle", "highest third"],
        "people": ["0", "1", "2"],
    }
    assert groups["weather"].isna().sum() == 4
    assert (groups["AC"] == "yes").sum() == 6
    assert list(groups.loc[stems[:2], "depth"]) == ["lowest third"] * 2
    analysis = analyse([result], attributes={"SOC": groups}, resamples=100)
    attributes = dict.fromkeys(b.attribute for b in analysis.breakdowns)
    assert list(attributes) == ["object size", *frame.columns[1:]]
    with_dataset = frame[["stem", "AC"]].assign(dataset="SOC")
    with_dataset.loc[len(frame)] = ["x", 1, "other"]
    with_dataset.to_csv(tmp_path / "both.csv", index=False)
    assert list(read_attributes([tmp_path / "both.csv"], [result])) == ["SOC"]
    with pytest.raises(SodbenchError, match="has the attribute AC in another file, too"):
        read_attributes([file, tmp_path / "both.csv"], [result])
    (tmp_path / "twice.csv").write_text("stem,a\nx,1\nx,0\n", encoding="utf-8")
    with pytest.raises(SodbenchError, match="the image x has several lines"):
        read_attributes([tmp_path / "twice.csv"], [result])


def test_attributes_of_any_name_have_files_of_their_own(tmp_path):
    """Names that leave the folder, that are those of other figures, and that differ in signs or capitals only."""
    result = synthetic("m", "SOC", images=12)
    names = ["x/../../../out", "pr", "a b", "A/b", "objects", "objects mae", "漢"]
    frame = pd.DataFrame({name: [0, 1] * 6 for name in names}, index=result.table.index)
    frame.to_csv(tmp_path / "SOC.csv", index_label="stem")
    groups = read_attributes([tmp_path / "SOC.csv"], [result])
    analysis = analyse([result], metrics=["mae", "f_max"], attributes=groups, resamples=20)
    document = build_document(analysis, ReportInputs(ReportOptions(), None, (), {}, {}))
    keys = ["object_size", "x_out", "pr", "a_b", "A_b_2", "objects", "objects_mae_2", "漢"]
    figures = [figure.key for figure in document.figures]
    assert [f"by_{key}" for key in keys] == [key for key in figures if key.startswith("by_")]
    assert len(set(figures)) == len(figures)
    tables = [name for name in document.tables if name.startswith("by_")]
    assert len(tables) == 2 * len(keys) and "by_objects_mae" in tables


def test_attributes_that_do_not_fit_are_refused(tmp_path):
    result = synthetic("m", "SOD")

    def refused(message, *places):
        with pytest.raises(SodbenchError, match=message):
            read_attributes(places, [result])

    refused("nowhere: no such file", tmp_path / "nowhere")
    refused("nothing about SOD in .*'sodbench data stats NAME -o DIR' measures it", tmp_path)
    stats_of(result, tmp_path, images=10)
    refused("lacks 2 of the 12 images of SOD that m was scored on, for example im_010", tmp_path)
    (tmp_path / "SOD.csv").write_text("name,a\nx,1\n")
    refused("SOD.csv: attributes need a column 'stem'", tmp_path / "SOD.csv")
    (tmp_path / "SOD.csv").write_text("stem,object size\nx,1\n")
    refused("the column 'object size' has the name of an attribute", tmp_path / "SOD.csv")
    measured = pd.read_csv(stats_of(result, tmp_path) / "SOD.csv")
    measured.assign(position="left").to_csv(tmp_path / "SOD.csv", index=False)
    refused("the column 'position' has the name of an attribute", tmp_path / "SOD.csv")
    assert read_attributes((), [result]) == {}


def test_refuses_to_overwrite_or_to_write_among_data(tmp_path):
    results = [synthetic("m", "SOD", folder=tmp_path / "data")]
    mine = tmp_path / "notes.md"
    mine.write_text("my thesis")
    with pytest.raises(SodbenchError, match="exists and was not written by sodbench"):
        report_page(results, mine)
    assert mine.read_text() == "my thesis"
    theirs = tmp_path / "paper_figures"
    theirs.mkdir()
    (theirs / "pr.png").write_text("my plot")
    with pytest.raises(SodbenchError, match="paper_figures: holds other files than a report"):
        report_page(results, tmp_path / "paper.md")
    assert (theirs / "pr.png").read_text() == "my plot" and not (tmp_path / "paper.md").exists()
    with pytest.raises(SodbenchError, match="holds other files"):
        report_page(results, tmp_path)
    with pytest.raises(SodbenchError, match="holds images, masks or maps"):
        report_page(results, tmp_path / "data" / "maps" / "m" / "report")
    with pytest.raises(SodbenchError, match=r"a report is a folder .* a single .html file"):
        report_page(results, tmp_path / "report.pdf")
    with pytest.raises(SodbenchError, match="--baseline nobody: no such method here; there are: m"):
        report_page(results, tmp_path / "r.md", baseline="nobody", resamples=100)
    with pytest.raises(SodbenchError, match="--images nowhere: neither an image"):
        report_page(results, tmp_path / "r.md", images=["nowhere"])


def test_a_markdown_report_may_be_written_again(tmp_path, monkeypatch):
    def interrupted(_, folder, name):
        folder.mkdir(exist_ok=True)
        (folder / f"{name}.png").touch()
        raise KeyboardInterrupt

    results, out = [synthetic("m", "SOD")], tmp_path / "r.md"
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(plot_style, "save_figure", interrupted)
        report_page(results, out, resamples=100, images=[])
    assert any((tmp_path / "r_figures").iterdir())
    monkeypatch.setattr(plot_style, "save_figure", lambda *_: {})
    for _ in range(2):
        assert "## Scores" in report_page(results, out, resamples=100, images=[]).read_text()


@pytest.mark.parametrize(
    ("methods", "figure"), [(3, "critical_difference.png"), (13, "critical_difference_f_max.png")]
)
def test_many_methods_get_a_rank_diagram_for_each_metric(
    methods, figure, tmp_path, without_figures
):
    results = [
        synthetic(f"m{i}", d, images=10, noise=0.05 * (i + 1))
        for d in ("SOD", "ECSSD")
        for i in range(methods)
    ]
    out = report_page(
        results, tmp_path / "r.md", metrics=["mae", "f_max"], resamples=100, images=[]
    )
    shown = [
        line.rpartition("/")[2][:-1]
        for line in out.read_text("utf-8").splitlines()
        if line.startswith("![")
    ]
    assert figure in shown
    assert sum("critical" in name for name in shown) == (1 if methods == 3 else 2)


def test_costs_are_read_or_refused(tmp_path):
    good = tmp_path / "bench.json"
    good.write_text('{"model": "m", "parameters": 36500000, "macs": null}')
    assert read_costs([good]) == {"m": {"parameters (M)": 36.5}}
    slow = tmp_path / "slow.json"
    slow.write_text('{"model": "m", "parameters": 1000000}')
    with pytest.raises(SodbenchError, match=r"slow.json: a second record of the method m"):
        read_costs([good, slow])
    both = read_costs([good, f"n={slow}"], ["m", "n"])
    assert both["n"] == {"parameters (M)": 1.0} and both["m"] == {"parameters (M)": 36.5}
    bad = tmp_path / "bad.json"
    for content, message in (
        ("[]", r"not a record of 'sodbench bench -o FILE' \(it is not a JSON object\)"),
        ("5", "it is not a JSON object"),
        ("{}", "it names no method"),
        ('{"method": 3}', "it names no method"),
        ("{", r"FILE\' \(Expecting property"),
        ("[" * 100_000, "nested too deeply"),
    ):
        bad.write_text(content)
        with pytest.raises(SodbenchError, match=rf"bad.json: .*{message}") as caught:
            read_costs([bad])
        assert "Error(" not in str(caught.value)
    for given in ("none.json", "m=none.json"):
        with pytest.raises(SodbenchError, match=r"^--bench: none.json: no such file$"):
            read_costs([given], ["m"])


@pytest.mark.parametrize("value", ["true", "-5", "1e999", "NaN", '"many"', "[]"])
def test_an_invalid_cost_is_refused(tmp_path, value):
    file = tmp_path / "bench.json"
    file.write_text(f'{{"model": "m", "images_per_second": {value}}}')
    with pytest.raises(
        SodbenchError, match=r"bench.json: its images_per_second is .*, not a number"
    ):
        read_costs([file])


def test_a_folder_without_results_is_refused(tmp_path, capsys):
    assert main(["report", str(tmp_path), "-o", str(tmp_path / "r.md")]) == 2
    assert "no results below it" in capsys.readouterr().err
    with pytest.raises(SystemExit, match="2"):
        main(["report", str(tmp_path), "-o", "r", "--resamples", "5"])


@pytest.mark.parametrize("command", [["report", "a", "-o", "r"], ["compare", "a", "b"]])
def test_negative_seed_is_refused(command, capsys):
    with pytest.raises(SystemExit, match="2"):
        main([*command, "--seed", "-1"])
    assert "--seed: '-1' is not a whole number of at least 0" in capsys.readouterr().err


def test_names_may_be_separated_by_commas(tmp_path, without_figures, monkeypatch, capsys):
    stored = [synthetic(m, d) for m in ("A", "B") for d in ("SOD", "ECSSD", "HKU-IS")]
    monkeypatch.setattr(
        "sodbench.results.load_results",
        lambda place: [r for r in stored if place in (Path(r.method), [Path("all")])],
    )
    chosen = ["--metrics", "mae,f_max", "--datasets", "SOD,ECSSD", "--resamples", "100"]
    out = tmp_path / "r.md"
    assert main(["report", "all", "-o", str(out), "--images", "random", *chosen]) == 0
    text = out.read_text("utf-8").partition("\n## Provenance")[0]
    assert "ECSSD" in text and "HKU-IS" not in text
    capsys.readouterr()
    assert main(["compare", "A", "B", *chosen, "--format", "csv"]) == 0
    rows = list(csv.DictReader(capsys.readouterr().out.splitlines()))
    assert {row["dataset"] for row in rows} == {"SOD", "ECSSD"}
    assert {row["metric"] for row in rows} == {"mae", "f_max"}
    assert main(["compare", "A", "B", "--datasets", "hkuis", *chosen[-2:], "--format", "csv"]) == 0
    assert capsys.readouterr().out.splitlines()[1].startswith("A,B,HKU-IS,")


@pytest.mark.real
def test_real_maps_give_the_published_numbers_in_the_report(shared, tmp_path, png_only):
    """From files to the page: three published methods on SOD, as the command line does it."""
    results = tmp_path / "results"
    arguments = ["eval", str(shared / "real/preds/DSS/SOD"), str(shared / "real/SOD/GT")]
    assert main([*arguments, "--name", "DSS", "-o", str(results)]) == 0
    out = tmp_path / "report.md"
    assert (
        main(["report", str(results), "-o", str(out), "--resamples", "100", "--images", "random"])
        == 0
    )
    row = next(x for x in out.read_text("utf-8").splitlines() if x.startswith("| DSS"))
    assert "0.844" in row and "0.121" in row and "0.751" in row
    assert Path(tmp_path / "report_figures" / "images_1.png").is_file()


def test_provenance_states_each_fact_once_and_problems_list_their_files_together():
    problems = tuple(Problem("grey-mask", f"{i}.png", "one level") for i in range(30))
    results = [
        synthetic(m, d, images=3, problems=problems, provenance=p)
        for d in ("A", "B")
        for m, p in (
            ("net", {"versions": {"numpy": "2.0", "machine": "x"}, "maps": {"device": "cpu"}}),
            ("prior", {"versions": {"numpy": "2.0", "machine": "x"}, "pairs": d}),
        )
    ]
    document = build_document(
        analyse(results, resamples=100), ReportInputs(ReportOptions(), None, (), {}, {})
    )
    sections = {s.anchor: "\n".join(map(str, s.blocks)) for s in document.sections}
    assert sections["provenance"].count("numpy 2.0") == 1
    assert sections["provenance"].count("net: maps device cpu") == 1
    assert "prior on B: digest of the pairs' names B" in sections["provenance"]
    assert "one level (30 files): 0.png, 1.png" in sections["problems"]
    assert "19.png and 10 more" in sections["problems"] and "20.png" not in sections["problems"]
