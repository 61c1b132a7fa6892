"""Where MAE comes from: the error of a map, divided by its kind.

Every pixel belongs to one of four sources, so that their shares of the error add up to MAE:

    boundary   pixels near the contour: within a distance of a pixel of the other class
    missed     of the other pixels, foreground that the map has at one half or below
    spurious   of the other pixels, background that the map has above one half
    grey       the rest: pixels on the right side of one half whose value is not 0 or 1, the error that binarising removes

The distance is that of boundary IoU, 2 % of the image's diagonal in the chessboard metric.  The division is sodbench's own; it
follows no paper.
"""

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from sodbench.metrics.arrays import Floats
from sodbench.metrics.boundary import boundary_width
from sodbench.metrics.ties import normalised_levels

if TYPE_CHECKING:
    from sodbench.metrics.pixel_metrics import PixelPair

SOURCES = ("missed", "spurious", "boundary", "grey")
_MISSED, _SPURIOUS, _BOUNDARY, _GREY = range(4)
# Two regions of a mask away from its contour and the two sides of the contour
_N_REGIONS = 4
_NEAR_CONTOUR = 2


def mae_sources_of_pair(pair: "PixelPair") -> Floats:
    """Divide the absolute error of the prepared map, and that of the map and the mask as stored.

    Parameters
    ----------
    pair : PixelPair

    Returns
    -------
    float64 [8]
        For each of `SOURCES` the error against the foreground, summed and divided by the number of all pixels; then the same of
        the error against the mask as stored.
    """
    values = normalised_levels(pair.low, pair.high)
    regions = pair.of_mask(_find_regions)
    selected = values > 0.5
    # [regions, grey levels]
    source = np.full((_N_REGIONS, 256), _BOUNDARY)
    source[0] = np.where(selected, _SPURIOUS, _GREY)
    source[1] = np.where(selected, _GREY, _MISSED)
    error = np.array([values, 1 - values, values, 1 - values])
    cells = regions + pair.map_
    pixels = np.bincount(cells.ravel(), minlength=_N_REGIONS * 256)
    own = np.bincount(source.ravel(), pixels * error.ravel(), len(SOURCES))
    difference = np.maximum(pair.map_, pair.mask.pixels) - np.minimum(pair.map_, pair.mask.pixels)
    stored = np.bincount(source.ravel()[cells.ravel()], difference.ravel(), len(SOURCES)) / 255
    return np.concatenate([own, stored]) / cells.size


def _find_regions(foreground: NDArray[np.bool_]) -> NDArray[np.uint16]:
    """256 times the region of each pixel: 0 background, 1 foreground, 2 and 3 the same near the contour; uint16 [h, w]."""
    # needed here only, and slow to import
    from scipy import ndimage

    regions = foreground.astype(np.uint16)
    # without pixels of the other class there is no distance to them
    if foreground.any() and not foreground.all():
        width = boundary_width(foreground.shape)
        for side in (foreground, ~foreground):
            distance = ndimage.distance_transform_cdt(side, metric="chessboard")
            regions[side & (distance <= width)] += _NEAR_CONTOUR
    return regions * np.uint16(256)
