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

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from sodbench.metrics.arrays import EPSILON, Floats

# Of OpenCV's filter for single precision: from so many elements of a kernel on it uses Fourier transforms, in double precision
_SMALLEST_TRANSFORMED = 130
# Sums of the mask's kernel are whole multiples of about this. Some are exactly between two numbers of single precision, where the
# rounding of a transform, of about 1e-16, would decide
_STEP = 2.0**-44
# The least side of a Fourier transform, which fits into the processor's memory, and how many times that of the kernel it is
_TRANSFORM_SIDE = 160
_SIDES_OF_KERNEL = 4

Filter = Callable[[NDArray[Any]], NDArray[Any]]


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
    map_ = values.astype(np.float64, copy=False)
    kernel = _context_gaussian(foreground, alpha)
    context = _filter_parts(foreground, kernel.shape, _mask_filter(kernel), map_ > 0)
    relevance = (context * map_).sum() / (map_.sum() + EPSILON)
    around = _filter_parts(map_, kernel.shape, _fourier_filter(kernel), foreground)[foreground]
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
        # multiplied and divided in PySODMetrics' order: on a straight line the reach may be half a pixel from a whole number
        total = np.sqrt(covariance[0, 0] + covariance[1, 1])
        sides = alpha * np.sqrt(np.diagonal(covariance)) / total
        covariance = alpha**2 * covariance / total**2
        reach = [round(3 * float(side)) for side in sides]
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


def _mask_filter(kernel: Floats) -> Filter:
    """A filter by a kernel of single precision into an image of single precision, as OpenCV does it."""
    rounded = kernel.astype(np.float32)
    if kernel.size >= _SMALLEST_TRANSFORMED:
        transformed = _fourier_filter(rounded.astype(np.float64))
        return lambda source: (np.rint(transformed(source) / _STEP) * _STEP).astype(np.float32)

    def apply(source: NDArray[Any]) -> NDArray[Any]:
        source = source.astype(np.float32)
        height, width = _filtered_shape(source, kernel)
        total, product = np.zeros((2, height, width), np.float32)
        # in OpenCV's order, which decides what is rounded
        for y, x in np.ndindex(*kernel.shape):
            np.multiply(source[y : y + height, x : x + width], rounded[y, x], out=product)
            total += product
        return total

    return apply


def _fourier_filter(kernel: Floats) -> Filter:
    """A filter by a kernel that is symmetric about its centre, by Fourier transforms."""
    spectra: dict[tuple[int, ...], NDArray[np.complex128]] = {}

    def apply(source: NDArray[Any]) -> NDArray[Any]:
        shape = tuple(fft.next_fast_len(side, real=True) for side in source.shape)
        if shape not in spectra:
            spectra[shape] = fft.rfft2(kernel, shape)
        spectrum = fft.rfft2(source.astype(np.float64, copy=False), shape)
        spectrum *= spectra[shape]
        filtered = fft.irfft2(spectrum, shape, overwrite_x=True)
        first = [side - 1 for side in kernel.shape]
        return np.asarray(filtered[first[0] : source.shape[0], first[1] : source.shape[1]])

    return apply


def _filtered_shape(source: NDArray[np.floating], kernel: Floats) -> tuple[int, int]:
    """The pixels of which a source has everything that a kernel reaches."""
    height, width = (1 + source.shape[axis] - kernel.shape[axis] for axis in (0, 1))
    return height, width


def _filter_parts(
    image: NDArray[Any], kernel: tuple[int, ...], apply: Filter, wanted: NDArray[np.bool_]
) -> NDArray[np.floating]:
    """Filter an image, mirrored about its border pixels, part by part; 0 in parts where nothing is wanted.

    image: bool or float64 [h, w].  kernel: its shape.  wanted: [h, w].
    """
    mirrored = np.pad(image, [(side // 2, side // 2) for side in kernel], mode="reflect")
    # a constant part stays constant: a single pixel has its value
    filtered = np.zeros(image.shape, apply(np.zeros(kernel)).dtype)
    for rows, columns in _parts(image.shape, kernel):
        if wanted[rows, columns].any():
            source = mirrored[
                rows.start : rows.stop + kernel[0] - 1, columns.start : columns.stop + kernel[1] - 1
            ]
            lowest = source.min()
            if lowest == source.max():
                source = np.full(kernel, lowest)
            filtered[rows, columns] = apply(source)
    return filtered


def _parts(shape: tuple[int, ...], kernel: tuple[int, ...]) -> Iterator[tuple[slice, slice]]:
    """Parts of about one size, so that what a kernel reaches from them has a good size for a Fourier transform."""
    per_axis = []
    for side, reach in zip(shape, kernel, strict=True):
        most = max(_TRANSFORM_SIDE, _SIDES_OF_KERNEL * reach) - reach + 1
        length = -(-side // -(-side // most))
        per_axis.append([slice(at, min(at + length, side)) for at in range(0, side, length)])
    for rows in per_axis[0]:
        for columns in per_axis[1]:
            yield rows, columns
