"""How far the maps of several methods agree on images without ground truth.

Agreement is no accuracy: methods can agree on the same mistake.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sodbench.metrics.arrays import Floats

# A pixel is foreground above this level, as for the masks of most protocols
FOREGROUND_ABOVE = 128


@dataclass(frozen=True)
class Agreement:
    """How far M methods agree on N images.

    Attributes
    ----------
    methods, stems : tuple of str
        Their names.
    mae : float64 [N, M, M]
        Mean absolute difference of two maps, 0 to 1.
    iou : float64 [N, M, M]
        Intersection over union of the pixels above 128; 1 where neither map has any.
    """

    methods: tuple[str, ...]
    stems: tuple[str, ...]
    mae: Floats
    iou: Floats

    @property
    def dispute(self) -> Floats:
        """The mean absolute difference over all pairs of methods, for each image: float64 [N]."""
        return self._mean_over_pairs(self.mae)

    @property
    def mean_iou(self) -> Floats:
        """The IoU over all pairs of methods, for each image: float64 [N]."""
        return self._mean_over_pairs(self.iou)

    def _mean_over_pairs(self, values: Floats) -> Floats:
        first, second = np.triu_indices(len(self.methods), 1)
        mean: Floats = values[:, first, second].mean(axis=1)
        return mean

    def most_disputed(self, number: int) -> list[int]:
        """Return the images on which the methods differ most, the most disputed first.

        Parameters
        ----------
        number : int

        Returns
        -------
        list of int
            Positions in ``stems``; images of equal dispute stay in their order.
        """
        return [int(row) for row in np.argsort(-self.dispute, kind="stable")[:number]]


def compare_maps(maps: Sequence[NDArray[np.uint8]]) -> tuple[Floats, Floats]:
    """Compare the maps of one image by several methods.

    Parameters
    ----------
    maps : sequence of uint8 [h, w]
        One of each of M methods, all of one size.

    Returns
    -------
    mae, iou : float64 [M, M]
        As in `Agreement`.
    """
    number = len(maps)
    mae, iou = np.zeros((number, number)), np.ones((number, number))
    masks = [map_ > FOREGROUND_ABOVE for map_ in maps]
    for i in range(number):
        for j in range(i + 1, number):
            difference = np.maximum(maps[i], maps[j]) - np.minimum(maps[i], maps[j])
            mae[i, j] = mae[j, i] = difference.mean() / 255
            union = np.count_nonzero(masks[i] | masks[j])
            both = np.count_nonzero(masks[i] & masks[j])
            iou[i, j] = iou[j, i] = both / union if union else 1.0
    return mae, iou
