"""Relaxed boundary F: how well the outline of a binarised map and that of its mask meet, within three pixels.

The outline of a region is its pixels with a neighbour above, below, left or right that is not in it (the region without its erosion
by a cross; beyond the image counts as inside).  Precision is the share of the map's outline that is within three pixels of the mask's
outline (in the Euclidean distance), recall the share of the mask's outline that is within three pixels of the map's, and F has b2 =
0.3.  The map is binarised above 0.5.  A mask that is empty or full has no outline and no value; a map without outline scores 0.

Written from the papers, which publish no program for it: they leave the shape of the erosion and the distance open.  Here both are
those of scikit-image's ``binary_erosion`` and ``disk``, since the authors' evaluator uses that library.

References
----------
Ehrig and Euzenat, "Relaxed precision and recall for ontology matching", 2005.
Qin, Zhang, Huang, Gao, Dehghan and Jagersand, "BASNet: boundary-aware salient object detection", CVPR 2019.
Qin, Zhang, Huang, Dehghan, Zaiane and Jagersand, "U2-Net", Pattern Recognition, 2020.
"""

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sodbench.metrics.threshold_metrics import f_measure

if TYPE_CHECKING:
    from sodbench.metrics.pixel_metrics import PixelPair

_SLACK = 3


class RelaxedOutline(NamedTuple):
    """An outline, and what is near it.

    Attributes
    ----------
    pixels : bool [h, w]
        The outline.
    near : bool [h, w]
        The pixels within three pixels of it.
    """

    pixels: NDArray[np.bool_]
    near: NDArray[np.bool_]


def relax_outline(region: NDArray[np.bool_]) -> RelaxedOutline:
    """Find the outline of a region, and what is near it.

    Parameters
    ----------
    region : bool [h, w]

    Returns
    -------
    RelaxedOutline
    """
    inner = region.copy()
    inner[1:] &= region[:-1]
    inner[:-1] &= region[1:]
    inner[:, 1:] &= region[:, :-1]
    inner[:, :-1] &= region[:, 1:]
    pixels = region & ~inner
    height, width = region.shape
    padded = np.zeros((height + 2 * _SLACK, width + 2 * _SLACK), np.bool_)
    dy, dx = np.mgrid[-_SLACK : _SLACK + 1, -_SLACK : _SLACK + 1]
    disk = (dy * padded.shape[1] + dx)[dy**2 + dx**2 <= _SLACK**2]
    rows, columns = np.nonzero(pixels)
    places = (rows + _SLACK) * padded.shape[1] + columns + _SLACK
    padded.reshape(-1)[places[:, None] + disk] = True
    return RelaxedOutline(pixels, padded[_SLACK:-_SLACK, _SLACK:-_SLACK])


def relaxed_boundary_f(ours: RelaxedOutline, theirs: RelaxedOutline) -> float:
    """F of the outlines of a map and a mask, with b2 = 0.3.

    Parameters
    ----------
    ours, theirs : RelaxedOutline
        Of the binarised map and of the mask, of one size.

    Returns
    -------
    float
        NaN for a mask without outline.
    """
    n_ours, n_theirs = int(ours.pixels.sum()), int(theirs.pixels.sum())
    if not n_theirs:
        return float("nan")
    precision = int((ours.pixels & theirs.near).sum()) / max(n_ours, 1)
    recall = int((theirs.pixels & ours.near).sum()) / n_theirs
    return float(f_measure(np.array(precision), np.array(recall)))


def relaxed_boundary_f_of_pair(pair: "PixelPair") -> float:
    """F of the outlines of the prepared map above 0.5 and the mask, see `relaxed_boundary_f`.

    Parameters
    ----------
    pair : PixelPair

    Returns
    -------
    float
    """
    return relaxed_boundary_f(relax_outline(pair.above_half), pair.of_mask(relax_outline))
