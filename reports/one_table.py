"""The table of a paper from stored results, in one call."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from sodbench.console import logger
from sodbench.datasets import canonical_name
from sodbench.reports.analysis import analyse
from sodbench.reports.methods_file import (
    MethodEntries,
    by_label,
    describe_unused,
    label_of,
    label_results,
    read_methods_file,
)
from sodbench.reports.paper_table import PAPER_METRICS, PaperTableOptions, format_paper_table
from sodbench.reports.published import select_published
from sodbench.results import Result

# Intervals are not printed; only superscripts need more
_RESAMPLES_WITHOUT_TESTS = 100


@dataclass(frozen=True)
class TableOptions:
    """What a paper's table shows.

    Attributes
    ----------
    layout : PaperTableOptions
        How it is laid out; ``PaperTableOptions(style=STYLES["ieee"])`` of `sodbench.reports.paper_table`, for example.
    metrics, methods, datasets : sequence of str, optional
        Only these, in this order.
    methods_file : Path, optional
        A TOML file with the methods' labels, groups, years and keys for ``\\cite``.
    published : sequence of str, optional
        Names of tables of the package, or CSV files, whose rows are added; an empty sequence: all tables of the package.
    published_methods : sequence of str, optional
        Only these of their rows.
    resamples, seed : int
        Of the bootstrap behind superscripts.
    """

    layout: PaperTableOptions = field(default_factory=PaperTableOptions)
    metrics: Sequence[str] | None = None
    methods: Sequence[str] | None = None
    datasets: Sequence[str] | None = None
    methods_file: Path | None = None
    published: Sequence[str] | None = None
    published_methods: Sequence[str] | None = None
    resamples: int = 1000
    seed: int = 0


def make_table(results: Sequence[Result], options: TableOptions | None = None) -> str:
    r"""Make the table of a paper in LaTeX.

    Parameters
    ----------
    results : sequence of Result
        The results of one or several methods, as `load_results` returns them.
    options : TableOptions, optional
        What it shows, and how.

    Returns
    -------
    str
        One float; it needs ``\usepackage{booktabs,adjustbox,xcolor}``.

    Raises
    ------
    SodbenchError
        For a name that no result has, and for files that cannot be used.

    Examples
    --------
    >>> text = sodbench.make_table(sodbench.load_results("results"))  # doctest: +SKIP
    >>> pathlib.Path("table1.tex").write_text(text, encoding="utf-8")  # doctest: +SKIP
    """
    options = options or TableOptions()
    entries = read_methods_file(options.methods_file) if options.methods_file else {}
    present = {result.dataset for result in results}
    datasets = [d if d in present else canonical_name(d) for d in options.datasets or ()] or None
    # without --methods: those that have a result here
    selection = [r for r in results if datasets is None or r.dataset in datasets]
    methods = options.methods or _order_of_file(selection, entries)
    published = select_published(options.published, options.published_methods)
    available = set.intersection(*(set(r.metrics) for r in results)) if results else set()
    analysis = analyse(
        label_results(results, entries),
        metrics=options.metrics or [m for m in PAPER_METRICS if m in available],
        methods=[label_of(m, entries) for m in methods] or None,
        datasets=datasets,
        resamples=options.resamples if options.layout.superscripts else _RESAMPLES_WITHOUT_TESTS,
        seed=options.seed,
    )
    named = {r.method for r in results}.union(*(table.methods for table in published))
    for line in describe_unused(entries, named):
        logger.info(f"--methods-file {options.methods_file}: {line}")
    for line in analysis.check_image_counts():
        logger.warning(line)
    return format_paper_table(analysis, options.layout, by_label(entries), published)


def _order_of_file(results: Sequence[Result], entries: MethodEntries) -> list[str]:
    """The methods of the results as the table shows them: in the order of the methods file, by group."""
    present = list(dict.fromkeys(r.method for r in results))
    ordered = [m for m in entries if m in present] + [m for m in present if m not in entries]
    groups = [entries[m].group if m in entries else "" for m in ordered]
    first = {group: number for number, group in reversed(list(enumerate(groups)))}
    return [m for m, group in sorted(zip(ordered, groups, strict=True), key=lambda p: first[p[1]])]
