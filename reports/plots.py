"""Plots that can be printed as they are, from plain arrays.

Colours are Okabe and Ito's colour-blind safe palette ("Color Universal Design", 2008) without its yellow, which is hard
to see on white. Every method also has a dash pattern (and a marker in scatter plots); the cycles have different lengths,
so that lines also differ in grey print. Legends are outside the axes. Widths are those of a two-column
paper: 3.4 inches for a column, 7.1 inches for the page.
"""

import functools
import warnings
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO, ParamSpec, TypeVar

import matplotlib
import numpy as np
from matplotlib import font_manager
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter
from numpy.typing import NDArray

from sodbench.files import atomic_write, report_write_errors
from sodbench.metrics.arrays import Floats
from sodbench.metrics.catalogue import Metric
from sodbench.metrics.statistics.ranking import CriticalDifference
from sodbench.quoting import printable
from sodbench.reports.methods_file import LINES, MethodEntries, MethodEntry

_P = ParamSpec("_P")
T = TypeVar("T")
# a row of an image grid: its label, and for each column the image (uint8 [h, w] or [h, w, 3]) and its caption
GridRow = tuple[str, Sequence[tuple[NDArray[np.uint8] | None, str]]]

# Widths of a column and of a page of a paper, in inches
COLUMN, PAGE = 3.4, 7.1
FORMATS = ("png", "svg", "pdf")
# Characters of a name in a legend and next to an axis; the middle of a longer one is left out
_LEGEND_LENGTH, _AXIS_LENGTH = 40, 22
# The tallest figure that fits on a page with its caption, in inches
MAX_HEIGHT = 9.0
COLOURS = ("#000000", "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00")
DASHES: tuple[tuple[float, ...], ...] = (
    (),
    (5, 1.5),
    (1.2, 1.2),
    (5, 1.5, 1.2, 1.5),
    (9, 2),
    (5, 1.5, 1.2, 1.5, 1.2, 1.5),
)
MARKERS = "osD^vP*X<>h"
# Fonts with Chinese, Japanese and Korean, the first of which that is installed draws what DejaVu lacks
_CJK_NAMES: tuple[str, ...] = (
    "Noto Sans CJK SC",
    "Noto Sans CJK JP",
    "Source Han Sans SC",
    "WenQuanYi Zen Hei",
)
_CJK_NAMES += ("Microsoft YaHei", "PingFang SC", "Droid Sans Fallback")
CJK_FONTS = [n for n in _CJK_NAMES if n in font_manager.get_font_names()][:1]
# how a box plot is laid on its side; matplotlib 3.10 renamed it
_HORIZONTAL: Any = (
    {"vert": False}
    if tuple(map(int, matplotlib.__version__.split(".")[:2])) < (3, 10)
    else {"orientation": "horizontal"}
)
STYLE: Any = {
    "font.family": ["DejaVu Sans", *CJK_FONTS],
    "font.size": 7.5,
    "axes.titlesize": 8,
    "axes.labelsize": 7.5,
    "xtick.labelsize": 6.5,
    "ytick.labelsize": 6.5,
    "legend.fontsize": 6.5,
    "legend.frameon": False,
    "legend.handlelength": 3.2,
    "axes.linewidth": 0.6,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "grid.color": "#dddddd",
    "grid.linewidth": 0.4,
    "lines.linewidth": 1.2,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "savefig.dpi": 200,
    "pdf.fonttype": 42,
    "svg.fonttype": "path",
    "svg.hashsalt": "sodbench",
}


@dataclass(frozen=True)
class LineStyle:
    """How one method is drawn in every figure of a report.

    Attributes
    ----------
    colour : str
        As ``#RRGGBB``.
    dash : tuple of float
        Lengths of dashes and gaps, in line widths; empty for a solid line.
    marker : str
    width : float
        Of the line, in points.
    pale : bool
        Whether it is drawn in the background, without an entry in the legend.
    """

    colour: str
    dash: tuple[float, ...]
    marker: str
    width: float = 1.2
    pale: bool = False


PALE = "#c4c4c4"


def line_styles(
    methods: Sequence[str], entries: MethodEntries | None = None
) -> dict[str, LineStyle]:
    """Return a style for each method; the first 42 differ in colour or dash, the first 6 in the dash already.

    Parameters
    ----------
    methods : sequence of str
        All methods that there are, not only those that are drawn: a method's style follows from its place here.
    entries : mapping of str to MethodEntry, optional
        Colours, lines and widths of some of them.

    Returns
    -------
    dict
        By method, in the order given.
    """
    styles = {}
    for i, method in enumerate(methods):
        entry = (entries or {}).get(method, MethodEntry())
        styles[method] = LineStyle(
            entry.colour or COLOURS[i % len(COLOURS)],
            DASHES[LINES.index(entry.line)] if entry.line else DASHES[i % len(DASHES)],
            MARKERS[i % len(MARKERS)],
            entry.width or 1.2,
        )
    return styles


def fade_others(styles: Mapping[str, LineStyle], shown: Collection[str]) -> dict[str, LineStyle]:
    """Return the styles with those of other methods than ``shown`` pale, and drawn before them.

    Parameters
    ----------
    styles : mapping of str to LineStyle
    shown : collection of str

    Returns
    -------
    dict of str to LineStyle
    """
    pale = {
        m: replace(s, colour=PALE, dash=(), width=0.6, pale=True)
        for m, s in styles.items()
        if m not in shown
    }
    return pale | {m: styles[m] for m in shown if m in styles}


def plain_label(text: str) -> str:
    """Return any text as matplotlib should show it: on one line, and a dollar sign starts no formula.

    Returns
    -------
    str
    """
    return printable(text).replace("$", r"\$")


def short_label(text: str, length: int) -> str:
    """Return a label without its middle if it is longer than ``length`` characters.

    Returns
    -------
    str
    """
    return plain_label(_shorten(text, length))


def _styled(function: Callable[_P, T]) -> Callable[_P, T]:
    """Run with this module's style; the user's own settings stay as they are."""

    @functools.wraps(function)
    def inside(*args: _P.args, **kwargs: _P.kwargs) -> T:
        with matplotlib.rc_context(STYLE):
            return function(*args, **kwargs)

    return inside


@_styled
def save_figure(
    figure: Figure, folder: Path, name: str, formats: Sequence[str] | None = None
) -> dict[str, Path]:
    """Write a figure to files; the same figure gives the same bytes.

    Parameters
    ----------
    figure : matplotlib.figure.Figure
    folder : Path
        Made if it does not exist.
    name : str
        Stem of the files.
    formats : sequence of str, optional
        By default all of `FORMATS`.

    Returns
    -------
    dict
        The path of each format.

    Raises
    ------
    SodbenchError
        If a file cannot be written.
    """
    with report_write_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    paths = {}
    with warnings.catch_warnings():
        # characters that DejaVu lacks are drawn as boxes; the tables have the names too
        warnings.filterwarnings("ignore", message="Glyph .* missing")
        engine = figure.get_layout_engine()
        if engine:
            # once: savefig would lay the figure out, and draw it for that, for every format
            engine.execute(figure)
            figure.set_layout_engine(None)
        for extension in formats or FORMATS:
            paths[extension] = folder / f"{name}.{extension}"
            undated = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}.get(extension)
            with atomic_write(paths[extension]) as temporary:
                figure.savefig(temporary, format=extension, metadata=undated)
    return paths


@_styled
def draw_png(figure: Figure, file: BinaryIO, dpi: int) -> None:
    """Draw a figure as PNG.

    Parameters
    ----------
    figure : matplotlib.figure.Figure
    file : binary file
    dpi : int
        Pixels per inch.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing")
        figure.savefig(file, format="png", dpi=dpi)


# ---- one panel for each dataset -----------------------------------------------------------------


def _make_panels(
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
    entry = 0.38 + 0.058 * max((len(_shorten(name, _LEGEND_LENGTH)) for name in names), default=1)
    return max(1, min(len(names), int(figure_width / entry)))


def _add_legend(figure: Figure, names: Sequence[str], handles: Mapping[str, Any]) -> None:
    """Add a legend below the panels, where it covers no data."""
    columns = _legend_columns(names, figure.get_figwidth())
    figure.legend(
        [handles[name] for name in names],
        [short_label(name, _LEGEND_LENGTH) for name in names],
        loc="outside lower center",
        ncols=columns,
        columnspacing=1.2,
    )


@_styled
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
    figure, axes = _make_panels(list(panels), 2.3, named)
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
    _add_legend(figure, named, handles)
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


@_styled
def box_panels(
    panels: Mapping[str, Mapping[str, Floats]], metric: Metric, styles: Mapping[str, LineStyle]
) -> Figure:
    """Plot the scores of single images as boxes, one panel for each dataset, methods from top to bottom.

    Parameters
    ----------
    panels : mapping
        By dataset and method, the scores of its images; NaN is left out.
    metric : Metric
    styles : mapping
        By method, see `line_styles`.

    Returns
    -------
    matplotlib.figure.Figure
        Whiskers are at the 5th and the 95th percentile.
    """
    most = max(len(scores) for scores in panels.values())
    figure, axes = _make_panels(list(panels), 0.55 + 0.17 * most)
    for panel, scores in zip(axes, panels.values(), strict=True):
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
        panel.set_yticks(range(1, len(names) + 1), [short_label(m, _AXIS_LENGTH) for m in names])
        panel.invert_yaxis()
        panel.grid(axis="y", visible=False)
        panel.set_xlabel(f"{metric.heading} of single images")
    _label_rows_once(axes, [[m for m in styles if m in scores] for scores in panels.values()])
    return figure


def _label_rows_once(axes: Sequence[Axes], rows: Sequence[Sequence[str]]) -> None:
    """Drop the labels of the rows where the panel to the left has the same ones."""
    across = min(3, len(axes))
    for i, panel in enumerate(axes):
        if i % across and list(rows[i]) == list(rows[i - 1]):
            panel.set_yticklabels([])


@_styled
def forest_panels(
    panels: Mapping[str, Mapping[str, tuple[float, float, float]]],
    metric: Metric,
    styles: Mapping[str, LineStyle],
) -> Figure:
    """Plot scores as dots with intervals, the best on top: one row a method, one panel for each dataset.

    Parameters
    ----------
    panels : mapping
        By dataset and method, (value, low, high); limits that are NaN are not drawn.
    metric : Metric
    styles : mapping
        By method, see `line_styles`.

    Returns
    -------
    matplotlib.figure.Figure
        At most `MAX_HEIGHT` inches tall.
    """
    most = max(len(scores) for scores in panels.values())
    down = -(-len(panels) // 3)
    row = min(0.15, (MAX_HEIGHT / down - 0.6) / most)
    figure, axes = _make_panels(list(panels), 0.6 + row * most)
    for panel, scores in zip(axes, panels.values(), strict=True):
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
        panel.set_yticks(range(len(names)), [short_label(m, _AXIS_LENGTH) for m in names])
        panel.tick_params(axis="y", labelsize=max(3.5, min(6.5, 45 * row)))
        panel.set_ylim(len(names) - 0.5, -0.5)
        panel.set_xlabel(metric.heading)
    return figure


def _pale(colour: str) -> tuple[float, float, float]:
    red, green, blue = matplotlib.colors.to_rgb(colour)
    return (red + 2) / 3, (green + 2) / 3, (blue + 2) / 3


@_styled
def group_panels(
    panels: Mapping[str, Mapping[str, Sequence[tuple[float, float, float]]]],
    groups: Mapping[str, Sequence[str]],
    metric: Metric,
    styles: Mapping[str, LineStyle],
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

    Returns
    -------
    matplotlib.figure.Figure
    """
    drawn = [
        m
        for m, style in styles.items()
        if not style.pale and any(m in scores for scores in panels.values())
    ]
    figure, axes = _make_panels(list(panels), 2.2, drawn)
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
        panel.set_xticks(range(len(groups[dataset])), groups[dataset])
        panel.set_xlim(-0.5, len(groups[dataset]) - 0.5)
        panel.grid(axis="x", visible=False)
        panel.set_ylabel(metric.heading)
    _add_legend(figure, drawn, handles)
    return figure


# ---- other plots --------------------------------------------------------------------------------


@_styled
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
    figure, (panel,) = _make_panels([""], 2.4, list(points))
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
    _add_legend(figure, list(points), handles)
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


@_styled
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
    figure, axes = _make_panels(list(panels), 0.65 + row * most, variants)
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
        panel.set_yticks(range(len(methods)), [short_label(m, _AXIS_LENGTH) for m in methods])
        panel.tick_params(axis="y", labelsize=max(3.5, min(6.5, 40 * row)))
        panel.set_ylim(len(methods) - 0.5, -0.5)
        panel.margins(x=0.08)
        panel.set_xlabel(x_label)
    _label_rows_once(axes, [list(methods) for methods in panels.values()])
    _add_legend(figure, variants, handles)
    return figure


@_styled
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
    shown = min(test.difference, high - low)
    axes.hlines(0.62, low, low + shown, color="black", lw=0.8)
    axes.vlines([low, low + shown], 0.56, 0.68, color="black", lw=0.8)
    text = f"CD = {test.difference:.2f}" + " (wider than the axis)" * (shown < test.difference)
    axes.text(low + shown / 2, 0.7, text, ha="center", va="bottom", fontsize=6.5)
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
        name = _shorten(method, 26)
        name = f"{plain_label(name)}  {rank:.2f}" if on_left else f"{rank:.2f}  {plain_label(name)}"
        gap = (-0.01 if on_left else 0.01) * (high - low)
        axes.text(end + gap, y, name, ha="right" if on_left else "left", va="center", fontsize=6.5)


@_styled
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
                axes.set_title(short_label(headings[j], int(side * 14)), fontsize=7)
            axes.set_xlabel(
                short_label(row_label if j == 0 else caption, int(side * 21)),
                fontsize=5.5,
                labelpad=1.5,
            )
    return figure


def _shorten(text: str, length: int) -> str:
    """The text, without its middle if it is too long to be printed above an image."""
    if len(text) <= length:
        return text
    head = (length - 1) // 2
    return f"{text[:head]}…{text[-(length - 1 - head) :]}"
