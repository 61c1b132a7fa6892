"""What the pictures of a set are like, one row a picture; by these a report breaks scores down.

The foreground of a mask is what is above 128, as in scoring.  Sources: object size, number, border and
centre bias are the questions of Li et al. (The Secrets of Salient Object Segmentation, CVPR 2014) and
Borji et al. (Salient Object Detection: A Benchmark, TIP 2015); the contrast of an object with its
surroundings is, as in the former, the chi-square distance of two colour histograms.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from sodbench.images import read_grey, read_rgb
from sodbench.parallel import in_threads

if TYPE_CHECKING:
    import pandas as pd

THRESHOLD = 128
SPECK = 0.001
"""Connected parts smaller than this share of the picture are not counted as objects."""

COLUMNS = ("height", "width", "object_size", "objects", "border", "centre_distance", "contrast")

SMALL, LARGE = 0.1, 0.3
"""Below and above these shares of the picture an object is called small and large."""

CENTRAL = 0.25
"""Up to this distance (in half diagonals) an object is called central."""


def measure_attributes(
    masks: Mapping[str, Path], images: Mapping[str, Path] | None = None, jobs: int | None = None
) -> "pd.DataFrame":
    """The attributes of every mask, as a frame with index ``stem`` and these columns.

    height, width: of the mask, in pixels.
    object_size: share of the picture that is foreground, 0 to 1.
    objects: 8-connected parts of the foreground of at least :data:`SPECK` of the picture.
    border: whether foreground touches the border of the picture.
    centre_distance: from the foreground's centroid to the picture's centre, in half diagonals
        (0 at the centre, 1 in a corner); NaN for an empty mask.
    contrast: chi-square distance between the colours of foreground and background, 0 (the same) to
        1 (no colour in common); NaN without an image of the mask's size, or without two sides.

    masks, images: stem -> path.  jobs: threads (default: the number of processors).
    Raises :class:`sodbench.errors.ImageError` for a file that cannot be read.
    """
    import pandas as pd

    images = images or {}

    def one(stem: str) -> dict[str, float]:
        mask = read_grey(masks[stem]).pixels > THRESHOLD
        image = images.get(stem)
        return mask_attributes(mask) | {
            "contrast": colour_contrast(read_rgb(image), mask) if image else float("nan")
        }

    rows = in_threads(one, masks, "measuring", "list_images", jobs)
    frame = pd.DataFrame(rows, index=pd.Index(list(masks), name="stem"), columns=list(COLUMNS))
    kinds = {"height": int, "width": int, "objects": int, "border": bool}
    return frame.astype(kinds)


def mask_attributes(mask: NDArray[np.bool_]) -> dict[str, float]:
    """The attributes of one mask (bool [h, w]), all but the contrast, as in :func:`measure_attributes`."""
    from scipy import ndimage

    height, width = mask.shape
    labels, _ = ndimage.label(mask, np.ones((3, 3)))
    parts = np.bincount(labels.ravel())[1:]
    frame = (mask[0], mask[-1], mask[:, 0], mask[:, -1])
    distance = float("nan")
    if len(parts):
        rows, columns = np.nonzero(mask)
        away = np.hypot(rows.mean() - (height - 1) / 2, columns.mean() - (width - 1) / 2)
        distance = float(away / max(np.hypot(height - 1, width - 1) / 2, 1e-9))
    return {
        "height": height,
        "width": width,
        "object_size": float(mask.mean()),
        "objects": int(np.count_nonzero(parts >= SPECK * mask.size)),
        "border": bool(any(side.any() for side in frame)),
        "centre_distance": distance,
    }


def colour_contrast(image: NDArray[np.uint8], mask: NDArray[np.bool_]) -> float:
    """Chi-square distance of the RGB histograms (8 bins a channel) inside and outside the mask.

    image: uint8 [h, w, 3]; mask: bool [h, w].  0 to 1; NaN where the sizes differ or a side is empty.
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
    seen = total > 0
    return float(0.5 * np.sum((foreground - background)[seen] ** 2 / total[seen]))


def attribute_groups(attributes: "pd.DataFrame") -> "pd.DataFrame":
    """Every attribute as a word for each picture, to group scores by (categories in their order).

    Limits are fixed (:data:`SMALL`, :data:`LARGE`, :data:`CENTRAL`), but for contrast: the thirds of
    the pictures given.  A picture without a value is in no group (NaN).
    """
    import pandas as pd

    infinity = float("inf")

    def binned(
        values: "pd.Series[float]", limits: list[float], names: list[str]
    ) -> "pd.Series[str]":
        return pd.cut(values, [-infinity, *limits, infinity], labels=names)

    several = attributes["objects"].where(attributes["objects"] > 0)
    thirds = attributes["contrast"].rank(pct=True)
    return pd.DataFrame(
        {
            "object size": binned(
                attributes["object_size"].where(attributes["object_size"] > 0),
                [SMALL, LARGE],
                [f"small (to {SMALL:.0%})", "medium", f"large (above {LARGE:.0%})"],
            ),
            "objects": binned(several, [1], ["one", "several"]),
            "border": pd.Categorical(
                np.where(attributes["border"], "touching", "free"), ["free", "touching"]
            ),
            "position": binned(attributes["centre_distance"], [CENTRAL], ["central", "off centre"]),
            "contrast": binned(thirds, [1 / 3, 2 / 3], ["lowest third", "middle", "highest third"]),
        },
        index=attributes.index,
    )
