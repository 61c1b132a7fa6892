"""The sections of a report, as a document without markup."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from sodbench.metrics import PROTOCOLS
from sodbench.metrics.catalogue import find_metric
from sodbench.metrics.statistics.bootstrap import CONFIDENCE_TEXT
from sodbench.provenance import package_versions
from sodbench.reports import figures, kind_tables, published_rows, score_tables, uncertainty_tables
from sodbench.reports.analysis import Analysis
from sodbench.reports.citations import bibtex
from sodbench.reports.comparability import Key
from sodbench.reports.document import Alerts, Block, Bullets, Code, Document, Paragraph, Section
from sodbench.reports.image_counts import MIN_IMAGES_FOR_WIDTH
from sodbench.reports.image_grids import image_grids
from sodbench.reports.inputs import ReportInputs
from sodbench.reports.methods_file import by_label, label_of
from sodbench.reports.result_statistics import SIZE
from sodbench.reports.summary import find_alerts, write_headline

TITLE = "Salient object detection: comparison"
# files with one problem in one result; result.json holds them all
MAX_PROBLEMS = 20
# A longer list hides what the sentence is about
MAX_LISTED_VALUES = 8

SAMPLE_NOTICE = (
    "This is the built-in sample. Its images are drawn by a program, and the model was fitted to such images "
    "within minutes. The numbers show that everything works; they mean nothing for the real datasets."
)


def build_document(
    analysis: Analysis,
    inputs: ReportInputs,
    problems: Sequence[str] = (),
    styles: figures.Styles | None = None,
) -> Document:
    """Arrange a whole report.

    Parameters
    ----------
    analysis : Analysis
        Its numbers.
    inputs : ReportInputs
        Its options and what they name.
    problems : sequence of str
        What is wrong with the inputs, a line each.
    styles : mapping of str to LineStyle, optional
        How each method is drawn, see `sodbench.reports.figures.choose_styles`.

    Returns
    -------
    Document
        Without the sections that have nothing to show.
    """
    options = inputs.options
    styles = styles or figures.choose_styles(analysis, analysis.methods)
    sample = options.sample or analysis.sample
    headline = [Paragraph(SAMPLE_NOTICE, notice=True)] if sample else []
    headline.append(Paragraph(write_headline(analysis)))
    alerts = find_alerts(analysis, problems)
    sections = (
        Section(
            "Summary",
            (
                *headline,
                Paragraph(_describe_methods(analysis)),
                *[Alerts(tuple(alerts))] * bool(alerts),
            ),
            "summary",
        ),
        Section("Scores", _score_blocks(analysis, inputs, styles), "scores"),
        Section(
            "Uncertainty and significance",
            _uncertainty(analysis, options.baseline, styles),
            "uncertainty",
        ),
        Section("Curves", _curve_blocks(analysis, styles), "curves"),
        Section("Per-image scores", _images(analysis, inputs, styles), "images"),
        Section("Attribute-based analysis", _attributes(analysis, styles), "attributes"),
        Section("Scores by group", _group_blocks(analysis), "groups"),
        Section("Sensitivity to the evaluation protocol", _protocols(analysis), "protocols"),
        Section("Published numbers", _published(analysis, inputs), "published"),
        Section("Problems found", _problems(analysis, problems), "problems"),
        Section("Provenance", _provenance(analysis, options.command), "provenance"),
    )
    return Document(options.title or TITLE, tuple(s for s in sections if s.blocks), sample)


# ---- scores -------------------------------------------------------------------------------------


def _score_blocks(
    analysis: Analysis, inputs: ReportInputs, styles: figures.Styles
) -> tuple[Block, ...]:
    table = score_tables.score_table(analysis)
    if inputs.published:
        table = published_rows.add_published(table, analysis, inputs.published)
    blocks: list[Block] = [table]
    if len(analysis.ranking.datasets) > 1:
        ranks = score_tables.rank_table(analysis)
        blocks += [ranks] if ranks else []
    if inputs.costs:
        blocks.append(kind_tables.cost_table(inputs.costs))
        blocks += figures.cost_figures(analysis, inputs.costs, styles)
    return tuple(blocks)


def _describe_methods(analysis: Analysis) -> str:
    results = analysis.results
    datasets = []
    for dataset in analysis.datasets:
        heading = analysis.heading(dataset)
        images = max(r.n for r in analysis.results_on(dataset).values())
        # a heading that is more than the name has the number of images already
        datasets.append(heading if heading != dataset else f"{dataset} ({images:,} images)")
    protocols = dict.fromkeys(r.protocol for r in results.values())
    names = " and ".join(f"{PROTOCOLS[p].title} ({p})" for p in protocols if p in PROTOCOLS)
    methods = f"{len(analysis.methods)} method" + "s" * (len(analysis.methods) != 1)
    return f"{methods} on {', '.join(datasets)}, scored by the conventions of {names}."


# ---- uncertainty --------------------------------------------------------------------------------


def _uncertainty(
    analysis: Analysis, baseline: str | None, styles: figures.Styles
) -> tuple[Block, ...]:
    intro = (
        f"Intervals are {CONFIDENCE_TEXT} percentile intervals over {analysis.resamples} bootstrap resamples of each dataset's images "
        f"(seed {analysis.seed}): how far a number would move with other images of the same kind. They do not cover the "
        "choice of training data or of a random seed in training."
    )
    blocks: list[Block | None] = [
        Paragraph(intro),
        *(Paragraph(note, notice=True) for note in analysis.notes),
        *figures.forest_figures(analysis, styles),
        uncertainty_tables.interval_table(analysis),
        *_not_compared(analysis),
        uncertainty_tables.best_table(analysis),
    ]
    if any(c.tested for c in analysis.comparisons):
        blocks += [
            uncertainty_tables.record_table(analysis),
            uncertainty_tables.comparison_table(analysis),
        ]
    if baseline:
        blocks.append(uncertainty_tables.difference_table(analysis, baseline))
    blocks += figures.rank_figures(analysis)
    return tuple(block for block in blocks if block is not None)


def _not_compared(analysis: Analysis) -> list[Block]:
    """Which results take no part in places, ranks and tests, and why."""
    if not analysis.comparable.reasons:
        return []
    intro = (
        "Methods are ranked, marked and tested only among results that were made in the same way from the same images. "
        "These results are not compared:"
    )
    lines = tuple(f"{m} on {d}: {why}" for (m, d), why in analysis.comparable.reasons.items())
    return [Paragraph(intro), Bullets(lines)]


# ---- curves, images, protocols, published numbers -----------------------------------------------


def _curve_blocks(analysis: Analysis, styles: figures.Styles) -> tuple[Block, ...]:
    drawn = figures.curve_figures(analysis, styles)
    protocols: dict[str, dict[str, None]] = {}
    for (method, _), result in analysis.results.items():
        protocols.setdefault(result.protocol, {})[method] = None
    if len(protocols) < 2:
        return tuple(drawn)
    names = "; ".join(f"{p}: {', '.join(methods)}" for p, methods in protocols.items())
    text = f"Curves of different protocols are not comparable. Protocols here: {names}."
    return (Paragraph(text, notice=True), *drawn)


def _images(analysis: Analysis, inputs: ReportInputs, styles: figures.Styles) -> tuple[Block, ...]:
    options = inputs.options
    emphasised = figures.find_emphasised(by_label(inputs.entries), options.baseline)
    grids, notes = image_grids(analysis, options.images, emphasised)
    return (
        *figures.image_score_figures(analysis, styles),
        *grids,
        *(Paragraph(note, notice=True) for note in notes),
    )


# what the attributes of sodbench.datasets.attribute_groups mean
_ATTRIBUTES = {
    SIZE: "the share of the image that is foreground",
    "objects": "how many connected parts the foreground has",
    "border": "whether the foreground touches the image's border",
    "position": "how far the foreground's centroid is from the image's centre",
    "contrast": "how much the colours of foreground and background differ, in thirds of the dataset",
}


def _attributes(analysis: Analysis, styles: figures.Styles) -> tuple[Block, ...]:
    metric = analysis.primary_metric
    attributes = list(dict.fromkeys(b.attribute for b in analysis.breakdowns))
    known = [name for name in attributes if name in _ATTRIBUTES]
    meanings = "; ".join(f"{name}: {_ATTRIBUTES[name]}" for name in known)
    intro = (
        f"Groups of images, each scored by itself: {metric.label} with a figure, then the other metrics. {meanings}. Intervals "
        f"of groups of fewer than {MIN_IMAGES_FOR_WIDTH} images are too narrow."
    )
    if len(attributes) == 1:
        intro += (
            " For the number, position and contrast of the objects, measure the datasets once with 'sodbench data stats "
            "-o DIR' and add --attributes DIR to this command."
        )
    blocks: list[Block] = [Paragraph(intro)]
    # of each attribute the primary metric first
    ordered = sorted(
        analysis.breakdowns, key=lambda b: (attributes.index(b.attribute), b.metric != metric)
    )
    for breakdown in ordered:
        blocks.append(kind_tables.breakdown_table(analysis, breakdown))
        if breakdown.metric == metric:
            blocks.append(figures.breakdown_figure(analysis, breakdown, styles))
    return tuple(blocks)


def _group_blocks(analysis: Analysis) -> tuple[Block, ...]:
    datasets = [d for d in analysis.datasets if any(d == own for _, own in analysis.grouped)]
    if not datasets:
        return ()
    intro = (
        "Sequences or classes, each scored by itself, and the mean over them, in which each counts as much as another "
        "however many images it has. Curves are averaged over the images of a group, then over the groups, and then the "
        "maximum or mean over thresholds is taken. All other sections are about the means over images."
    )
    return (Paragraph(intro), *(kind_tables.group_table(analysis, d) for d in datasets))


def _protocols(analysis: Analysis) -> tuple[Block, ...]:
    table = kind_tables.protocol_table(analysis)
    if table is None:
        return ()
    intro = (
        "Evaluators differ in how they prepare maps and masks and in which F they call max F, so that one set of maps "
        "has several right numbers. Compare a paper's number with the column of the evaluator it used."
    )
    return (Paragraph(intro), table, *figures.protocol_figures(analysis))


def _published(analysis: Analysis, inputs: ReportInputs) -> tuple[Block, ...]:
    published = inputs.published
    if not published:
        return ()
    lines = []
    for source in published:
        remarks = list(source.notes)
        for (method, dataset, metric), caveat in source.caveats.items():
            if method not in source.methods:
                continue
            remarks.append(f"{method} on {dataset}, {find_metric(metric).label}: {caveat}.")
        lines.append(
            f"{source.title}: {source.citation}. Transcribed from {source.transcribed_from}. "
            f"Evaluator: {source.evaluator}. {' '.join(remarks)}".strip()
        )
    intro = (
        "Where the published rows of the score table come from. The same method's numbers differ between tables, "
        "because evaluators, masks and released maps differ."
    )
    names = {label_of(name, inputs.entries): name for name in inputs.entries}
    measured = published_rows.published_comparison_table(analysis, published, names)
    blocks: list[Block] = [measured] if measured else []
    return (*blocks, Paragraph(intro), Bullets(tuple(lines)))


# ---- problems and provenance --------------------------------------------------------------------


def _problems(analysis: Analysis, input_problems: Sequence[str]) -> tuple[Block, ...]:
    lines = [*input_problems, *analysis.check_image_counts()]
    for (method, dataset), result in analysis.results.items():
        alike: dict[tuple[str, str], list[str]] = {}
        for problem in result.problems:
            alike.setdefault((problem.kind, problem.detail), []).append(problem.file)
        for (kind, detail), names in alike.items():
            examples = ", ".join(names[:MAX_PROBLEMS])
            more = len(names) - MAX_PROBLEMS
            rest = f" and {more:,} more (see result.json)" if more > 0 else ""
            count = f" ({len(names):,} files)" * (len(names) > 1)
            lines.append(f"{method} on {dataset}: {kind}: {detail}{count}: {examples}{rest}")
    if not lines:
        return (Paragraph("None: every mask has exactly one map of its own size."),)
    return (Bullets(tuple(_merge_methods(lines))),)


def _merge_methods(lines: Sequence[str]) -> list[str]:
    """Put lines that differ only in the method into one."""
    methods: dict[str, list[str]] = {}
    for line in lines:
        method, on, rest = line.partition(" on ")
        methods.setdefault(on + rest, []).append(method)
    return [f"{', '.join(names)}{rest}" for rest, names in methods.items()]


# other facts are shown under their own names
_FACT_LABELS = {"pairs": "digest of the pairs' names"}


def _provenance(analysis: Analysis, command: str) -> tuple[Block, ...]:
    signatures = dict.fromkeys(str(r.signature) for r in analysis.results.values())
    blocks: list[Block] = [
        Paragraph("Signatures: they record how the numbers were made."),
        Bullets(tuple(signatures), code=True),
    ]
    blocks += _list_facts({key: _facts(r.provenance) for key, r in analysis.results.items()})
    blocks.append(Paragraph(f"This report: {_versions()}."))
    if command:
        blocks.append(Code(command, "sh"))
    entries = bibtex(analysis.datasets, analysis.methods, [m.name for m in analysis.metrics])
    blocks.append(Paragraph("To cite the datasets, the metrics and the models:"))
    blocks.append(Code(entries, "bibtex"))
    return tuple(blocks)


def _list_facts(facts: Mapping[Key, Mapping[str, str]]) -> list[Block]:
    """What is true of every result, then of every result of a method, then of one result."""
    shared = _shared(list(facts.values()))
    blocks: list[Block] = []
    if shared:
        lines = tuple(f"{name}: {value}" for name, value in shared.items())
        blocks += [Paragraph("Every result:"), Bullets(lines)]
    known = {method: dict(shared) for method, _ in facts}
    by_method = []
    for method in known:
        own = [values for (m, _), values in facts.items() if m == method]
        different = _without(_shared(own), shared)
        if len(own) > 1 and different:
            by_method.append(f"{method}: {different}")
            known[method] |= _shared(own)
    if by_method:
        blocks += [Paragraph("Method by method:"), Bullets(tuple(by_method))]
    different_of = {
        f"{method} on {dataset}": _without(values, known[method])
        for (method, dataset), values in facts.items()
    }
    lines = tuple(f"{result}: {text}" for result, text in different_of.items() if text)
    return [*blocks, Paragraph("Result by result:"), Bullets(lines)] if lines else blocks


def _shared(facts: Sequence[Mapping[str, str]]) -> dict[str, str]:
    first, *others = facts
    return {
        name: value
        for name, value in first.items()
        if all(other.get(name) == value for other in others)
    }


def _without(facts: Mapping[str, str], known: Mapping[str, str]) -> str:
    return "; ".join(f"{name} {value}" for name, value in facts.items() if name not in known)


def _facts(provenance: Mapping[str, Any]) -> dict[str, str]:
    """What a provenance states, by labels for readers; that it is of the built-in sample is stated at the top."""
    facts = _flatten({k: v for k, v in provenance.items() if k not in ("sample", "versions")})
    versions = _flatten(provenance.get("versions"))
    listed = ", ".join(f"{name} {value}" for name, value in versions.items() if name != "machine")
    if listed:
        facts["versions when scored"] = listed
    if "machine" in versions:
        facts["machine"] = versions["machine"]
    return {_FACT_LABELS.get(name, name): value for name, value in facts.items()}


def _versions() -> str:
    """The versions that the report's own statistics and figures depend on."""
    versions = package_versions(("numpy", "scipy", "matplotlib"))
    return ", ".join(f"{name} {version}" for name, version in versions.items() if name != "python")


def _flatten(value: Any, name: str = "") -> dict[str, str]:
    """The text of each value of a nested mapping by its dotted name; empty values left out."""
    if isinstance(value, Mapping):
        flat: dict[str, str] = {}
        for key, item in value.items():
            flat |= _flatten(item, f"{name} {key}".strip().replace("_", " "))
        return flat
    if value is None or value is False or value in ("", [], ()):
        return {}
    if isinstance(value, (list, tuple)):
        first = ", ".join(map(str, value[:MAX_LISTED_VALUES]))
        more = f", ... ({len(value)} in all)" if len(value) > MAX_LISTED_VALUES else ""
        return {name: first + more}
    return {name: re.sub(r"\s+", " ", str(value))}
