"""The grids of images, ground truth and maps of a report."""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from sodbench.metrics.catalogue import Metric
from sodbench.reports import gallery, plots
from sodbench.reports.analysis import Analysis
from sodbench.reports.document import Figure
from sodbench.results import Result

# as many maps as there is room for side by side on a page
GRID_METHODS = 6
GRID_PIXELS = 320


def image_grids(
    analysis: Analysis, wanted: Sequence[str], emphasised: Sequence[str] = ()
) -> tuple[list[Figure], list[str]]:
    """Return a grid of images, masks and maps for each dataset.

    Parameters
    ----------
    analysis : Analysis
    wanted : sequence of str
        Which images to show, see `sodbench.reports.gallery.choose_images`.
    emphasised : sequence of str, optional
        Methods that are shown in any case, see `sodbench.reports.figures.find_emphasised`.

    Returns
    -------
    figures : list of Figure
        One for each dataset that has files to show.
    notes : list of str
        A sentence for each dataset of which files are missing.
    """
    figures, notes = [], []
    for number, dataset in enumerate(analysis.datasets, 1):
        results = analysis.results_on(dataset)
        choices = gallery.choose_images(analysis, dataset, wanted)
        columns = _choose_grid_methods(analysis, dataset, results, emphasised)
        figure, missing = _image_grid(f"images_{number}", analysis, dataset, columns, choices)
        if figure:
            figures.append(figure)
        if missing:
            notes.append(
                f"{len(set(missing))} images of {dataset} are no longer where they were when they were scored, "
                f"for example {missing[0]}; the numbers are not affected."
            )
    return figures, notes


def _choose_grid_methods(
    analysis: Analysis, dataset: str, results: Mapping[str, Result], emphasised: Sequence[str]
) -> dict[str, Result]:
    """As many methods as there is room for, in their order: the emphasised ones, then the best comparable ones."""
    metric = analysis.primary_metric
    # without a direction, as for a threshold, no method is better: the first ones are shown
    merits = (metric.sign * analysis.values[(dataset, metric.name)]).fillna(-np.inf)
    ranked = sorted(
        results,
        key=lambda m: (
            m not in emphasised,
            not analysis.comparable.has(m, dataset),
            -merits[m],
        ),
    )
    return {m: result for m, result in results.items() if m in ranked[:GRID_METHODS]}


def _image_grid(
    key: str,
    analysis: Analysis,
    dataset: str,
    columns: Mapping[str, Result],
    choices: Sequence[gallery.ImageChoice],
) -> tuple[Figure | None, list[Path]]:
    """A row for each image; also the files that are missing.  No figure if none of them can be shown."""
    metric = analysis.primary_metric
    rows: list[plots.GridRow] = []
    missing: list[Path] = []
    for choice in choices:
        thumbnails, not_found = gallery.load_thumbnails(choice.stem, columns, GRID_PIXELS)
        missing += not_found
        cells = [(thumbnails.image, ""), (thumbnails.mask, "")]
        cells += [(thumbnails.maps[m], _score(r, choice.stem, metric)) for m, r in columns.items()]
        rows.append((f"{choice.stem} ({choice.reason})", cells))
    if not any(pixels is not None for _, cells in rows for pixels, _ in cells):
        return None, missing
    own = " (best threshold of that image)" * metric.name.endswith("_max")
    reasons = ", ".join(f"{c.stem}: {_REASONS[c.reason]}" for c in choices)
    caption = f"Images of {dataset} with ground truth (GT) and maps; below each map its {metric.label}{own}. {reasons}."
    here = len(analysis.results_on(dataset))
    if here > len(columns):
        caption += f" {len(columns)} of {here} methods are shown: the best, the baseline and those with a colour of their own."
    draw = partial(plots.image_grid, rows, ["image", "GT", *columns])
    return Figure(key, caption, draw), missing


_REASONS = {
    "best": "best on average",
    "worst": "worst on average",
    "disputed": "where the methods differ most",
    "random": "drawn at random",
    "named": "as asked for",
}


def _score(result: Result, stem: str, metric: Metric) -> str:
    table = result.table
    if stem not in table.index or metric.name not in table:
        return ""
    value = float(table[metric.name].to_dict()[stem])
    return f"{value:.3f}"
