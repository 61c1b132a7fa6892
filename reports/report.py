"""Write a report: stored results -> analysis -> document -> Markdown, HTML, LaTeX, CSV, JSON and figures.

No image is scored again, and nothing is typed by hand.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sodbench.console import logger, track
from sodbench.files import write_text
from sodbench.reports import data_files, html, latex, markdown, plots
from sodbench.reports.analysis import Analysis, analyse
from sodbench.reports.custom_template import remove_filled_template
from sodbench.reports.document import Document
from sodbench.reports.hidden_paths import known_roots, without_paths
from sodbench.reports.inputs import ReportInputs, ReportOptions, check_inputs, read_inputs
from sodbench.reports.report_folder import ReportFolder, figures_of, is_single, page_of
from sodbench.reports.sections import build_document
from sodbench.results import Result


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
        What :func:`sodbench.results.find_results` read.
    out : path
        A ``.md`` file, next to which a folder of figures is made, or a folder, which gets Markdown, HTML, LaTeX, CSV
        and JSON as well. Files of an earlier report there that this one does not write are removed.
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
    out = Path(out)
    options = options or ReportOptions()
    inputs = read_inputs(results, out, options)
    analysis = analyse(
        results,
        metrics=options.metrics,
        methods=options.methods,
        datasets=options.datasets,
        attributes=inputs.attributes,
        resamples=options.resamples,
        seed=options.seed,
    )
    problems = check_inputs(inputs, analysis, results)
    for note in problems.notes:
        logger.info(note)
    document = build_document(analysis, inputs, (*problems.faults, *problems.notes))
    if not options.with_paths:
        document = without_paths(document, known_roots(analysis.results.values()))
    with ReportFolder.open(out) as folder:
        page = _render(document, analysis, inputs, out, folder)
    return WrittenReport(page, problems.faults)


def _render(
    document: Document, analysis: Analysis, inputs: ReportInputs, out: Path, folder: ReportFolder
) -> Path:
    """Write every file of the report; returns the one to open."""
    options, template = inputs.options, inputs.template
    page, figures = page_of(out), figures_of(out)
    _draw_figures(document, figures, folder)
    remove_filled_template(page, template)
    record = template.write(document, analysis, figures.name) if template else ""
    write_text(folder.claim(page), markdown.format_document(document, figures.name, record))
    if is_single(out):
        return page
    for name, content in data_files.table_files(document, analysis, options.colours):
        write_text(folder.claim(out / "tables" / name), content)
    write_text(folder.claim(out / "report.tex"), latex.format_document(document, options.colours))
    write_text(folder.claim(out / "report.json"), data_files.format_json(document, analysis))
    return html.write_page(document, analysis, out, folder, options.thumbnails)


def _draw_figures(document: Document, place: Path, folder: ReportFolder) -> None:
    for figure in track(document.figures, "figures", "figure"):
        for extension in plots.FORMATS:
            folder.claim(place / f"{figure.key}.{extension}")
        plots.save_figure(figure.draw(), place, figure.key)
