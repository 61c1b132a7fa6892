"""Write a report from stored results: no picture is scored again, nothing is typed by hand."""

from collections.abc import Sequence
from pathlib import Path

from sodbench.errors import SodbenchError
from sodbench.reports import contents, gallery, markdown
from sodbench.reports.drawings import draw
from sodbench.reports.statistics import RESAMPLES
from sodbench.reports.study import study
from sodbench.results import Result, write_text


def write_report(
    results: Sequence[Result],
    out: Path | str,
    *,
    title: str = "Salient object detection: comparison",
    sample: bool = False,
    metrics: Sequence[str] | None = None,
    methods: Sequence[str] | None = None,
    datasets: Sequence[str] | None = None,
    baseline: str | None = None,
    pictures: Sequence[str] = gallery.DEFAULT,
    resamples: int = RESAMPLES,
    seed: int = 0,
    command: str = "",
) -> Path:
    """Write a report over results and return the file to open.

    out: a ``.md`` file, beside which a folder of figures is made, or a folder, which gets Markdown, HTML, LaTeX, CSV and
    JSON as well.
    sample: say at the top that these are the built-in sample's numbers (also said when the results say so).
    metrics, methods, datasets: keep these only, in this order.  baseline: a method the others are compared with.
    pictures: which images to show, see :func:`sodbench.reports.gallery.choose`.
    resamples, seed: of the bootstrap.  command: the command line, for the report's last section.

    Raises :class:`SodbenchError` for an unknown name, for an ``out`` that holds something else than a report, and for
    one inside a folder of maps or data.
    """
    out = Path(out)
    _check_output(out, results)
    gallery.check_wanted(pictures, results)
    found = study(
        results,
        measures=metrics,
        methods=methods,
        datasets=datasets,
        resamples=resamples,
        seed=seed,
    )
    if baseline is not None and baseline not in found.methods:
        raise SodbenchError(
            f"--baseline {baseline}: no such method here; there are: {', '.join(found.methods)}"
        )
    single = out.suffix.lower() == ".md"
    figures = out.with_name(f"{out.stem}_figures") if single else out / "figures"
    drawn = draw(found, figures, pictures, {})
    document = contents.contents(
        found,
        drawn,
        title=title,
        baseline=baseline,
        sample=sample or found.sample,
        command=command,
    )
    if single:
        write_text(out, markdown.document(document, figures.name))
        return out
    return out


def _check_output(out: Path, results: Sequence[Result]) -> None:
    """Refuse what would overwrite somebody's work or write among maps and data."""
    place = out.resolve()
    for result in results:
        for folder in filter(None, result.folders.values()):
            if place.is_relative_to(Path(folder).resolve()):
                raise SodbenchError(
                    f"{out}: lies inside {folder}, which holds maps or data; choose another place"
                )
    if out.suffix.lower() == ".md":
        if out.is_file() and not _is_report(out):
            raise SodbenchError(
                f"{out}: exists and was not written by sodbench; move it or choose another name"
            )
    elif out.is_file():
        raise SodbenchError(f"{out}: is a file; name a folder, or a file that ends in .md")
    elif out.suffix and not out.is_dir():
        raise SodbenchError(
            f"{out}: a report is a folder (Markdown, HTML, LaTeX, CSV, JSON, figures) or a .md file"
        )
    elif out.is_dir() and any(out.iterdir()) and not _is_report(out / "report.md"):
        raise SodbenchError(f"{out}: holds other files; name a new folder for the report")


def _is_report(file: Path) -> bool:
    if not file.is_file():
        return False
    with file.open(encoding="utf-8", errors="replace") as text:
        return text.readline().strip() == markdown.MARKER
