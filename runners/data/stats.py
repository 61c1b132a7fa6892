"""``sodbench data stats``: measure what the images of a dataset are like."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sodbench.datasets import Dataset, measure_attributes
from sodbench.datasets.attributes import FOREGROUND_THRESHOLD
from sodbench.datasets.findings import DatasetStats
from sodbench.errors import ImageError, SodbenchError
from sodbench.images import read_grey, resize_grey
from sodbench.parallel import in_threads
from sodbench.runners.data.check import find_unread_files, summarise_problems

GRID = 64


def compute_stats(dataset: Dataset, jobs: int | None = None) -> DatasetStats:
    """Measure every image of a dataset.

    Parameters
    ----------
    dataset : Dataset
        A dataset with masks.
    jobs : int, optional
        Number of threads; by default the number of processors.

    Returns
    -------
    DatasetStats

    Raises
    ------
    SodbenchError
        If it has no masks, or a file cannot be read.
    """
    masks = dataset.masks
    if not masks:
        raise SodbenchError(
            f"{dataset.name}: no masks in {dataset.root}, so nothing can be measured"
        )
    try:
        grids = in_threads(_foreground_grid, masks.values(), "where objects are", "masks", jobs)
        attributes = measure_attributes(masks, dataset.images, jobs)
    except ImageError as error:
        raise SodbenchError(
            f"{dataset.name} cannot be measured: {error}; 'sodbench data check' lists all such files"
        ) from error
    centre_map = np.stack(grids).mean(axis=0, dtype=np.float64) / 255
    return DatasetStats(dataset.name, attributes, centre_map)


def _foreground_grid(mask: Path) -> NDArray[np.uint8]:
    """A mask's foreground as 0 to 255 on a square grid [GRID, GRID]."""
    is_foreground = read_grey(mask).pixels > FOREGROUND_THRESHOLD
    foreground = np.where(is_foreground, np.uint8(255), np.uint8(0))
    return resize_grey(foreground, (GRID, GRID), "bilinear")


def describe_unmeasured(dataset: Dataset, stats: DatasetStats) -> list[str]:
    """Describe what is missing from the measurements of a dataset.

    Returns
    -------
    list of str
        One line each; empty for a complete dataset.
    """
    lines = summarise_problems(dataset)
    unread, _ = find_unread_files(dataset)
    if unread:
        lines.append(
            f"{dataset.name}: {len(unread)} files of types that are not read are not measured; "
            "'sodbench data check' lists them"
        )
    frame = stats.attributes
    without = int((frame["contrast"].isna() & frame["object_size"].between(0, 1, "neither")).sum())
    if without and dataset.images:
        lines.append(
            f"{dataset.name}: the contrast of {without} items is not measured, because they have no image of "
            "the mask's size"
        )
    return lines
