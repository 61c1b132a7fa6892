"""Write a report: stored results -> analysis -> document -> Markdown, HTML, LaTeX, CSV, JSON and figures.

No image is scored again, and nothing is typed by hand.
"""

import hashlib
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from sodbench.console import logger, track
from sodbench.files import write_text
from sodbench.garbage import freeze_gc
from sodbench.reports import data_files, figures, html, latex, markdown, plot_style
from sodbench.reports.analysis import Analysis, analyse
from sodbench.reports.browser import (
    count_thumbnails,
    plan_browser,
    thumbnail_makers,
    writing_thumbnails,
)
from sodbench.reports.custom_template import fill_template
from sodbench.reports.document import Document
from sodbench.reports.hidden_paths import known_roots, without_paths
from sodbench.reports.inputs import (
    ReportInputs,
    ReportOptions,
    check_inputs,
    read_inputs,
    use_labels,
)
from sodbench.reports.methods_file import by_label
from sodbench.reports.report_folder import ReportFolder, ReportPlace
from sodbench.reports.sections import build_document
from sodbench.reports.single_file import SinglePage, make_single_page
from sodbench.results import Result

SINGLE_PAGE = "report-single.html"


@dataclass(frozen=True)
class WrittenReport:
    """A report that was written.

    Attributes
    ----------
    page : Path
        The file to open: the HTML page, or the Markdown file.
    problems : tuple of str
        A line for each input that was given and could not be used; the report contains them too.
    """

    page: Path
    problems: tuple[str, ...] = ()


def write_report(
    results: Sequence[Result],
    out: Path | str,
    options: ReportOptions | None = None,
) -> WrittenReport:
    """Write a report over results.

    Parameters
    ----------
    results : sequence of Result
        The results of one or several methods, as `load_results` returns them.
    out : path
        A ``.html`` file that holds everything, a ``.md`` file, next to which a folder of figures is made, or a folder,
        which gets Markdown, HTML, LaTeX, CSV and JSON as well. Files of an earlier report there that this one does not write are removed.
    options : ReportOptions, optional
        What to report, and how.

    Returns
    -------
    WrittenReport

    Raises
    ------
    SodbenchError
        If an option names something that does not exist, ``out`` holds something other than a report, or it is inside
        a folder of maps or data.

    Examples
    --------
    >>> report = write_report(results, "report", ReportOptions(baseline="DSS"))  # doctest: +SKIP
    >>> report.page  # doctest: +SKIP
    PosixPath('report/index.html')
    """
    options = options or ReportOptions()
    place = ReportPlace(Path(out))
    results, inputs = use_labels(results, read_inputs(results, place, options))
    has_browser = not (place.is_single or place.is_page)
    number = count_thumbnails(results, inputs.options.thumbnails) if has_browser else 0
    # modules and results stay to the end; looking through them takes a tenth of the time of a report
    with thumbnail_makers(number) as makers, freeze_gc():
        return _fill_place(results, inputs, place, makers)


def _fill_place(
    results: Sequence[Result], inputs: ReportInputs, place: ReportPlace, makers: Executor
) -> WrittenReport:
    options = inputs.options
    analysis = _analyse(results, inputs)
    problems = check_inputs(inputs, analysis, results)
    for note in problems.notes:
        logger.info(note)
    styles = figures.choose_styles(
        analysis,
        list(dict.fromkeys(result.method for result in results)),
        by_label(inputs.entries),
        options.baseline,
    )
    document = build_document(analysis, inputs, (*problems.faults, *problems.notes), styles)
    if not options.with_paths:
        document = without_paths(document, known_roots(analysis.results.values()))
    if place.is_page:
        single = _make_single_page(document, analysis, styles, options)
        write_text(place.out, single.text)
        return WrittenReport(place.out, (*problems.faults, *single.find_excess(options.max_size)))
    page, excess = _write_files(document, analysis, inputs, place, styles, makers)
    return WrittenReport(page, (*problems.faults, *excess))


def _analyse(results: Sequence[Result], inputs: ReportInputs) -> Analysis:
    options = inputs.options
    return analyse(
        results,
        metrics=options.metrics,
        methods=options.methods,
        datasets=options.datasets,
        attributes=inputs.attributes,
        grouping=inputs.grouping,
        resamples=options.resamples,
        seed=options.seed,
    )


def _make_single_page(
    document: Document, analysis: Analysis, styles: figures.Styles, options: ReportOptions
) -> SinglePage:
    single = make_single_page(document, analysis, styles, options.max_size)
    logger.info("one file: %s", single.describe())
    return single


def _write_files(
    document: Document,
    analysis: Analysis,
    inputs: ReportInputs,
    place: ReportPlace,
    styles: figures.Styles,
    makers: Executor,
) -> tuple[Path, list[str]]:
    """Write every file of the report; returns the one to open, and how far the page in one file is too large."""
    options = inputs.options
    figure_folder = place.figures.name
    texts: dict[str, Callable[[], str]] = {}
    files: dict[str, Sequence[str]] = {
        f"{figure_folder}/{figure.key}.{extension}": ()
        for figure in document.figures
        for extension in plot_style.FORMATS
    }
    if options.template and inputs.template_target:
        text = fill_template(
            options.template, inputs.template_target, document, analysis, figure_folder
        )
        texts[inputs.template_target.name] = lambda: text
        files[inputs.template_target.name] = [hashlib.sha256(text.encode("utf-8")).hexdigest()]
    texts[place.page.name] = partial(markdown.format_document, document, figure_folder)
    browser = None
    spots: dict[str, tuple[plot_style.Spot, ...]] = {}
    if not place.is_single:
        texts |= data_files.table_files(document, analysis, options.colours)
        texts["report.tex"] = partial(latex.format_document, document, options.colours)
        texts["report.json"] = partial(data_files.format_json, document, analysis)
        linked_from = place.out if options.link_images else None
        browser = plan_browser(analysis, options.thumbnails, linked_from)
        texts |= html.page_files(document, analysis, browser, styles, spots)
        files |= dict.fromkeys(browser.thumbnail_folders, ())
        if options.single_file:
            files[SINGLE_PAGE] = ()
    with (
        ReportFolder.open(place, {**dict.fromkeys(texts, ()), **files}) as folder,
        # while figures are drawn
        writing_thumbnails(browser, folder, makers) if browser else nullcontext(),
    ):
        for figure in track(document.figures, "figures", "figure"):
            drawing = figure.draw()
            plot_style.save_figure(drawing, folder.path(figure_folder), figure.key)
            spots[figure.key] = plot_style.find_spots(drawing)
        for name, make_text in texts.items():
            folder.write_text(name, make_text())
        excess = []
        if SINGLE_PAGE in files:
            single = _make_single_page(document, analysis, styles, options)
            folder.write_text(SINGLE_PAGE, single.text)
            excess = single.find_excess(options.max_size)
    return place.page if place.is_single else place.out / "index.html", excess
