"""The table of a paper: layout, notation, marks, groups, captions; and the methods file that it reads."""

import re
import shutil
import subprocess

import pytest
from synthetic import ODD, synthetic

import sodbench
from sodbench.cli import main
from sodbench.errors import SodbenchError
from sodbench.reports.analysis import analyse
from sodbench.reports.methods_file import MethodEntry, label_results, read_methods_file
from sodbench.reports.paper_table import (
    PAPER_METRICS,
    STYLES,
    PaperTableOptions,
    format_paper_table,
)
from sodbench.reports.published import load_published

SETS = ("ECSSD", "SOD")
NOISES = {"DSS": 0.5, "Amulet": 0.8, "ours": 0.2, "RAS": 1.2}


@pytest.fixture(scope="module")
def analysis():
    results = [synthetic(m, d, noise=noise, images=24) for d in SETS for m, noise in NOISES.items()]
    return analyse(results, metrics=PAPER_METRICS, resamples=200)


def body(text):
    """The cells of the rows between the rules."""
    rows = [line for line in text.splitlines() if " & " in line]
    return [[cell.strip() for cell in line.removesuffix(r"\\").split(" & ")] for line in rows]


def test_one_float_holds_all_datasets_in_the_notation_of_the_field(analysis):
    text = format_paper_table(analysis)
    assert text.count(r"\begin{table*}") == 1 and text.count(r"\begin{tabular}") == 1
    for symbol in (r"S_\alpha\uparrow", r"F_\beta^{\max}\uparrow", r"\mathcal{M}\downarrow"):
        assert text.count(symbol) == 2, symbol
    assert re.search(r"\.\d{3}", text) and not re.search(r"\b0\.\d{3}\b", text)
    assert "maximum F-measure" in text and "higher is better" in text
    plain = format_paper_table(analysis, PaperTableOptions(style=STYLES["plain"]))
    assert "max F" in plain and r"S_\alpha" not in plain and re.search(r"0\.\d{3}", plain)


@pytest.mark.parametrize(
    ("style", "best", "explained"),
    [
        ("cvpr", r"\textcolor{red}{\textbf{", r"\textcolor{blue}{third} are coloured"),
        ("ieee", r"\textbf{0.", r"\textit{third} are marked"),
    ],
)
def test_the_caption_explains_the_marks_of_the_style(analysis, style, best, explained):
    text = format_paper_table(analysis, PaperTableOptions(style=STYLES[style]))
    assert best in text and explained in text
    assert ("xcolor" in text) == (style == "cvpr")


def test_superscripts_of_a_column_have_one_width_and_are_explained(analysis):
    plain = format_paper_table(analysis)
    assert "textsuperscript" not in plain and "superscript" not in plain
    text = format_paper_table(analysis, PaperTableOptions(superscripts=True))
    assert "A superscript names" in text
    columns = list(
        zip(*[row for row in body(text) if row[0].startswith(tuple(NOISES))], strict=True)
    )
    for column in columns[1:]:
        assert len({tuple(re.findall(r"makebox\[(.*?)\]", cell)) for cell in column}) == 1


def test_groups_years_and_citations_come_from_the_methods_file(analysis):
    entries = {
        "ours": MethodEntry(group="Transformer", year=2024, cite="me2024"),
        "DSS": MethodEntry(group="CNN", year=2017),
        "RAS": MethodEntry(group="CNN", year=2016),
        "Amulet": MethodEntry(group="CNN"),
    }
    text = format_paper_table(analysis, PaperTableOptions(order="year"), entries)
    order = [m for m in re.findall(r"^ *(\w+)(?:\\text| &)", text, re.MULTILINE) if m in NOISES]
    assert order == ["RAS", "DSS", "Amulet", "ours"]
    assert r"ours\textsubscript{'24}~\cite{me2024}" in text
    assert text.index(r"\textit{CNN}") < text.index(r"\textit{Transformer}")
    with pytest.raises(SodbenchError, match="no method here has a year"):
        format_paper_table(analysis, PaperTableOptions(order="year"))


def test_methods_are_ordered_by_rank_and_datasets_can_be_rows(analysis):
    options = PaperTableOptions(order="rank", mean_rank=True)
    rows = [row for row in body(format_paper_table(analysis, options)) if row[0] in NOISES]
    assert [row[0] for row in rows] == ["ours", "DSS", "Amulet", "RAS"]
    assert "1.00" in rows[0][-1]
    text = format_paper_table(analysis, PaperTableOptions(transpose=True, digits=4))
    rows = body(text)
    assert [row[0] for row in rows[1:]] == ["ECSSD", "", "", "", "SOD", "", "", ""]
    assert re.search(r"\.\d{4}", rows[1][2])


def test_headings_of_groups_are_above_their_methods_where_datasets_are_rows(analysis):
    entries = {"DSS": MethodEntry(group="CNN"), "RAS": MethodEntry(group="CNN")}
    text = format_paper_table(analysis, PaperTableOptions(transpose=True), entries)
    heading, rule, *_ = text[text.index(r"\toprule") :].splitlines()[1:]
    cells = heading.strip().removesuffix(r" \\").split("& ")
    widths = [int(w[1]) if (w := re.search(r"multicolumn{(\d)}", cell)) else 1 for cell in cells]
    start = 1 + sum(widths[: [("CNN" in cell) for cell in cells].index(True)])
    assert rule.strip() == rf"\cmidrule(lr){{{start}-{start + 1}}}"
    assert sum(widths) == 2 + len(NOISES), "every column of the table"


def test_published_rows_are_a_group_of_their_own(analysis, tmp_path):
    file = tmp_path / "mine.csv"
    file.write_text("method,dataset,metric,value\nDSS,SOD,f_max,.999\n", encoding="utf-8")
    text = format_paper_table(analysis, published=load_published([str(file)]))
    assert r"\textit{As published: mine.csv}" in text and ".999" in text
    assert r"{.999" not in text, "published numbers carry no mark"
    assert "take no part in marks and ranks" in text


def test_the_methods_file_names_every_fault(tmp_path):
    file = tmp_path / "methods.toml"
    file.write_text(
        '[a]\ncolor = "red"\ncolour = "red"\nline = "wavy"\nyear = "x"\nwidth = 0\ncite = "a b"\n[b]\nlabel = "a"\n',
        encoding="utf-8",
    )
    with pytest.raises(SodbenchError) as error:
        read_methods_file(file)
    message = str(error.value)
    for part in (
        "unknown key 'color'",
        "#RRGGBB",
        "'wavy'",
        "a year",
        "10 points",
        "BibTeX",
        "label 'a'",
    ):
        assert part in message, part
    file.write_text("[a\n", encoding="utf-8")
    with pytest.raises(SodbenchError, match="cannot be read"):
        read_methods_file(file)


def test_a_label_that_another_method_has_is_refused():
    results = [synthetic("a", "SOD", images=4), synthetic("b", "SOD", images=4)]
    with pytest.raises(SodbenchError, match="is the name of another method"):
        label_results(results, {"a": MethodEntry(label="b")})
    renamed = label_results(results, {"a": MethodEntry(label="A*")})
    assert [r.method for r in renamed] == ["A*", "b"]


@pytest.fixture
def stored(tmp_path):
    from synthetic import draw_pair, save_image

    for seed in range(12):
        map_, mask = draw_pair(seed, 24, 24)
        save_image(tmp_path / f"toys/GT/{seed}.png", mask)
        for method in ("one", "two"):
            save_image(tmp_path / f"preds/{method}/{seed}.png", map_ // (1 + (method == "two")))
    for method in ("one", "two"):
        arguments = [str(tmp_path / "preds" / method), str(tmp_path / "toys")]
        assert main(["--quiet", "eval", *arguments, "-o", str(tmp_path / "results")]) == 0
    return tmp_path


def test_a_call_makes_the_same_table_as_the_command(stored, capsys):
    assert main(["table", str(stored / "results"), "--style", "ieee", "--datasets", "toys"]) == 0
    layout = PaperTableOptions(style=STYLES["ieee"])
    options = sodbench.TableOptions(layout=layout, datasets=["toys"])
    text = sodbench.make_table(sodbench.load_results(stored / "results"), options)
    assert r"\begin{table*}" in text and capsys.readouterr().out.strip() == text.strip()


def test_published_numbers_are_added_only_where_they_are_asked_for():
    results = [synthetic(method, "SOD", images=4) for method in ("a", "b")]
    assert "As published" not in sodbench.make_table(results)
    asked = sodbench.TableOptions(published=["icon"])
    assert "As published" in sodbench.make_table(results, asked)


def test_a_table_of_some_datasets_leaves_out_methods_without_a_result_there():
    results = [synthetic("a", "SOD", images=4), synthetic("b", "ECSSD", images=4)]
    text = sodbench.make_table(results, sodbench.TableOptions(datasets=["SOD"]))
    assert "Scores of 1 method on 1 dataset." in text
    assert "a &" in text and "b &" not in text
    named = sodbench.TableOptions(datasets=["SOD"], methods=["a", "b"])
    assert "b &" in sodbench.make_table(results, named)


def test_a_table_is_not_written_among_maps_or_masks(stored, capsys):
    for place in ("preds/one/t.tex", "toys/GT/t.tex"):
        assert main(["table", str(stored / "results"), "-o", str(stored / place)]) == 2
        assert "which holds images, masks or maps" in capsys.readouterr().err
        assert not (stored / place).exists()


def test_the_command_writes_the_table_and_replaces_only_its_own(stored, capsys):
    methods, out = stored / "methods.toml", stored / "t.tex"
    methods.write_text('[two]\nlabel = "Two & co"\ngroup = "G"\n[one]\n', encoding="utf-8")
    published = stored / "p.csv"
    published.write_text(
        "method,dataset,metric,value\none,toys,s,.51\nx,toys,s,.52\n", encoding="utf-8"
    )
    command = ["--quiet", "table", str(stored / "results"), "--methods-file", str(methods)]
    options = [
        "--style",
        "ieee",
        "--single-column",
        "--transpose",
        "--digits",
        "4",
        "--order",
        "rank",
    ]
    options += ["--leading-zero", "no", "--notation", "names", "--marks", "none", "--mean-rank"]
    options += [
        "--superscripts",
        "--resamples",
        "100",
        "--seed",
        "1",
        "--caption",
        "Mine",
        "--label",
        "tab:x",
    ]
    options += ["--published", str(published), "--published-methods", "one", "--metrics", "s"]
    assert main([*command, *options, "-o", str(out)]) == 0
    text = out.read_text(encoding="utf-8")
    assert ".510" in text and ".520" not in text
    assert r"\begin{table}" in text and "Mine" in text and r"\label{tab:x}" in text
    assert r"Two \& co" in text and "textbf" not in text and not re.search(r"[ {]0\.", text)
    assert main([*command, "-o", str(out)]) == 0, "its own file"
    assert "two" not in out.read_text(encoding="utf-8")
    capsys.readouterr()
    for file, message in (
        ("x.csv", "ends in .tex"),
        ("own.tex", "was not written by sodbench"),
    ):
        (stored / file).write_text("mine", encoding="utf-8")
        assert main([*command, "-o", str(stored / file)]) == 2
        assert message in capsys.readouterr().err
        assert (stored / file).read_text(encoding="utf-8") == "mine"
    assert main([*command, "--published-methods", "one"]) == 2
    assert "without --published" in capsys.readouterr().err


DOCUMENT = r"""\documentclass[10pt,twocolumn]{article}
\usepackage[letterpaper,textwidth=%s,textheight=9in,columnsep=%s]{geometry}
\usepackage[utf8]{inputenc}\usepackage{booktabs,adjustbox,xcolor}
\begin{document}\input{wide}\input{narrow}\input{turned}Text.\end{document}"""


@pytest.mark.skipif(not shutil.which("pdflatex"), reason="no pdflatex on this machine")
@pytest.mark.parametrize(
    ("style", "width", "separation"),
    [("cvpr", "6.875in", "0.3125in"), ("ieee", "516pt", "12pt"), ("plain", "345pt", "10pt")],
)
def test_tables_compile_without_overfull_boxes(style, width, separation, tmp_path):
    sets = ("ECSSD", "PASCAL-S", "DUT-OMRON", "HKU-IS", "SOD", "DUTS-TE")
    results = [synthetic(m, d, noise=0.3, images=10) for m in ODD for d in sets]
    wide = analyse(results, metrics=PAPER_METRICS, resamples=100)
    for name, options in (
        ("wide", PaperTableOptions(STYLES[style], mean_rank=True, superscripts=True)),
        ("narrow", PaperTableOptions(STYLES[style], single_column=True)),
        ("turned", PaperTableOptions(STYLES[style], single_column=True, transpose=True)),
    ):
        (tmp_path / f"{name}.tex").write_text(format_paper_table(wide, options), encoding="utf-8")
    (tmp_path / "paper.tex").write_text(DOCUMENT % (width, separation), encoding="utf-8")
    done = subprocess.run(
        ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "paper.tex"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        errors="replace",
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-2000:]
    assert "Overfull" not in done.stdout
