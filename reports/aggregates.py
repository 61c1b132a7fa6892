"""From the stored counts of one result to its aggregates: what a bootstrap resamples, and how means become scores."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sodbench.metrics import PROTOCOLS, Counts, aggregate, get_protocol, per_image_curves
from sodbench.metrics.catalogue import find_metric
from sodbench.metrics.protocols import STANDARD_RULE, Protocol
from sodbench.metrics.scores import BLOCK
from sodbench.metrics.statistics.bootstrap import Floats, ResampleCounts, Totals, totals
from sodbench.metrics.threshold_metrics import f_measure
from sodbench.results import Result


@dataclass(frozen=True)
class Statistics:
    """What a bootstrap of one result resamples, and how its means become aggregates.

    columns: float64 [images, K]: the per-image scores ``scalars``, then 256 columns for each of ``curves``.
    names: the metrics that :meth:`aggregate` gives, in this order.
    """

    columns: Floats
    names: tuple[str, ...]
    scalars: tuple[str, ...]
    curves: tuple[str, ...]
    protocol: str

    def aggregate(self, means: Floats, names: Sequence[str] = ()) -> Floats:
        """Means [..., K] of the columns -> the metrics [..., M], or those of them that are named."""
        names, rules, first = names or self.names, get_protocol(self.protocol), len(self.scalars)
        by_curve = {
            c: means[..., first + 256 * i : first + 256 * (i + 1)]
            for i, c in enumerate(self.curves)
        }
        found = {n: means[..., i] for i, n in enumerate(self.scalars)}
        for name in names:
            family, _, form = name.rpartition("_")
            if name not in found and form in ("max", "mean"):
                curve = f_curve(by_curve, rules) if family == "f" else by_curve[family]
                found[name] = curve.max(axis=-1) if form == "max" else curve.mean(axis=-1)
        if not found.keys() >= set(names):  # aggregate computes areas too, which take the longest
            if "precision" in by_curve:
                by_curve.setdefault("f", f_curve(by_curve, rules))
            found |= aggregate({}, by_curve, rules)
        return np.stack([np.asarray(found[n], float) for n in names], axis=-1)

    def observed(self, names: Sequence[str] = ()) -> Floats:
        """The metrics [M] of the images as they are."""
        once = np.ones((1, len(self.columns)), np.uint8)
        found: Floats = self.aggregate(totals(once, self.columns).means, names)[0]
        return found

    def resampled(self, draws: Sequence[ResampleCounts]) -> Floats:
        """Their bootstrap distribution [resamples, M]."""
        return self.aggregate(self.totals(draws).means)

    def totals(self, draws: Sequence[ResampleCounts]) -> Totals:
        """Of the columns, in single precision, whose error no interval shows."""
        single = self.columns.astype(np.float32)
        found = [totals(d, single) for d in draws]
        return Totals(
            np.concatenate([f.sums for f in found]), np.concatenate([f.images for f in found])
        )

    def of(self, images: NDArray[np.intp] | NDArray[np.bool_]) -> "Statistics":
        """The same for some of the images."""
        return Statistics(
            self.columns[images], self.names, self.scalars, self.curves, self.protocol
        )


def f_curve(curves: Mapping[str, Floats], rules: Protocol) -> Floats:
    """The curve [..., 256] whose maximum the protocol calls max F, from the mean curves."""
    if rules.f_max == "meanf":
        return curves["f"]
    return f_measure(curves["precision"], curves["recall"], rules.beta2)


def statistics(
    result: Result, counts: Counts, names: Sequence[str], rows: NDArray[np.intp] | None = None
) -> Statistics:
    """The per-image statistics behind the aggregates ``names`` of a result.

    counts: the result's, in the order of its table.  rows: the images wanted, in this order; None: all.
    """
    rows = np.arange(len(counts)) if rows is None else rows
    scalars, curves = _needed(tuple(names), result.protocol)
    columns = np.empty((len(rows), len(scalars) + 256 * len(curves)))
    source = {"f_max_best": "f_max"}
    for i, name in enumerate(scalars):
        columns[:, i] = result.table[source.get(name, name)].to_numpy(float)[rows]
    for start in range(0, len(rows) if curves else 0, BLOCK):
        block = slice(start, start + BLOCK)
        found = per_image_curves(counts[rows[block]], get_protocol(result.protocol), curves)
        for i, curve in enumerate(curves):
            at = len(scalars) + 256 * i
            columns[block, at : at + 256] = found.curves[curve]
    return Statistics(columns, tuple(names), scalars, curves, result.protocol)


def _needed(names: tuple[str, ...], protocol_: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The per-image scores and the curves behind these aggregates."""
    curves = list(dict.fromkeys(c for n in names for c in find_metric(n).curves))
    means_of_f = {"f_max_meanf", "f_mean_meanf"} & set(names)
    if "f" in curves and get_protocol(protocol_).f_max == "meanpr" and not means_of_f:
        curves.remove(
            "f"
        )  # F of the mean precision and recall: the curve of F itself is not needed
    return tuple(n for n in names if not find_metric(n).curves), tuple(curves)


def foreground_share(counts: Counts) -> Floats:
    """The share of each image that its mask calls foreground (above 128), float64 [N]."""
    foreground = counts.foreground(STANDARD_RULE)
    return np.asarray(foreground / counts.size.astype(np.int64).prod(axis=1), float)


def f_under_each_protocol(result: Result, counts: Counts) -> dict[str, float]:
    """Max F of the same maps as each evaluator would print it."""
    names = ("precision", "recall", "f")
    found = {}
    for name in PROTOCOLS:
        if name == result.protocol:
            found[name] = result.metrics["f_max"]
            continue
        total, images = np.zeros((3, 256)), 0
        for start in range(0, len(counts), BLOCK):
            block = per_image_curves(counts[start : start + BLOCK], PROTOCOLS[name], names)
            defined = ~np.isnan(block.curves["f"][:, 0])
            total += [block.curves[n][defined].sum(axis=0) for n in names]
            images += int(defined.sum())
        if images:
            by_curve = dict(zip(names, total / images, strict=True))
            found[name] = float(aggregate({}, by_curve, PROTOCOLS[name])["f_max"])
    return found
