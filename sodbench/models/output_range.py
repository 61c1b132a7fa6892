"""The values that a network returns, which show whether they can be logits."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sodbench.errors import SodbenchError

# How far declared probabilities may leave 0..1: more than bfloat16 rounds, much less than any logits do.
_ROUNDING = 0.01


@dataclass(frozen=True)
class OutputRange:
    """The smallest and largest value that a network returned for some images.

    Attributes
    ----------
    images : int
        Number of images with finite values.
    low, high : float
    """

    images: int = 0
    low: float = math.inf
    high: float = -math.inf

    def with_images(self, extremes: NDArray[np.floating[Any]]) -> "OutputRange":
        """Return the range with further images included.

        Parameters
        ----------
        extremes : ndarray, shape (n, 2)
            Smallest and largest value of each image; images with values that are not finite are ignored.

        Returns
        -------
        OutputRange
        """
        finite = extremes[np.isfinite(extremes).all(1)]
        if not len(finite):
            return self
        low, high = float(finite[:, 0].min()), float(finite[:, 1].max())
        return OutputRange(self.images + len(finite), min(self.low, low), max(self.high, high))

    @property
    def looks_like_probabilities(self) -> bool:
        """Whether every value is in 0..1; a single value, such as 0 everywhere, is no evidence."""
        return 0 <= self.low < self.high <= 1

    def check_probabilities(self, name: str) -> None:
        """Check that the values can be the probabilities that a network declares.

        Parameters
        ----------
        name : str
            The network's, for the message.

        Raises
        ------
        SodbenchError
            If a value is outside 0..1 by more than rounding.
        """
        if self.low < -_ROUNDING or self.high > 1 + _ROUNDING:
            raise SodbenchError(
                f"{name} is declared to return probabilities but returns values from {self.low:.4g} to {self.high:.4g}; "
                "if these are logits, remove the declaration, or put 'sigmoid' into output.steps"
            )
