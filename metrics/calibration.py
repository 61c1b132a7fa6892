"""Calibration: whether a map's values are the probabilities that its pixels are foreground.

Of the map as stored, whatever the protocol does to it, because stretching it would change the probabilities.  Its 256 grey levels are
the bins.  Each image counts as much as another, whatever its size:

    share of a level        mean over images of (pixels of the level / all pixels)
    foreground of a level   mean over images of (foreground pixels of the level / all pixels)
    calibration             foreground / share: what part of the pixels of a level is foreground; level / 255 if calibrated
    ECE                     sum over the levels of |foreground - level / 255 * share|

References
----------
Guo, Pleiss, Sun and Weinberger, "On calibration of modern neural networks", ICML 2017.
"""

import numpy as np

from sodbench.metrics.arrays import Floats

LEVEL_CURVES = ("level_share", "level_foreground")
_PROBABILITY = np.arange(256) / 255


def level_curves(per_class: Floats) -> dict[str, Floats]:
    """The shares of each grey level in the pixels of images.

    Parameters
    ----------
    per_class : float64 [N, 2, 256]
        Background and foreground pixels of each grey level.

    Returns
    -------
    dict of str to float64 [N, 256]
        ``level_share`` and ``level_foreground``.
    """
    share = per_class.sum(axis=1)
    pixels = share.sum(axis=-1, keepdims=True)
    return {"level_share": share / pixels, "level_foreground": per_class[:, 1] / pixels}


def calibration_curve(share: Floats, foreground: Floats) -> Floats:
    """What part of the pixels of each grey level is foreground.

    Parameters
    ----------
    share, foreground : float64 [..., 256]
        Means of the curves ``level_share`` and ``level_foreground``.

    Returns
    -------
    float64 [..., 256]
        NaN for a level that no pixel has.
    """
    curve = np.full(np.shape(share), np.nan)
    np.divide(foreground, share, out=curve, where=share > 0)
    return curve


def calibration_error(share: Floats, foreground: Floats) -> Floats:
    """Expected calibration error.

    Parameters
    ----------
    share, foreground : float64 [..., 256]
        Means of the curves ``level_share`` and ``level_foreground``.

    Returns
    -------
    float64 [...]
        0 to 1.
    """
    error: Floats = np.abs(foreground - _PROBABILITY * share).sum(axis=-1)
    return error
