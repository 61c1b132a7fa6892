"""Context measure: how far a map's pixels and a mask's find each other in their surroundings.

Wang, Ji, Shao, Cheng and Fan, "Context-measure: contextualizing metric for camouflage", 2025, as PySODMetrics 1.6.2
computes it.  The surroundings are a Gaussian with the shape of the mask's foreground (the covariance of its
coordinates, scaled to a standard deviation of alpha pixels).  With * the filter by it, picture mirrored beyond the border,

    relevance     m = sum of p (g * K) / sum of p                               of what the map shows
    completeness  w = e / (e - 1) times the mean of 1 - exp(-(p * K)) over g    of what the mask has
    measure       (1 + beta2) m w / (beta2 m + w)

PySODMetrics filters g in single precision; its numbers differ from these by up to 2e-9 with the default arguments, and by
up to 2e-7 with others.
"""

import numpy as np
from numpy.typing import NDArray
from scipy import signal

EPS = float(np.spacing(1.0))

Floats = NDArray[np.float64]


def context_measure(
    p: NDArray[np.floating],
    foreground: NDArray[np.bool_],
    beta_squared: float = 1.0,
    alpha: float = 6.0,
) -> float:
    """Context measure of a prepared map, float [h, w] in [0, 1], and a foreground, bool [h, w].

    Raises:
        ValueError: when the foreground's pixels lie on one oblique line, so that no Gaussian has their shape.
    """
    values = p.astype(np.float64)
    kernel = _gaussian(foreground, alpha)
    shown = _filtered(foreground.astype(np.float64), kernel)
    relevance = (shown * values).sum() / (values.sum() + EPS)
    met = np.e / (np.e - 1) * (1 - np.exp(-_filtered(values, kernel)))
    completeness = met[foreground].sum() / (foreground.sum() + EPS)
    both = (1 + beta_squared) * relevance * completeness
    return float(both / (beta_squared * relevance + completeness + EPS))


def _gaussian(foreground: NDArray[np.bool_], alpha: float) -> Floats:
    """The kernel, 3 standard deviations to each side, summing to 1."""
    places = np.argwhere(foreground)
    if len(places) <= 1:
        covariance, reach = np.diag([0.25, 0.25]), [1, 1]
    else:
        covariance = np.cov(places, rowvar=False)
        covariance[np.diag(np.diagonal(covariance) == 0)] = EPS
        covariance *= alpha**2 / np.trace(covariance)
        reach = [round(3 * float(side)) for side in np.sqrt(np.diagonal(covariance))]
    independent = np.linalg.det(covariance) / np.prod(np.diagonal(covariance))
    if independent < 1e-12:  # PySODMetrics raises LinAlgError, or not, as rounding decides
        raise ValueError(
            "the foreground's pixels lie on one oblique line, so the context measure is undefined"
        )
    offset = np.moveaxis(np.indices([2 * n + 1 for n in reach]), 0, -1) - reach
    form = np.einsum("...i,ij,...j->...", offset, np.linalg.inv(covariance), offset)
    kernel = np.exp(-0.5 * form)
    return np.asarray(kernel / kernel.sum(), dtype=np.float64)


def _filtered(picture: Floats, kernel: Floats) -> Floats:
    """The picture, mirrored about its border pixels, under a kernel that is symmetric about its centre."""
    padded = np.pad(picture, [(n // 2, n // 2) for n in kernel.shape], mode="reflect")
    found: Floats = signal.oaconvolve(padded, kernel, mode="valid")
    return found
