"""Context measure: agreement of map and mask, weighted by each pixel's spatial context.

The context is a Gaussian with the shape of the mask's foreground (the covariance of its coordinates, scaled to a standard
deviation of alpha pixels).  With * the filter by it, the image mirrored beyond its border,

    relevance     m = sum of p (g * K) / sum of p                               of what the map shows
    completeness  w = e / (e - 1) times the mean of 1 - exp(-(p * K)) over g    of what the mask has
    measure       (1 + beta2) m w / (beta2 m + w)

The definition is that of PySODMetrics 1.6.2, which filters g in single precision.  With the default arguments its numbers are
these to 1e-10; where alpha makes the kernel small it also sums in single precision, and the numbers differ by up to 6e-8.

References
----------
Wang, Ji, Shao, Cheng and Fan, "Context-measure: contextualizing metric for camouflage", 2025.
"""

import numpy as np
from numpy.typing import NDArray
from scipy import signal

from sodbench.metrics.arrays import EPSILON, Floats


def context_measure(
    values: NDArray[np.floating],
    foreground: NDArray[np.bool_],
    beta_squared: float = 1.0,
    alpha: float = 6.0,
    camouflage: Floats | None = None,
) -> float:
    """Context measure of a map and a mask.

    Parameters
    ----------
    values : float [h, w], in [0, 1]
    foreground : bool [h, w]
    beta_squared : float
        The weight of relevance.
    alpha : float
        The context's standard deviation in pixels.
    camouflage : float64 [h, w], optional
        How well each pixel is camouflaged (camouflage.py): it adds to the pixel's weight in completeness.

    Returns
    -------
    float

    Raises
    ------
    ValueError
        When the foreground's pixels are on one oblique line, so that no Gaussian has their shape.
    """
    map_ = values.astype(np.float64)
    kernel = _context_gaussian(foreground, alpha)
    # PySODMetrics filters the mask by a kernel of single precision into an image of single precision
    rounded = kernel.astype(np.float32).astype(np.float64)
    context = _filter(foreground.astype(np.float64), rounded).astype(np.float32)
    relevance = (context * map_).sum() / (map_.sum() + EPSILON)
    matched = np.e / (np.e - 1) * (1 - np.exp(-_filter(map_, kernel)))
    weight = foreground.astype(np.float64)
    if camouflage is not None:
        weight += camouflage
    completeness = (matched * weight)[foreground].sum() / (weight.sum() + EPSILON)
    both = (1 + beta_squared) * relevance * completeness
    return float(both / (beta_squared * relevance + completeness + EPSILON))


def _context_gaussian(foreground: NDArray[np.bool_], alpha: float) -> Floats:
    """The kernel, 3 standard deviations to each side, summing to 1."""
    coordinates = np.argwhere(foreground)
    if len(coordinates) <= 1:
        covariance, reach = np.diag([0.25, 0.25]), [1, 1]
    else:
        covariance = np.cov(coordinates, rowvar=False)
        covariance[np.diag(np.diagonal(covariance) == 0)] = EPSILON
        covariance *= alpha**2 / np.trace(covariance)
        reach = [round(3 * float(side)) for side in np.sqrt(np.diagonal(covariance))]
    independent = np.linalg.det(covariance) / np.prod(np.diagonal(covariance))
    # PySODMetrics raises LinAlgError, or not, as rounding decides
    if independent < 1e-12:
        raise ValueError(
            "the foreground's pixels are on one oblique line, so the context measure is undefined"
        )
    offset = np.moveaxis(np.indices([2 * n + 1 for n in reach]), 0, -1) - reach
    form = np.einsum("...i,ij,...j->...", offset, np.linalg.inv(covariance), offset)
    kernel = np.exp(-0.5 * form)
    return np.asarray(kernel / kernel.sum(), dtype=np.float64)


def _filter(image: Floats, kernel: Floats) -> Floats:
    """Filter an image, mirrored about its border pixels, by a kernel that is symmetric about its centre."""
    padded = np.pad(image, [(n // 2, n // 2) for n in kernel.shape], mode="reflect")
    filtered: Floats = signal.oaconvolve(padded, kernel, mode="valid")
    return filtered
