"""``sodbench data stats``: what a data set is like, in numbers and on one page of plots."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sodbench.datasets import Dataset, attributes_of
from sodbench.datasets.attributes import CENTRAL, LARGE, SMALL, THRESHOLD
from sodbench.errors import ImageError, SodbenchError
from sodbench.folders import unwritable
from sodbench.images import read_grey, resize_grey
from sodbench.progress import in_threads
from sodbench.quoting import markdown_text, printable
from sodbench.runners.data_output import marker, refuse_foreign_folder

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

GRID = 64
COMMAND, INDEX = "data stats", "stats.md"


@dataclass(frozen=True)
class SetStats:
    """A set's attributes, one row a picture, and its centre bias.

    frame: see :func:`sodbench.datasets.attributes_of`.
    centre_map: float64 [64, 64], how often a place (in relative coordinates) is foreground, 0 to 1.
    """

    name: str
    frame: "pd.DataFrame"
    centre_map: NDArray[np.float64]

    def summary(self) -> dict[str, float | int]:
        """The set in a dozen numbers; shares are of the pictures whose mask is not empty."""
        frame = self.frame
        full = frame[frame["object_size"] > 0]
        return {
            "pictures": len(frame),
            "empty masks": len(frame) - len(full),
            "image sizes": len(frame[["height", "width"]].drop_duplicates()),
            "median height": float(frame["height"].median()),
            "median width": float(frame["width"].median()),
            "mean object size": float(full["object_size"].mean()),
            "small objects": float((full["object_size"] <= SMALL).mean()),
            "large objects": float((full["object_size"] > LARGE).mean()),
            "several objects": float((full["objects"] > 1).mean()),
            "touching the border": float(full["border"].mean()),
            "off centre": float((full["centre_distance"] > CENTRAL).mean()),
            "median contrast": float(full["contrast"].median()),
        }


def describe(dataset: Dataset, jobs: int | None = None) -> SetStats:
    """Measure every picture of a set.

    Raises :class:`SodbenchError` where it has no masks, and where a picture cannot be read.
    """
    masks = dataset.masks
    if not masks:
        raise SodbenchError(
            f"{dataset.name}: no masks in {dataset.root}, so nothing can be measured"
        )
    try:
        places = in_threads(_places, masks.values(), "where objects are", "masks", jobs)
        attributes = attributes_of(masks, dataset.images, jobs)
    except ImageError as error:
        raise SodbenchError(
            f"{dataset.name} cannot be measured: {error}; 'sodbench data check' lists all such files"
        ) from error
    centre_map = np.stack(places).mean(axis=0, dtype=np.float64) / 255
    return SetStats(dataset.name, attributes, centre_map)


def _places(mask: Path) -> NDArray[np.uint8]:
    """Where a mask's foreground is, 0 to 255 on a square grid [GRID, GRID]."""
    foreground = np.where(read_grey(mask).pixels > THRESHOLD, np.uint8(255), np.uint8(0))
    return resize_grey(foreground, (GRID, GRID), "bilinear")


def table(sets: Sequence[SetStats], markdown: bool = False) -> str:
    """The summaries side by side, a column a set."""
    from tabulate import tabulate

    quote = markdown_text if markdown else printable
    summaries = {quote(stats.name): stats.summary() for stats in sets}
    first = next(iter(summaries.values()))
    rows = [[what, *(_shown(what, s[what]) for s in summaries.values())] for what in first]
    return tabulate(
        rows,
        ["", *summaries],
        tablefmt="github" if markdown else "simple",
        disable_numparse=True,
        colalign=("left", *("right" for _ in summaries)),
    )


_SHARES = frozenset(
    {"mean object size", "small objects", "large objects", "several objects",
     "touching the border", "off centre"}
)  # fmt: skip


def _shown(what: str, value: float) -> str:
    if what in _SHARES:
        return f"{value:.1%}"
    return f"{value:.3f}" if what == "median contrast" else f"{value:g}"


def as_json(sets: Sequence[SetStats]) -> str:
    """The summaries as JSON, with all their digits."""
    return json.dumps({"sets": {stats.name: _plain(stats.summary()) for stats in sets}}, indent=1)


def _plain(summary: dict[str, float | int]) -> dict[str, Any]:
    return {what: None if np.isnan(value) else value for what, value in summary.items()}


def write_pages(sets: Sequence[SetStats], folder: Path) -> Path:
    """Write ``stats.md``, ``stats.json``, and for each set its attributes (CSV) and page of plots.

    Returns the path of the Markdown page.  Raises :class:`SodbenchError` for a folder that holds other files.
    """
    from sodbench.reports.figures import save
    from sodbench.reports.markdown import link

    refuse_foreign_folder(folder, INDEX, COMMAND)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / INDEX).write_text(marker(COMMAND) + "\n", "utf-8")  # ours from here on
        lines = [
            marker(COMMAND),
            "# What the data sets are like",
            "",
            table(sets, markdown=True),
            "",
            _LEGEND,
        ]
        for stats in sets:
            name, stem = markdown_text(stats.name), stats.name.replace("/", "-")
            stats.frame.to_csv(folder / f"{stem}.csv")
            save(page(stats), folder, stem, ("png", "svg"))
            lines += ["", f"## {name}", "", f"![{name}]({link(stem)}.png)"]
            lines += ["", f"Every picture: [{markdown_text(stem)}.csv]({link(stem)}.csv)"]
        (folder / "stats.json").write_text(as_json(sets) + "\n", "utf-8")
        (folder / INDEX).write_text("\n".join(lines) + "\n", "utf-8")
    except OSError as error:
        raise unwritable(folder, error) from error
    return folder / INDEX


_LEGEND = (
    f"Foreground is what is above {THRESHOLD}. Object size: share of the picture; small is up to "
    f"{SMALL:.0%}, large above {LARGE:.0%}. Off centre: the centroid is more than {CENTRAL:g} half "
    "diagonals from the picture's centre. Contrast: chi-square distance of the RGB histograms (8 bins a "
    "channel) of foreground and background, 0 to 1."
)


def page(stats: SetStats) -> "Figure":
    """One page of plots: centre bias, object size, number of objects, contrast, position, image sizes."""
    import matplotlib
    from matplotlib.figure import Figure

    from sodbench.reports.figures import PAGE, STYLE, label

    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(PAGE, 4.6), layout="constrained")
        figure.suptitle(label(f"{stats.name}: {len(stats.frame)} pictures"), fontsize=9)
        panels = figure.subplots(2, 3).ravel()
        full = stats.frame[stats.frame["object_size"] > 0]
        _centre_bias(panels[0], stats.centre_map)
        _shares(
            panels[1], full["object_size"], "object size (share of the picture)", (SMALL, LARGE)
        )
        _numbers(panels[2], stats.frame["objects"])
        _shares(panels[3], full["contrast"].dropna(), "contrast (chi-square, RGB)", ())
        _positions(panels[4], full)
        _sizes(panels[5], stats.frame)
    return figure


def _centre_bias(axes: "Axes", centre_map: NDArray[np.float64]) -> None:
    picture = axes.imshow(centre_map, cmap="cividis", vmin=0, vmax=max(centre_map.max(), 1e-9))
    axes.set(title="where objects are", xticks=[], yticks=[])
    axes.grid(visible=False)
    bar = axes.figure.colorbar(picture, ax=axes, shrink=0.8)
    bar.set_label("share of the masks")


def _shares(axes: "Axes", values: "pd.Series[float]", name: str, limits: Sequence[float]) -> None:
    from sodbench.reports.figures import COLOURS

    axes.hist(values, bins=np.linspace(0, 1, 26).tolist(), color=COLOURS[1])
    for limit in limits:
        axes.axvline(limit, color=COLOURS[0], linewidth=0.8, linestyle=":")
    axes.set(title=name.partition(" (")[0], xlabel=name, ylabel="pictures", xlim=(0, 1))


def _numbers(axes: "Axes", objects: "pd.Series[int]") -> None:
    from sodbench.reports.figures import COLOURS

    counts = np.bincount(np.minimum(objects.to_numpy(), 6), minlength=7)
    axes.bar(range(7), counts, color=COLOURS[1])
    axes.set(
        title="number of objects", xlabel="connected parts", ylabel="pictures", xticks=range(7)
    )
    axes.set_xticklabels([*map(str, range(6)), "6+"])


def _positions(axes: "Axes", frame: "pd.DataFrame") -> None:
    from sodbench.reports.figures import COLOURS

    axes.hist(
        [frame["centre_distance"][~frame["border"]], frame["centre_distance"][frame["border"]]],
        bins=np.linspace(0, 1, 26).tolist(),
        stacked=True,
        color=[COLOURS[5], COLOURS[2]],
        label=["free", "touching the border"],
    )
    axes.axvline(CENTRAL, color=COLOURS[0], linewidth=0.8, linestyle=":")
    axes.set(
        title="position", xlabel="distance from the centre (half diagonals)", ylabel="pictures"
    )
    axes.set_xlim(0, 1)
    axes.legend(loc="upper right", frameon=True, edgecolor="none", framealpha=1)


def _sizes(axes: "Axes", frame: "pd.DataFrame") -> None:
    from sodbench.reports.figures import COLOURS

    sizes = frame.groupby(["width", "height"]).size()
    widths = sizes.index.get_level_values("width").to_numpy()
    heights = sizes.index.get_level_values("height").to_numpy()
    area = 8 + 160 * sizes.to_numpy() / sizes.max()
    axes.scatter(widths, heights, s=area, color=COLOURS[1], alpha=0.6, linewidths=0)
    axes.set(title=f"image sizes ({len(sizes)} different)", xlabel="width", ylabel="height")
    axes.margins(0.15)
    axes.set_aspect("equal", adjustable="datalim")
