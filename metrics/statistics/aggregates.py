"""From per-image statistics to aggregates: what a bootstrap resamples, and how its means become metrics."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from sodbench.metrics import aggregate
from sodbench.metrics.arrays import Floats
from sodbench.metrics.catalogue import find_metric
from sodbench.metrics.protocols import Protocol
from sodbench.metrics.set_metrics import mean_over_thresholds
from sodbench.metrics.statistics.bootstrap import (
    ResampleCounts,
    ResampledSums,
    resampled_sums,
)
from sodbench.metrics.threshold_metrics import f_measure


@dataclass(frozen=True)
class ImageStatistics:
    """What a bootstrap of one result resamples, and how the means of it become aggregates.

    Attributes
    ----------
    columns : float64 [images, K]
        The per-image scores ``scores``, then 256 columns for each of ``curves``.
    names : tuple of str
        The metrics that `aggregate` returns, in this order.
    scores, curves : tuple of str
        What the columns hold.
    protocol : Protocol
        The protocol of the result.
    """

    columns: Floats
    names: tuple[str, ...]
    scores: tuple[str, ...]
    curves: tuple[str, ...]
    protocol: Protocol

    @cached_property
    def _single(self) -> NDArray[np.float32]:
        """The columns in single precision, whose error no interval shows; it halves the time."""
        return self.columns.astype(np.float32)

    def select(self, images: NDArray[np.intp]) -> "ImageStatistics":
        """Return the statistics of these images only.

        Parameters
        ----------
        images : int [n]
            Their rows.

        Returns
        -------
        ImageStatistics
        """
        return replace(self, columns=self.columns[images])

    def sums(self, draws: ResampleCounts) -> ResampledSums:
        """Sum the columns over the images drawn, in single precision.

        Parameters
        ----------
        draws : uint8 [resamples, images]

        Returns
        -------
        ResampledSums
        """
        return resampled_sums(draws, self._single)

    def aggregate(self, means: Floats, names: Sequence[str] = ()) -> Floats:
        """Compute the metrics from means of the columns.

        Parameters
        ----------
        means : float64 [..., K]
        names : sequence of str, optional
            Some of `names`; by default all.

        Returns
        -------
        float64 [..., M]
        """
        names = names or self.names
        values = {name: means[..., i] for i, name in enumerate(self.scores)}
        curves = {}
        for i, name in enumerate(self.curves):
            start = len(self.scores) + 256 * i
            curves[name] = means[..., start : start + 256]
        for name in names:
            family, _, form = name.rpartition("_")
            if name not in values and form in ("max", "mean"):
                curve = f_curve(curves, self.protocol) if family == "f" else curves[family]
                values[name] = (
                    curve.max(axis=-1)
                    if form == "max"
                    else mean_over_thresholds(curve, family, self.protocol)
                )
        # the rest takes the longest, because this computes areas too
        if not values.keys() >= set(names):
            if "precision" in curves:
                curves.setdefault("f", f_curve(curves, self.protocol))
            values |= aggregate({}, curves, self.protocol)
        return np.stack([np.asarray(values[name], float) for name in names], axis=-1)

    def observed(self) -> Floats:
        """Return the metrics of the images as they are.

        Returns
        -------
        float64 [M]
        """
        each_once = np.ones((1, len(self.columns)), np.uint8)
        metrics: Floats = self.aggregate(resampled_sums(each_once, self.columns).means)[0]
        return metrics

    def distribution(self, draws: Sequence[ResampleCounts]) -> Floats:
        """Return the bootstrap distribution of the metrics.

        Parameters
        ----------
        draws : sequence of uint8 [resamples, images]
            Batches of resamples. Two results with the same images in the same order and the same draws have paired
            distributions: their difference, row by row, is the distribution of the difference.

        Returns
        -------
        float64 [resamples, M]
        """
        return np.concatenate([self.aggregate(self.sums(batch).means) for batch in draws])


def f_curve(curves: Mapping[str, Floats], protocol: Protocol) -> Floats:
    """Return the F curve whose maximum the protocol calls max F.

    Parameters
    ----------
    curves : mapping of str to float64 [..., 256]
        The mean curves ``precision`` and ``recall``, or ``f``, as the protocol needs them.
    protocol : Protocol

    Returns
    -------
    float64 [..., 256]
    """
    if protocol.f_max == "meanf":
        return curves["f"]
    return f_measure(curves["precision"], curves["recall"], protocol.beta2)


def needed_columns(
    names: Sequence[str], protocol: Protocol
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the per-image scores and the curves from which metrics are computed.

    Parameters
    ----------
    names : sequence of str
        Metrics of a set of images.
    protocol : Protocol

    Returns
    -------
    scores, curves : tuple of str
    """
    scores = tuple(name for name in names if not find_metric(name).curves)
    curves = list(dict.fromkeys(curve for name in names for curve in find_metric(name).curves))
    means_of_f = {"f_max_meanf", "f_mean_meanf"} & set(names)
    if "f" in curves and protocol.f_max == "meanpr" and not means_of_f:
        # F of the mean precision and recall: the curve of F itself is not needed
        curves.remove("f")
    return scores, tuple(curves)
