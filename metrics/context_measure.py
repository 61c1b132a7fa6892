"""Context measure: agreement of map and mask, weighted by each pixel's spatial context.

The context is a Gaussian with the shape of the mask's foreground (the covariance of its coordinates, scaled to a standard
deviation of alpha pixels).  With * the filter by it, the image mirrored beyond its border,

    relevance     m = sum of p (g * K) / sum of p                               of what the map shows
    completeness  w = e / (e - 1) times the mean of 1 - exp(-(p * K)) over g    of what the mask has
    measure       (1 + beta2) m w / (beta2 m + w)

The definition is that of PySODMetrics 1.6.2, which filters g into an image of single precision, and sums in single precision
where the kernel is small; both are repeated here.

References
----------
Wang, Ji, Shao, Cheng and Fan, "Context-measure: contextualizing metric for camouflage", 2025.
"""

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from sodbench.metrics.arrays import EPSILON, Floats

# Of OpenCV's filter for single precision: from so many elements of a kernel on it uses Fourier transforms, in double precision
_SMALLEST_TRANSFORMED = 130


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
    # beyond the kernel's reach of the foreground no pixel counts in either sum
    window = _window(foreground, kernel.shape)
    inside = foreground[window]
    context = _filter_mask(foreground, kernel, window)
    relevance = (context * map_[window]).sum() / (map_.sum() + EPSILON)
    around = _filter(map_, kernel, window)[inside]
    matched = np.e / (np.e - 1) * (1 - np.exp(-around))
    weight = foreground.astype(np.float64)
    if camouflage is not None:
        weight += camouflage
    completeness = (matched * weight[foreground]).sum() / (weight.sum() + EPSILON)
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


def _window(foreground: NDArray[np.bool_], shape: tuple[int, ...]) -> tuple[slice, slice]:
    """The part of an image that a kernel reaches from the foreground."""
    parts = []
    for axis in (0, 1):
        where = np.flatnonzero(foreground.any(axis=1 - axis))
        reach = shape[axis] // 2
        first, last = (where[0], where[-1]) if len(where) else (0, 0)
        parts.append(slice(max(int(first) - reach, 0), int(last) + reach + 1))
    return parts[0], parts[1]


def _filter_mask(
    foreground: NDArray[np.bool_], kernel: Floats, window: tuple[slice, slice]
) -> NDArray[np.float32]:
    """Filter a mask by a kernel of single precision into an image of single precision, as OpenCV does."""
    rounded = kernel.astype(np.float32)
    if kernel.size >= _SMALLEST_TRANSFORMED:
        filtered = _filter(foreground.astype(np.float64), rounded.astype(np.float64), window)
        return filtered.astype(np.float32)
    source = _mirror(foreground.astype(np.float32), kernel.shape, window)
    height, width = (1 + source.shape[axis] - kernel.shape[axis] for axis in (0, 1))
    total = np.zeros((height, width), np.float32)
    for y, x in np.ndindex(*kernel.shape):
        total += rounded[y, x] * source[y : y + height, x : x + width]
    return total


def _filter(image: Floats, kernel: Floats, window: tuple[slice, slice]) -> Floats:
    """Filter a window of an image by a kernel that is symmetric about its centre."""
    source = _mirror(image, kernel.shape, window)
    shape = [fft.next_fast_len(side, real=True) for side in source.shape]
    spectrum = fft.rfft2(source, shape)
    # row by row first: most rows of the kernel are empty
    spectrum *= fft.fft(fft.rfft(kernel, shape[1], axis=1), shape[0], axis=0)
    filtered: Floats = fft.irfft2(spectrum, shape, overwrite_x=True)
    first = [side - 1 for side in kernel.shape]
    return filtered[first[0] : source.shape[0], first[1] : source.shape[1]]


def _mirror(
    image: NDArray[np.floating], shape: tuple[int, ...], window: tuple[slice, slice]
) -> NDArray[np.floating]:
    """The window of an image and what a kernel of a shape reaches from it, mirrored about the image's border pixels."""
    padded = np.pad(image, [(side // 2, side // 2) for side in shape], mode="reflect")
    rows, columns = (
        slice(part.start, min(part.stop, size) + side - 1)
        for part, size, side in zip(window, image.shape, shape, strict=True)
    )
    return padded[rows, columns]
