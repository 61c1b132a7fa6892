"""The sections of a report, as a document without markup."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from sodbench.errors import Problem
from sodbench.metrics import PROTOCOLS
from sodbench.metrics.catalogue import find_metric
from sodbench.metrics.statistics.significance import MIN_IMAGES
from sodbench.provenance import package_versions
from sodbench.reports import tables
from sodbench.reports.analysis import Analysis, primary_metric
from sodbench.reports.citations import bibtex
from sodbench.reports.comparability import (
    EVERYWHERE,
    NOT_COMPARED,
    VERSION,
    Comparable,
    Key,
    differing_fields,
    find_comparable,
    most_common,
    signature_fields,
)
from sodbench.reports.compare import Comparison
from sodbench.reports.document import Block, Bullets, Code, Document, Paragraph, Section
from sodbench.reports.figures import Drawn
from sodbench.reports.image_counts import MIN_IMAGES_FOR_WIDTH
from sodbench.reports.published import PublishedTable
from sodbench.reports.result_statistics import SIZE
from sodbench.reports.tables import NO_VALUE, Table

MARKS = "†‡§¶‖"
PAIRS_SHOWN = 45
PROBLEMS_SHOWN = 20
"""How many problems of one kind and result a report lists; result.json holds them all."""

SAMPLE_NOTICE = (
    "This is the built-in sample. Its images are drawn by a program, and the model was fitted to such images "
    "within minutes. The numbers show that everything works; they say nothing about the real data sets."
)


def build_document(
    analysis: Analysis,
    drawn: Drawn,
    *,
    title: str,
    baseline: str | None = None,
    sample: bool = False,
    costs: Mapping[str, Mapping[str, float]] | None = None,
    published: Sequence[PublishedTable] = (),
    command: str = "",
    problems: Sequence[str] = (),
) -> Document:
    """The whole report as a document.  problems: what is wrong with the report's inputs, a line each."""
    sections = [
        Section("Scores", _scores(analysis, sample, costs or {}, drawn, published), "scores"),
        Section("How sure the numbers are", _uncertainty(analysis, baseline, drawn), "uncertainty"),
        Section("Curves", (*_curves_remark(analysis), *drawn.groups["curves"]), "curves"),
        Section("Single images", _images(drawn), "images"),
        Section("Scores by kind of image", _attributes(analysis, drawn), "attributes"),
        Section("The same maps under other evaluators", _protocols(analysis, drawn), "protocols"),
        Section("Published numbers", _published(published), "published"),
        Section("Problems found", _problems(analysis, problems), "problems"),
        Section("How this was made", _provenance(analysis, command), "provenance"),
    ]
    return Document(title, tuple(s for s in sections if s.blocks), sample)


# ---- scores -----------------------------------------------------------------------------------


def _scores(
    analysis: Analysis,
    sample: bool,
    costs: Mapping[str, Mapping[str, float]],
    drawn: Drawn,
    published: Sequence[PublishedTable],
) -> tuple[Block, ...]:
    signatures = {k: str(r.signature) for k, r in analysis.results.items()}
    marks, notes = signature_marks(signatures, analysis.comparable)
    if any(c.tested for c in analysis.comparisons):
        letters = tables.method_letters(analysis.methods)[analysis.methods[0]] != ""
        what = "the methods with these letters" if letters else "as many of the other methods"
        meaning = (
            f"A superscript means: significantly better than {what} (paired bootstrap over images, "
            f"{analysis.resamples} resamples, 5 % level, Holm-corrected over all compared pairs of methods in the column)."
        )
        notes = [meaning, *notes]
    table = tables.score_table(
        analysis.values,
        analysis.metrics,
        compared=analysis.ranked,
        ranking=analysis.ranking,
        beaten=analysis.wins_over(),
        marks=marks,
        signatures=signatures,
        headings=analysis.headings,
        notes=notes,
    )
    if published:
        table = _with_published(analysis, table, published)
    blocks: list[Block] = [Paragraph(SAMPLE_NOTICE, notice=True)] if sample else []
    blocks += [Paragraph(_overview(analysis)), table]
    if len(analysis.ranking.datasets) > 1:
        ranks = tables.rank_table(analysis.values, analysis.metrics, analysis.ranking)
        blocks += [ranks] if ranks else []
    if costs:
        frame = pd.DataFrame(list(costs.values()), index=list(costs))
        blocks.append(
            tables.table_from_frame(
                "cost",
                "Cost",
                frame,
                ("From sodbench bench; images/s from JPEG to PNG on the machine of that record.",),
            )
        )
        blocks += drawn.groups["cost"]
    return tuple(blocks)


def _overview(analysis: Analysis) -> str:
    images = {
        d: max(r.n for (_, e), r in analysis.results.items() if e == d) for d in analysis.datasets
    }
    sets = ", ".join(
        analysis.heading(d) if analysis.heading(d) != d else f"{d} ({n:,} images)"
        for d, n in images.items()
    )
    protocols = dict.fromkeys(r.protocol for r in analysis.results.values())
    named = " and ".join(f"{PROTOCOLS[p].title} ({p})" for p in protocols if p in PROTOCOLS)
    methods = f"{len(analysis.methods)} method" + "s" * (len(analysis.methods) != 1)
    return f"{methods} on {sets}, scored by the conventions of {named}."


def signature_marks(
    signatures: Mapping[Key, str], comparable: Comparable | None = None
) -> tuple[dict[Key, str], list[str]]:
    """Footnote marks for results made in another way than the others, and the footnotes.

    signatures: by (method, dataset).  Protocol, rule for masks and version are expected to be the same on all datasets,
    the rest within a dataset.  comparable: what :func:`find_comparable` found, by default from the signatures alone.
    """
    comparable = comparable or find_comparable(signatures)
    everywhere = most_common(
        "|".join(f"{n}:{v}" for n, v in signature_fields(s).items() if n in EVERYWHERE)
        for s in signatures.values()
    )
    marks: dict[Key, str] = {}
    notes: dict[str, str] = {}
    for (method, dataset), signature in signatures.items():
        differences = [
            *differing_fields(signature, everywhere, only=EVERYWHERE),
            *differing_fields(signature, comparable.usual[dataset], ignored=EVERYWHERE),
        ]
        other = not comparable.has(method, dataset) and bool(comparable.compared[dataset])
        if other and not differences:
            differences = [comparable.reasons[method, dataset]]
        if not differences:
            continue
        only_version = all(d.startswith(f"{VERSION}:") for d in differences)
        what = "was made in another way"
        if other:
            what += f" and is {NOT_COMPARED} with the others"
        elif only_version:
            what = "was made by another version"
        text = f"{what}: {'; '.join(differences)}."
        if text not in notes:
            notes[text] = MARKS[len(notes)] if len(notes) < len(MARKS) else f"#{len(notes) + 1}"
        marks[method, dataset] = notes[text]
    return marks, [f"{mark} {text}" for text, mark in notes.items()]


# ---- uncertainty ------------------------------------------------------------------------------


def _uncertainty(analysis: Analysis, baseline: str | None, drawn: Drawn) -> tuple[Block, ...]:
    intro = (
        f"Intervals are 95 % percentile intervals over {analysis.resamples} bootstrap resamples of each dataset's images "
        f"(seed {analysis.seed}): how far a number would move with other images of the same kind. They do not cover the "
        "choice of training data or of a random seed in training."
    )
    signatures = {k: str(r.signature) for k, r in analysis.results.items()}
    blocks: list[Block] = [
        Paragraph(intro),
        *(Paragraph(note, notice=True) for note in analysis.notes),
        tables.interval_table(
            analysis.intervals,
            analysis.methods,
            analysis.datasets,
            analysis.metrics,
            headings=analysis.headings,
            signatures=signatures,
        ),
    ]
    blocks += _not_compared(analysis)
    best = _best_and_tied(analysis)
    blocks += [best] * bool(best.rows)
    if any(c.tested for c in analysis.comparisons):
        blocks.append(_record(analysis))
        blocks += _pairs(analysis)
    if baseline:
        blocks.append(
            tables.difference_table(
                analysis.values,
                analysis.metrics,
                baseline,
                analysis.differing_from(baseline),
                compared=analysis.comparable.compared,
                headings=analysis.headings,
                signatures=signatures,
            )
        )
    blocks += drawn.groups["rank"]
    return tuple(blocks)


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


def _best_and_tied(analysis: Analysis) -> Table:
    """For each dataset and metric: the best method, those tied with it, and those that it was not compared with."""
    beaten = analysis.wins_over()
    rows = []
    undecided = False
    for dataset in analysis.datasets:
        compared = analysis.ranked[dataset]
        for m in (m for m in analysis.metrics if m.sign and compared):
            scores = analysis.values[(dataset, m.name)].dropna()
            ranked = scores[scores.index.isin(compared)]
            if len(ranked) < 2:
                continue
            best = str(ranked.idxmax() if m.higher_is_better else ranked.idxmin())
            tied = {
                c.second if c.first == best else c.first: c.undecided
                for c in analysis.tied(best, dataset, m.name)
            }
            undecided |= any(tied.values())
            worse = beaten.get((best, dataset, m.name), [])
            others = [x for x in map(str, scores.index) if x not in (best, *tied, *worse)]
            shown = ", ".join(name + " ≈" * close for name, close in tied.items())
            nobody = "none" if worse else NO_VALUE
            cells = (best, shown or nobody, ", ".join(others) or NO_VALUE)
            rows.append(
                tables.Row(
                    f"{analysis.heading(dataset)} {m.label}",
                    tuple(map(tables.Cell, cells)),
                    key=f"{dataset} {m.name}",
                )
            )
    meaning = (
        "Tied: the test found no significant difference at the 5 % level. Not compared: made in another way, or no test "
        "could be made."
    )
    notes = [meaning, *[_undecided_note(analysis)] * undecided]
    heads = ("best", "tied with best", NOT_COMPARED)
    columns = tuple(tables.Column("", head, "text", key=head.replace(" ", "_")) for head in heads)
    title = "Best and tied methods"
    return Table("best", title, columns, tuple(rows), tuple(notes), "dataset and metric")


def _undecided_note(analysis: Analysis) -> str:
    return (
        f"≈: p is within the Monte Carlo error of {analysis.resamples} resamples of the 5 % level, so that another seed could "
        "decide otherwise; it counts as not significant. More resamples decide it: --resamples 10000."
    )


def _record(analysis: Analysis) -> Table:
    """How often each method is significantly better, not different, or worse, over datasets and metrics."""
    counts = {m: Counter[str]() for m in analysis.methods}
    for c in analysis.comparisons:
        if not c.tested:
            continue
        counts[c.first]["won" if c.winner == c.first else "lost" if c.winner else "equal"] += 1
        counts[c.second]["won" if c.winner == c.second else "lost" if c.winner else "equal"] += 1
    heads = {"significantly better": "won", "not different": "equal", "significantly worse": "lost"}
    rows = tuple(
        tables.Row(
            m,
            tuple(
                tables.Cell(str(found[k]), found[k]) if found else tables.Cell(NOT_COMPARED)
                for k in heads.values()
            ),
        )
        for m, found in counts.items()
    )
    columns = tuple(tables.Column("", head, key=head.replace(" ", "_")) for head in heads)
    title = "Comparisons with the other methods, over all datasets and metrics"
    return Table("record", title, columns, rows)


def _pairs(analysis: Analysis) -> list[Block]:
    """The paired comparisons of the primary metric, if they are few enough to be read."""
    chief = primary_metric(analysis.metrics)
    found = [c for c in analysis.comparisons if c.metric == chief.name]
    if not found or len(found) > PAIRS_SHOWN:
        return []
    rows = tuple(
        tables.Row(
            f"{analysis.heading(c.dataset)}: {c.first} − {c.second}",
            comparison_cells(c),
            key=f"{c.dataset}: {c.first} - {c.second}",
        )
        for c in found
    )
    meaning = (
        "p: paired bootstrap of the aggregate (Student's t of its standard error); Wilcoxon: signed ranks of the single images' "
        f"{chief.label}, which is another question: an aggregate is not the mean of single images' best values. Both are "
        "Holm-corrected over all compared pairs of methods on the dataset. The intervals are not corrected: one may "
        "exclude zero where the corrected p is above 5 %. Better, equal, worse: the number of images on which the first method is."
    )
    notes = [meaning, *[_undecided_note(analysis)] * any(c.undecided for c in found)]
    title = f"Differences in {chief.label}"
    return [Table("comparisons", title, _COMPARISON_COLUMNS, rows, tuple(notes), "pair")]


_COMPARISON_COLUMNS = (
    tables.Column("", "difference [95 % interval]", key="difference"),
    tables.Column("", "bootstrap p (Holm)", key="p_holm"),
    tables.Column("", "Wilcoxon p (Holm)", key="p_wilcoxon_holm"),
    tables.Column("", "better", key="wins"),
    tables.Column("", "equal", key="ties"),
    tables.Column("", "worse", key="losses"),
)


def comparison_cells(c: Comparison) -> tuple[tables.Cell, ...]:
    """A comparison as it is printed, in the order of the columns above."""
    difference, low, high = (tables.format_difference(x, 4) for x in (c.difference, c.low, c.high))
    return (
        tables.Cell(f"{difference} [{low}, {high}]", c.difference, low=c.low, high=c.high),
        tables.Cell(format_p_value(c.p_holm), c.p_holm, mark="≈" * c.undecided),
        tables.Cell(format_p_value(c.p_wilcoxon_holm), c.p_wilcoxon_holm),
        *(
            tables.Cell(str(n), n) if c.wins + c.ties + c.losses else tables.Cell()
            for n in (c.wins, c.ties, c.losses)
        ),
    )


def format_p_value(p: float) -> str:
    """A p-value in print."""
    return "–" if np.isnan(p) else "< 0.001" if p < 0.001 else f"{p:.3f}"


def _curves_remark(analysis: Analysis) -> tuple[Block, ...]:
    """That curves made under several protocols are drawn into one panel."""
    protocols: dict[str, list[str]] = {}
    for (method, _), result in analysis.results.items():
        protocols.setdefault(result.protocol, []).append(method)
    if len(protocols) < 2:
        return ()
    named = "; ".join(f"{p}: {', '.join(dict.fromkeys(ms))}" for p, ms in protocols.items())
    text = f"Curves of different protocols are not comparable. Protocols here: {named}."
    return (Paragraph(text, notice=True),)


# ---- images, protocols, published -------------------------------------------------------------


def _images(drawn: Drawn) -> tuple[Block, ...]:
    remarks = tuple(Paragraph(r, notice=True) for r in drawn.remarks)
    return (*drawn.groups["images"], *drawn.groups["pictures"], *remarks)


_ATTRIBUTES = {
    SIZE: "the share of the image that is foreground",
    "objects": "how many connected parts the foreground has",
    "border": "whether the foreground touches the image's border",
    "position": "how far the foreground's centroid is from the image's centre",
    "contrast": "how much the colours of foreground and background differ, in thirds of the set",
}
"""What the attributes of :func:`sodbench.datasets.attribute_groups` mean."""


def _attributes(analysis: Analysis, drawn: Drawn) -> tuple[Block, ...]:
    chief = primary_metric(analysis.metrics)
    named = "; ".join(f"{b.attribute}: {_ATTRIBUTES[b.attribute]}" for b in analysis.breakdowns)
    intro = (
        f"{chief.title} of groups of images, each group scored by itself. {named}. Intervals of groups of fewer than "
        f"{MIN_IMAGES_FOR_WIDTH} images are too narrow."
    )
    if len(analysis.breakdowns) == 1:
        intro += (
            " For number, place and contrast of the objects, measure the datasets once with 'sodbench data stats "
            "-o DIR' and add --attributes DIR here."
        )
    blocks: list[Block] = [Paragraph(intro)]
    for breakdown, picture in zip(analysis.breakdowns, drawn.groups["attributes"], strict=True):
        blocks += [
            tables.breakdown_table(
                breakdown,
                analysis.methods,
                analysis.datasets,
                chief,
                MIN_IMAGES,
                compared=analysis.comparable.compared,
                headings=analysis.headings,
                signatures={k: str(r.signature) for k, r in analysis.results.items()},
            ),
            picture,
        ]
    return tuple(blocks)


def _protocols(analysis: Analysis, drawn: Drawn) -> tuple[Block, ...]:
    names = list(dict.fromkeys(p for row in analysis.by_protocol.values() for p in row))
    if len(names) < 2:
        return ()
    intro = (
        "Evaluators differ in how they prepare maps and masks and in which F they call max F, so that one set of maps "
        "has several right numbers. Compare a paper's number with the column of the evaluator it used."
    )
    columns = tuple(
        tables.Column(analysis.heading(d), p, key=f"{d} f_max {p}", dataset=d)
        for d in analysis.datasets
        for p in names
    )
    rows = tuple(
        tables.Row(
            m,
            tuple(
                _number_cell(analysis.by_protocol.get((m, d), {}).get(p, np.nan))
                for d in analysis.datasets
                for p in names
            ),
        )
        for m in analysis.methods
    )
    table = Table("protocols", "Max F under each protocol", columns, rows)
    return (Paragraph(intro), table, *drawn.groups["protocols"])


def _number_cell(value: float) -> tables.Cell:
    return (
        tables.Cell() if np.isnan(value) else tables.Cell(tables.format_score(value), float(value))
    )


def _with_published(analysis: Analysis, table: Table, published: Sequence[PublishedTable]) -> Table:
    """The score table with a row for each published method that has a number in one of its columns, or none at all."""
    columns = tables.score_columns(analysis.values)
    rows = []
    for source in published:
        for method in source.methods:
            cells = []
            for dataset, name in columns:
                key = (method, dataset, name)
                value = source.values.get(key)
                doubtful = "?" if key in source.caveats else ""
                cells.append(
                    tables.Cell()
                    if value is None
                    else tables.Cell(tables.format_score(value), value, mark=doubtful)
                )
            empty = not any(m == method for m, _, _ in source.values)
            if empty or any(not np.isnan(c.value) for c in cells):
                cells += [tables.Cell()] * (len(table.columns) - len(columns))
                evaluator = tables.Cell(f"{source.evaluator} ({source.title})")
                row = tables.Row(f"{method}, as published", (*cells, evaluator), published=True)
                rows.append(row)
    evaluators = [
        ", ".join(
            dict.fromkeys(r.protocol for (m, _), r in analysis.results.items() if m == method)
        )
        for method in analysis.methods
    ]
    note = (
        "Rows marked as published are printed in the literature, not measured here; they take no part in marks, "
        "ranks or tests. A question mark: a misprint or a doubt, see the section on published numbers."
    )
    return tables.with_published(table, rows, evaluators, (note,))


def _published(published: Sequence[PublishedTable]) -> tuple[Block, ...]:
    if not published:
        return ()
    lines = []
    for source in published:
        doubts = [
            f"{m} on {d}, {find_metric(n).label}: {why}"
            for (m, d, n), why in source.caveats.items()
        ]
        remarks = " ".join([*source.notes, *(f"{doubt}." for doubt in doubts)])
        lines.append(
            f"{source.title}: {source.citation}. Transcribed from {source.transcribed_from}. "
            f"Evaluator: {source.evaluator}. {remarks}".strip()
        )
    intro = (
        "Where the published rows of the score table come from. The same method's numbers differ between tables, "
        "because evaluators, masks and released maps differ."
    )
    return (Paragraph(intro), Bullets(tuple(lines)))


# ---- problems and provenance ------------------------------------------------------------------


def _problems(analysis: Analysis, further: Sequence[str]) -> tuple[Block, ...]:
    lines = [*further, *analysis.check_image_counts()]
    for (method, dataset), result in analysis.results.items():
        kinds: dict[str, list[Problem]] = {}
        for problem in result.problems:
            kinds.setdefault(problem.kind, []).append(problem)
        for kind, found in kinds.items():
            shown = "; ".join(f"{p.file}: {p.detail}" for p in found[:PROBLEMS_SHOWN])
            more = len(found) - PROBLEMS_SHOWN
            tail = f"; and {more} more (see result.json)" if more > 0 else ""
            lines.append(f"{method} on {dataset}: {kind} ({len(found)}): {shown}{tail}")
    if not lines:
        return (Paragraph("None: every mask has exactly one map of its own size."),)
    return (Bullets(tuple(_shared(lines))),)


def _shared(lines: Sequence[str]) -> list[str]:
    """The lines, with those that differ in the method alone put together."""
    groups: dict[str, list[str]] = {}
    for line in lines:
        method, on, rest = line.partition(" on ")
        groups.setdefault(on + rest, []).append(method)
    return [f"{', '.join(methods)}{rest}" for rest, methods in groups.items()]


def _provenance(analysis: Analysis, command: str) -> tuple[Block, ...]:
    results = analysis.results
    signatures = dict.fromkeys(str(r.signature) for r in results.values())
    facts = {f"{m} on {d}": dict(_flat(r.provenance)) for (m, d), r in results.items()}
    shared = {
        name: value
        for name, value in next(iter(facts.values())).items()
        if all(f.get(name) == value for f in facts.values())
    }
    own = [
        f"{result}: " + "; ".join(f"{n} {v}" for n, v in f.items() if n not in shared)
        for result, f in facts.items()
        if any(n not in shared for n in f)
    ]
    return tuple(
        block
        for block in (
            Paragraph("Signatures: they record how the numbers were made."),
            Bullets(tuple(signatures), code=True),
            Paragraph("Every result:") if shared else None,
            Bullets(tuple(f"{n}: {v}" for n, v in shared.items())) if shared else None,
            Paragraph("Result by result:") if own else None,
            Bullets(tuple(own)) if own else None,
            Paragraph(f"This report: {_made_with()}."),
            Code(command, "sh") if command else None,
            Paragraph("To cite the datasets, the metrics and the models:"),
            Code(
                bibtex(analysis.datasets, analysis.methods, [m.name for m in analysis.metrics]),
                "bibtex",
            ),
        )
        if block is not None
    )


def _made_with() -> str:
    """The versions that the report's own statistics and figures depend on."""
    versions = package_versions(("numpy", "scipy", "matplotlib"))
    return ", ".join(f"{name} {version}" for name, version in versions.items() if name != "python")


def _flat(value: Any, name: str = "") -> list[tuple[str, str]]:
    """A nested mapping as (dotted name, text); empty values left out."""
    if isinstance(value, Mapping):
        return [
            pair
            for key, item in value.items()
            for pair in _flat(item, f"{name} {key}".strip().replace("_", " "))
        ]
    if value is None or value is False or value == "" or value == [] or value == ():
        return []
    if isinstance(value, (list, tuple)):
        shown = ", ".join(map(str, value[:8]))
        return [(name, shown + (f", ... ({len(value)} in all)" if len(value) > 8 else ""))]
    return [(name, re.sub(r"\s+", " ", str(value)))]
