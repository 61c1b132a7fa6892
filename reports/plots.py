"""Plots other than those with one panel for each dataset: cost, ranks and images."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter
from numpy.typing import NDArray

from sodbench.metrics.statistics.ranking import CriticalDifference
from sodbench.reports.panel_plots import add_legend, make_panels
from sodbench.reports.plot_style import (
    COLUMN,
    PAGE,
    LineStyle,
    plain_label,
    short_label,
    shorten,
    styled,
)

# a row of an image grid: its label, and for each column the image (uint8 [h, w] or [h, w, 3]) and its caption
GridRow = tuple[str, Sequence[tuple[NDArray[np.uint8] | None, str]]]


@styled
def cost_scatter(
    points: Mapping[str, tuple[float, float]],
    labels: tuple[str, str],
    styles: Mapping[str, LineStyle],
    *,
    is_speed: bool = False,
    higher_is_better: bool = True,
) -> Figure:
    """Plot accuracy against cost (on a logarithmic axis), one point for each method, with the Pareto front.

    Parameters
    ----------
    points : mapping
        By method, (cost, accuracy).
    labels : tuple of str
        Of the axes.
    styles : mapping
        By method, see `line_styles`.
    is_speed : bool
        Whether a higher "cost" is better.
    higher_is_better : bool
        The direction of the accuracy.

    Returns
    -------
    matplotlib.figure.Figure
        Methods on the front, than which none is both cheaper and better, are labelled.
    """
    figure, (panel,) = make_panels([""], 2.4, list(points))
    handles = {
        m: panel.plot(x, y, styles[m].marker, color=styles[m].colour, markersize=5)[0]
        for m, (x, y) in points.items()
    }
    front = _pareto_front(points, -1 if is_speed else 1, 1 if higher_is_better else -1)
    if len(front) > 1:
        line = sorted(points[m] for m in front)
        panel.plot(*zip(*line, strict=True), color="#888888", linewidth=0.8, zorder=1)
    for method in front:
        panel.annotate(
            short_label(method, 18),
            points[method],
            xytext=(3, 3),
            textcoords="offset points",
            fontsize=5.5,
        )
    panel.set_xscale("log")
    panel.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    panel.xaxis.set_major_formatter("{x:g}")
    panel.xaxis.set_minor_formatter(NullFormatter())
    panel.margins(0.1)
    panel.set_xlabel(labels[0])
    panel.set_ylabel(labels[1])
    add_legend(figure, list(points), handles)
    return figure


def _pareto_front(
    points: Mapping[str, tuple[float, float]], cost_sign: int, value_sign: int
) -> list[str]:
    """The methods than which no other is at least as good in both coordinates and better in one."""
    signed = {m: (cost_sign * x, value_sign * y) for m, (x, y) in points.items()}
    return [
        m
        for m, (x, y) in signed.items()
        if not any(
            cost <= x and value >= y and (cost, value) != (x, y) for cost, value in signed.values()
        )
    ]


@styled
def critical_difference_diagrams(tests: Mapping[str, CriticalDifference]) -> Figure:
    """Plot Demsar's diagrams, one below the other: mean ranks on a line, and bars that join what does not differ.

    Parameters
    ----------
    tests : mapping
        By the diagram's title.

    Returns
    -------
    matplotlib.figure.Figure

    References
    ----------
    J. Demsar, Statistical comparisons of classifiers over multiple data sets, JMLR 7, 2006.
    """
    count = max(len(test.methods) for test in tests.values())
    rows = (count + 1) // 2
    levels = max(len(test.groups) for test in tests.values())
    height = 0.75 + 0.07 * levels + 0.15 * rows
    width = COLUMN if count <= 12 else PAGE
    figure = Figure(figsize=(width, height * len(tests)), layout="constrained")
    for i, (title, test) in enumerate(tests.items()):
        axes = figure.add_subplot(len(tests), 1, i + 1)
        axes.set_title(plain_label(title))
        _critical_difference(axes, test)
    return figure


def _critical_difference(axes: Axes, test: CriticalDifference) -> None:
    count = len(test.methods)
    left_side = (count + 1) // 2
    top = 0.55 + 0.13 * len(test.groups)
    axes.axis("off")
    low, high = 1.0, float(count)
    margin = 0.42 * (high - low)
    axes.set_xlim(low - margin, high + margin)
    axes.set_ylim(-top - left_side * 0.3, 1.0)
    axes.hlines(0, low, high, color="black", lw=0.8)
    step = 1 if count <= 12 else 2 if count <= 24 else 5
    for tick in sorted({1, count, *range(step, count + 1, step)}):
        axes.vlines(tick, 0, 0.1, color="black", lw=0.8)
        axes.text(tick, 0.16, str(tick), ha="center", va="bottom", fontsize=6.5)
    length = min(test.difference, high - low)
    axes.hlines(0.62, low, low + length, color="black", lw=0.8)
    axes.vlines([low, low + length], 0.56, 0.68, color="black", lw=0.8)
    text = f"CD = {test.difference:.2f}" + " (wider than the axis)" * (length < test.difference)
    axes.text(low + length / 2, 0.7, text, ha="center", va="bottom", fontsize=6.5)
    for level, (first, last) in enumerate(test.groups):
        y = -0.18 - 0.13 * level
        axes.hlines(
            y, test.mean_ranks[first] - 0.04, test.mean_ranks[last] + 0.04, color="black", lw=2.2
        )
    for i, (method, rank) in enumerate(zip(test.methods, test.mean_ranks, strict=True)):
        on_left = i < left_side
        y = -top - 0.3 * (i if on_left else count - 1 - i)
        end = low - 0.02 * (high - low) if on_left else high + 0.02 * (high - low)
        axes.plot([rank, rank, end], [0, y, y], color="#555555", lw=0.6)
        name = shorten(method, 26)
        name = f"{plain_label(name)}  {rank:.2f}" if on_left else f"{rank:.2f}  {plain_label(name)}"
        gap = (-0.01 if on_left else 0.01) * (high - low)
        axes.text(end + gap, y, name, ha="right" if on_left else "left", va="center", fontsize=6.5)


@styled
def image_grid(
    rows: Sequence[GridRow],
    headings: Sequence[str],
) -> Figure:
    """Show images in rows and columns.

    Parameters
    ----------
    rows : sequence of GridRow
        An image that is None is shown as missing.
    headings : sequence of str
        One for each column.

    Returns
    -------
    matplotlib.figure.Figure
    """
    columns = len(headings)
    side = PAGE / max(columns, 4)
    heights = [
        side
        * min(1.5, np.mean([p.shape[0] / p.shape[1] for p, _ in cells if p is not None] or [0.75]))
        for _, cells in rows
    ]
    figure = Figure(
        figsize=(side * columns, float(sum(heights)) + 0.18 + 0.13 * len(rows)),
        layout="constrained",
    )
    figure.get_layout_engine().set(w_pad=0.01, h_pad=0.01, wspace=0.01, hspace=0.01)  # type: ignore[union-attr, call-arg]
    grid = figure.add_gridspec(len(rows), columns, height_ratios=heights)
    for i, (row_label, cells) in enumerate(rows):
        for j, (image, caption) in enumerate(cells):
            axes = figure.add_subplot(grid[i, j])
            axes.grid(False)
            axes.set_xticks([])
            axes.set_yticks([])
            for spine in axes.spines.values():
                spine.set(visible=True, color="#999999", linewidth=0.4)
            if image is None:
                axes.text(0.5, 0.5, "no image", ha="center", va="center", transform=axes.transAxes)
            else:
                axes.imshow(image, cmap="gray", vmin=0, vmax=255, interpolation="antialiased")
            if i == 0:
                axes.set_title(short_label(headings[j], int(side * 17)), fontsize=7)
            axes.set_xlabel(
                short_label(row_label if j == 0 else caption, int(side * 21)),
                fontsize=5.5,
                labelpad=1.5,
            )
    return figure
