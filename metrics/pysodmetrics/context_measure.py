"""Context measures with PySODMetrics' interface."""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sodbench.metrics.arrays import Floats
from sodbench.metrics.camouflage import camouflage_degree
from sodbench.metrics.context_measure import context_measure
from sodbench.metrics.pysodmetrics.stepping import SteppedMetric
from sodbench.metrics.pysodmetrics_input import PreparedPair, prepare_pair

__all__ = ["CamouflageContextMeasure", "ContextMeasure"]


class ContextMeasure(SteppedMetric):
    """Context measure (context_measure.py), to 1e-9; ``get_results()`` is ``{"cm": mean}``.

    Parameters
    ----------
    beta2 : float
        The weight of relevance.
    alpha : float
        The context's standard deviation in pixels.
    """

    def __init__(self, beta2: float = 1.0, alpha: float = 6.0):
        self.beta2 = beta2
        self.alpha = alpha
        self._exp_factor = math.e / (math.e - 1)
        self.scores: list[float] = []

    def _add(self, pair: PreparedPair) -> None:
        self.scores.append(np.float64(self._measure(pair.values, pair.foreground, None)))

    def compute(self, pred: NDArray[Any], gt: NDArray[Any], cd: NDArray[Any]) -> float:
        """Context measure of a map in [0, 1], a bool mask and the degree of camouflage."""
        return self._measure(np.asarray(pred), np.asarray(gt, bool), np.asarray(cd, np.float64))

    def _measure(
        self, values: NDArray[Any], foreground: NDArray[np.bool_], degree: Floats | None
    ) -> float:
        return context_measure(values, foreground, self.beta2, self.alpha, degree)

    def _results(self) -> dict[str, Any]:
        return {"cm": np.mean(self.scores)}


class CamouflageContextMeasure(ContextMeasure):
    """Camouflage context measure (camouflage.py); ``get_results()`` is ``{"ccm": mean}``.

    Parameters
    ----------
    beta2 : float
        The weight of relevance.
    alpha : float
        The context's standard deviation in pixels.
    gamma : float
        How fast the degree of camouflage rises with similarity.
    lambda_spatial : float
        The weight of a patch's place against its colours.
    """

    def __init__(
        self,
        beta2: float = 1.2,
        alpha: float = 6.0,
        gamma: int = 8,
        lambda_spatial: float = 20,
    ):
        super().__init__(beta2, alpha)
        self.gamma = gamma
        self.lambda_spatial = lambda_spatial

    def step(  # type: ignore[override]
        self,
        pred: NDArray[Any],
        gt: NDArray[Any],
        *,
        img: NDArray[np.uint8],
        normalize: bool = True,
    ) -> None:
        """Add a pair with its image.

        Parameters
        ----------
        pred, gt, normalize
            As in the other metrics.
        img : uint8 [h, w, 3]
            The image, in the order red, green, blue.

        Raises
        ------
        ValueError, TypeError
            As in the other metrics, and for an image of another size or type.
        """
        self._last = prepare_pair(pred, gt, normalize)
        pair = self._last.pair
        if img.shape != (*pair.foreground.shape, 3) or img.dtype != np.uint8:
            raise ValueError(
                f"the image is {img.dtype} {img.shape}; pass uint8 {(*pair.foreground.shape, 3)}, "
                "in the order red, green, blue"
            )
        degree = camouflage_degree(img, pair.foreground, self.gamma, self.lambda_spatial)
        self.scores.append(np.float64(self._measure(pair.values, pair.foreground, degree)))

    def _results(self) -> dict[str, Any]:
        return {"ccm": np.mean(self.scores)}
