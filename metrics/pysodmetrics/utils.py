"""PySODMetrics' checks and preparation of a pair, for scripts that call them."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from sodbench.metrics.pysodmetrics_input import prepare_pair

__all__ = [
    "EPS",
    "TYPE",
    "get_adaptive_threshold",
    "prepare_data",
    "validate_and_normalize_input",
]

EPS = np.spacing(1)
TYPE = np.float64


def validate_and_normalize_input(
    pred: NDArray[Any], gt: NDArray[Any], normalize: bool = True
) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    """Check a pair and prepare it.

    Parameters
    ----------
    pred, gt : array [h, w]
    normalize : bool
        See `sodbench.metrics.pysodmetrics.stepping.SteppedMetric.step`.

    Returns
    -------
    tuple of arrays [h, w]
        The map in [0, 1], and the foreground as bool.
    """
    pair = prepare_pair(pred, gt, normalize).pair
    return pair.values, pair.foreground


def prepare_data(pred: NDArray[Any], gt: NDArray[Any]) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    """Prepare a pair of grey images.

    Parameters
    ----------
    pred, gt : array [h, w]

    Returns
    -------
    tuple of arrays [h, w]
        The map stretched to [0, 1], and the foreground, above 128, as bool.
    """
    return validate_and_normalize_input(pred, gt, normalize=True)


def get_adaptive_threshold(matrix: NDArray[Any], max_value: float = 1) -> float:
    """Twice the mean of a map, at most ``max_value``.

    Parameters
    ----------
    matrix : array
    max_value : float

    Returns
    -------
    float
    """
    threshold: float = min(2 * matrix.mean(), max_value)
    return threshold
