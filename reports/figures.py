"""The figures of a report: what each shows, its caption and how it is drawn.

A figure is one value, `Figure`, made by a function here that `sections`
calls where the figure belongs. To add one, add it to the list that one of these functions returns.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import TypeVar
from urllib.parse import urlencode

import numpy as np

from sodbench.metrics import get_protocol
from sodbench.metrics.arrays import Floats
from sodbench.metrics.catalogue import Metric, find_metric
from sodbench.metrics.statistics.aggregates import f_curve
from sodbench.metrics.statistics.bootstrap import CONFIDENCE_TEXT
from sodbench.metrics.statistics.significance import MIN_IMAGES
from sodbench.reports import panel_plots, plot_style, plots
from sodbench.reports.analysis import Analysis
from sodbench.reports.breakdowns import Breakdown
from sodbench.reports.comparability import Key
from sodbench.reports.document import Figure
from sodbench.reports.methods_file import MethodEntries
from sodbench.results import Result

# with more methods than this each metric's critical-difference diagram is a figure of its own
MAX_SHARED_DIAGRAMS = 12

T = TypeVar("T")


def _panels(analysis: Analysis, values: Mapping[Key, T]) -> dict[str, dict[str, T]]:
    """Values by the dataset's heading and the method, as the plots take them; datasets without any are left out."""
    panels = {}
    for dataset in analysis.datasets:
        here = {m: values[m, dataset] for m in analysis.methods if (m, dataset) in values}
        if here:
            panels[_panel_title(analysis, dataset)] = here
    return panels


def _panel_title(analysis: Analysis, dataset: str) -> str:
    """The dataset's heading, short enough for the width of a small panel."""
    return analysis.heading(dataset).replace(" images)", ")")


Styles = Mapping[str, plot_style.LineStyle]
# With more methods than this the best ones are coloured and the others pale
MAX_COLOURED = 10
COLOURED_OF_MANY = 6


def choose_styles(
    analysis: Analysis,
    all_methods: Sequence[str],
    entries: MethodEntries | None = None,
    baseline: str | None = None,
) -> dict[str, plot_style.LineStyle]:
    """Return the style of each method, which does not depend on which methods are selected.

    Parameters
    ----------
    analysis : Analysis
    all_methods : sequence of str
        The methods of all results, those too that the report leaves out.
    entries : mapping of str to MethodEntry, optional
        By the name to print.
    baseline : str, optional
        A method that is never pale.

    Returns
    -------
    dict of str to LineStyle
        With more than `MAX_COLOURED` methods, only the best ones, the baseline and those with a colour in ``entries`` are
        coloured.
    """
    entries = entries or {}
    names = list(dict.fromkeys([*all_methods, *analysis.methods]))
    styles = plot_style.line_styles(names, entries)
    styles = {method: styles[method] for method in analysis.methods}
    if len(styles) <= MAX_COLOURED:
        return styles
    metric = analysis.primary_metric
    own = [(d, metric.name) for d in analysis.datasets]
    mean = analysis.values[own].mean(axis=1)
    best = mean.sort_values(ascending=metric.sign < 0).index[:COLOURED_OF_MANY]
    chosen = {*map(str, best), *find_emphasised(entries, baseline)}
    return plot_style.fade_others(styles, [m for m in analysis.methods if m in chosen])


def find_emphasised(entries: MethodEntries, baseline: str | None) -> list[str]:
    """Return the methods that every figure shows, however many there are.

    Parameters
    ----------
    entries : mapping of str to MethodEntry
        By the name to print.
    baseline : str, optional

    Returns
    -------
    list of str
        The baseline and the methods with a colour of their own.
    """
    own = [method for method, entry in entries.items() if entry.colour]
    return [baseline, *own] if baseline else own


def _note_pale(styles: Styles) -> str:
    """What a caption says about pale methods."""
    pale = sum(style.pale for style in styles.values())
    return f" {pale} other methods are drawn in grey." if pale else ""


def _browser_address(
    analysis: Analysis, key: Key, metric: Metric, group: tuple[str, int] | None = None
) -> str:
    """The address at which the page's browser shows the images behind a score, the worst first."""
    method, dataset = key
    here = list(analysis.results_on(dataset))
    wanted: dict[str, str | int] = {
        "set": dataset,
        "metric": analysis.metrics.index(metric),
        "sort": here.index(method),
    }
    if group:
        wanted["group"] = f"{group[0]}={group[1]}"
    return f"#?{urlencode(wanted)}"


def _link_panels(
    analysis: Analysis, values: Mapping[Key, float], metric: Metric
) -> dict[str, dict[str, tuple[str, str]]]:
    """The links of a figure with one value for each method and dataset."""
    links = {
        (m, d): (
            _browser_address(analysis, (m, d), metric),
            f"{m} on {d}: {metric.label} {value:.3f}; show the images",
        )
        for (m, d), value in values.items()
    }
    return _panels(analysis, links)


def curve_figures(analysis: Analysis, styles: Styles) -> list[Figure]:
    """Return the figures of curves: precision against recall, F and E against the threshold.

    Parameters
    ----------
    analysis : Analysis
    styles : mapping of str to LineStyle
        See `choose_styles`.

    Returns
    -------
    list of Figure
        One panel for each dataset, one line for each method.
    """
    results = analysis.results
    best = {k: (r.metrics["recall"], r.metrics["precision"]) for k, r in results.items()}
    figures = [
        Figure(
            "pr",
            "Precision against recall over all thresholds that can select a pixel; the mark is where F is highest."
            + _note_pale(styles),
            partial(
                panel_plots.curve_panels,
                _panels(analysis, {k: _precision_recall(r) for k, r in results.items()}),
                "recall",
                "precision",
                styles,
                _panels(analysis, best),
            ),
        )
    ]
    thresholds = np.arange(256.0)
    for name, label in (("f", "F-measure"), ("e", "E-measure")):
        curves = {k: (thresholds, _threshold_curve(r, name)) for k, r in results.items()}
        figures.append(
            Figure(
                f"{name}_threshold",
                f"{label} against the threshold that binarises the map.{_note_pale(styles)}",
                partial(
                    panel_plots.curve_panels, _panels(analysis, curves), "threshold", label, styles
                ),
            )
        )
    return figures


def _precision_recall(result: Result) -> tuple[Floats, Floats]:
    # a protocol that selects values above the threshold selects nothing at 255
    thresholds = slice(255 if get_protocol(result.protocol).comparison == ">" else 256)
    return result.curves["recall"][thresholds], result.curves["precision"][thresholds]


def _threshold_curve(result: Result, name: str) -> Floats:
    return (
        f_curve(result.curves, get_protocol(result.protocol))
        if name == "f"
        else result.curves[name]
    )


def image_score_figures(analysis: Analysis, styles: Styles) -> list[Figure]:
    """Return the box plots of the scores of single images, by S if every result has it.

    Parameters
    ----------
    analysis : Analysis
    styles : mapping of str to LineStyle
        See `choose_styles`; of many methods only the coloured ones are drawn.

    Returns
    -------
    list of Figure
        Empty if no metric has scores of single images in every result.
    """
    metric = _image_metric(analysis)
    if metric is None:
        return []
    scores = {k: r.table[metric.name].to_numpy(float) for k, r in analysis.results.items()}
    caption = (
        f"{metric.label} of single images: box from the first to the third quartile, line at the median, "
        "diamond at the mean, whiskers at the 5th and 95th percentiles."
    )
    if any(style.pale for style in styles.values()):
        scores = {k: values for k, values in scores.items() if not styles[k[0]].pale}
        caption += " Only the methods that are coloured in the other figures are shown."
    values = {key: float(analysis.results[key].metrics[metric.name]) for key in scores}
    links = _link_panels(analysis, values, metric)
    draw = partial(panel_plots.box_panels, _panels(analysis, scores), metric, styles, links)
    return [Figure("per_image", caption, draw)]


def _image_metric(analysis: Analysis) -> Metric | None:
    """S if every result has it for single images, otherwise the first metric that they have."""
    for metric in sorted(analysis.metrics, key=lambda m: m.name != "s"):
        if all(metric.name in r.table for r in analysis.results.values()):
            return metric
    return None


def forest_figures(analysis: Analysis, styles: Styles) -> list[Figure]:
    """Return the forest plot of the primary metric: one row a method, the best on top.

    Parameters
    ----------
    analysis : Analysis
    styles : mapping of str to LineStyle
        See `choose_styles`.

    Returns
    -------
    list of Figure
        Empty for a single method.
    """
    if len(analysis.methods) < 2:
        return []
    metric = analysis.primary_metric
    intervals = {
        (m, d): (i.value, i.low, i.high)
        for (m, d, name), i in analysis.intervals.items()
        if name == metric.name
    }
    caption = f"{metric.title} with {CONFIDENCE_TEXT} intervals, the best method on top."
    links = _link_panels(analysis, {key: value for key, (value, _, _) in intervals.items()}, metric)
    draw = partial(panel_plots.forest_panels, _panels(analysis, intervals), metric, styles, links)
    return [Figure("forest", caption, draw)]


def breakdown_figure(analysis: Analysis, breakdown: Breakdown, styles: Styles) -> Figure:
    """Return the figure of a metric by the groups of images of one attribute.

    Parameters
    ----------
    analysis : Analysis
    breakdown : Breakdown
        One of its breakdowns.
    styles : mapping of str to LineStyle
        See `choose_styles`.

    Returns
    -------
    Figure
    """
    metric = breakdown.metric
    scores = {
        key: [(i.value, i.low, i.high) if i else (np.nan,) * 3 for i in intervals]
        for key, intervals in breakdown.values.items()
    }
    groups = {
        _panel_title(analysis, dataset): [
            f"{name}\nn = {n}".replace(" (", "\n(")
            for name, n in zip(breakdown.groups, numbers, strict=True)
        ]
        for dataset, numbers in breakdown.images.items()
    }
    caption = (
        f"{metric.title} by {breakdown.attribute}, with {CONFIDENCE_TEXT} intervals where a group has at least {MIN_IMAGES} images; "
        "n: number of images."
    )
    links: dict[str, dict[tuple[str, int], tuple[str, str]]] = {}
    for (method, dataset), intervals in breakdown.values.items():
        own = links.setdefault(_panel_title(analysis, dataset), {})
        for i, (interval, name) in enumerate(zip(intervals, breakdown.groups, strict=True)):
            if interval:
                address = _browser_address(
                    analysis, (method, dataset), metric, (breakdown.attribute, i)
                )
                label = f"{method} on {dataset}, {name}: {metric.label} {interval.value:.3f}"
                own[method, i] = (address, f"{label}; show the images")
    draw = partial(
        panel_plots.group_panels, _panels(analysis, scores), groups, metric, styles, links
    )
    return Figure(breakdown.key, caption, draw)


def rank_figures(analysis: Analysis) -> list[Figure]:
    """Return the critical-difference diagrams: one figure, or one for each metric if there are many methods.

    Returns
    -------
    list of Figure
        Empty if there are too few datasets or methods for the test.
    """
    tests = analysis.critical_differences()
    if not tests:
        return []
    titles = {
        f"{find_metric(name).label} (Friedman p = {test.p_value:.2g})": test
        for name, test in tests.items()
    }
    first = next(iter(tests.values()))
    caption = (
        f"Mean ranks over {first.datasets} datasets ({', '.join(analysis.ranking.datasets)}), best on the left. Bars join "
        "methods whose mean ranks differ by less than Nemenyi's critical difference (CD) at the "
        f"{first.alpha:.0%} level: with so few datasets only large differences of rank can be shown."
    )
    if len(first.methods) <= MAX_SHARED_DIAGRAMS:
        draw = partial(plots.critical_difference_diagrams, titles)
        return [Figure("critical_difference", caption, draw)]
    return [
        Figure(
            f"critical_difference_{name}",
            f"{find_metric(name).title}: {caption}",
            partial(plots.critical_difference_diagrams, {title: test}),
        )
        for name, (title, test) in zip(tests, titles.items(), strict=True)
    ]


def protocol_figures(analysis: Analysis) -> list[Figure]:
    """Return the figure of max F under every protocol.

    Returns
    -------
    list of Figure
    """
    panels = _panels(analysis, {k: scores for k, scores in analysis.by_protocol.items() if scores})
    if not panels:
        return []
    caption = "Max F of the same maps as each evaluator's conventions give it."
    return [Figure("protocols", caption, partial(panel_plots.dot_panels, panels, "max F"))]


def cost_figures(
    analysis: Analysis, costs: Mapping[str, Mapping[str, float]], styles: Styles
) -> list[Figure]:
    """Return a figure of accuracy against each kind of cost that at least two comparable methods have.

    Parameters
    ----------
    analysis : Analysis
    costs : mapping
        By method, then by kind of cost, e.g. ``parameters (M)``.
    styles : mapping of str to LineStyle
        See `choose_styles`.

    Returns
    -------
    list of Figure
    """
    metric = analysis.primary_metric
    columns = [(d, metric.name) for d in analysis.datasets]
    mean = analysis.values[columns].mean(axis=1, skipna=False)
    comparable = [
        m
        for m in analysis.methods
        if np.isfinite(mean[m])
        and (
            len(analysis.methods) == 1
            or all(analysis.comparable.has(m, d) for d in analysis.datasets)
        )
    ]
    figures = []
    for cost in dict.fromkeys(name for record in costs.values() for name in record):
        points = {
            m: (float(costs[m][cost]), float(mean[m]))
            for m in comparable
            if costs.get(m, {}).get(cost, 0) > 0
        }
        if len(points) < 2:
            continue
        without = [m for m in analysis.methods if m not in points]
        caption = f"{metric.label} (mean over the datasets) against {cost}."
        if without:
            caption += (
                " Not drawn, because there is no such cost or no comparable score on every dataset: "
                f"{', '.join(without)}."
            )
        key = "cost_" + "".join(c if c.isalnum() else "_" for c in cost).strip("_")
        full = {m: replace(s, pale=False) for m, s in styles.items()}
        draw = partial(
            plots.cost_scatter,
            points,
            (cost, metric.heading),
            full,
            is_speed=cost == "images/s",
            higher_is_better=metric.higher_is_better,
        )
        figures.append(Figure(key, caption, draw))
    return figures
