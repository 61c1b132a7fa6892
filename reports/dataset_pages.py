"""Pages about datasets: what ``sodbench data check`` and ``data stats`` print and write."""

import json
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import numpy as np
from numpy.typing import NDArray

from sodbench.datasets.attributes import CENTRAL, FOREGROUND_THRESHOLD, LARGE, SMALL
from sodbench.datasets.dataset import check_storable_name
from sodbench.datasets.findings import DatasetReport, DatasetStats
from sodbench.errors import SodbenchError, listing
from sodbench.files import is_plain_file, write_text
from sodbench.output_folder import FolderKind, OutputFolder, check_own_file, read_json
from sodbench.quoting import count_noun, json_text, markdown_text, printable
from sodbench.reports.text import format_table
from sodbench.results.result_file import nan_to_none

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# The first key of a JSON file of ours; its value is the command.
WRITTEN_BY = "written_by"


def _marker(command: str) -> str:
    """The first line of a Markdown file that ``sodbench <command>`` writes."""
    return (
        f"<!-- written by sodbench {command}: changes made here are lost when it is run again -->"
    )


# --- data check --------------------------------------------------------------------------------------

_CHECK = "data check"
# Lines on the screen for each kind of finding; the files of -o hold all
_MAX_PER_KIND = 10


def format_check(reports: Sequence[DatasetReport], style: str) -> str:
    """Format the findings of ``data check``.

    Parameters
    ----------
    reports : sequence of DatasetReport
    style : str
        ``table`` for the terminal (at most ten findings of a kind), ``markdown``, or ``json``.

    Returns
    -------
    str
        Several lines without a final line break.
    """
    if style == "json":
        return json_text({WRITTEN_BY: _CHECK, "sets": [report.as_dict() for report in reports]})
    return _check_markdown(reports) if style == "markdown" else _check_text(reports)


def _check_text(reports: Sequence[DatasetReport]) -> str:
    lines = []
    for report in reports:
        lines.append(report.verdict)
        lines += [f"  note: {note}" for note in report.notes]
        lines += listing(report.faults, _MAX_PER_KIND)
        lines += [f"  remark: {p.file}: {p.detail}" for p in report.remarks[:_MAX_PER_KIND]]
        if len(report.remarks) > _MAX_PER_KIND:
            lines.append(f"  ... and {len(report.remarks) - _MAX_PER_KIND} more remarks")
    return "\n".join(map(printable, lines))


def _check_markdown(reports: Sequence[DatasetReport]) -> str:
    """A page: a table of verdicts, then every finding of each dataset."""
    headers = (
        "dataset",
        "verdict",
        "items",
        "official",
        "sizes (w x h)",
        "layout",
        "content",
        "masks",
    )
    verdicts = [
        (
            r.name,
            count_noun(len(r.faults), "fault") if r.faults else "ok",
            r.items,
            "" if r.expected is None else r.expected,
            r.size_range,
            r.layout,
            *(h[:16] or "none" for h in (r.content, r.masks_content)),
        )
        for r in reports
    ]
    parts = [
        "# Datasets checked",
        format_table(headers, verdicts, align="llrrllll", markdown=True),
    ]
    for r in reports:
        parts += [f"## {markdown_text(r.name)}", markdown_text(r.verdict)]
        parts += ["\n".join(f"- {markdown_text(note)}" for note in r.notes)] * bool(r.notes)
        for title, problems in (("faults", r.faults), ("remarks", r.remarks)):
            if problems:
                columns = (f"{title}: kind", "file", "detail")
                rows = [(p.kind, p.file, p.detail) for p in problems]
                parts.append(format_table(columns, rows, align="lll", markdown=True))
    return "\n\n".join(parts)


def check_report_file(file: Path) -> None:
    """Check that a report of ``data check`` can be written to a file.

    Raises
    ------
    SodbenchError
        If it is neither ``.md`` nor ``.json``, or exists and was not written by ``data check``.
    """
    if file.suffix not in (".md", ".json"):
        raise SodbenchError(f"{file}: the report is written as .md or .json")
    check_own_file(
        file, f'"{WRITTEN_BY}": "{_CHECK}"' if file.suffix == ".json" else _marker(_CHECK)
    )


def write_check_report(reports: Sequence[DatasetReport], file: Path) -> None:
    """Write the complete report of ``data check`` as Markdown or JSON.

    Raises
    ------
    SodbenchError
        If the file cannot be written; see also `check_report_file`.
    """
    check_report_file(file)
    if file.suffix == ".json":
        write_text(file, format_check(reports, "json") + "\n")
    else:
        write_text(file, f"{_marker(_CHECK)}\n{format_check(reports, 'markdown')}\n")


# --- data stats --------------------------------------------------------------------------------------

_STATS = "data stats"
_PAGE, _NUMBERS = "stats.md", "stats.json"
_STATS_ENDINGS = (".csv", ".png", ".svg", ".pdf")
_SHARES = frozenset(
    {"mean object size", "small objects", "large objects", "several objects",
     "touching the border", "off centre"}
)  # fmt: skip


def format_stats(stats: Sequence[DatasetStats], style: str) -> str:
    """Format the summaries of datasets side by side, one column a dataset.

    Parameters
    ----------
    stats : sequence of DatasetStats
    style : str
        ``table`` for the terminal, ``markdown``, or ``json`` with all digits.

    Returns
    -------
    str
        Several lines without a final line break.
    """
    if style == "json":
        return json_text(_summaries(stats))
    summaries = [one.summary() for one in stats]
    rows = [[what, *(_format_value(what, s[what]) for s in summaries)] for what in summaries[0]]
    return format_table(["", *(one.name for one in stats)], rows, markdown=style == "markdown")


def _format_value(what: str, value: float) -> str:
    # e.g. the size of objects if every mask is empty
    if np.isnan(value):
        return "-"
    if what in _SHARES:
        return f"{value:.1%}"
    return f"{value:.3f}" if what == "median contrast" else f"{value:g}"


def _summaries(stats: Sequence[DatasetStats]) -> dict[str, Any]:
    return {"sets": {one.name: nan_to_none(one.summary()) for one in stats}}


def _read_numbers(path: Path) -> dict[str, Any]:
    content = read_json(path)
    if content.get(WRITTEN_BY) != _STATS:
        raise ValueError(f"not written by sodbench {_STATS}")
    return content


_STATS_FOLDER = FolderKind("statistics of datasets", "measuring datasets", _NUMBERS, _read_numbers)


def check_stats_folder(names: Sequence[str], folder: Path) -> list[str]:
    """Check that pages about datasets can be written to a folder without replacing other files.

    Parameters
    ----------
    names : sequence of str
        The datasets.
    folder : Path
        A new folder, or one that ``data stats`` wrote.

    Returns
    -------
    list of str
        The files there that earlier runs wrote.

    Raises
    ------
    SodbenchError
        If a name cannot name files, two datasets would share files, or a file was not written by
        ``data stats``.
    """
    stems: dict[str, str] = {}
    for name in names:
        check_storable_name(name)
        other = stems.setdefault(_stem(name), name)
        if other != name:
            raise SodbenchError(
                f"{name} and {other} would be written to the same files ({_stem(name)}.csv); measure them "
                "one by one into two folders"
            )
    if os.path.lexists(folder) and not folder.is_dir():
        raise SodbenchError(f"{folder}: is not a folder; name a folder")
    manifest = _STATS_FOLDER.read_manifest(folder) or {}
    files = manifest.get("files")
    written = (
        [str(f) for f in files if os.path.lexists(folder / f)] if isinstance(files, list) else []
    )
    own = {*written, _PAGE, _NUMBERS} if manifest else set()
    for file in (_PAGE, _NUMBERS, *_files(names)):
        path = folder / file
        if os.path.lexists(path) and (file not in own or not is_plain_file(path)):
            raise SodbenchError(
                f"{path}: exists and was not written by sodbench {_STATS}; move it or choose another folder"
            )
    return written


def _stem(name: str) -> str:
    return name.replace("/", "-")


def _files(names: Iterable[str]) -> list[str]:
    return [f"{_stem(name)}{ending}" for name in names for ending in _STATS_ENDINGS]


def write_stats_pages(stats: Sequence[DatasetStats], folder: Path) -> Path:
    """Write ``stats.md``, ``stats.json``, and for each dataset its attributes (CSV) and a page of plots.

    Returns
    -------
    Path
        The Markdown page.

    Raises
    ------
    SodbenchError
        If other files are in the way (`check_stats_folder`), or the folder cannot be written.
    """
    from sodbench.reports.plot_style import save_figure

    names = [one.name for one in stats]
    check_stats_folder(names, folder)
    with OutputFolder.open(folder, _STATS_FOLDER) as output:
        files = sorted({*check_stats_folder(names, folder), *_files(names)})
        numbers = {WRITTEN_BY: _STATS, **_summaries(stats), "files": files}
        # ours from here on
        output.write_text(_NUMBERS, json.dumps(numbers, indent=1) + "\n")
        for one in stats:
            output.write_text(f"{_stem(one.name)}.csv", _attributes_csv(one))
            save_figure(draw_stats(one), folder, _stem(one.name))
        output.write_text(_PAGE, _stats_page(stats))
    return folder / _PAGE


def _attributes_csv(stats: DatasetStats) -> str:
    text: str = stats.attributes.to_csv()
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise SodbenchError(
            f"{stats.name}: file names that are not UTF-8 cannot be written ({error.object!r:.200}); rename the files"
        ) from error
    return text


def _stats_page(stats: Sequence[DatasetStats]) -> str:
    lines = [_marker(_STATS), "# What the datasets are like", ""]
    lines += [format_stats(stats, "markdown"), "", _LEGEND]
    for one in stats:
        stem, title, target = _stem(one.name), markdown_text(one.name), quote(_stem(one.name))
        lines += ["", f"## {title}", "", f"![{title}]({target}.png)"]
        lines += ["", f"Every image: [{markdown_text(stem)}.csv]({target}.csv)"]
    return "\n".join(lines) + "\n"


_LEGEND = (
    f"Foreground is what is above {FOREGROUND_THRESHOLD}. Object size: share of the image; small is up to "
    f"{SMALL:.0%}, large above {LARGE:.0%}. Off centre: the centroid is more than {CENTRAL:g} half "
    "diagonals from the image's centre. Contrast: chi-square distance of the RGB histograms (8 bins a "
    "channel) of foreground and background, 0 to 1."
)


# --- the page of plots -------------------------------------------------------------------------------


def draw_stats(stats: DatasetStats) -> "Figure":
    """Draw a dataset's centre bias, object sizes, numbers of objects, contrasts, positions and image sizes.

    Returns
    -------
    matplotlib.figure.Figure
        Six panels, as wide as the page of a two-column paper.
    """
    import matplotlib
    from matplotlib.figure import Figure

    from sodbench.reports.plot_style import COLOURS, PAGE, STYLE, plain_label

    frame = stats.attributes
    full = frame[frame["object_size"] > 0]
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(PAGE, 4.6), layout="constrained")
        figure.suptitle(plain_label(f"{stats.name}: {len(frame)} images"), fontsize=9)
        centre, size, number, contrast, position, sizes = figure.subplots(2, 3).ravel()
        _draw_centre_bias(centre, stats.centre_map)
        _draw_shares(size, full["object_size"], "object size (share of the image)", (SMALL, LARGE))
        counts = np.bincount(np.minimum(frame["objects"].to_numpy(), 6), minlength=7)
        number.bar(range(7), counts, color=COLOURS[1])
        number.set(title="number of objects", xlabel="connected parts", ylabel="images")
        number.set_xticks(range(7), [*map(str, range(6)), "6+"])
        _draw_shares(contrast, full["contrast"].dropna(), "contrast (chi-square, RGB)", ())
        _draw_positions(position, full)
        _draw_image_sizes(sizes, frame)
    return figure


def _draw_centre_bias(axes: "Axes", centre_map: NDArray[np.float64]) -> None:
    image = axes.imshow(centre_map, cmap="cividis", vmin=0, vmax=max(centre_map.max(), 1e-9))
    axes.set(title="where objects are", xticks=[], yticks=[])
    axes.grid(visible=False)
    axes.figure.colorbar(image, ax=axes, shrink=0.8).set_label("share of the masks")


def _draw_shares(
    axes: "Axes", values: "pd.Series[float]", name: str, limits: Sequence[float]
) -> None:
    from sodbench.reports.plot_style import COLOURS

    axes.hist(values, bins=np.linspace(0, 1, 26).tolist(), color=COLOURS[1])
    for limit in limits:
        axes.axvline(limit, color=COLOURS[0], linewidth=0.8, linestyle=":")
    axes.set(title=name.partition(" (")[0], xlabel=name, ylabel="images", xlim=(0, 1))


def _draw_positions(axes: "Axes", frame: "pd.DataFrame") -> None:
    from sodbench.reports.plot_style import COLOURS

    axes.hist(
        [frame["centre_distance"][~frame["border"]], frame["centre_distance"][frame["border"]]],
        bins=np.linspace(0, 1, 26).tolist(),
        stacked=True,
        color=[COLOURS[5], COLOURS[2]],
        label=["free", "touching the border"],
    )
    axes.axvline(CENTRAL, color=COLOURS[0], linewidth=0.8, linestyle=":")
    axes.set(title="position", xlabel="distance from the centre (half diagonals)", ylabel="images")
    axes.set_xlim(0, 1)
    # room for the legend above the bars
    axes.set_ylim(0, 1.35 * axes.get_ylim()[1])
    axes.legend(loc="upper right", frameon=True, edgecolor="none", framealpha=1)


def _draw_image_sizes(axes: "Axes", frame: "pd.DataFrame") -> None:
    from sodbench.reports.plot_style import COLOURS

    sizes = frame.groupby(["width", "height"]).size()
    widths = sizes.index.get_level_values("width").to_numpy()
    heights = sizes.index.get_level_values("height").to_numpy()
    area = 8 + 160 * sizes.to_numpy() / sizes.max()
    axes.scatter(widths, heights, s=area, color=COLOURS[1], alpha=0.6, linewidths=0)
    axes.set(title=f"image sizes ({len(sizes)} different)", xlabel="width", ylabel="height")
    axes.margins(0.15)
    axes.set_aspect("equal", adjustable="datalim")
