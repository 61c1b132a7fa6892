"""Attributes of a dataset's images, one row an image, by which a report breaks scores down.

The foreground of a mask is what is above 128, as in scoring.

References
----------
Object size, number, border and centre bias are the questions of Li et al. (The Secrets of Salient Object
Segmentation, CVPR 2014) and Borji et al. (Salient Object Detection: A Benchmark, TIP 2015). The contrast of an
object with its surroundings is, as in the former, the chi-square distance of two colour histograms.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from sodbench.parallel import in_threads

if TYPE_CHECKING:
    import pandas as pd

FOREGROUND_THRESHOLD = 128
# connected parts smaller than this share of the image are not counted as objects
SPECK = 0.001

COLUMNS = ("height", "width", "object_size", "objects", "border", "centre_distance", "contrast")

# up to the first share of the image an object is called small, above the second large
SMALL, LARGE = 0.1, 0.3
SIZE_GROUPS = (f"small (to {SMALL:.0%})", "medium", f"large (above {LARGE:.0%})")
# up to this distance from the centre (in half diagonals) an object is called central
CENTRAL = 0.25


def measure_attributes(
    masks: Mapping[str, Path], images: Mapping[str, Path] | None = None, jobs: int | None = None
) -> "pd.DataFrame":
    """Measure the attributes of every mask.

    Parameters
    ----------
    masks : mapping of str to Path
        Stem -> mask.
    images : mapping of str to Path, optional
        Stem -> image, for the contrast.
    jobs : int, optional
        Number of threads; by default the number of processors.

    Returns
    -------
    pandas.DataFrame
        Index ``stem`` and these columns:

        - ``height``, ``width``: of the mask, in pixels.
        - ``object_size``: share of the image that is foreground, 0 to 1.
        - ``objects``: number of 8-connected parts of the foreground of at least 0.1 % of the image.
        - ``border``: whether foreground touches the border of the image.
        - ``centre_distance``: from the foreground's centroid to the image's centre, in half diagonals (0 at
          the centre, 1 in a corner); NaN for an empty mask.
        - ``contrast``: chi-square distance between the colours of foreground and background, 0 (equal) to 1
          (no colour in common); NaN without an image of the mask's size, or if a side is empty.

    Raises
    ------
    ImageError
        If a file cannot be read.
    """
    import pandas as pd

    from sodbench.images import read_grey, read_rgb

    images = images or {}

    def measure(stem: str) -> dict[str, float]:
        mask = read_grey(masks[stem]).pixels > FOREGROUND_THRESHOLD
        image = images.get(stem)
        contrast = colour_contrast(read_rgb(image), mask) if image else float("nan")
        return mask_attributes(mask) | {"contrast": contrast}

    rows = in_threads(measure, masks, "measuring", "images", jobs)
    frame = pd.DataFrame(rows, index=pd.Index(list(masks), name="stem"), columns=list(COLUMNS))
    return frame.astype({"height": int, "width": int, "objects": int, "border": bool})


def mask_attributes(mask: NDArray[np.bool_]) -> dict[str, float]:
    """Measure all attributes of one mask except the contrast.

    Parameters
    ----------
    mask : ndarray of bool, shape (h, w)

    Returns
    -------
    dict of str to float
        The columns of `measure_attributes`.
    """
    from scipy import ndimage

    height, width = mask.shape
    labels, _ = ndimage.label(mask, np.ones((3, 3)))
    part_sizes = np.bincount(labels.ravel())[1:]
    sides = (mask[0], mask[-1], mask[:, 0], mask[:, -1])
    distance = float("nan")
    if len(part_sizes):
        rows, columns = np.nonzero(mask)
        offset = np.hypot(rows.mean() - (height - 1) / 2, columns.mean() - (width - 1) / 2)
        distance = float(offset / max(np.hypot(height - 1, width - 1) / 2, 1e-9))
    return {
        "height": height,
        "width": width,
        "object_size": float(mask.mean()),
        "objects": int(np.count_nonzero(part_sizes >= SPECK * mask.size)),
        "border": bool(any(side.any() for side in sides)),
        "centre_distance": distance,
    }


def colour_contrast(image: NDArray[np.uint8], mask: NDArray[np.bool_]) -> float:
    """Measure the chi-square distance of the RGB histograms (8 bins a channel) inside and outside a mask.

    Parameters
    ----------
    image : ndarray of uint8, shape (h, w, 3)
    mask : ndarray of bool, shape (h, w)

    Returns
    -------
    float
        0 to 1; NaN if the sizes differ or a side is empty.
    """
    if image.shape[:2] != mask.shape or not mask.any() or mask.all():
        return float("nan")
    bins = (image >> 5).astype(np.int32)
    colour = bins[..., 0] << 6 | bins[..., 1] << 3 | bins[..., 2]
    whole = np.bincount(colour.ravel(), minlength=512)
    inside = np.bincount(colour[mask], minlength=512)
    foreground = inside / inside.sum()
    background = (whole - inside) / (whole - inside).sum()
    total = foreground + background
    present = total > 0
    return float(0.5 * np.sum((foreground - background)[present] ** 2 / total[present]))


def attribute_groups(attributes: "pd.DataFrame") -> "pd.DataFrame":
    """Turn attributes into named groups of images, by which scores can be broken down.

    Parameters
    ----------
    attributes : pandas.DataFrame
        As `measure_attributes` returns it.

    Returns
    -------
    pandas.DataFrame
        One categorical column per attribute. The limits are fixed, except those of the contrast, which are
        the thirds of the given images. An image without a value is in no group (NaN).
    """
    import pandas as pd

    object_size = attributes["object_size"].where(attributes["object_size"] > 0)
    objects = attributes["objects"].where(attributes["objects"] > 0)
    border = np.where(attributes["border"], "touching", "free")
    return pd.DataFrame(
        {
            "object size": _cut(object_size, [SMALL, LARGE], SIZE_GROUPS),
            "objects": _cut(objects, [1], ["one", "several"]),
            "border": pd.Categorical(border, ["free", "touching"]),
            "position": _cut(attributes["centre_distance"], [CENTRAL], ["central", "off centre"]),
            "contrast": divide_into_thirds(attributes["contrast"]),
        },
        index=attributes.index,
    )


def divide_into_thirds(values: "pd.Series[float]") -> "pd.Series[str]":
    """Divide images into thirds by a number.

    Parameters
    ----------
    values : pandas.Series
        A number for each image; NaN is in no third.

    Returns
    -------
    pandas.Series
        The name of each image's third.
    """
    thirds = ("lowest third", "middle", "highest third")
    return _cut(values.rank(pct=True), [1 / 3, 2 / 3], thirds)


def _cut(values: "pd.Series[float]", limits: list[float], names: Sequence[str]) -> "pd.Series[str]":
    import pandas as pd

    infinity = float("inf")
    return pd.cut(values, [-infinity, *limits, infinity], labels=list(names))
