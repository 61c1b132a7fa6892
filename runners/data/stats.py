"""``sodbench data stats``: what a dataset is like, in numbers and on one page of plots."""

import json
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import numpy as np
from numpy.typing import NDArray

from sodbench.datasets import Dataset, measure_attributes
from sodbench.datasets.attributes import CENTRAL, FOREGROUND_THRESHOLD, LARGE, SMALL
from sodbench.errors import ImageError, SodbenchError
from sodbench.files import open_atomic, write_error, write_text
from sodbench.images import read_grey, resize_grey
from sodbench.parallel import in_threads
from sodbench.quoting import markdown_text, printable
from sodbench.runners.data.check import files_not_read, summarise_problems
from sodbench.runners.data.output import (
    WRITTEN_BY,
    is_plain_file,
    marker,
    refuse_foreign_folder,
    refuse_unsafe_name,
)

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

GRID = 64
COMMAND, INDEX, NUMBERS = "data stats", "stats.md", "stats.json"
_ENDINGS = (".csv", ".png", ".svg")


@dataclass(frozen=True)
class SetStats:
    """A set's attributes, one row a picture, and its centre bias.

    frame: see :func:`sodbench.datasets.measure_attributes`.
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
        attributes = measure_attributes(masks, dataset.images, jobs)
    except ImageError as error:
        raise SodbenchError(
            f"{dataset.name} cannot be measured: {error}; 'sodbench data check' lists all such files"
        ) from error
    centre_map = np.stack(places).mean(axis=0, dtype=np.float64) / 255
    return SetStats(dataset.name, attributes, centre_map)


def _places(mask: Path) -> NDArray[np.uint8]:
    """Where a mask's foreground is, 0 to 255 on a square grid [GRID, GRID]."""
    foreground = np.where(read_grey(mask).pixels > FOREGROUND_THRESHOLD, np.uint8(255), np.uint8(0))
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
    if np.isnan(value):  # e.g. the size of objects where every mask is empty
        return "-"
    if what in _SHARES:
        return f"{value:.1%}"
    return f"{value:.3f}" if what == "median contrast" else f"{value:g}"


def not_measured(dataset: Dataset, stats: SetStats) -> list[str]:
    """What is missing from the numbers of a dataset, one line each; none for a complete one."""
    lines = summarise_problems(dataset)
    unread, _ = files_not_read(dataset)
    if unread:
        lines.append(
            f"{dataset.name}: {len(unread)} files of types that are not read are not measured; "
            "'sodbench data check' lists them"
        )
    frame = stats.frame
    without = int((frame["contrast"].isna() & frame["object_size"].between(0, 1, "neither")).sum())
    if without and dataset.images:
        lines.append(
            f"{dataset.name}: the contrast of {without} items is not measured, because they have no image of "
            "the mask's size"
        )
    return lines


def as_json(sets: Sequence[SetStats]) -> str:
    """The summaries as JSON, with all their digits."""
    return json.dumps(_numbers_of(sets), indent=1)


def _numbers_of(sets: Sequence[SetStats]) -> dict[str, Any]:
    return {"sets": {stats.name: _plain(stats.summary()) for stats in sets}}


def _plain(summary: dict[str, float | int]) -> dict[str, Any]:
    return {what: None if np.isnan(value) else value for what, value in summary.items()}


def check_output(names: Sequence[str], folder: Path) -> None:
    """Raise :class:`SodbenchError` if pages on datasets of these names cannot be written without loss.

    In a folder of ours, only files that an earlier run wrote are replaced.
    """
    refuse_foreign_folder(folder, INDEX, COMMAND)
    stems: dict[str, str] = {}
    for name in names:
        refuse_unsafe_name(name)
        other = stems.setdefault(_stem(name), name)
        if other != name:
            raise SodbenchError(
                f"{name} and {other} would be written to the same files ({_stem(name)}.csv); measure them "
                "one by one into two folders"
            )
    ours = {*_written_before(folder), INDEX, NUMBERS}
    for file in (INDEX, NUMBERS, *_files(names)):
        path = folder / file
        if os.path.lexists(path) and (file not in ours or not is_plain_file(path)):
            raise SodbenchError(
                f"{path}: exists and was not written by sodbench {COMMAND}; move it or choose another folder"
            )


def _stem(name: str) -> str:
    return name.replace("/", "-")


def _files(names: Iterable[str]) -> list[str]:
    return [f"{_stem(name)}{ending}" for name in names for ending in _ENDINGS]


def _written_before(folder: Path) -> list[str]:
    """The files of pages on datasets that earlier runs wrote into the folder and that still exist."""
    try:
        content = json.loads((folder / NUMBERS).read_text("utf-8"))
        # the first versions of this file had no list of files, but named the datasets
        files = content.get("files") or _files(content["sets"])
        return [file for file in files if os.path.lexists(folder / file)]
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return []


def write_pages(sets: Sequence[SetStats], folder: Path) -> Path:
    """Write ``stats.md``, ``stats.json``, and for each dataset its attributes (CSV) and page of plots.

    Returns the path of the Markdown page.  Raises :class:`SodbenchError` if other files are in the way.
    """
    from sodbench.reports.plots import save_figure

    names = [stats.name for stats in sets]
    check_output(names, folder)
    files = sorted({*_written_before(folder), *_files(names)})
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_text(folder / INDEX, marker(COMMAND) + "\n")  # ours from here on
        numbers = {WRITTEN_BY: COMMAND, **_numbers_of(sets), "files": files}
        write_text(folder / NUMBERS, json.dumps(numbers, indent=1) + "\n")
        lines = [
            marker(COMMAND),
            "# What the datasets are like",
            "",
            table(sets, markdown=True),
            "",
            _LEGEND,
        ]
        for stats in sets:
            stem, title = _stem(stats.name), markdown_text(stats.name)
            with open_atomic(folder / f"{stem}.csv") as file:
                stats.frame.to_csv(file)
            save_figure(page(stats), folder, stem, ("png", "svg"))
            target = quote(stem)
            lines += ["", f"## {title}", "", f"![{title}]({target}.png)"]
            lines += ["", f"Every image: [{markdown_text(stem)}.csv]({target}.csv)"]
        write_text(folder / INDEX, "\n".join(lines) + "\n")
    except UnicodeEncodeError as error:
        raise SodbenchError(
            f"{folder}: file names that are not UTF-8 cannot be written ({error.object!r:.200}); rename the files"
        ) from error
    except OSError as error:
        raise write_error(folder, error) from error
    return folder / INDEX


_LEGEND = (
    f"Foreground is what is above {FOREGROUND_THRESHOLD}. Object size: share of the picture; small is up to "
    f"{SMALL:.0%}, large above {LARGE:.0%}. Off centre: the centroid is more than {CENTRAL:g} half "
    "diagonals from the picture's centre. Contrast: chi-square distance of the RGB histograms (8 bins a "
    "channel) of foreground and background, 0 to 1."
)


def page(stats: SetStats) -> "Figure":
    """One page of plots: centre bias, object size, number of objects, contrast, position, image sizes."""
    import matplotlib
    from matplotlib.figure import Figure

    from sodbench.reports.plots import PAGE, STYLE, plain_label

    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(PAGE, 4.6), layout="constrained")
        figure.suptitle(plain_label(f"{stats.name}: {len(stats.frame)} pictures"), fontsize=9)
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
    from sodbench.reports.plots import COLOURS

    axes.hist(values, bins=np.linspace(0, 1, 26).tolist(), color=COLOURS[1])
    for limit in limits:
        axes.axvline(limit, color=COLOURS[0], linewidth=0.8, linestyle=":")
    axes.set(title=name.partition(" (")[0], xlabel=name, ylabel="pictures", xlim=(0, 1))


def _numbers(axes: "Axes", objects: "pd.Series[int]") -> None:
    from sodbench.reports.plots import COLOURS

    counts = np.bincount(np.minimum(objects.to_numpy(), 6), minlength=7)
    axes.bar(range(7), counts, color=COLOURS[1])
    axes.set(
        title="number of objects", xlabel="connected parts", ylabel="pictures", xticks=range(7)
    )
    axes.set_xticklabels([*map(str, range(6)), "6+"])


def _positions(axes: "Axes", frame: "pd.DataFrame") -> None:
    from sodbench.reports.plots import COLOURS

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
    from sodbench.reports.plots import COLOURS

    sizes = frame.groupby(["width", "height"]).size()
    widths = sizes.index.get_level_values("width").to_numpy()
    heights = sizes.index.get_level_values("height").to_numpy()
    area = 8 + 160 * sizes.to_numpy() / sizes.max()
    axes.scatter(widths, heights, s=area, color=COLOURS[1], alpha=0.6, linewidths=0)
    axes.set(title=f"image sizes ({len(sizes)} different)", xlabel="width", ylabel="height")
    axes.margins(0.15)
    axes.set_aspect("equal", adjustable="datalim")
