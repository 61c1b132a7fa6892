"""Baselines that need no weights: RGB uint8 [h, w, 3] -> saliency map uint8 [h, w].

A method that does not clearly beat them has learned nothing. Adding one takes a function and an entry in `BASELINES`.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from sodbench.images import Pixels

# Standard deviation of the centre prior, as a share of the image's height and width.
CENTRE_SPREAD = 0.25


def centre_prior(image: Pixels) -> Pixels:
    """Return a Gaussian at the image's centre; only the image's size matters.

    Photographers centre their subject, so this is the simplest of all predictors.

    Parameters
    ----------
    image : ndarray of uint8, shape (h, w, 3)

    Returns
    -------
    ndarray of uint8, shape (h, w)
        255 at the peak.

    References
    ----------
    Judd, Ehinger, Durand and Torralba, "Learning to predict where humans look", ICCV 2009.
    """
    height, width = image.shape[:2]
    vertical = _centred_gaussian(height)[:, None]
    return np.rint(255 * vertical * _centred_gaussian(width)).astype(np.uint8)


def _centred_gaussian(n: int) -> NDArray[np.float64]:
    position = (np.arange(n) - (n - 1) / 2) / n
    values: NDArray[np.float64] = np.exp(-0.5 * np.square(position / CENTRE_SPREAD))
    return values


def frequency_tuned(image: Pixels) -> Pixels:
    """Return each slightly blurred pixel's distance in Lab from the image's mean colour.

    Parameters
    ----------
    image : ndarray of uint8, shape (h, w, 3)
        RGB.

    Returns
    -------
    ndarray of uint8, shape (h, w)
        Stretched to 0..255; all 0 for an image of one colour.

    References
    ----------
    Achanta, Hemami, Estrada and Süsstrunk, "Frequency-tuned Salient Region Detection", CVPR 2009, equation 8, with
    their binomial 5x5 blur.
    """
    from scipy.ndimage import correlate1d

    lab = _lab(image)
    mean = lab.mean((0, 1), dtype=np.float64)
    binomial = np.array([1, 4, 6, 4, 1]) / 16
    blurred = correlate1d(
        correlate1d(lab, binomial, 0, mode="nearest"), binomial, 1, mode="nearest"
    )
    distance = np.sqrt(np.square(blurred - mean).sum(2))
    low, high = distance.min(), distance.max()
    # Below this it is rounding alone; a just noticeable difference is about 2
    if high - low < 1e-3:
        return np.zeros(distance.shape, np.uint8)
    stretched: Pixels = np.rint(255 * (distance - low) / (high - low)).astype(np.uint8)
    return stretched


def _lab(image: Pixels) -> NDArray[np.float32]:
    """Convert sRGB uint8 [h, w, 3] to CIE L*a*b* (D65) float32 [h, w, 3] (IEC 61966-2-1, CIE 15)."""
    level = np.arange(256) / 255
    linear = np.where(level <= 0.04045, level / 12.92, ((level + 0.055) / 1.055) ** 2.4)
    to_xyz = np.array(
        [
            [0.4124564, 0.3575761, 0.1804375],
            [0.2126729, 0.7151522, 0.0721750],
            [0.0193339, 0.1191920, 0.9503041],
        ]
    )
    # white is (1, 1, 1)
    relative = to_xyz / to_xyz.sum(1, keepdims=True)
    t = linear.astype(np.float32)[image] @ relative.T.astype(np.float32)
    f = np.where(t > (6 / 29) ** 3, np.cbrt(t), t * np.float32(841 / 108) + np.float32(4 / 29))
    x, y, z = np.moveaxis(f, 2, 0)
    return np.stack((116 * y - 16, 500 * (x - y), 200 * (y - z)), 2).astype(np.float32)


BASELINES: dict[str, Callable[[Pixels], Pixels]] = {
    "centre-prior": centre_prior,
    "frequency-tuned": frequency_tuned,
}
