"""Overall metrics: of the pixels of all images of a set together, such as the "overall IoU" of segmentation papers.

True and false positives at a fixed threshold are summed over the images, and the metric is computed once from the sums, so that a large
image counts more than a small one, and an empty mask counts as any other.  These are PySODMetrics' numbers with ``sample_based=False``.

What a set, or a resample of it, has to sum is kept in the form of a curve, as everything that is averaged over images: its first four
values are true positives, false positives, foreground and background pixels.
"""

import numpy as np

from sodbench.metrics.arrays import Floats
from sodbench.metrics.confusion import Confusion
from sodbench.metrics.threshold_metrics import family_values, precision_recall_f


def encode_confusion(confusion: Confusion) -> Floats:
    """Pixels at one threshold, in the form of a curve.

    Parameters
    ----------
    confusion : Confusion
        Of N images at one threshold.

    Returns
    -------
    float64 [N, 256]
        True positives, false positives, foreground and background pixels, and zeros.
    """
    curve = np.zeros((len(confusion.tp), 256))
    parts = (confusion.tp, confusion.fp, confusion.positives, confusion.negatives)
    curve[:, : len(parts)] = np.concatenate(parts, axis=1)
    return curve


def overall_values(curve: Floats, beta2: float) -> dict[str, Floats]:
    """The metrics of sums, or means, of pixels over images.

    Parameters
    ----------
    curve : float64 [..., 256]
        Sums or means of what `encode_confusion` returns.
    beta2 : float
        The weight of precision in F.

    Returns
    -------
    dict of str to float64 [...]
        By name, such as ``iou`` and ``f``.
    """
    tp, fp, positives, negatives = (curve.reshape(-1, curve.shape[-1])[:, [i]] for i in range(4))
    confusion = Confusion(tp, fp, positives, negatives)
    values = precision_recall_f(confusion, beta2=beta2) | family_values(confusion)
    return {name: value.reshape(curve.shape[:-1]) for name, value in values.items()}
