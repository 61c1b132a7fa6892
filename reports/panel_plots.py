"""Plots with one panel for each dataset, from plain arrays."""

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from sodbench.metrics.arrays import Floats
from sodbench.metrics.catalogue import Metric
from sodbench.reports.plot_style import (
    AXIS_LENGTH,
    COLUMN,
    LEGEND_LENGTH,
    MAX_HEIGHT,
    PAGE,
    LineStyle,
    line_styles,
    link_spot,
    plain_label,
    short_label,
    shorten,
    styled,
)

# By dataset and method, the address and the label of the images behind a part of a plot
Links = Mapping[str, Mapping[str, tuple[str, str]]]
# how a box plot is laid on its side; matplotlib 3.10 renamed it
_HORIZONTAL: Any = (
    {"vert": False}
    if tuple(map(int, matplotlib.__version__.split(".")[:2])) < (3, 10)
    else {"orientation": "horizontal"}
)


def make_panels(
    titles: Sequence[str], height: float, legend: Sequence[str] = ()
) -> tuple[Figure, list[Axes]]:
    """A figure with one titled axes for each dataset: one column wide for a single one, otherwise the page.

    height: of a row of panels, in inches; legend: the names that the legend below them will have.
    """
    across = min(3, len(titles))
    down = -(-len(titles) // across)
    width = COLUMN if across == 1 else PAGE
    legend_rows = -(-len(legend) // _legend_columns(legend, width))
    figure = Figure(figsize=(width, down * height + 0.16 * legend_rows), layout="constrained")
    axes = [figure.add_subplot(down, across, i + 1) for i in range(len(titles))]
    for panel, title in zip(axes, titles, strict=True):
        panel.set_title(plain_label(title))
    return figure, axes


def _legend_columns(names: Sequence[str], figure_width: float) -> int:
    """How many legend entries fit side by side."""
    entry = 0.38 + 0.058 * max((len(shorten(name, LEGEND_LENGTH)) for name in names), default=1)
    return max(1, min(len(names), int(figure_width / entry)))


def add_legend(figure: Figure, names: Sequence[str], handles: Mapping[str, Any]) -> None:
    """Add a legend below the panels, where it covers no data."""
    columns = _legend_columns(names, figure.get_figwidth())
    figure.legend(
        [handles[name] for name in names],
        [short_label(name, LEGEND_LENGTH) for name in names],
        loc="outside lower center",
        ncols=columns,
        columnspacing=1.2,
    )


@styled
def curve_panels(
    panels: Mapping[str, Mapping[str, tuple[Floats, Floats]]],
    x_label: str,
    y_label: str,
    styles: Mapping[str, LineStyle],
    marks: Mapping[str, Mapping[str, tuple[float, float]]] | None = None,
) -> Figure:
    """Plot curves, one panel for each dataset and one legend for all.

    Parameters
    ----------
    panels : mapping
        By dataset and method, the curve as (x, y).
    x_label, y_label : str
    styles : mapping
        By method, see `line_styles`.
    marks : mapping, optional
        By dataset and method, a point (x, y) to mark, e.g. where max F is reached.

    Returns
    -------
    matplotlib.figure.Figure
    """
    drawn = [m for m in styles if any(m in curves for curves in panels.values())]
    named = [m for m in drawn if not styles[m].pale]
    figure, axes = make_panels(list(panels), 2.3, named)
    handles: dict[str, Any] = {}
    for panel, (dataset, curves) in zip(axes, panels.items(), strict=True):
        for method in (m for m in drawn if m in curves):
            style = styles[method]
            x, y = curves[method]
            (handles[method],) = panel.plot(
                x,
                y,
                color=style.colour,
                dashes=style.dash or (None, None),
                linewidth=style.width,
                label=method,
            )
            point = (marks or {}).get(dataset, {}).get(method)
            if point and not style.pale:
                panel.plot(*point, style.marker, color=style.colour, markersize=3.2)
        panel.set_ylim(*_limits([y for _, y in curves.values()]))
        panel.margins(x=0.01)
        panel.set_xlabel(x_label)
        panel.set_ylabel(y_label)
    add_legend(figure, named, handles)
    return figure


def _limits(curves: Sequence[Floats]) -> tuple[float, float]:
    """Limits that show where curves differ: the lowest 3 % of the values may be outside."""
    values = np.concatenate(curves)
    values = values[np.isfinite(values)]
    if not len(values):
        return 0.0, 1.0
    low = float(np.floor(np.quantile(values, 0.03) * 20) / 20)
    high = float(np.ceil(values.max() * 20) / 20)
    return (low, high + 0.01) if high > low else (low - 0.05, high + 0.05)


@styled
def box_panels(
    panels: Mapping[str, Mapping[str, Floats]],
    metric: Metric,
    styles: Mapping[str, LineStyle],
    links: Links | None = None,
) -> Figure:
    """Plot the scores of single images as boxes, one panel for each dataset, methods from top to bottom.

    Parameters
    ----------
    panels : mapping
        By dataset and method, the scores of its images; NaN is left out.
    metric : Metric
    styles : mapping
        By method, see `line_styles`.
    links : mapping, optional
        By dataset and method, where a box leads.

    Returns
    -------
    matplotlib.figure.Figure
        Whiskers are at the 5th and the 95th percentile.
    """
    most = max(len(scores) for scores in panels.values())
    figure, axes = make_panels(list(panels), 0.55 + 0.17 * most)
    for panel, (dataset, scores) in zip(axes, panels.items(), strict=True):
        names = [m for m in styles if m in scores]
        boxes = panel.boxplot(
            [scores[m][np.isfinite(scores[m])] for m in names],
            **_HORIZONTAL,
            whis=(5, 95),
            showfliers=False,
            showmeans=True,
            widths=0.6,
            patch_artist=True,
            medianprops={"color": "black", "linewidth": 1.1},
            meanprops={
                "marker": "D",
                "markersize": 2.6,
                "markerfacecolor": "white",
                "markeredgecolor": "black",
                "markeredgewidth": 0.6,
            },
        )
        for box, method in zip(boxes["boxes"], names, strict=True):
            box.set(facecolor=_pale(styles[method].colour), edgecolor="#333333", linewidth=0.6)
        for y, method in enumerate(names, 1):
            values = scores[method][np.isfinite(scores[method])]
            middle = np.quantile(values, (0.25, 0.75)).tolist() if len(values) else [np.nan]
            link_spot(panel, middle, y, (links or {}).get(dataset, {}).get(method))
        panel.set_yticks(range(1, len(names) + 1), [short_label(m, AXIS_LENGTH) for m in names])
        panel.invert_yaxis()
        panel.grid(axis="y", visible=False)
        panel.set_xlabel(f"{metric.heading} of single images")
    _label_rows_once(axes, [[m for m in styles if m in scores] for scores in panels.values()])
    return figure


def _label_rows(panel: Axes, names: Sequence[str], size: float) -> None:
    """Label rows, the first on top, in letters that are neither too small nor too large to read."""
    panel.set_yticks(range(len(names)), [short_label(name, AXIS_LENGTH) for name in names])
    panel.tick_params(axis="y", labelsize=max(3.5, min(6.5, size)))
    panel.set_ylim(len(names) - 0.5, -0.5)


def _label_rows_once(axes: Sequence[Axes], rows: Sequence[Sequence[str]]) -> None:
    """Drop the labels of the rows where the panel to the left has the same ones."""
    across = min(3, len(axes))
    for i, panel in enumerate(axes):
        if i % across and list(rows[i]) == list(rows[i - 1]):
            panel.set_yticklabels([])


@styled
def forest_panels(
    panels: Mapping[str, Mapping[str, tuple[float, float, float]]],
    metric: Metric,
    styles: Mapping[str, LineStyle],
    links: Links | None = None,
) -> Figure:
    """Plot scores as dots with intervals, the best on top: one row a method, one panel for each dataset.

    Parameters
    ----------
    panels : mapping
        By dataset and method, (value, low, high); limits that are NaN are not drawn.
    metric : Metric
    styles : mapping
        By method, see `line_styles`.
    links : mapping, optional
        By dataset and method, where a dot leads.

    Returns
    -------
    matplotlib.figure.Figure
        At most `MAX_HEIGHT` inches tall.
    """
    most = max(len(scores) for scores in panels.values())
    down = -(-len(panels) // 3)
    row = min(0.15, (MAX_HEIGHT / down - 0.6) / most)
    figure, axes = make_panels(list(panels), 0.6 + row * most)
    for panel, (dataset, scores) in zip(axes, panels.items(), strict=True):
        names = sorted(
            (m for m in styles if m in scores and np.isfinite(scores[m][0])),
            key=lambda m: -metric.sign * scores[m][0],
        )
        for y, method in enumerate(names):
            value, low, high = scores[method]
            style = styles[method]
            if np.isfinite(low):
                panel.hlines(y, low, high, color=style.colour, linewidth=style.width)
            panel.plot(value, y, style.marker, color=style.colour, markersize=2.8)
            link_spot(panel, [value], y, (links or {}).get(dataset, {}).get(method))
        _label_rows(panel, names, 45 * row)
        panel.set_xlabel(metric.heading)
    return figure


def _pale(colour: str) -> tuple[float, float, float]:
    red, green, blue = matplotlib.colors.to_rgb(colour)
    return (red + 2) / 3, (green + 2) / 3, (blue + 2) / 3


@styled
def group_panels(
    panels: Mapping[str, Mapping[str, Sequence[tuple[float, float, float]]]],
    groups: Mapping[str, Sequence[str]],
    metric: Metric,
    styles: Mapping[str, LineStyle],
    links: Mapping[str, Mapping[tuple[str, int], tuple[str, str]]] | None = None,
) -> Figure:
    """Plot a score for each group of images, with intervals, one panel for each dataset.

    Parameters
    ----------
    panels : mapping
        By dataset and method, (value, low, high) of each group.
    groups : mapping
        By dataset, the labels of its groups.
    metric : Metric
    styles : mapping
        By method, see `line_styles`.
    links : mapping, optional
        By dataset and (method, number of the group), where a dot leads.

    Returns
    -------
    matplotlib.figure.Figure
    """
    drawn = [
        m
        for m, style in styles.items()
        if not style.pale and any(m in scores for scores in panels.values())
    ]
    figure, axes = make_panels(list(panels), 2.2, drawn)
    handles: dict[str, Any] = {}
    for panel, (dataset, scores) in zip(axes, panels.items(), strict=True):
        here = [m for m in drawn if m in scores]
        shift = np.linspace(-0.3, 0.3, len(here)) if len(here) > 1 else [0.0]
        for method, dx in zip(here, shift, strict=True):
            value, low, high = np.array(scores[method], float).T
            style = styles[method]
            handles[method] = panel.errorbar(
                np.arange(len(value)) + dx,
                value,
                yerr=np.abs(np.stack([value - low, high - value])),
                fmt=style.marker,
                color=style.colour,
                markersize=3.2,
                elinewidth=0.8,
                capsize=1.2,
            )
            for group, y in enumerate(value):
                own = (links or {}).get(dataset, {})
                link_spot(panel, [group + dx], y, own.get((method, group)))
        panel.set_xticks(range(len(groups[dataset])), groups[dataset])
        panel.set_xlim(-0.5, len(groups[dataset]) - 0.5)
        panel.grid(axis="x", visible=False)
        panel.set_ylabel(metric.heading)
    add_legend(figure, drawn, handles)
    return figure


@styled
def dot_panels(panels: Mapping[str, Mapping[str, Mapping[str, float]]], x_label: str) -> Figure:
    """Plot how far variants (protocols) disagree about the same maps: one row a method, one mark a variant.

    Parameters
    ----------
    panels : mapping
        By dataset, method and variant, the value.
    x_label : str

    Returns
    -------
    matplotlib.figure.Figure
    """
    variants = list(dict.fromkeys(v for ms in panels.values() for vs in ms.values() for v in vs))
    most = max(len(methods) for methods in panels.values())
    down = -(-len(panels) // 3)
    row = min(0.17, (MAX_HEIGHT / down - 0.8) / most)
    figure, axes = make_panels(list(panels), 0.65 + row * most, variants)
    styles = line_styles(variants)
    # smaller and smaller, so that none hides another
    sizes = dict(zip(variants, np.linspace(6.5, 3, len(variants)), strict=True))
    handles: dict[str, Any] = {}
    for panel, methods in zip(axes, panels.values(), strict=True):
        scores = list(methods.values())
        rows = range(len(scores))
        ends = [(min(v.values()), max(v.values())) for v in scores]
        panel.hlines(rows, *zip(*ends, strict=True), color="#999999", lw=0.8)
        for variant in variants:
            style = styles[variant]
            (handles[variant],) = panel.plot(
                [values.get(variant, np.nan) for values in scores],
                rows,
                style.marker,
                color=style.colour,
                markersize=sizes[variant],
            )
        _label_rows(panel, list(methods), 40 * row)
        panel.margins(x=0.08)
        panel.set_xlabel(x_label)
    _label_rows_once(axes, [list(methods) for methods in panels.values()])
    add_legend(figure, variants, handles)
    return figure
