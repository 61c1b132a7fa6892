"""Measurements that need to know where a map's pixels are: made while a pair is in memory, stored as named columns.

The catalogue names the function of each, see `sodbench.metrics.catalogue.Measurement`.  It takes either a prepared map,
float64 [h, w] in [0, 1], and a foreground, bool [h, w], or a `PixelPair`; it returns a float, or as many as the column is wide.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from sodbench.metrics.catalogue import MEASUREMENTS
from sodbench.metrics.masks import PreparedMask
from sodbench.metrics.registration import load_pixel_function
from sodbench.metrics.schemes import PixelColumn
from sodbench.metrics.ties import normalised_levels, value_range
from sodbench.metrics.weighted_f import Geometry, weighted_precision_recall

T = TypeVar("T")


class MetricError(ValueError):
    """A registered metric that raised an error or returned no number."""


@dataclass(frozen=True)
class PixelPair:
    """A map and its mask, as a measurement sees them.

    Attributes
    ----------
    map_ : uint8 [h, w]
        The map as stored.
    mask : PreparedMask
    low, high : int
        The grey levels of value 0 and 1 in the prepared map.
    foreground_above : int
        Mask pixels above this grey level are foreground.
    """

    map_: NDArray[np.uint8]
    mask: PreparedMask
    low: int
    high: int
    foreground_above: int

    @cached_property
    def values(self) -> NDArray[np.float64]:
        """The prepared map [h, w]."""
        return normalised_levels(self.low, self.high)[self.map_]

    @cached_property
    def level_of(self) -> NDArray[np.uint8]:
        """The prepared map times 255, truncated, of each grey level [256]."""
        # levels that the map does not contain may be outside [0, 1]
        scaled = np.clip(np.trunc(normalised_levels(self.low, self.high) * 255), 0, 255)
        return scaled.astype(np.uint8)

    @cached_property
    def foreground(self) -> NDArray[np.bool_]:
        """The mask's foreground [h, w]."""
        inside: NDArray[np.bool_] = self.mask.pixels > self.foreground_above
        return inside

    @property
    def above_half(self) -> NDArray[np.bool_]:
        """The pixels of the prepared map above 0.5 [h, w]."""
        selected: NDArray[np.bool_] = (normalised_levels(self.low, self.high) > 0.5)[self.map_]
        return selected

    def of_mask(self, function: Callable[[NDArray[np.bool_]], T]) -> T:
        """A function of the foreground, computed once for all maps of the mask.

        Parameters
        ----------
        function : callable
            Takes the foreground, bool [h, w].

        Returns
        -------
        object
            What the function returns.
        """
        return self.mask.shared(function, self.foreground_above)


def compute_pixel_metrics(
    map_: NDArray[np.uint8], mask: PreparedMask, darkest: int, brightest: int
) -> tuple[float, ...]:
    """Make the measurements that a mask's scheme asks for.

    Parameters
    ----------
    map_ : uint8 [h, w]
    mask : PreparedMask
        Of the same shape.
    darkest, brightest : int
        The map's lowest and highest grey level.

    Returns
    -------
    tuple of float
        The numbers of each measurement, in the order of ``mask.scheme.columns``.

    Raises
    ------
    MetricError
        For a metric whose function raises an error or returns no finite number or NaN.
    """
    columns = mask.scheme.columns
    ranges = {column: value_range(darkest, brightest, column.map) for column in columns}
    values: dict[PixelColumn, tuple[float, ...]] = {}
    # weighted F has a kernel that serves several preparations at once and shares a mask's part between its maps
    weighted: dict[int, tuple[Geometry, list[PixelColumn]]] = {}
    for column in columns:
        if column.measurement == "wf":
            geometry = mask.geometry(column.foreground_above)
            weighted.setdefault(id(geometry), (geometry, []))[1].append(column)
    for geometry, same in weighted.values():
        distinct = list(dict.fromkeys(ranges[column] for column in same))
        scales = np.array([(1 / (high - low), -low / (high - low)) for low, high in distinct])
        scores = weighted_precision_recall(map_, geometry, scales).tolist()
        values |= {column: scores[distinct.index(ranges[column])] for column in same}
    for column in columns:
        if column.measurement != "wf":
            pair = PixelPair(map_, mask, *ranges[column], column.foreground_above)
            values[column] = _measure(column.measurement, pair)
    return tuple(value for column in columns for value in values[column])


def _measure(name: str, pair: PixelPair) -> tuple[float, ...]:
    """Call the function of a measurement, which may be a user's."""
    measurement = MEASUREMENTS[name]
    function: Any = load_pixel_function(name)
    try:
        value = function(pair) if measurement.takes_pair else function(pair.values, pair.foreground)
        values = (float(value),) if measurement.width == 1 else tuple(map(float, value))
    except Exception as error:
        reason = f"{type(error).__name__}: {error}"
        raise MetricError(f"the metric {name} cannot be computed ({reason})") from error
    if np.isinf(values).any():  # results cannot state it
        raise MetricError(
            f"the metric {name} is infinite for a pair; return NaN where it is undefined"
        )
    return values
