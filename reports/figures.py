"""The figures of a report, drawn from a analysis: which curves, points and pictures go where."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from sodbench.console import track
from sodbench.metrics import get_protocol
from sodbench.metrics.catalogue import Metric, find_metric
from sodbench.metrics.statistics.aggregates import f_curve
from sodbench.metrics.statistics.bootstrap import Floats
from sodbench.metrics.statistics.significance import MIN_IMAGES
from sodbench.reports import gallery, plots
from sodbench.reports.analysis import Analysis, Breakdown, primary_metric
from sodbench.reports.document import Picture
from sodbench.results import Result

PICTURE_METHODS = 6
"""How many methods a strip of pictures has room for on a page."""
DIAGRAMS_TOGETHER = 12
"""With more methods than this each measure's critical-difference diagram is a figure of its own."""

Drawing = tuple[Picture, Callable[[], Figure]]


@dataclass(frozen=True)
class Drawn:
    """What was drawn: the pictures by group, and remarks about pictures that could not be shown."""

    groups: Mapping[str, tuple[Picture, ...]]
    remarks: tuple[str, ...]


def draw(
    analysis: Analysis,
    folder: Path,
    pictures: Sequence[str],
    costs: Mapping[str, Mapping[str, float]],
    claim: Callable[[Path], Path],
) -> Drawn:
    """Draw every figure that the analysis has data for, and save it in all formats.

    claim: called with the path of every file before it is written.
    """
    styles = plots.line_styles(analysis.methods)
    strips, remarks = _strips(analysis, pictures)
    groups = {
        "curves": _curves(analysis, styles),
        "images": _per_image(analysis, styles),
        "attributes": [_breakdown(analysis, b, styles) for b in analysis.breakdowns],
        "rank": _ranks(analysis),
        "protocols": _protocols(analysis),
        "cost": _costs(analysis, costs, styles),
        "pictures": strips,
    }
    for picture, make in track([d for g in groups.values() for d in g], "figures", "figure"):
        for extension in plots.FORMATS:
            claim(folder / f"{picture.name}.{extension}")
        plots.save_figure(make(), folder, picture.name)
    return Drawn({name: tuple(p for p, _ in group) for name, group in groups.items()}, remarks)


def _of(
    analysis: Analysis, curve: Callable[[str, str], tuple[Floats, Floats]]
) -> dict[str, dict[str, tuple[Floats, Floats]]]:
    return {
        analysis.heading(d): {
            m: curve(m, d) for m in analysis.methods if (m, d) in analysis.results
        }
        for d in analysis.datasets
    }


def _curves(analysis: Analysis, styles: Mapping[str, plots.LineStyle]) -> list[Drawing]:
    results = analysis.results
    thresholds = np.arange(256.0)
    drawings: list[Drawing] = []

    def precision_recall(m: str, d: str) -> tuple[Floats, Floats]:
        result = results[m, d]
        kept = slice(255 if get_protocol(result.protocol).comparison == ">" else 256)
        return result.curves["recall"][kept], result.curves["precision"][kept]

    best = {
        analysis.heading(d): {
            m: (results[m, d].metrics["recall"], results[m, d].metrics["precision"])
            for m in analysis.methods
            if (m, d) in results
        }
        for d in analysis.datasets
    }
    drawings.append(
        (
            Picture(
                "pr",
                "Precision against recall over all thresholds that can select a pixel; the mark is where F is highest.",
            ),
            lambda: plots.curve_panels(
                _of(analysis, precision_recall), "recall", "precision", styles, best
            ),
        )
    )
    for name, label in (("f", "F-measure"), ("e", "E-measure")):
        drawings.append(
            (
                Picture(
                    f"{name}_threshold", f"{label} against the threshold that binarises the map."
                ),
                lambda name=name, label=label: plots.curve_panels(  # type: ignore[misc]
                    _of(analysis, lambda m, d: (thresholds, _curve(analysis.results[m, d], name))),
                    "threshold",
                    label,
                    styles,
                ),
            )
        )
    return drawings


def _curve(result: Result, name: str) -> Floats:
    return (
        f_curve(result.curves, get_protocol(result.protocol))
        if name == "f"
        else result.curves[name]
    )


def _per_image(analysis: Analysis, styles: Mapping[str, plots.LineStyle]) -> list[Drawing]:
    shown = _per_image_metric(analysis)
    if shown is None:
        return []
    panels = {
        analysis.heading(d): {
            m: analysis.results[m, d].table[shown.name].to_numpy(float)
            for m in analysis.methods
            if (m, d) in analysis.results
        }
        for d in analysis.datasets
    }
    caption = (
        f"{shown.label} of single images: box from the first to the third quartile, line at the median, "
        "diamond at the mean, whiskers at the 5th and 95th percentiles."
    )
    return [(Picture("per_image", caption), lambda: plots.box_panels(panels, shown, styles))]


def _breakdown(analysis: Analysis, of: Breakdown, styles: Mapping[str, plots.LineStyle]) -> Drawing:
    chief = primary_metric(analysis.metrics)
    scores = {
        analysis.heading(d): {
            m: [(i.value, i.low, i.high) if i else (np.nan,) * 3 for i in of.values[m, d]]
            for m in analysis.methods
            if (m, d) in of.values
        }
        for d in of.images
    }
    groups = {
        analysis.heading(d): [
            f"{name}\nn = {n}".replace(" (", "\n(")
            for name, n in zip(of.groups, numbers, strict=True)
        ]
        for d, numbers in of.images.items()
    }
    caption = (
        f"{chief.title} by {of.attribute}, with 95 % intervals where a group has at least {MIN_IMAGES} images; "
        "n: number of images."
    )
    name = "_".join(of.attribute.split())
    return Picture(name, caption), lambda: plots.group_panels(scores, groups, chief, styles)


def _per_image_metric(analysis: Analysis) -> Metric | None:
    """S where it was computed for every image, else the first metric that has per-image scores."""
    for m in sorted(analysis.metrics, key=lambda m: m.name != "s"):
        if all(m.name in r.table for r in analysis.results.values()):
            return m
    return None


def _ranks(analysis: Analysis) -> list[Drawing]:
    found = analysis.critical_differences()
    if not found:
        return []
    titles = {
        f"{find_metric(name).label} (Friedman p = {test.p_value:.2g})": test
        for name, test in found.items()
    }
    first = next(iter(found.values()))
    caption = (
        f"Mean ranks over {first.sets} datasets ({', '.join(analysis.ranking.datasets)}), best on the left. Bars join methods whose mean ranks differ by less "
        f"than Nemenyi's critical difference (CD) at the {first.alpha:.0%} level: with so few sets only large "
        "differences of rank can be shown."
    )
    if len(first.methods) <= DIAGRAMS_TOGETHER:
        picture = Picture("critical_difference", caption)
        return [(picture, lambda: plots.critical_difference_diagrams(titles))]
    return [
        (
            Picture(f"critical_difference_{name}", f"{find_metric(name).title}: {caption}"),
            lambda title=title: plots.critical_difference_diagrams({title: titles[title]}),  # type: ignore[misc]
        )
        for name, title in zip(found, titles, strict=True)
    ]


def _protocols(analysis: Analysis) -> list[Drawing]:
    panels = {
        analysis.heading(d): {
            m: analysis.by_protocol[m, d]
            for m in analysis.methods
            if analysis.by_protocol.get((m, d))
        }
        for d in analysis.datasets
    }
    panels = {d: rows for d, rows in panels.items() if rows}
    if not panels:
        return []
    caption = "Max F of the same maps as each evaluator's conventions give it."
    return [(Picture("protocols", caption), lambda: plots.dot_panels(panels, "max F"))]


def _costs(
    analysis: Analysis,
    costs: Mapping[str, Mapping[str, float]],
    styles: Mapping[str, plots.LineStyle],
) -> list[Drawing]:
    chief = primary_metric(analysis.metrics)
    mean = analysis.values[[(d, chief.name) for d in analysis.datasets]].mean(axis=1, skipna=False)
    alike = [
        m
        for m in analysis.methods
        if len(analysis.methods) == 1
        or all(analysis.comparable.has(m, d) for d in analysis.datasets)
    ]
    drawings: list[Drawing] = []
    for cost in dict.fromkeys(c for row in costs.values() for c in row):
        known = [m for m in analysis.methods if costs.get(m, {}).get(cost, 0) > 0]
        points = {
            m: (float(costs[m][cost]), float(mean[m]))
            for m in known
            if m in alike and np.isfinite(mean[m])
        }
        if len(points) < 2:
            continue
        left_out = [m for m in analysis.methods if m not in points]
        caption = f"{chief.label} (mean over the datasets) against {cost}."
        if left_out:
            caption += f" Not drawn, because there is no such cost or no comparable score on every dataset: {', '.join(left_out)}."
        stem = "".join(c if c.isalnum() else "_" for c in cost).strip("_")
        drawings.append(
            (
                Picture(f"cost_{stem}", caption),
                lambda points=points, cost=cost: plots.cost_scatter(  # type: ignore[misc]
                    points, cost, chief.heading, styles
                ),
            )
        )
    return drawings


def _strips(analysis: Analysis, wanted: Sequence[str]) -> tuple[list[Drawing], tuple[str, ...]]:
    """A grid of pictures for each data set, and what is to be said of pictures that are gone."""
    drawings: list[Drawing] = []
    remarks: list[str] = []
    chief = primary_metric(analysis.metrics)
    for number, dataset in enumerate(analysis.datasets):
        results = {
            m: analysis.results[m, dataset]
            for m in analysis.methods
            if (m, dataset) in analysis.results
        }
        judged = analysis.comparable.alike[dataset]
        chosen = gallery.choose_images(results, chief, wanted, dataset, analysis.seed, judged)
        shown = dict(list(results.items())[:PICTURE_METHODS])
        rows = []
        gone: list[Path] = []
        for choice in chosen:
            found, missing = gallery.load_thumbnails(choice.stem, shown, 320)
            gone += missing
            captions = [_score(results[m], choice.stem, chief) for m in shown]
            rows.append(
                (
                    f"{choice.stem} ({choice.why})",
                    [(found.image, ""), (found.mask, "")]
                    + [(found.maps[m], c) for m, c in zip(shown, captions, strict=True)],
                )
            )
        if gone:
            remarks.append(
                f"{len(set(gone))} pictures of {dataset} are no longer where they were when they were scored, "
                f"for example {gone[0]}; the numbers are not affected."
            )
        if not any(picture is not None for _, cells in rows for picture, _ in cells):
            continue
        own = " (best threshold of that image)" * chief.name.endswith("_max")
        caption = (
            f"Images of {dataset} with mask and maps; below each map its {chief.label}{own}. "
            + ", ".join(f"{c.stem}: {_WHY[c.why]}" for c in chosen)
            + "."
        )
        if len(results) > len(shown):
            caption += f" The first {len(shown)} of {len(results)} methods are shown."
        drawings.append(
            (
                Picture(f"pictures_{number + 1}", caption),
                lambda rows=rows, shown=shown: plots.image_grid(  # type: ignore[misc]
                    rows, ["image", "mask", *shown]
                ),
            )
        )
    return drawings, tuple(remarks)


_WHY = {
    "best": "best on average",
    "worst": "worst on average",
    "disputed": "where the methods differ most",
    "random": "drawn at random",
    "named": "as asked for",
}


def _score(result: Result, stem: str, shown: Metric) -> str:
    table = result.table
    if stem not in table.index or shown.name not in table:
        return ""
    value = float(table[shown.name].to_dict()[stem])
    return f"{value:.3f}"
