"""What a report is made from: its options and the files that they name, all checked before the first number."""

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pandas as pd

from sodbench.errors import SodbenchError
from sodbench.metrics.statistics.bootstrap import RESAMPLES
from sodbench.output_folder import read_json
from sodbench.reports.analysis import Analysis
from sodbench.reports.attributes import read_attributes
from sodbench.reports.custom_template import template_target
from sodbench.reports.gallery import DEFAULT_IMAGES, check_selection
from sodbench.reports.methods_file import (
    MethodEntries,
    describe_unused,
    label_of,
    label_results,
    read_methods_file,
)
from sodbench.reports.published import PublishedTable, select_published
from sodbench.reports.report_folder import ReportPlace
from sodbench.reports.sources import find_outside
from sodbench.results import Result
from sodbench.results.groups import BY_FOLDER, Grouping, read_grouping

# Megabytes of a page in one file
DEFAULT_MAX_SIZE = 4.5


@dataclass(frozen=True)
class ReportOptions:
    """What to write into a report, and how.

    Attributes
    ----------
    title : str, optional
        The heading.
    sample : bool
        Whether to state at the top that these are the built-in sample's numbers, even if no result records it.
    metrics, methods, datasets : sequence of str, optional
        Report only these, in this order; by default the five classical metrics, and everything that was scored.
    baseline : str, optional
        A method from which the others' differences are shown.
    published : sequence of str, optional
        Names of published tables, or CSV files, to add as marked rows; an empty sequence: all tables of this package.
    published_methods : sequence of str, optional
        Only these methods of them.
    methods_file : Path, optional
        How methods are named, drawn and cited, see `sodbench.reports.methods_file`.
    bench : sequence of path or str
        Files that ``sodbench bench`` wrote, or ``METHOD=FILE`` if the record has another name than the results.
    attributes : sequence of Path
        What ``sodbench data stats`` wrote, see `sodbench.reports.attributes.read_attributes`.
    group_by : str, optional
        ``parent`` or a file, see `sodbench.results.groups.read_grouping`; by default ``parent`` where all images are in
        folders of groups.
    images : sequence of str
        Which images to show, see `sodbench.reports.gallery.choose_images`.
    thumbnails : int, optional
        How many images of each dataset the page's browser shows; by default all.
    link_images : bool
        Whether the page links the original images, masks and maps by their paths relative to the report's folder, to show
        them in full size. Such a page works on this machine only.
    template : Path, optional
        A Jinja template (.md, .html, .tex, .txt) to fill in as well, see docs/reports.md.
    colours : bool
        Whether best, second and third are coloured in LaTeX.
    resamples, seed : int
        Of the bootstrap; the seed also draws random images.
    command : str
        The command line, for the report's last section.
    with_paths : bool
        Whether to keep absolute paths in the text, which name folders of this machine.
    single_file : bool
        Whether a report's folder also gets ``report-single.html``, the page in one file.
    max_size : float
        Megabytes that a page in one file may have.
    """

    title: str | None = None
    sample: bool = False
    metrics: Sequence[str] | None = None
    methods: Sequence[str] | None = None
    datasets: Sequence[str] | None = None
    baseline: str | None = None
    published: Sequence[str] | None = None
    published_methods: Sequence[str] | None = None
    methods_file: Path | None = None
    bench: Sequence[Path | str] = ()
    attributes: Sequence[Path] = ()
    group_by: str | None = None
    images: Sequence[str] = DEFAULT_IMAGES
    thumbnails: int | None = None
    link_images: bool = False
    template: Path | None = None
    colours: bool = False
    resamples: int = RESAMPLES
    seed: int = 0
    command: str = ""
    with_paths: bool = False
    single_file: bool = False
    max_size: float = DEFAULT_MAX_SIZE


@dataclass(frozen=True)
class ReportInputs:
    """A report's options, and the content of the files that they name.

    Attributes
    ----------
    options : ReportOptions
    template_target : Path or None
        The file that the options' template becomes.
    published : tuple of PublishedTable
    costs : mapping
        By method, then by kind of cost, see `read_costs`.
    attributes : mapping
        The groups of images of each dataset.
    grouping : Grouping
        The sequences or classes over whose means the scores are averaged.
    entries : mapping
        The content of the methods file, by the name in the results.
    """

    options: ReportOptions
    template_target: Path | None
    published: tuple[PublishedTable, ...]
    costs: Mapping[str, Mapping[str, float]]
    attributes: Mapping[str, pd.DataFrame]
    grouping: Grouping = BY_FOLDER
    entries: MethodEntries = field(default_factory=dict)


def read_inputs(
    results: Sequence[Result], place: ReportPlace, options: ReportOptions
) -> ReportInputs:
    """Check a report's output and options, and read what the options name.

    Parameters
    ----------
    results : sequence of Result
        All results, those too that the options leave out.
    place : ReportPlace
        Where the report is written.
    options : ReportOptions

    Returns
    -------
    ReportInputs

    Raises
    ------
    SodbenchError
        If the place holds something other than a report or is inside a folder of maps or data, and if an option names
        something that does not exist or cannot be read.
    """
    place.check(results)
    if place.is_page and options.template:
        raise SodbenchError("--template has no effect on a single HTML file; name a folder")
    if options.link_images and (place.is_page or place.is_single or options.single_file):
        raise SodbenchError(
            "link_images needs a report in a folder, without single_file: a single file is made to be moved, and its "
            "links to images would break"
        )
    target = template_target(options.template, place) if options.template else None
    check_selection(options.images, results)
    reported = [
        r
        for r in results
        if r.dataset in (options.datasets or [r.dataset])
        and r.method in (options.methods or [r.method])
    ]
    entries = read_methods_file(options.methods_file) if options.methods_file else {}
    costs = read_costs(options.bench, [r.method for r in results])
    return ReportInputs(
        options,
        target,
        select_published(options.published, options.published_methods),
        costs,
        read_attributes(options.attributes, reported),
        _read_grouping(options.group_by, reported),
        entries,
    )


def _read_grouping(text: str | None, results: Sequence[Result]) -> Grouping:
    """What ``--group-by`` names, checked against the images of the results."""
    if text is None:
        return BY_FOLDER
    grouping = read_grouping(text)
    stems = {f"{r.method} on {r.dataset}": list(r.table.index) for r in results}
    grouped = [title for title, names in stems.items() if grouping.applies_to(names)]
    for title in grouped:
        grouping.find_groups(stems[title], title)
    if not grouped:
        reason = (
            "the file names none of the images"
            if grouping.file
            else "the masks were not in a folder for each group when they were scored; 'sodbench eval --group-by "
            "parent -o DIR' scores such datasets, and --group-by FILE.csv names the groups"
        )
        datasets = ", ".join(dict.fromkeys(r.dataset for r in results))
        raise SodbenchError(f"--group-by {text}: {datasets}: {reason}")
    return grouping


def use_labels(
    results: Sequence[Result], inputs: ReportInputs
) -> tuple[list[Result], ReportInputs]:
    """Give methods the names that the methods file prints, in results and in options alike.

    Parameters
    ----------
    results : sequence of Result
    inputs : ReportInputs
        Their options may use either name.

    Returns
    -------
    results : list of Result
    inputs : ReportInputs
    """
    entries, options = inputs.entries, inputs.options
    labelled = label_results(results, entries)
    methods = options.methods and [label_of(m, entries) for m in options.methods]
    baseline = options.baseline and label_of(options.baseline, entries)
    costs = {label_of(m, entries): cost for m, cost in inputs.costs.items()}
    named = replace(options, methods=methods, baseline=baseline)
    return labelled, replace(inputs, options=named, costs=costs)


@dataclass(frozen=True)
class InputProblems:
    """What is wrong with the inputs of a report that can be written all the same.

    Attributes
    ----------
    faults : tuple of str
        A line for everything that was given and could not be used.
    notes : tuple of str
        A line for everything that a reader may miss.
    """

    faults: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def check_inputs(
    inputs: ReportInputs, analysis: Analysis, results: Iterable[Result]
) -> InputProblems:
    """Compare what the options name with the methods and files of the report.

    Parameters
    ----------
    inputs : ReportInputs
    analysis : Analysis
        The report's numbers; its methods have the names that the report uses.
    results : iterable of Result
        All results; records of methods that the report leaves out on purpose are no problem.

    Returns
    -------
    InputProblems

    Raises
    ------
    SodbenchError
        If the baseline is not one of the methods.
    """
    methods = analysis.methods
    baseline = inputs.options.baseline
    if baseline is not None and baseline not in methods:
        raise SodbenchError(
            f"--baseline {baseline}: no such method here; there are: {', '.join(methods)}"
        )
    excluded = {r.method for r in results} - set(methods)
    faults = [
        f"--bench: the record of {name!r} belongs to no method of this report ({', '.join(methods)}); if it is one of "
        "them under another name, give it as METHOD=FILE"
        for name in inputs.costs
        if name not in methods and name not in excluded
    ]
    without = [m for m in methods if m not in inputs.costs] if inputs.costs else []
    notes = [f"--bench: no record of the cost of {', '.join(without)}"] if without else []
    notes += _unused_sources(inputs.published, analysis)
    named = {r.method for r in results}.union(*(table.methods for table in inputs.published))
    notes += [f"--methods-file: {line}" for line in describe_unused(inputs.entries, named)]
    return InputProblems((*faults, *find_outside(analysis.results)), tuple(notes))


def _unused_sources(published: Sequence[PublishedTable], analysis: Analysis) -> list[str]:
    """A line for each published table that has no number for the columns of the report."""
    columns = {
        (dataset, metric.name) for dataset in analysis.datasets for metric in analysis.metrics
    }
    return [
        f"--published {table.name}: no number of these datasets and metrics"
        for table in published
        if not any((d, m) in columns and method in table.methods for method, d, m in table.values)
    ]


# ---- cost ---------------------------------------------------------------------------------------

# by the key of a record: the heading in the report, and the unit
_COSTS = {
    "parameters": ("parameters (M)", 1e6),
    "macs": ("MACs (G)", 1e9),
    "images_per_second": ("images/s", 1.0),
}


def read_costs(
    files: Sequence[Path | str], methods: Iterable[str] = ()
) -> dict[str, dict[str, float]]:
    """Read parameters, MACs and speed from the files of ``sodbench bench``.

    Parameters
    ----------
    files : sequence of path or str
        ``FILE``, whose record names the method, or ``METHOD=FILE``.
    methods : iterable of str
        The methods that ``METHOD=FILE`` may name.

    Returns
    -------
    dict
        For each method the costs that its record has, by their headings.

    Raises
    ------
    SodbenchError
        If a file is not such a record, a METHOD has no result, or two records are of one method.
    """
    known = list(dict.fromkeys(methods))
    costs: dict[str, dict[str, float]] = {}
    for given in files:
        name, file = _split_method(str(given))
        if name and name not in known:
            raise SodbenchError(
                f"--bench {given}: no result of the method {name}; there are: {', '.join(known)}"
            )
        record = _read_record(file)
        method = name or record.get("method") or record["model"]
        numbers = {
            heading: _read_cost(file, key, record[key]) / unit
            for key, (heading, unit) in _COSTS.items()
            if record.get(key) is not None
        }
        if method in costs:
            raise SodbenchError(
                f"--bench {given}: a second record of the method {method}; leave one out, or give it as METHOD=FILE"
            )
        costs[method] = numbers
    return costs


def _read_record(file: Path) -> dict[str, Any]:
    """The JSON object of a record; raises SodbenchError for anything else."""
    try:
        record = read_json(file)
        if not isinstance(record.get("method") or record.get("model"), str):
            raise ValueError("it names no method")  # noqa: TRY004  a fault of the file
    except FileNotFoundError as error:
        raise SodbenchError(f"--bench: {file}: no such file") from error
    except OSError as error:
        raise SodbenchError(f"--bench: {file}: cannot be read ({error.strerror})") from error
    except ValueError as error:
        raise SodbenchError(
            f"--bench: {file}: not a record of 'sodbench bench -o FILE' ({error})"
        ) from error
    return record


def _read_cost(file: Path, key: str, value: Any) -> float:
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not is_number or not 0 <= value < math.inf:
        raise SodbenchError(
            f"--bench: {file}: its {key} is {json.dumps(value)[:60]}, not a number of 0 or more"
        )
    return float(value)


def _split_method(given: str) -> tuple[str, Path]:
    """``METHOD=FILE`` in its parts, ``FILE`` with an empty method."""
    # both parts may contain the sign, so that an existing file decides
    parts = [(given[:i], Path(given[i + 1 :])) for i, sign in enumerate(given) if sign == "=" and i]
    if not parts or Path(given).is_file():
        return "", Path(given)
    return next((part for part in parts if part[1].is_file()), parts[0])
