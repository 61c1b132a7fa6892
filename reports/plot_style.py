"""How every figure of a report looks, and how it is written to files.

Colours are Okabe and Ito's colour-blind safe palette ("Color Universal Design", 2008) without its yellow, which is hard
to see on white. Every method also has a dash pattern (and a marker in scatter plots); the cycles have different lengths,
so that lines also differ in grey print. Legends are outside the axes. Widths are those of a two-column
paper: 3.4 inches for a column, 7.1 inches for the page.
"""

import functools
import io
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
from matplotlib.lines import Line2D

from sodbench.files import atomic_write, report_write_errors
from sodbench.quoting import printable
from sodbench.reports.methods_file import LINES, MethodEntries, MethodEntry

_P = ParamSpec("_P")
T = TypeVar("T")

# Widths of a column and of a page of a paper, in inches
COLUMN, PAGE = 3.4, 7.1
FORMATS = ("png", "svg", "pdf")
# Characters of a name in a legend and next to an axis; the middle of a longer one is left out
LEGEND_LENGTH, AXIS_LENGTH = 40, 22
# The tallest figure that fits on a page with its caption, in inches
MAX_HEIGHT = 9.0
# Points by which a spot is larger than what is drawn
_SPOT_MARGIN = 3.5
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
    return plain_label(shorten(text, length))


def styled(function: Callable[_P, T]) -> Callable[_P, T]:
    """Run with this module's style; the user's own settings stay as they are."""

    @functools.wraps(function)
    def inside(*args: _P.args, **kwargs: _P.kwargs) -> T:
        with matplotlib.rc_context(STYLE):
            return function(*args, **kwargs)

    return inside


@styled
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
            # not into the file: matplotlib's PDF writer hides that a disk is full behind an error of its own
            drawn = io.BytesIO()
            figure.savefig(drawn, format=extension, metadata=undated)
            with atomic_write(paths[extension]) as temporary:
                temporary.write_bytes(drawn.getvalue())
    return paths


@dataclass(frozen=True)
class Spot:
    """A part of a figure that leads to the images behind it.

    Attributes
    ----------
    address, label : str
        Where it leads, and what it shows.
    left, top, width, height : float
        In per cent of the figure.
    """

    address: str
    label: str
    left: float
    top: float
    width: float
    height: float


def link_spot(axes: Axes, x: Sequence[float], y: float, target: tuple[str, str] | None) -> None:
    """Let a part of a plot lead to the images behind it; nothing is drawn for that.

    Parameters
    ----------
    axes : matplotlib.axes.Axes
    x : sequence of float
        Its extent.
    y : float
    target : (str, str), optional
        Address and label; None: there is nothing to lead to.
    """
    if target and np.isfinite([*x, y]).all():
        place = Line2D([*x], [y] * len(x), visible=False, url=target[0], label=target[1])
        place.set_in_layout(False)
        axes.add_artist(place)


def find_spots(figure: Figure) -> tuple[Spot, ...]:
    """Return the spots of a figure that was drawn.

    Parameters
    ----------
    figure : matplotlib.figure.Figure

    Returns
    -------
    tuple of Spot
    """
    width, height = figure.bbox.size
    # a spot reaches a few points beyond what is drawn, so that it can be hit
    margin = _SPOT_MARGIN * figure.dpi / 72
    spots = []
    for axes in figure.axes:
        for place in axes.get_children():
            if not isinstance(place, Line2D) or not place.get_url():
                continue
            points = axes.transData.transform(place.get_xydata())
            left, low = points.min(axis=0) - margin
            right, high = points.max(axis=0) + margin
            spots.append(
                Spot(
                    str(place.get_url()),
                    str(place.get_label()),
                    round(100 * left / width, 2),
                    round(100 * (1 - high / height), 2),
                    round(100 * (right - left) / width, 2),
                    round(100 * (high - low) / height, 2),
                )
            )
    return tuple(spots)


@styled
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


def shorten(text: str, length: int) -> str:
    """The text, without its middle if it is too long to be printed above an image."""
    if len(text) <= length:
        return text
    head = (length - 1) // 2
    return f"{text[:head]}…{text[-(length - 1 - head) :]}"
