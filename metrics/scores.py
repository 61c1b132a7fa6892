"""Scores: the aggregates of per-image metrics under one protocol, from counts alone.

The names are those of catalogue.py; docs/protocols.md defines them.  A metric or curve that a protocol does not define for
an image is NaN in that image's row, and the mean over the images leaves it out; whatever is left out is reported.  The one
exception is an undefined S-measure under a protocol that keeps it: the mean is then undefined too.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING
from typing import Protocol as TypingProtocol

import numpy as np
from numpy.typing import NDArray

from sodbench.metrics.arrays import Floats
from sodbench.metrics.calibration import LEVEL_CURVES, calibration_curve
from sodbench.metrics.catalogue import select_parametric
from sodbench.metrics.counts import Counts
from sodbench.metrics.error_sources import SOURCES
from sodbench.metrics.image_scores import (
    FOREGROUND_CURVES,
    RANKING_CURVES,
    image_curve_names,
    per_image_metrics,
)
from sodbench.metrics.parameters import has_parameters
from sodbench.metrics.protocols import Protocol, get_protocol
from sodbench.metrics.set_metrics import aggregate
from sodbench.metrics.threshold_metrics import f_measure
from sodbench.version import __version__

if TYPE_CHECKING:
    import pandas as pd

# Measurements that a mask without contour does not have
_WITHOUT_CONTOUR = ("mba", "relaxed_f")
# Per-image metrics that a protocol may leave undefined; a NaN anywhere else means that the value was not computed.
_MAY_BE_LEFT_OUT = frozenset(
    {
        "mae",
        *_WITHOUT_CONTOUR,
        "f_max",
        "f_mean",
        "f_adp",
        "precision_adp",
        "recall_adp",
        "fpr_max",
        "fpr_mean",
    }
    | {f"mae_{source}" for source in SOURCES}
)
# Pairs processed at a time: their curves stay in the processor's cache, and memory does not grow with their number.
BLOCK = 48


@dataclass(frozen=True)
class BlockScores:
    """The metrics of at most ``BLOCK`` pairs, with their curves summed: what `score` adds up, in a few arrays.

    Attributes
    ----------
    stems : tuple of str
        The names of the n pairs.
    columns : tuple of str
        The names of the metrics.
    scalars : float64 [metrics, n]
        NaN where the protocol defines no value for the image.
    foreground : float64 [n]
        Foreground pixels of each mask under the protocol's rule.
    curves : tuple of str
        The names of the curves.
    sums : float64 [curves, 256]
        Each curve summed over the images that have it.
    defined : dict of str to bool [n]
        For the curves that a protocol may leave undefined, the images that have them.
    """

    stems: tuple[str, ...]
    columns: tuple[str, ...]
    scalars: Floats
    foreground: Floats
    curves: tuple[str, ...]
    sums: Floats
    defined: dict[str, NDArray[np.bool_]]


@dataclass(frozen=True)
class Scores:
    """What a method reaches on a set of pairs under one protocol.

    Attributes
    ----------
    protocol : str
        The protocol's name.
    n : int
        The number of pairs.
    metrics : dict of str to float
        Aggregates by name; NaN where no pair has a value.
    curves : dict of str to float64 [256]
        The means over images at the thresholds 0..255.  ``f`` is the curve whose maximum is ``f_max`` under the
        protocol: ``f_meanpr`` (F of the mean precision and recall) or ``f_meanf`` (the mean of the images' F).
        ``calibration``, ``level_share`` and ``level_foreground`` are over the grey levels 0..255, see calibration.py.
    stems : tuple of str
        The names of the pairs.
    image_values : dict of str to float64 [N]
        Each metric of every pair, in the order of ``stems``; NaN where the protocol defines no value.
    undefined : tuple of str
        Stems whose S-measure is undefined (an empty block; see s_measure.py).
    left_out : dict of str to tuple of str
        For ``mae``, ``f_max`` (with every metric of the mean precision and recall) and ``auc_roc`` (with ``ap``), the stems
        that have no value under the protocol and are left out of the mean; a key is absent when there are none.
    empty_masks : tuple of str
        Stems whose mask has no foreground under the protocol's rule.
    comparisons : dict of str to str
        For each curve, how a map is compared with threshold t: ``>`` (255 v > t), ``trunc>=`` (trunc(255 v) >= t) or
        ``>=`` (v >= t / 255), for a map's values v in [0, 1]; ``=`` for curves over the grey levels of the map as stored.
    signature : str
        One line that records how the numbers were made; those of different signatures are not comparable.
    curve_means : dict of str to float64 [256]
        The means over images that ``curves`` and the metrics of curves are made of: ``f`` is the mean of the images' F, and
        each further metric with parameters in its name has its own.
    """

    protocol: str
    n: int
    metrics: dict[str, float]
    curves: dict[str, Floats]
    stems: tuple[str, ...] = field(repr=False)
    image_values: dict[str, Floats] = field(repr=False)
    undefined: tuple[str, ...] = ()
    left_out: dict[str, tuple[str, ...]] = field(default_factory=dict)
    empty_masks: tuple[str, ...] = ()
    comparisons: dict[str, str] = field(default_factory=dict)
    signature: str = ""
    curve_means: dict[str, Floats] = field(default_factory=dict, repr=False)

    @cached_property
    def per_image(self) -> "pd.DataFrame":
        """``image_values`` as a table: one row per pair, index ``stem``, one column per metric."""
        # importing pandas is slow, and not needed for the aggregates
        import pandas as pd

        return pd.DataFrame(self.image_values, pd.Index(self.stems, name="stem", dtype=object))


class CountsSource(TypingProtocol):
    """Where `score` takes counts from, a block of rows at a time: a Counts, or a file of them."""

    def __len__(self) -> int: ...

    def __getitem__(self, rows: NDArray[np.intp], /) -> Counts: ...


def score(
    counts: CountsSource,
    protocol: str | Protocol,
    stems: Sequence[str],
    *,
    undefined_s: str | None = None,
    order_by: Sequence[str] | None = None,
    requested: Sequence[str] = (),
    scored: Mapping[str, BlockScores] | None = None,
) -> Scores:
    """Score N counted pairs.

    The aggregates do not depend on the order of the pairs, to the last bit, because they are summed in a fixed order.

    Parameters
    ----------
    counts : CountsSource
    protocol : str or Protocol
    stems : sequence of str
    undefined_s : {"keep", "skip"}, optional
        What to do with undefined S-measures, instead of the protocol's choice.
    order_by : sequence of str, optional
        A key for each pair, by which the sums are ordered; by default its name.
    requested : sequence of str
        Further metrics, with parameters in their names such as ``iou@0.5``; others are there anyway.
    scored : mapping of str to BlockScores, optional
        Blocks scored before in this way, by their first name; used where they are of the pairs that are next.

    Returns
    -------
    Scores

    Raises
    ------
    ValueError
        When there is no pair, names are too few or unknown, or the counts do not hold the protocol's rule.
    """
    protocol = get_protocol(protocol)
    further = tuple(metric.name for metric in select_parametric(requested))
    _check_number(len(stems), len(counts))
    order = np.argsort(np.array(order_by or stems, dtype=object), kind="stable")
    names = np.array(stems, dtype=object)
    visited = _visit_blocks(counts, protocol, names, order, further, scored or {})
    undefined_s = undefined_s or protocol.undefined_s
    curves = combine_curves(visited.curve_means, protocol)
    undefined = _select(names, np.isnan(visited.scalar("s")))
    return Scores(
        protocol=protocol.name,
        n=len(counts),
        metrics=_aggregate_visited(visited, protocol, order, undefined_s, further),
        curves=curves,
        stems=tuple(stems),
        image_values=visited.by_name,
        undefined=undefined,
        left_out=_left_out(visited, names),
        empty_masks=_select(names, visited.foreground == 0),
        comparisons={name: protocol.comparison_of(name) for name in curves},
        signature=_scores_signature(protocol, len(counts), undefined_s, len(undefined)),
        curve_means=visited.curve_means,
    )


def without_intermediates(
    metrics: Mapping[str, float], requested: Sequence[str]
) -> dict[str, float]:
    """Leave out metrics with parameters that were computed only on the way to others.

    Parameters
    ----------
    metrics : mapping of str to float
    requested : sequence of str
        Metrics with parameters that stay.

    Returns
    -------
    dict of str to float
    """
    return {n: v for n, v in metrics.items() if n in requested or not has_parameters(n)}


def _check_number(names: int, pairs: int) -> None:
    if names != pairs:
        raise ValueError(f"{names} names for {pairs} pairs")
    if not pairs:
        raise ValueError("there is no pair to score")


def _aggregate_visited(
    visited: "_Visited",
    protocol: Protocol,
    order: NDArray[np.intp],
    undefined_s: str,
    requested: Sequence[str],
) -> dict[str, float]:
    """The metrics of the set, from the images' values summed in the given order."""
    means = {
        name: _mean(name, values[order], undefined_s) for name, values in visited.by_name.items()
    }
    metrics = aggregate(means, visited.curve_means, protocol)
    return without_intermediates({n: float(v) for n, v in metrics.items()}, requested)


def _scores_signature(protocol: Protocol, n: int, undefined_s: str, n_undefined: int) -> str:
    """What the scores depend on: version, protocol, pairs, and the treatment of what is undefined."""
    fields = [
        f"sodbench:{__version__}",
        f"protocol:{protocol.name}",
        f"n:{n}",
        f"gt:{protocol.mask_signature}",
    ]
    # Only where it applies: a dataset without undefined S-measures has one signature under either treatment
    if n_undefined:
        fields.append(f"undefined:{undefined_s}({n_undefined})")
    return "|".join(fields)


@dataclass(frozen=True)
class _Visited:
    """Every pair's scalars and the mean curves."""

    # The scalars' names
    columns: tuple[str, ...]
    # [metrics, N]
    scalars: Floats
    # Pixels of each mask, [N]
    foreground: Floats
    # [256] each
    curve_means: dict[str, Floats]
    # For the curves that a protocol may leave undefined, the pairs that have them, [N]
    defined: dict[str, NDArray[np.bool_]]

    @cached_property
    def by_name(self) -> dict[str, Floats]:
        """Every scalar, float64 [N]."""
        return dict(zip(self.columns, self.scalars, strict=True))

    def scalar(self, name: str) -> Floats:
        """One metric of every pair, float64 [N]."""
        return self.by_name[name]


def _select(names: NDArray[np.object_], rows: NDArray[np.bool_]) -> tuple[str, ...]:
    """The names of some pairs."""
    return tuple(names[rows].tolist())


def _left_out(visited: _Visited, names: NDArray[np.object_]) -> dict[str, tuple[str, ...]]:
    """The pairs without a value, by the metric whose mean leaves them out."""
    rows = {
        "mae": np.isnan(visited.scalar("mae")),
        **{
            name: np.isnan(visited.scalar(name))
            for name in _WITHOUT_CONTOUR
            if name in visited.columns
        },
        "f_max": ~visited.defined["f"],
        "auc_roc": ~visited.defined["tpr"],
    }
    return {name: _select(names, without) for name, without in rows.items() if without.any()}


def _curves_that_may_be_undefined(requested: Sequence[str]) -> tuple[str, ...]:
    weighted = [m.parameters.curve for m in select_parametric(requested) if m.parameters]
    return (*FOREGROUND_CURVES, *RANKING_CURVES, *weighted)


def score_block(
    counts: Counts, protocol: Protocol, stems: Sequence[str], requested: Sequence[str] = ()
) -> BlockScores:
    """Compute what `score` needs of a block of pairs, so that blocks can be computed elsewhere and at another time.

    Parameters
    ----------
    counts : Counts
        At most ``BLOCK`` pairs.
    protocol : Protocol
    stems : sequence of str
        Their names.
    requested : sequence of str
        As for `score`.

    Returns
    -------
    BlockScores
    """
    block = per_image_metrics(counts, protocol, requested)
    may_be_undefined = _curves_that_may_be_undefined(requested)
    sums, defined = [], {}
    for name, values in block.curves.items():
        if name in may_be_undefined:
            has_value = ~np.isnan(values[:, 0])
            defined[name] = has_value
            # usually all are defined, and nothing is copied
            values = values if has_value.all() else values[has_value]
        sums.append(values.sum(axis=0))
    return BlockScores(
        stems=tuple(stems),
        columns=tuple(block.scalars),
        scalars=np.array(list(block.scalars.values())),
        foreground=block.foreground,
        curves=tuple(block.curves),
        sums=np.array(sums),
        defined=defined,
    )


def _visit_blocks(
    counts: CountsSource,
    protocol: Protocol,
    names: NDArray[np.object_],
    order: NDArray[np.intp],
    requested: Sequence[str],
    scored: Mapping[str, BlockScores],
) -> _Visited:
    """Collect every pair's metrics, some pairs at a time, and sum the curves in the given order."""
    columns: tuple[str, ...] = ()
    scalars = np.empty((0, len(order)))
    defined = {name: np.ones(len(order), bool) for name in _curves_that_may_be_undefined(requested)}
    foreground = np.empty(len(order))
    sums = {name: np.zeros(256) for name in image_curve_names()}
    for start in range(0, len(order), BLOCK):
        rows = order[start : start + BLOCK]
        stems = tuple(names[rows].tolist())
        block = scored.get(stems[0])
        if block is None or block.stems != stems:
            block = score_block(counts[rows], protocol, stems, requested)
        for name, total in zip(block.curves, block.sums, strict=True):
            sums.setdefault(name, np.zeros(256))
            sums[name] += total
        for name, has_value in block.defined.items():
            defined[name][rows] = has_value
        if not columns:
            columns = block.columns
            scalars = np.empty((len(columns), len(order)))
        scalars[:, rows] = block.scalars
        foreground[rows] = block.foreground
    means = {}
    for name, total in sums.items():
        images = int(defined[name].sum()) if name in defined else len(order)
        means[name] = total / images if images else np.full(256, np.nan)
    return _Visited(columns, scalars, foreground, means, defined)


def combine_curves(means: Mapping[str, Floats], protocol: Protocol) -> dict[str, Floats]:
    """Make the curves of a set of images from the means over its images.

    Parameters
    ----------
    means : mapping of str to float64 [256]
        As `Scores.curve_means`.
    protocol : Protocol
        Which form of F is ``f``.

    Returns
    -------
    dict of str to float64 [256]
        As `Scores.curves`.
    """
    meanpr = f_measure(means["precision"], means["recall"], protocol.beta2)
    by_form = {"f_meanf": means["f"], "f_meanpr": meanpr}
    own = {"f": by_form[f"f_{protocol.f_max}"]}
    calibration = calibration_curve(*(means[name] for name in LEVEL_CURVES))
    rest = {
        name: curve
        for name, curve in means.items()
        if name not in FOREGROUND_CURVES and not has_parameters(name)
    }
    rest["calibration"] = calibration
    return {n: means[n] for n in ("precision", "recall")} | own | by_form | rest


def _mean(name: str, values: Floats, undefined_s: str) -> Floats:
    """The mean over images of a per-image metric, without those that have no value."""
    skipped = name in ("s", "s_object", "s_region") and undefined_s == "skip"
    if skipped or name in _MAY_BE_LEFT_OUT or has_parameters(name):
        values = values[~np.isnan(values)]
    return np.asarray(values.mean() if len(values) else np.nan)
