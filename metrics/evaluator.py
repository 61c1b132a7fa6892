"""Scoring arrays as they come, e.g. in a validation loop."""

import hashlib
import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sodbench.metrics.counts import Counts, PreparedMask, count_pair
from sodbench.metrics.protocols import DEFAULT_PROTOCOL, Protocol, protocol
from sodbench.metrics.scores import Scores, score


class Evaluator:
    """Collects pairs of saliency maps and masks and scores them under a protocol.

    ::

        evaluator = Evaluator(protocol="pysodmetrics")
        for prediction, mask in loader:
            evaluator.update(prediction, mask)
        print(evaluator.compute().metrics["f_max"])

    Only counts are kept (8 KB a pair).  Evaluators can be pickled, and merged in any order: the aggregates come out
    the same to the last bit.
    """

    def __init__(self, protocol: str | Protocol = DEFAULT_PROTOCOL, *, weighted: bool = True):
        """Weighted F takes most of the time of a pair; ``weighted=False`` leaves it out (NaN)."""
        self.protocol = _protocol(protocol)
        self.weighted = weighted
        self._parts: list[Counts] = []
        self._names: list[str | None] = []
        self._taken: set[str] = set()

    def __len__(self) -> int:
        return len(self._names)

    def update(self, prediction: Any, mask: Any, name: str | list[str] | None = None) -> None:
        """Add one pair, or a batch of pairs.

        prediction: saliency map(s): uint8 0..255, or float in [0, 1], which is quantised to ``rint(255 * p)`` (halves to
            even, as the field's map writers do); numpy array or torch tensor on any device, shape [h, w], [n, h, w] or
            [n, 1, h, w].
        mask: ground truth of the same shape: uint8 0..255 (foreground above the protocol's threshold), bool, or float in [0, 1].
        name: name(s) for the rows of ``Scores.per_image``; numbered by default.

        Raises ValueError for values out of range or NaN (it says where), and for sizes that differ.
        """
        maps = _pictures(prediction, "prediction")
        masks = _pictures(mask, "mask")
        names = list(name) if isinstance(name, (list, tuple)) else [name] * len(maps)
        if len(maps) != len(masks) or len(names) != len(maps):
            raise ValueError(
                f"{len(maps)} predictions, {len(masks)} masks and {len(names)} names in one update"
            )
        given = [name_ for name_ in names if name_ is not None]
        for name_ in given:
            if name_ in self._taken or given.count(name_) > 1:
                raise ValueError(f"the name {name_!r} was already given to a pair")
        prepared = [PreparedMask(mask_) for mask_ in masks]
        if any(m.levels[-1] == 1 for m in prepared) or any(m.max() == 1 for m in maps):
            warnings.warn(
                "a uint8 picture holds the values 0 and 1 only, which are black and almost black; pass it as bool or as 0 and 255",
                stacklevel=2,
            )
        parts = [
            count_pair(map_, mask_, weighted=self.weighted)
            for map_, mask_ in zip(maps, prepared, strict=True)
        ]
        self._parts += parts
        self._names += names
        self._taken.update(given)

    def merge(self, other: "Evaluator") -> None:
        """Add all pairs of another evaluator."""
        both = self._taken & other._taken
        if both:
            raise ValueError(f"both evaluators hold the pair {min(both)!r} ({len(both)} in common)")
        self._parts.extend(other._parts)
        self._names.extend(other._names)
        self._taken |= other._taken

    @property
    def counts(self) -> Counts:
        """The counts of all pairs so far."""
        self._parts = [Counts.concatenate(self._parts)]
        return self._parts[0]

    def compute(self, protocol: str | Protocol | None = None) -> Scores:
        """Scores of all pairs so far, under another protocol if one is given.  ValueError when there is no pair."""
        counts = self.counts
        stems = [name if name is not None else str(i) for i, name in enumerate(self._names)]
        keys = [name or _content(counts, i) for i, name in enumerate(self._names)]
        return score(counts, _protocol(protocol or self.protocol), stems, order_by=keys)


_protocol = protocol  # the keyword argument of the same name hides it above


def _content(counts: Counts, row: int) -> str:
    """A key of a pair without a name that depends on nothing but what was counted."""
    slots = np.flatnonzero(counts.matlab_rows == row)
    parts = (counts.joint, counts.size, counts.absolute_error, counts.knife_edge, counts.wf)
    digest = hashlib.blake2b(counts.matlab_joint[slots].tobytes(), digest_size=16)
    for part in parts:
        digest.update(part[row].tobytes())
    return digest.hexdigest()


def _pictures(values: Any, what: str) -> list[NDArray[np.uint8]]:
    """The uint8 pictures [h, w] of one update."""
    if hasattr(values, "detach"):  # a torch tensor, without importing torch
        values = values.detach().cpu()
        values = (values.float() if values.is_floating_point() else values).numpy()
    if isinstance(values, np.ma.MaskedArray):
        raise TypeError(
            f"the {what} is a masked array, whose hidden values would count; fill it first"
        )
    array = np.asarray(values)
    if array.ndim == 3 and array.shape[2] in (1, 3, 4):
        raise ValueError(
            f"the {what} has shape {array.shape}, which looks like channels last; pass [..., 0], or a batch as [n, 1, h, w]"
        )
    if array.ndim == 4 and array.shape[1] == 1:
        array = array[:, 0]
    if array.ndim == 2:
        array = array[None]
    if array.ndim != 3:
        raise ValueError(
            f"the {what} has shape {np.shape(values)}; pass [h, w], [n, h, w] or [n, 1, h, w]"
        )
    return list(_as_uint8(array, what))


def _as_uint8(array: NDArray[Any], what: str) -> NDArray[np.uint8]:
    if array.dtype == np.uint8:
        return array
    if array.dtype == np.bool_:
        return array.astype(np.uint8) * np.uint8(255)
    if array.dtype == np.float16:
        array = array.astype(np.float32)
    if not np.issubdtype(array.dtype, np.floating):
        raise ValueError(
            f"the {what} is {array.dtype}; pass uint8 in 0..255, bool, or float in [0, 1]"
        )
    wrong = ~((array >= 0) & (array <= 1))  # NaN compares false
    if wrong.any():
        where = tuple(np.argwhere(wrong)[0].tolist())
        raise ValueError(
            f"the {what} has {int(wrong.sum())} value(s) that are NaN or outside [0, 1], "
            f"the first {array[where]} at index {where} (n, y, x); apply a sigmoid to logits"
        )
    quantised: NDArray[np.uint8] = np.rint(array * array.dtype.type(255)).astype(np.uint8)
    return quantised
