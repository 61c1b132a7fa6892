"""Metrics that need to know where a map's pixels are: computed while a pair is in memory, stored as named columns.

A pixel metric is a function of a prepared map, float64 [h, w] in [0, 1], and a foreground, bool [h, w], that returns a
float.  Its catalogue entry names the function; see `sodbench.metrics.catalogue.Metric`.
"""

from collections.abc import Callable
from typing import cast

import numpy as np
from numpy.typing import NDArray

from sodbench.metrics import catalogue
from sodbench.metrics.masks import PreparedMask
from sodbench.metrics.protocols import PixelColumn
from sodbench.metrics.ties import normalised_levels, value_range
from sodbench.metrics.weighted_f import weighted_f

PixelFunction = Callable[[NDArray[np.float64], NDArray[np.bool_]], float]


class MetricError(ValueError):
    """A registered metric that raised an error or returned no number."""


def _call(
    function: PixelFunction, metric: str, map_: NDArray[np.float64], foreground: NDArray[np.bool_]
) -> float:
    """Call the function of a metric, which may be a user's."""
    try:
        value = float(function(map_, foreground))
    except Exception as error:
        reason = f"{type(error).__name__}: {error}"
        raise MetricError(f"the metric {metric} cannot be computed ({reason})") from error
    if np.isinf(value):  # results cannot state it
        raise MetricError(
            f"the metric {metric} is infinite for a pair; return NaN where it is undefined"
        )
    return value


def compute_pixel_metrics(
    map_: NDArray[np.uint8], mask: PreparedMask, darkest: int, brightest: int
) -> tuple[float, ...]:
    """Compute the pixel metrics that a mask's scheme asks for.

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
        In the order of ``mask.scheme.columns``.

    Raises
    ------
    MetricError
        For a metric whose function raises an error or returns no finite number or NaN.
    """
    columns = mask.scheme.columns
    ranges = {column: value_range(darkest, brightest, column.map) for column in columns}
    values: dict[PixelColumn, float] = {}
    weighted = [column for column in columns if column.metric == "wf"]
    # weighted F has a kernel that serves several preparations at once and shares a mask's part between its maps
    for geometry in {
        id(g): g for g in (mask.geometry(c.foreground_above) for c in weighted)
    }.values():
        same = [c for c in weighted if mask.geometry(c.foreground_above) is geometry]
        distinct = list(dict.fromkeys(ranges[column] for column in same))
        scales = np.array([(1 / (high - low), -low / (high - low)) for low, high in distinct])
        scores = weighted_f(map_, geometry, scales).tolist()
        values |= {column: scores[distinct.index(ranges[column])] for column in same}
    for column in columns:
        if column.metric != "wf":
            function = cast(PixelFunction, catalogue.load_pixel_function(column.metric))
            prepared = normalised_levels(*ranges[column])[map_]
            foreground = mask.pixels > column.foreground_above
            values[column] = _call(function, column.metric, prepared, foreground)
    return tuple(values[column] for column in columns)
