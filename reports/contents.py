"""What a report says, section by section, as a document without markup."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from sodbench import __version__
from sodbench.errors import Problem
from sodbench.metrics import PROTOCOLS
from sodbench.reports import tables
from sodbench.reports.document import Block, Bullets, Code, Document, Paragraph, Section
from sodbench.reports.drawings import Drawn
from sodbench.reports.literature import Source
from sodbench.reports.measures import measure
from sodbench.reports.references import bibtex
from sodbench.reports.study import FEW, SIZE, Comparison, Key, Study, headline
from sodbench.reports.tables import Table

MARKS = "†‡§¶‖"
PAIRS_SHOWN = 45
PROBLEMS_SHOWN = 20
"""How many problems of one kind and result a report lists; result.json holds them all."""

SAMPLE_NOTICE = (
    "This is the built-in sample. Its pictures are drawn by a program, and the model was fitted to such pictures "
    "within minutes. The numbers show that everything works; they say nothing about the real data sets."
)


def contents(
    study: Study,
    drawn: Drawn,
    *,
    title: str,
    baseline: str | None = None,
    sample: bool = False,
    costs: Mapping[str, Mapping[str, float]] | None = None,
    published: Sequence[Source] = (),
    command: str = "",
) -> Document:
    """The whole report as a document."""
    sections = [
        Section("Scores", _scores(study, sample, costs or {}, drawn, published), "scores"),
        Section("How sure the numbers are", _uncertainty(study, baseline, drawn), "uncertainty"),
        Section("Curves", drawn.groups["curves"], "curves"),
        Section("Single images", _images(drawn), "images"),
        Section("Scores by kind of image", _attributes(study, drawn), "attributes"),
        Section("The same maps under other evaluators", _protocols(study, drawn), "protocols"),
        Section("Published numbers", _published(published), "published"),
        Section("Problems found", _problems(study), "problems"),
        Section("How this was made", _provenance(study, command), "provenance"),
    ]
    return Document(title, tuple(s for s in sections if s.blocks), sample)


# ---- scores -----------------------------------------------------------------------------------


def _scores(
    study: Study,
    sample: bool,
    costs: Mapping[str, Mapping[str, float]],
    drawn: Drawn,
    published: Sequence[Source],
) -> tuple[Block, ...]:
    marks, notes = signature_marks({k: r.signature for k, r in study.results.items()})
    pairs = len(study.methods) * (len(study.methods) - 1) // 2
    if pairs:
        letters = tables.letters(study.methods)[study.methods[0]] != ""
        what = "the methods with these letters" if letters else "as many of the other methods"
        meaning = (
            f"A superscript means: significantly better than {what} (paired bootstrap over images, "
            f"{study.resamples} resamples, 5 % level, Holm-corrected over all pairs of methods in the column). Near that level "
            "'sodbench compare' can differ: it permutes, and corrects over the measures of two methods instead."
        )
        notes = [meaning, *notes]
    table = tables.score_table(
        study.values,
        study.measures,
        present=set(study.results),
        beaten=study.beaten(),
        marks=marks,
        notes=notes,
    )
    if published:
        table = _with_published(study, table, published)
    blocks: list[Block] = [Paragraph(SAMPLE_NOTICE, notice=True)] if sample else []
    blocks += [Paragraph(_overview(study)), table]
    if len(study.datasets) > 1:
        ranks = tables.rank_table(study.values, study.measures)
        blocks += [ranks] if ranks else []
    if costs:
        frame = pd.DataFrame(list(costs.values()), index=list(costs))
        blocks.append(
            tables.text_table(
                "cost",
                "Cost",
                frame,
                ("From sodbench bench; images/s from JPEG to PNG on the machine of that record.",),
            )
        )
        blocks += drawn.groups["cost"]
    return tuple(blocks)


def _overview(study: Study) -> str:
    images = {d: max(r.n for (_, e), r in study.results.items() if e == d) for d in study.datasets}
    sets = ", ".join(f"{d} ({n} images)" for d, n in images.items())
    protocols = dict.fromkeys(r.protocol for r in study.results.values())
    named = " and ".join(f"{PROTOCOLS[p].title} ({p})" for p in protocols if p in PROTOCOLS)
    methods = f"{len(study.methods)} method" + "s" * (len(study.methods) != 1)
    return f"{methods} on {sets}, scored by the conventions of {named}."


def signature_marks(signatures: Mapping[Key, str]) -> tuple[dict[Key, str], list[str]]:
    """Footnote marks for results made in another way than most, and the footnotes.

    signatures: by (method, data set).  The number of images is compared within a data set, the rest over all.
    """
    parsed = {key: _fields(s) for key, s in signatures.items()}
    names = list(dict.fromkeys(name for fields in parsed.values() for name in fields))
    usual = {
        name: _commonest(f.get(name, "") for f in parsed.values()) for name in names if name != "n"
    }
    usual_n = {
        d: _commonest(f.get("n", "") for (_, e), f in parsed.items() if e == d)
        for d in dict.fromkeys(d for _, d in parsed)
    }
    marks: dict[Key, str] = {}
    meaning: dict[str, str] = {}
    for (method, dataset), fields in parsed.items():
        expected = {**usual, "n": usual_n[dataset]}
        other = [
            f"{n}:{fields.get(n) or 'none'} instead of {n}:{expected[n] or 'none'}"
            for n in names
            if fields.get(n, "") != expected[n]
        ]
        if other:
            text = "; ".join(other)
            if text not in meaning:
                number = len(meaning)
                meaning[text] = MARKS[number] if number < len(MARKS) else f"#{number + 1}"
            marks[method, dataset] = meaning[text]
    notes = [
        f"{mark} was made in another way and cannot be compared without care: {text}."
        for text, mark in meaning.items()
    ]
    return marks, notes


def _fields(signature: str) -> dict[str, str]:
    return dict(part.partition(":")[::2] for part in signature.split("|"))


def _commonest(values: Any) -> str:
    return str(Counter(values).most_common(1)[0][0])


# ---- uncertainty ------------------------------------------------------------------------------


def _uncertainty(study: Study, baseline: str | None, drawn: Drawn) -> tuple[Block, ...]:
    intro = (
        f"Intervals are 95 % percentile intervals over {study.resamples} bootstrap resamples of each set's images "
        f"(seed {study.seed}): how far a number would move with other images of the same kind. They do not cover the "
        "choice of training data or of a random seed in training."
    )
    blocks: list[Block] = [
        Paragraph(intro),
        tables.interval_table(study.intervals, study.methods, study.datasets, study.measures),
    ]
    blocks += [Paragraph(note) for note in study.notes]
    if len(study.methods) > 1:
        blocks.append(_best_and_equal(study))
        blocks += [_record(study)]
        blocks += _pairs(study)
    if baseline:
        blocks.append(
            tables.difference_table(
                study.values, study.measures, baseline, study.differing_from(baseline)
            )
        )
    blocks += drawn.groups["rank"]
    return tuple(blocks)


def _best_and_equal(study: Study) -> Table:
    """For each data set and measure: the best method, and those that cannot be told from it."""
    beaten = study.beaten()
    rows = []
    for dataset in study.datasets:
        for m in (m for m in study.measures if m.direction):
            scores = study.values[(dataset, m.name)].dropna()
            if scores.empty:
                continue
            best = str(scores.idxmax() if m.higher else scores.idxmin())
            losers = beaten.get((best, dataset, m.name), [])
            equal = [str(x) for x in scores.index if x != best and x not in losers]
            rows.append((f"{dataset} {m.label}", best, ", ".join(equal) or "none: it is ahead"))
    corner = "data set and measure"
    columns = [corner, "best", "cannot be told from it"]
    frame = pd.DataFrame(rows, columns=columns).set_index(corner)
    return tables.text_table("best", "What the images can tell apart", frame, corner=corner)


def _record(study: Study) -> Table:
    """How often each method is significantly better, not different, or worse, over sets and measures."""
    counts = {m: Counter[str]() for m in study.methods}
    for c in study.comparisons:
        if np.isnan(c.p_holm):
            continue
        counts[c.first]["won" if c.winner == c.first else "lost" if c.winner else "equal"] += 1
        counts[c.second]["won" if c.winner == c.second else "lost" if c.winner else "equal"] += 1
    frame = pd.DataFrame(
        {
            "significantly better": [counts[m]["won"] for m in study.methods],
            "not different": [counts[m]["equal"] for m in study.methods],
            "significantly worse": [counts[m]["lost"] for m in study.methods],
        },
        index=list(study.methods),
    )
    return tables.text_table(
        "record",
        "Comparisons with the other methods, over all sets and measures",
        frame,
    )


def _pairs(study: Study) -> list[Block]:
    """The paired comparisons of the headline measure, if they are few enough to be read."""
    chief = headline(study.measures)
    rows = [c for c in study.comparisons if c.measure == chief.name]
    if not rows or len(rows) > PAIRS_SHOWN:
        return []
    frame = pd.DataFrame(
        [comparison_texts(c) for c in rows],
        index=[f"{c.dataset}: {c.first} − {c.second}" for c in rows],
    )
    note = (
        "p: paired bootstrap of the aggregate (Student's t of its standard error); Wilcoxon: signed ranks of the single images' "
        f"{chief.label}, which is another question: an aggregate is not the mean of single images' best values. Both "
        "Holm-corrected. Images: on how many the first is better, equal, worse."
    )
    title = f"Differences in {chief.label}"
    return [tables.text_table("comparisons", title, frame, (note,), "pair")]


def comparison_texts(c: Comparison) -> dict[str, str]:
    """A comparison as it is printed."""
    return {
        "difference": f"{c.difference:+.4f}",
        "95 % interval": f"[{c.low:+.4f}, {c.high:+.4f}]",
        "p (Holm)": p_text(c.p_holm),
        "Wilcoxon (Holm)": p_text(c.p_wilcoxon_holm),
        "images": f"{c.wins} / {c.ties} / {c.losses}",
    }


def p_text(p: float) -> str:
    """A p-value in print."""
    return "–" if np.isnan(p) else "< 0.001" if p < 0.001 else f"{p:.3f}"


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


def _attributes(study: Study, drawn: Drawn) -> tuple[Block, ...]:
    chief = headline(study.measures)
    named = "; ".join(f"{b.attribute}: {_ATTRIBUTES[b.attribute]}" for b in study.breakdowns)
    intro = f"{chief.title} of groups of images, each group scored by itself. {named}."
    if len(study.breakdowns) == 1:
        intro += (
            " For number, place and contrast of the objects, measure the data sets once with 'sodbench data stats "
            "-o DIR' and add --attributes DIR here."
        )
    blocks: list[Block] = [Paragraph(intro)]
    for breakdown, picture in zip(study.breakdowns, drawn.groups["attributes"], strict=True):
        blocks += [
            tables.breakdown_table(breakdown, study.methods, study.datasets, chief, FEW),
            picture,
        ]
    return tuple(blocks)


def _protocols(study: Study, drawn: Drawn) -> tuple[Block, ...]:
    names = list(dict.fromkeys(p for row in study.by_protocol.values() for p in row))
    if len(names) < 2:
        return ()
    intro = (
        "Evaluators differ in how they prepare maps and masks and in which F they call max F, so that one set of maps "
        "has several right numbers. Compare a paper's number with the column of the evaluator it used."
    )
    frame = pd.DataFrame(
        {
            f"{d} {p}": [study.by_protocol.get((m, d), {}).get(p, np.nan) for m in study.methods]
            for d in study.datasets
            for p in names
        },
        index=list(study.methods),
    )
    columns = tuple(tables.Column(d, p) for d in study.datasets for p in names)
    rows = tuple(
        tables.Row(
            str(m),
            tuple(
                tables.Cell() if np.isnan(v) else tables.Cell(tables.printed(float(v)), float(v))
                for v in values
            ),
        )
        for m, values in zip(frame.index, frame.to_numpy(), strict=True)
    )
    table = Table("protocols", "Max F under each protocol", columns, rows)
    return (Paragraph(intro), table, *drawn.groups["protocols"])


def _with_published(study: Study, table: Table, published: Sequence[Source]) -> Table:
    """The score table with a row for each published method that has a number in one of its columns, or none at all."""
    columns = tables.pairs(study.values)
    rows = []
    for source in published:
        for method in source.methods:
            cells = []
            for dataset, name in columns:
                key = (method, dataset, name)
                value = source.values.get(key)
                doubtful = "?" if key in source.doubts else ""
                cells.append(
                    tables.Cell()
                    if value is None
                    else tables.Cell(tables.printed(value), value, mark=doubtful)
                )
            empty = not any(m == method for m, _, _ in source.values)
            if empty or any(not np.isnan(c.value) for c in cells):
                cells += [tables.Cell()] * (len(table.columns) - len(columns))
                evaluator = tables.Cell(f"{source.evaluator} ({source.title})")
                row = tables.Row(f"{method}, as published", (*cells, evaluator), published=True)
                rows.append(row)
    evaluators = [
        ", ".join(dict.fromkeys(r.protocol for (m, _), r in study.results.items() if m == method))
        for method in study.methods
    ]
    note = (
        "Rows marked as published are printed in the literature, not measured here; they take no part in marks, "
        "ranks or tests. A question mark: a misprint or a doubt, see the section on published numbers."
    )
    return tables.with_published(table, rows, evaluators, (note,))


def _published(published: Sequence[Source]) -> tuple[Block, ...]:
    if not published:
        return ()
    lines = []
    for source in published:
        doubts = [
            f"{m} on {d}, {measure(n).label}: {why}" for (m, d, n), why in source.doubts.items()
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


def _problems(study: Study) -> tuple[Block, ...]:
    lines = []
    for (method, dataset), result in study.results.items():
        kinds: dict[str, list[Problem]] = {}
        for problem in result.problems:
            kinds.setdefault(problem.kind, []).append(problem)
        for kind, found in kinds.items():
            shown = "; ".join(f"{p.file}: {p.detail}" for p in found[:PROBLEMS_SHOWN])
            more = len(found) - PROBLEMS_SHOWN
            tail = f"; and {more} more (see result.json)" if more > 0 else ""
            lines.append(f"{method} on {dataset}: {kind} ({len(found)}): {shown}{tail}")
    if not lines:
        return (Paragraph("None: every mask met exactly one map of its own size."),)
    return (Bullets(tuple(_shared(lines))),)


def _shared(lines: Sequence[str]) -> list[str]:
    """The lines with those that differ in the method alone put together."""
    groups: dict[str, list[str]] = {}
    for line in lines:
        method, _, rest = line.partition(" on ")
        groups.setdefault(rest, []).append(method)
    return [f"{', '.join(methods)} on {rest}" for rest, methods in groups.items()]


def _provenance(study: Study, command: str) -> tuple[Block, ...]:
    results = study.results
    signatures = dict.fromkeys(r.signature for r in results.values())
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
            Paragraph("Signatures: the lines that say how the numbers were made."),
            Bullets(tuple(signatures), code=True),
            Paragraph("Every result:") if shared else None,
            Bullets(tuple(f"{n}: {v}" for n, v in shared.items())) if shared else None,
            Paragraph("Result by result:") if own else None,
            Bullets(tuple(own)) if own else None,
            Paragraph(f"This report: {_made_with()}."),
            Code(command, "sh") if command else None,
            Paragraph("To cite the data sets, the measures and the models:"),
            Code(bibtex(study.datasets, study.methods, [m.name for m in study.measures]), "bibtex"),
        )
        if block is not None
    )


def _made_with() -> str:
    """The versions that the report's own statistics and figures depend on."""
    import matplotlib
    import scipy

    return (
        f"sodbench {__version__}, numpy {np.__version__}, scipy {scipy.__version__}, "
        f"matplotlib {matplotlib.__version__}"
    )


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
