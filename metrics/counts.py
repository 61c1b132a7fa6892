"""The counts of one pass over a map and its mask, from which every metric that needs no pixels is computed.

For a pair of uint8 images the *joint histogram* (histogram.py) is kept for each counting rule; a rule under which a
mask is not counted differently shares the histogram of the first rule, as all rules do on a mask of 0 and 255.  Counts
are integers: they add, store and compare exactly, in any order.

Three things are not functions of the histogram and are kept next to it: the absolute error against a mask of several
grey levels (SalMetric's MAE), the tie flags (ties.py), and the columns of what is measured from the pixels (pixel_metrics.py).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sodbench.metrics.catalogue import MEASUREMENTS
from sodbench.metrics.histogram import absolute_error, count_pixels
from sodbench.metrics.masks import PreparedMask, check_image
from sodbench.metrics.pixel_metrics import compute_pixel_metrics
from sodbench.metrics.protocols import CountingRule, Protocol
from sodbench.metrics.schemes import (
    DEFAULT_SCHEME,
    CountingScheme,
    PixelColumn,
    find_column,
)
from sodbench.metrics.ties import TIE_EXCLUDED, find_ties

HISTOGRAM_SHAPE = (4, 2, 256)


class RuleCounts(NamedTuple):
    """The counts of pairs under one rule.

    Attributes
    ----------
    histogram : uint32 [N, 4, 2, 256]
        Pixels by quadrant, mask class and grey level.
    tie_flags : uint8 [N, 2]
        See ties.py; for the raw and the min-max map.
    """

    histogram: NDArray[np.uint32]
    tie_flags: NDArray[np.uint8]


class Deviations(NamedTuple):
    """The counts of the pairs on which a rule differs from the first one.

    Attributes
    ----------
    rows : int64 [K]
        Which pairs, ascending.
    histogram : uint32 [K, 4, 2, 256]
        As in RuleCounts.
    tie_flags : uint8 [K, 2]
        As in RuleCounts.
    """

    rows: NDArray[np.int64]
    histogram: NDArray[np.uint32]
    tie_flags: NDArray[np.uint8]


@dataclass(frozen=True)
class Counts:
    """The counts of N pairs; index them like an array, join them with `concatenate`.

    Attributes
    ----------
    scheme : CountingScheme
        The rules and columns that are held.
    histogram : uint32 [N, 4, 2, 256]
        Pixels by quadrant, mask class and grey level under the scheme's first rule.
    tie_flags : uint8 [N, 2]
        Under the first rule, see ties.py.
    deviations : mapping of CountingRule to Deviations
        For each further rule the pairs on which it differs.
    size : int32 [N, 2]
        Height and width in pixels.
    absolute_error : int64 [N]
        The sum over the pixels of abs(map - mask), in grey levels of the mask as stored.
    pixel_metrics : mapping of PixelColumn to float64 [N] or [N, width]
        For each column of the scheme, with the measurement's width; NaN where it was not computed.
    """

    scheme: CountingScheme
    histogram: NDArray[np.uint32]
    tie_flags: NDArray[np.uint8]
    deviations: Mapping[CountingRule, Deviations]
    size: NDArray[np.int32]
    absolute_error: NDArray[np.int64]
    pixel_metrics: Mapping[PixelColumn, NDArray[np.float64]]

    def __len__(self) -> int:
        return len(self.histogram)

    def __getitem__(self, rows: slice | NDArray[np.intp] | Sequence[int]) -> "Counts":
        selected = np.arange(len(self))[rows]
        deviations = {}
        for rule, own in self.deviations.items():
            # the slot of each pair among those that differ, -1 for the others; rows may repeat or reorder pairs
            slot = np.full(len(self), -1)
            slot[own.rows] = np.arange(len(own.rows))
            slots = slot[selected]
            own_slots = slots[slots >= 0]
            deviations[rule] = Deviations(
                np.flatnonzero(slots >= 0), own.histogram[own_slots], own.tie_flags[own_slots]
            )
        return Counts(
            scheme=self.scheme,
            histogram=self.histogram[rows],
            tie_flags=self.tie_flags[rows],
            deviations=deviations,
            size=self.size[rows],
            absolute_error=self.absolute_error[rows],
            pixel_metrics={name: values[rows] for name, values in self.pixel_metrics.items()},
        )

    def for_rule(self, rule: CountingRule) -> RuleCounts:
        """The counts of every pair under one rule.

        Parameters
        ----------
        rule : CountingRule
            One of ``scheme.rules``.

        Returns
        -------
        RuleCounts

        Raises
        ------
        ValueError
            For any other rule: which pixels are foreground under it does not follow from these counts.
        """
        if rule not in self.scheme.rules:
            names = " and ".join(f"'{rule}'" for rule in self.scheme.rules)
            raise ValueError(
                f"these counts do not hold the rule '{rule}', only {names}; "
                "count the pairs again with an Evaluator made for this protocol"
            )
        histogram, flags = self.histogram, self.tie_flags
        deviations = self.deviations.get(rule)
        if deviations is not None and len(deviations.rows):
            # the first rule's counts stay as they are
            histogram, flags = histogram.copy(), flags.copy()
            histogram[deviations.rows] = deviations.histogram
            flags[deviations.rows] = deviations.tie_flags
        # the ties are numpy's; under MATLAB's rounding the mean of a constant block is taken as exact
        if rule.centroid == "half-up":
            flags = flags & np.uint8(TIE_EXCLUDED)
        return RuleCounts(histogram, flags)

    def foreground(self, rule: CountingRule) -> NDArray[np.int64]:
        """The number of foreground pixels of each mask.

        Parameters
        ----------
        rule : CountingRule
            One of ``scheme.rules``.

        Returns
        -------
        int64 [N]
        """
        histogram = self.for_rule(rule).histogram
        pixels: NDArray[np.int64] = histogram[:, :, 1].sum(axis=(1, 2), dtype=np.int64)
        return pixels

    def holds(self, measurement: str) -> bool:
        """Whether a measurement was made, for whichever protocol.

        Parameters
        ----------
        measurement : str
            A measurement of the catalogue.

        Returns
        -------
        bool
        """
        return any(column.measurement == measurement for column in self.pixel_metrics)

    def measurement(self, name: str, protocol: Protocol) -> NDArray[np.float64]:
        """A measurement of every pair, under a protocol's preparation and foreground.

        Parameters
        ----------
        name : str
            A measurement of the catalogue.
        protocol : Protocol
            Whose preparation and foreground are asked for.

        Returns
        -------
        float64 [N] or [N, width]
            NaN where it was not made when the pairs were counted.

        Raises
        ------
        ValueError
            When it was computed for other protocols only.
        """
        column = find_column(name, protocol)
        if column in self.pixel_metrics:
            return self.pixel_metrics[column]
        others = [
            f"the {held.map} map with foreground >{held.foreground_above}"
            for held, values in self.pixel_metrics.items()
            if held.measurement == name and not np.isnan(values).all()
        ]
        if others:
            raise ValueError(
                f"{name} was computed for {', '.join(others)}, not for the {column.map} map with foreground "
                f">{column.foreground_above}; count the pairs again with an Evaluator made for this protocol"
            )
        width = MEASUREMENTS[name].width
        return np.full((len(self), width) if width > 1 else len(self), np.nan)

    @classmethod
    def from_pairs(cls, scheme: CountingScheme, pairs: Sequence["PairCounts"]) -> "Counts":
        """Collect the counts of single pairs.

        Parameters
        ----------
        scheme : CountingScheme
            The scheme of every pair.
        pairs : sequence of PairCounts
            N pairs, or none.

        Returns
        -------
        Counts
        """
        deviations = {}
        for rule in scheme.rules[1:]:
            rows = [row for row, pair in enumerate(pairs) if rule in pair.deviations]
            differing = [pairs[row].deviations[rule] for row in rows]
            deviations[rule] = Deviations(
                np.array(rows, np.int64),
                _stack([histogram for histogram, _ in differing], np.uint32, HISTOGRAM_SHAPE),
                _stack([flags for _, flags in differing], np.uint8, (2,)),
            )
        return cls(
            scheme=scheme,
            histogram=_stack([pair.histogram for pair in pairs], np.uint32, HISTOGRAM_SHAPE),
            tie_flags=_stack([pair.tie_flags for pair in pairs], np.uint8, (2,)),
            deviations=deviations,
            size=_stack([pair.size for pair in pairs], np.int32, (2,)),
            absolute_error=_stack([pair.absolute_error for pair in pairs], np.int64, ()),
            pixel_metrics=_split_columns(scheme, [pair.pixel_metrics for pair in pairs]),
        )

    @classmethod
    def concatenate(cls, parts: Iterable["Counts"]) -> "Counts":
        """Join counts.

        Parameters
        ----------
        parts : iterable of Counts
            Counted under one scheme.

        Returns
        -------
        Counts
            All pairs, in order.

        Raises
        ------
        ValueError
            When they were counted under different schemes.
        """
        parts = list(parts)
        schemes = list(dict.fromkeys(part.scheme for part in parts))
        if len(schemes) > 1:
            raise ValueError(
                "counts under different rules or with different pixel metrics cannot be joined: "
                + "; ".join(_describe_scheme(scheme) for scheme in schemes)
            )
        # an empty first part, so that joining nothing gives empty counts of the right shapes
        parts = [cls.from_pairs(schemes[0] if schemes else DEFAULT_SCHEME, []), *parts]
        scheme = parts[0].scheme
        offsets = np.cumsum([0, *(len(part) for part in parts)])
        deviations = {}
        for rule in scheme.rules[1:]:
            of_parts = [part.deviations[rule] for part in parts]
            deviations[rule] = Deviations(
                np.concatenate(
                    [d.rows + start for d, start in zip(of_parts, offsets, strict=False)]
                ),
                np.concatenate([d.histogram for d in of_parts]),
                np.concatenate([d.tie_flags for d in of_parts]),
            )
        return cls(
            scheme=scheme,
            histogram=np.concatenate([part.histogram for part in parts]),
            tie_flags=np.concatenate([part.tie_flags for part in parts]),
            deviations=deviations,
            size=np.concatenate([part.size for part in parts]),
            absolute_error=np.concatenate([part.absolute_error for part in parts]),
            pixel_metrics={
                column: np.concatenate([part.pixel_metrics[column] for part in parts])
                for column in scheme.columns
            },
        )


def _stack(values: Sequence[Any], dtype: Any, shape: tuple[int, ...]) -> NDArray[Any]:
    """An array [N, *shape] of N values, also where N is 0."""
    return np.array(values, dtype).reshape(len(values), *shape)


def _split_columns(
    scheme: CountingScheme, rows: Sequence[Sequence[float]]
) -> dict[PixelColumn, NDArray[np.float64]]:
    """The columns of N pairs' measurements: each pair's are one after the other."""
    widths = [MEASUREMENTS[column.measurement].width for column in scheme.columns]
    values = _stack(rows, np.float64, (sum(widths),))
    ends = np.cumsum(widths).tolist()
    columns = zip(scheme.columns, widths, ends, strict=True)
    return {
        column: values[:, end - 1] if width == 1 else values[:, end - width : end]
        for column, width, end in columns
    }


def _describe_scheme(scheme: CountingScheme) -> str:
    rules = " and ".join(f"'{rule}'" for rule in scheme.rules)
    return f"{rules} with {', '.join(map(str, scheme.columns)) or 'no pixel metrics'}"


class PairCounts(NamedTuple):
    """The counts of one pair, in a light form.

    Attributes
    ----------
    scheme : CountingScheme
    histogram : uint32 [4, 2, 256]
        Under the scheme's first rule.
    tie_flags : tuple of int
        Under the first rule, for the raw and the min-max map.
    deviations : dict of CountingRule to (uint32 [4, 2, 256], tuple of int)
        Histogram and tie flags under each rule that differs from the first one on this mask.
    size : tuple of int
        Height and width.
    absolute_error : int
        Sum of abs(map - mask).
    pixel_metrics : tuple of float
        Every measurement's numbers, in the order of ``scheme.columns``.
    brightest : int
        The map's highest grey level.
    """

    scheme: CountingScheme
    histogram: NDArray[np.uint32]
    tie_flags: tuple[int, int]
    deviations: dict[CountingRule, tuple[NDArray[np.uint32], tuple[int, int]]]
    size: tuple[int, int]
    absolute_error: int
    pixel_metrics: tuple[float, ...]
    brightest: int

    @property
    def counts(self) -> Counts:
        """The same as the counts of N = 1 pairs."""
        return Counts.from_pairs(self.scheme, [self])


def count_pair(map_: NDArray[np.uint8], mask: PreparedMask) -> PairCounts:
    """Count one saliency map against one mask.

    Parameters
    ----------
    map_ : uint8 [h, w]
    mask : PreparedMask
        A mask of the same size; its scheme defines what is counted.

    Returns
    -------
    PairCounts
        ``.counts`` is the same as `Counts`.

    Raises
    ------
    ValueError
        For another dtype or size.
    """
    check_image(map_, "saliency map")
    if map_.shape != mask.pixels.shape:
        raise ValueError(
            f"the saliency map is {_format_size(map_)} and the mask {_format_size(mask.pixels)} (width x height); "
            "resize the map to the mask"
        )
    map_ = np.ascontiguousarray(map_)
    base = mask.scheme.rules[0]
    split = mask.splits[base]
    counted = count_pixels(map_, mask.pixels, base.foreground_above, split.row, split.column)
    flags = find_ties(map_, counted, split)
    deviations = {}
    for rule in mask.differing_rules:
        other = mask.splits[rule]
        own = count_pixels(map_, mask.pixels, rule.foreground_above, other.row, other.column)
        exact = rule.centroid == "half-up"
        own_flags = tuple(f & TIE_EXCLUDED for f in flags) if exact else find_ties(map_, own, other)
        deviations[rule] = own.histogram, (own_flags[0], own_flags[1])
    # a mask of 0 and 255 needs no second look at the pixels
    error = counted.binary_error if mask.is_binary else absolute_error(map_, mask.pixels)
    return PairCounts(
        scheme=mask.scheme,
        histogram=counted.histogram,
        tie_flags=flags,
        deviations=deviations,
        size=(map_.shape[0], map_.shape[1]),
        absolute_error=error,
        pixel_metrics=compute_pixel_metrics(map_, mask, counted.darkest, counted.brightest),
        brightest=counted.brightest,
    )


def compile_kernels() -> None:
    """Compile all kernels that `count_pair` may call, or load their code, see compiled.py."""
    # grey levels, so that the kernels that a binary mask does not need are compiled too
    grey = np.eye(8, dtype=np.uint8) * np.uint8(200)
    count_pair(grey, PreparedMask(grey))


def _format_size(pixels: NDArray[np.uint8]) -> str:
    return f"{pixels.shape[1]}x{pixels.shape[0]}"
