"""Score arrays as they come, e.g. in a validation loop."""

import hashlib
import sys
from collections.abc import Iterator, Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from sodbench.metrics.catalogue import METRICS, find_measurements, pixel_metric_names
from sodbench.metrics.counts import Counts, PairCounts, count_pair
from sodbench.metrics.masks import PreparedMask
from sodbench.metrics.protocols import DEFAULT_PROTOCOL, Protocol, get_protocol
from sodbench.metrics.schemes import CountingScheme
from sodbench.metrics.scores import Scores, score
from sodbench.plugins import load_plugins

# A float value may be outside [0, 1] by this much, as after bicubic interpolation; it is clipped.
_OVERSHOOT = 1e-6


class Evaluator:
    """Collects pairs of saliency maps and masks and scores them under a protocol.

    Only counts are kept (8 KB per pair).  Evaluators can be pickled, and merged in any order: the aggregates are the
    same to the last bit.

    Parameters
    ----------
    protocol : str or Protocol
        The protocol to score under; a name may be that of an installed plug-in.  Pairs are counted for it and for the built-in protocols; `compute` accepts
        any of them.
    pixel_metrics : sequence of str, optional
        Metrics of the catalogue that need pixels; by default those that are not computed on request only, such as
        weighted F, which takes most of the time of a pair.  Without it ``wf`` is NaN.

    Raises
    ------
    ValueError
        For an unknown protocol, and for names of other metrics.

    Examples
    --------
    >>> import numpy as np
    >>> evaluator = Evaluator(protocol="pysodmetrics")
    >>> mask = np.eye(8, dtype=bool)
    >>> evaluator.update(mask * 0.8 + 0.1, mask, name="diagonal")
    >>> evaluator
    Evaluator('pysodmetrics') with 1 pair
    >>> round(evaluator.compute().metrics["f_max"], 3)
    1.0
    """

    def __init__(
        self,
        protocol: str | Protocol = DEFAULT_PROTOCOL,
        *,
        pixel_metrics: Sequence[str] | None = None,
    ):
        self.protocol = get_protocol(protocol)
        usual = pixel_metric_names()
        self.pixel_metrics = usual if pixel_metrics is None else tuple(pixel_metrics)
        if not METRICS.keys() >= set(self.pixel_metrics):
            load_plugins("sodbench.metrics")
        known = [metric.name for metric in METRICS.values() if metric.needs_pixels]
        for name in self.pixel_metrics:
            if name not in known:
                raise ValueError(
                    f"{name!r} is not a metric that needs pixels; these are {', '.join(known)}"
                )
        measurements = find_measurements(self.pixel_metrics)
        self._scheme = CountingScheme.for_protocols([self.protocol], measurements)
        self.reset()

    def reset(self) -> None:
        """Forget all pairs, e.g. before the next epoch."""
        self._parts: list[Counts] = []
        # the pairs since the last part
        self._pairs: list[PairCounts] = []
        self._names: list[str | None] = []
        self._taken: set[str] = set()

    def __getstate__(self) -> dict[str, Any]:
        self._collect_pairs()
        return self.__dict__

    def __len__(self) -> int:
        return len(self._names)

    def __repr__(self) -> str:
        usual = self.pixel_metrics == pixel_metric_names()
        metrics = "" if usual else f", pixel_metrics={self.pixel_metrics!r}"
        pairs = "1 pair" if len(self) == 1 else f"{len(self)} pairs"
        return f"Evaluator({self.protocol.name!r}{metrics}) with {pairs}"

    def update(self, prediction: Any, mask: Any, name: str | list[str] | None = None) -> None:
        """Add one pair, or a batch of pairs; a batch is added whole or not at all.

        Parameters
        ----------
        prediction : array or tensor [h, w], [n, h, w] or [n, 1, h, w], or a list of arrays [h, w]
            Saliency map(s): uint8 0..255, or float in [0, 1], which is quantised to ``rint(255 * p)`` (halves to even, as
            the field's map writers do).  Floats up to 1e-6 outside of [0, 1] are clipped.  NumPy arrays, or torch tensors
            on any device.  The arrays of a list may differ in size.
        mask : as ``prediction``
            Ground truth of the same shape: bool, integers of any type that are all 0 or 1, uint8 0..255 (foreground above
            the protocol's threshold), or float in [0, 1].
        name : str or list of str, optional
            Name(s) for the rows of ``Scores.per_image``; numbered by default, as ``#0`` where a pair is named ``0``.

        Raises
        ------
        ValueError
            For values out of range or NaN (the message names the place), sizes that differ, a name given twice, and ambiguous
            input: a uint8 map whose largest value is 1, and a batch with one mask of 0 and 1 and another of 0 to 255.
        TypeError
            For masked arrays, and names that are not text.
        """
        maps = [_as_map(array, n) for n, array in enumerate(_split_batch(prediction, "prediction"))]
        masks = _as_masks(_split_batch(mask, "mask"))
        names = list(name) if isinstance(name, (list, tuple)) else [name] * len(maps)
        if len(maps) != len(masks) or len(names) != len(maps):
            raise ValueError(
                f"{len(maps)} predictions, {len(masks)} masks and {len(names)} names in one update"
            )
        own_names = [name_ for name_ in names if name_ is not None]
        for name_ in own_names:
            if not isinstance(name_, str):
                raise TypeError(f"a name is text, not {name_!r}; pass str(name)")
        for name_ in own_names:
            if name_ in self._taken or own_names.count(name_) > 1:
                raise ValueError(f"the name {name_!r} was already given to a pair")
        pairs = [
            count_pair(map_, PreparedMask(mask_, self._scheme))
            for map_, mask_ in zip(maps, masks, strict=True)
        ]
        self._pairs += pairs
        self._names += names
        self._taken.update(own_names)

    def _collect_pairs(self) -> None:
        """Make a part of the pairs since the last part: arrays of each pair alone would take longer than its counting."""
        if self._pairs:
            self._parts.append(Counts.from_pairs(self._scheme, self._pairs))
            self._pairs = []

    def merge(self, other: "Evaluator", *, repeated: Literal["refuse", "drop"] = "refuse") -> None:
        """Add all pairs of another evaluator.

        Parameters
        ----------
        other : Evaluator
            It is not changed.
        repeated : {"refuse", "drop"}
            What to do with pairs whose names both hold, as where a sampler fills up the last batch: raise an error, or
            keep those that are here.  Pairs without a name cannot be recognised.

        Raises
        ------
        ValueError
            When both hold a pair of one name (``refuse``), the other holds pairs without a name (``drop``), or they count
            under different rules or with different pixel metrics.
        """
        both = self._taken & other._taken
        if both and repeated == "refuse":
            raise ValueError(
                f"both evaluators hold the pair {min(both)!r} ({len(both)} in common); repeated='drop' keeps one of each"
            )
        if repeated == "drop" and None in other._names:
            raise ValueError(
                "repeated='drop' needs a name for every pair: pass name= to update(), or the same image counts twice"
            )
        if self._scheme != other._scheme:
            raise ValueError(
                f"the evaluators count under different rules or with different pixel metrics: {self!r} and {other!r}"
            )
        self._collect_pairs()
        other._collect_pairs()
        if both:
            rows = [row for row, name in enumerate(other._names) if name not in both]
            self._parts.append(other.counts[rows])
            self._names.extend(other._names[row] for row in rows)
        else:
            self._parts.extend(other._parts)
            self._names.extend(other._names)
        self._taken |= other._taken

    def gather(self, *, repeated: Literal["refuse", "drop"] = "refuse") -> "Evaluator":
        """Collect the pairs of all processes of torch.distributed; every process calls it and gets all of them.

        Parameters
        ----------
        repeated : {"refuse", "drop"}
            As for `merge`: a DistributedSampler repeats some samples, so that all processes have as many.

        Returns
        -------
        Evaluator
            A new one; of this process's pairs alone where no process group is initialised.

        Raises
        ------
        ValueError
            As `merge`.
        """
        every: list[Any] = [self]
        # whoever initialised a process group has imported it
        distributed = sys.modules.get("torch.distributed")
        if distributed is not None and distributed.is_initialized():
            every = [None] * distributed.get_world_size()
            distributed.all_gather_object(every, self)
        collected = Evaluator(self.protocol, pixel_metrics=self.pixel_metrics)
        for evaluator in every:
            collected.merge(evaluator, repeated=repeated)
        return collected

    @property
    def counts(self) -> Counts:
        """The counts of all pairs so far."""
        self._collect_pairs()
        if len(self._parts) != 1:
            self._parts = [Counts.concatenate(self._parts)]
        return self._parts[0]

    def compute(
        self, protocol: str | Protocol | None = None, *, metrics: Sequence[str] = ()
    ) -> Scores:
        """Score all pairs so far.

        Parameters
        ----------
        protocol : str or Protocol, optional
            Another protocol than the evaluator's.
        metrics : sequence of str
            Further metrics, with parameters in their names such as ``iou@0.5`` or ``f_max(b2=1)``.

        Returns
        -------
        Scores

        Raises
        ------
        ValueError
            When there is no pair, the pairs were not counted under the other protocol's rule, or a metric is unknown.
        """
        counts = self.counts
        stems = [self._number(i) if n is None else n for i, n in enumerate(self._names)]
        # pairs without a name are summed in the order of their content, whichever process added them
        content = _content_keys(counts, [i for i, n in enumerate(self._names) if n is None])
        keys = [next(content) if n is None else n for n in self._names]
        rules = get_protocol(protocol or self.protocol)
        return score(counts, rules, stems, order_by=keys, requested=metrics)

    def _number(self, row: int) -> str:
        """The name of a pair without one: its number, unless another pair was given that as its name."""
        name = str(row)
        while name in self._taken:
            name = f"#{name}"
        return name


def _content_keys(counts: Counts, rows: Sequence[int]) -> Iterator[str]:
    """For pairs without a name, keys that depend only on what was counted."""
    deviations = [
        dict(zip(deviation.rows.tolist(), deviation.histogram, strict=True))
        for deviation in counts.deviations.values()
    ]
    arrays: list[NDArray[Any]] = [
        counts.histogram,
        counts.size,
        counts.absolute_error,
        counts.tie_flags,
        *counts.pixel_metrics.values(),
    ]
    for row in rows:
        digest = hashlib.blake2b(digest_size=16)
        for histograms in deviations:
            if row in histograms:
                digest.update(histograms[row].tobytes())
        for array in arrays:
            digest.update(array[row].tobytes())
        yield digest.hexdigest()


def _split_batch(values: Any, what: str) -> list[NDArray[Any]]:
    """The arrays [h, w] of one update, of any dtype."""
    if isinstance(values, (list, tuple)) and values and all(np.ndim(one) >= 2 for one in values):
        arrays = []
        for index, one in enumerate(values):
            array = _as_array(one, what)
            if array.ndim == 3 and array.shape[0] == 1:
                array = array[0]
            if array.ndim != 2:
                raise ValueError(
                    f"the {what}'s item {index} has shape {array.shape}; a list holds arrays [h, w] or [1, h, w]"
                )
            arrays.append(array)
        return arrays
    array = _as_array(values, what)
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
            f"the {what} has shape {array.shape}; pass [h, w], [n, h, w] or [n, 1, h, w]"
        )
    return list(array)


def _as_array(values: Any, what: str) -> NDArray[Any]:
    # a torch tensor, without importing torch
    if hasattr(values, "detach"):
        values = values.detach().cpu()
        values = (values.float() if values.is_floating_point() else values).numpy()
    if isinstance(values, np.ma.MaskedArray):
        raise TypeError(
            f"the {what} is a masked array, whose hidden values would count; fill it first"
        )
    return np.asarray(values)


def _as_map(array: NDArray[Any], n: int) -> NDArray[np.uint8]:
    """The grey levels of the update's n-th saliency map."""
    if array.dtype == np.uint8 and array.size and array.max() == 1:
        # 1 of 255 is almost black and 1 of 1 is white; both occur, and their scores have nothing in common
        raise ValueError(
            "the prediction is uint8 and its largest value is 1: pass a binary map as bool or as 0 and 255, "
            "and a map of 0..255 that is almost black as float, divided by 255"
        )
    return _as_uint8(array, "prediction", n)


def _as_masks(arrays: list[NDArray[Any]]) -> list[NDArray[np.uint8]]:
    """The grey levels of one update's masks: integers that are all 0 or 1 are classes."""
    # of the integer masks
    largest = [
        int(array.max()) if np.issubdtype(array.dtype, np.integer) and array.size else None
        for array in arrays
    ]
    highest = max((level for level in largest if level is not None), default=0)
    if 1 in largest and highest > 1:
        raise ValueError(
            f"one mask's largest value is 1 and another's {highest}: pass all of them as bool, or all as 0 and 255"
        )
    masks = []
    for n, (array, level) in enumerate(zip(arrays, largest, strict=True)):
        classes = level in (0, 1) and array.min() >= 0
        masks.append(_as_uint8(array.astype(np.bool_) if classes else array, "mask", n))
    return masks


def _as_uint8(array: NDArray[Any], what: str, n: int) -> NDArray[np.uint8]:
    if array.dtype == np.uint8:
        return array
    if array.dtype == np.bool_:
        return array.astype(np.uint8) * np.uint8(255)
    if array.dtype == np.float16:
        array = array.astype(np.float32)
    if not np.issubdtype(array.dtype, np.floating):
        classes = ", integers that are all 0 or 1" if what == "mask" else ""
        raise ValueError(
            f"the {what} is {array.dtype}; pass uint8 in 0..255, bool{classes}, or float in [0, 1]"
        )
    # NaN compares false
    wrong = ~((array >= -_OVERSHOOT) & (array <= 1 + _OVERSHOOT))
    if wrong.any():
        y, x = np.argwhere(wrong)[0].tolist()
        raise ValueError(
            f"the {what} has {int(wrong.sum())} value(s) that are NaN or outside [0, 1], "
            f"the first {array[y, x]} at index {(n, y, x)} (n, y, x); {_advice(array, what)}"
        )
    array = np.clip(array, 0, 1)
    # halves to even, as the field's map writers round
    quantised: NDArray[np.uint8] = np.rint(array * array.dtype.type(255)).astype(np.uint8)
    return quantised


def _advice(array: NDArray[Any], what: str) -> str:
    """What probably fixes a float array with values outside [0, 1]."""
    if not np.isfinite(array).all():
        return "no value can be chosen for NaN or infinity"
    if array.min() >= 0 and array.max() <= 255:
        grey = "divide grey levels of 0..255 by 255, or pass them as uint8"
        return grey if what == "mask" or array.max() > 50 else f"{grey}; apply a sigmoid to logits"
    if what == "mask":
        return "the values of a mask are 0 to 1"
    return "apply a sigmoid to logits"
