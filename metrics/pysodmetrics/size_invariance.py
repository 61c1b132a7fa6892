"""Size-invariant metrics with PySODMetrics' interface."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from sodbench.metrics.arrays import Floats
from sodbench.metrics.pysodmetrics.fmeasurev2 import FmeasureV2, handler_results, pixels_of
from sodbench.metrics.pysodmetrics.sod_metrics import MAE
from sodbench.metrics.pysodmetrics_input import PreparedPair
from sodbench.metrics.size_invariant import object_boxes, size_invariant_mae

__all__ = [
    "SizeInvarianceFmeasureV2",
    "SizeInvarianceMAE",
    "encode_bboxwise_tgts_bitwise",
    "get_kth_bit",
    "parse_connected_components",
]


def parse_connected_components(
    mask: NDArray[np.bool_], area_threshold: float = 50
) -> tuple[int, NDArray[np.int_]]:
    """Number a mask's objects, see `sodbench.metrics.size_invariant`.

    Parameters
    ----------
    mask : bool [h, w]
    area_threshold : float
        The smallest object has so many pixels; where none is that large, those of the largest size are the objects.

    Returns
    -------
    int, int [h, w]
        How many they are, and 1, 2 ... on them.
    """
    labels, _ = ndimage.label(mask)
    areas = np.bincount(labels.ravel())
    large = areas >= min(area_threshold, areas[1:].max(initial=0))
    large[0] = False
    numbers = np.cumsum(large) * large
    return int(numbers.max()), numbers[labels]


def encode_bboxwise_tgts_bitwise(
    max_valid_tgt_idx: int, valid_labeled_mask: NDArray[np.integer]
) -> Floats:
    """Set bit k - 1 in the bounding box of object k.

    Parameters
    ----------
    max_valid_tgt_idx : int
    valid_labeled_mask : int [h, w]
        Both as `parse_connected_components` gives them.

    Returns
    -------
    float64 [h, w]

    Raises
    ------
    AssertionError
        When an object or the background has no pixels, as in PySODMetrics.
    """
    bits = np.zeros(valid_labeled_mask.shape)
    boxes = ndimage.find_objects(valid_labeled_mask, max_valid_tgt_idx)
    if None in boxes or valid_labeled_mask.all():
        raise AssertionError("an object or the background has no pixels")
    for number, box in enumerate(boxes):
        bits[box] += 2**number
    return bits


def get_kth_bit(n: NDArray[Any], k: int) -> NDArray[np.int_]:
    """Bit k of each element, from 1 on.

    Parameters
    ----------
    n : array
        Whole numbers of any type.
    k : int

    Returns
    -------
    int
        Of the same shape: 0 or 1.
    """
    return np.asarray(n).astype(int) >> (int(k) - 1) & 1


class SizeInvarianceMAE(MAE):
    """Size-invariant MAE (size_invariant.py); ``get_results()`` is ``{"si_mae": mean}``."""

    def _add(self, pair: PreparedPair) -> None:
        self.maes.append(size_invariant_mae(pair.values, pair.foreground))

    def _results(self) -> dict[str, Any]:
        return {"si_mae": np.mean(self.maes)}


class SizeInvarianceFmeasureV2(FmeasureV2):
    """Handlers over each object's bounding box, with everything outside background and 0 (size_invariant.py).

    ``get_results()`` is that of FmeasureV2, except for handlers with ``sample_based``: their ``dynamic`` is a list with an
    array [objects, 256] for each pair.  Masks without background, which PySODMetrics refuses, are one object.
    """

    def _add(self, pair: PreparedPair) -> None:
        objects = [pair.within(box) for box in object_boxes(pair.foreground)] or [pair]
        for handler in self._metric_handlers.values():
            if handler.dynamic_results is not None:
                curves = [handler(**pixels_of(each.dynamic)) for each in objects]
                if handler.sample_based:
                    handler.dynamic_results.append(np.array(curves))
                else:
                    handler.dynamic_results.extend(curves)
            if handler.adaptive_results is not None:
                adaptive = [handler(**pixels_of(each.adaptive)) for each in objects]
                handler.adaptive_results.append(np.mean(adaptive))
            self._add_binary(handler, objects)

    def _results(self) -> dict[str, dict[str, Any]]:
        return {
            name: dict(handler_results(handler, keep_curves=handler.sample_based))
            for name, handler in self._metric_handlers.items()
        }
