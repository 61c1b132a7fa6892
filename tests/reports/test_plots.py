"""Plots look like stored images, their legends cover nothing, and their styles differ."""

import os
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

import matplotlib
import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.testing.compare import compare_images

from sodbench.errors import SodbenchError
from sodbench.files import report_write_errors
from sodbench.metrics.catalogue import find_metric
from sodbench.metrics.statistics.ranking import critical_difference
from sodbench.reports import panel_plots, plot_style, plots

GOLDEN = Path(__file__).parent / "golden"
METHODS = [f"Method {i}" for i in range(5)]


def curves(methods, seed=0):
    rng = np.random.default_rng(seed)
    recall = np.linspace(1, 0.05, 40)
    return {m: (recall, rng.uniform(0.7, 1) * (1 - 0.6 * recall**8)) for m in methods}


def drawings():
    rng = np.random.default_rng(1)
    styles = plot_style.line_styles(METHODS)
    sets = ["SOD", "own_set $1"]
    scores = {d: {m: rng.beta(6, 2, 60) for m in METHODS} for d in sets}
    spread = {
        d: {m: [(0.7, 0.6, 0.8), (0.8, 0.7, 0.85), (np.nan,) * 3] for m in METHODS} for d in sets
    }
    groups = {d: ["small\n(n = 20)", "medium\n(n = 40)", "large\n(n = 0)"] for d in sets}
    positions = {
        "SOD": {m: {"one": rng.uniform(0.7, 0.9), "two": rng.uniform(0.7, 0.9)} for m in METHODS}
    }
    test = critical_difference(
        {m: list(rng.uniform(size=6) + i) for i, m in enumerate(METHODS)}, True
    )
    grey = np.tile(np.arange(0, 240, 8, dtype=np.uint8), (20, 1))
    rows = [("image (best)", [(np.stack([grey] * 3, 2), ""), (grey, "0.9"), (None, "")])]
    return {
        "curves": lambda: panel_plots.curve_panels({d: curves(METHODS) for d in sets}, "recall", "precision", styles),
        "boxes": lambda: panel_plots.box_panels(scores, find_metric("s"), styles),
        "sizes": lambda: panel_plots.group_panels(spread, groups, find_metric("f_max"), styles),
        "forest": lambda: panel_plots.forest_panels({d: {m: (0.7 + 0.02 * i, 0.65, 0.85) for i, m in enumerate(METHODS)} for d in sets}, find_metric("f_max"), styles),
        "dots": lambda: panel_plots.dot_panels(positions, "max F"),
        "cost": lambda: plots.cost_scatter({m: (5.0 * 2**i, 0.8 + 0.01 * (i % 3)) for i, m in enumerate(METHODS)}, ("M", "F"), styles),
        "ranks": lambda: plots.critical_difference_diagrams({"max F": test, "S": test}),
        "images": lambda: plots.image_grid(rows, ["image", "mask", "<a_$b>"]),
    }  # fmt: skip


@pytest.mark.skipif(
    tuple(map(int, matplotlib.__version__.split(".")[:2])) < (3, 11),
    reason="matplotlib draws text in another way before 3.11",
)
@pytest.mark.parametrize("name", drawings())
def test_plots_look_like_the_stored_images(name, tmp_path, monkeypatch):
    """Root-mean-square difference below 8 of 255: other fonts' hinting passes, a moved curve does not.

    SODBENCH_REGOLD=1 redraws the stored images; look at them before committing.
    """
    monkeypatch.setitem(plot_style.STYLE, "savefig.dpi", 70)
    drawn = plot_style.save_figure(drawings()[name](), tmp_path, name, ["png"])["png"]
    stored = GOLDEN / f"{name}.png"
    if os.environ.get("SODBENCH_REGOLD"):
        stored.write_bytes(drawn.read_bytes())
    assert compare_images(str(stored), str(drawn), tol=8) is None


def test_the_comparison_notices_a_moved_curve(tmp_path, monkeypatch):
    monkeypatch.setitem(plot_style.STYLE, "savefig.dpi", 70)
    panels = {d: curves(METHODS, seed=5) for d in ("SOD", "own_set $1")}
    moved = panel_plots.curve_panels(panels, "recall", "precision", plot_style.line_styles(METHODS))
    drawn = plot_style.save_figure(moved, tmp_path, "moved", ["png"])["png"]
    assert compare_images(str(GOLDEN / "curves.png"), str(drawn), tol=8) is not None


@pytest.mark.parametrize("sets", [1, 2, 6])
def test_a_legend_of_twenty_methods_covers_no_data(sets):
    methods = [f"A method with a long name {i}" for i in range(20)]
    panels = {f"set {i}": curves(methods) for i in range(sets)}
    figure = panel_plots.curve_panels(
        panels, "recall", "precision", plot_style.line_styles(methods)
    )
    figure.draw_without_rendering()
    legend = figure.legends[0].get_window_extent()
    assert len(figure.legends[0].get_texts()) == 20
    for axes in figure.axes:
        assert not legend.overlaps(axes.get_tightbbox())
        assert axes.get_window_extent().height > 90  # the legend has not eaten the panel
    assert legend.x0 >= 0 and legend.x1 <= figure.bbox.width + 1


def test_styles_differ_in_colour_and_in_grey():
    styles = list(plot_style.line_styles([str(i) for i in range(30)]).values())
    assert len({(s.colour, s.dash) for s in styles}) == 30
    assert len({s.dash for s in styles[:6]}) == 6
    for one, next_ in pairwise(styles):
        assert one.dash != next_.dash and one.colour != next_.colour


def test_plots_leave_the_settings_of_matplotlib_alone():
    import matplotlib

    before = dict(matplotlib.rcParams)
    drawings()["curves"]()
    assert dict(matplotlib.rcParams) == before


def test_spots_are_where_the_values_are_drawn():
    scores = {"SOD": {"a": (0.2, 0.1, 0.3), "b": (0.8, 0.7, 0.9)}}
    links = {"SOD": {m: (f"#?sort={m}", f"images of {m}") for m in "ab"}}
    styles = plot_style.line_styles(["a", "b"])
    figure = panel_plots.forest_panels(scores, find_metric("f_max"), styles, links)
    figure.draw_without_rendering()
    best, worst = plot_style.find_spots(figure)
    assert (best.address, worst.label) == ("#?sort=b", "images of a"), "the best on top"
    axes = figure.axes[0]
    for spot, value, row in ((best, 0.8, 0), (worst, 0.2, 1)):
        x, y = figure.transFigure.inverted().transform(axes.transData.transform((value, row)))
        assert spot.left < 100 * x < spot.left + spot.width
        assert spot.top < 100 * (1 - y) < spot.top + spot.height


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no device that is always full")
@pytest.mark.parametrize("extension", plot_style.FORMATS)
def test_a_full_disk_is_reported_for_every_format(extension, tmp_path, monkeypatch):
    @contextmanager
    def write_to_full_disk(path):
        with report_write_errors(path):
            yield Path("/dev/full")

    monkeypatch.setattr(plot_style, "atomic_write", write_to_full_disk)
    with pytest.raises(SodbenchError, match=f"a.{extension}: cannot be written .No space left"):
        plot_style.save_figure(Figure(), tmp_path, "a", [extension])
