"""Counted pairs: what is known about a map and its mask, and the counts of their pixels.

One value, `StoredPairs`, is what workers return, what parts and ``counts.npz`` hold, and what scores are computed
from.  ``PAIR_RECORD`` and `sodbench.metrics.Counts` together are the only description of a stored pair.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from sodbench.files import checksum
from sodbench.metrics import PROTOCOLS, CountingScheme, Counts, PairCounts
from sodbench.metrics.catalogue import find_measurements, pixel_metric_names
from sodbench.results.policy import Policy

Records = NDArray[np.void]
RowNumbers = NDArray[np.intp]

# How the map came to the size of its mask
UNCHANGED, MISSING_AS_BLACK = 0, 3
RESIZE_CODES = {"bilinear": 1, "nearest": 2, "bicubic": 4, "opencv": 5}
RESIZED = tuple(RESIZE_CODES.values())

# One pair without its counts.  bytes, mtime, ctime, hash: identity of the file that was read, times in nanoseconds.
# map_size: the map's own height and width.  mask_levels: number of grey levels other than 0 and 255.  foreground: mask
# pixels above 128.  brightest: the map's highest grey level.  notes: how the decoder converted the image.  size and
# absolute_error are those of Counts.
PAIR_RECORD = np.dtype(
    [
        ("map_bytes", "<i8"),
        ("map_mtime", "<i8"),
        ("map_ctime", "<i8"),
        ("map_hash", "<u8"),
        ("mask_bytes", "<i8"),
        ("mask_mtime", "<i8"),
        ("mask_ctime", "<i8"),
        ("mask_hash", "<u8"),
        ("fitted", "u1"),
        ("map_size", "<i4", (2,)),
        ("mask_levels", "<i4"),
        ("foreground", "<i8"),
        ("brightest", "u1"),
        ("map_note", "S60"),
        ("mask_note", "S60"),
        ("size", "<i4", (2,)),
        ("absolute_error", "<i8"),
    ]
)


class FileIdentity(NamedTuple):
    """What a file was when it was read.

    Both times are kept: a modification time in the future, or one set back, hides no later change of the file,
    because the system sets the change time itself.

    Attributes
    ----------
    size : int
        In bytes.
    mtime, ctime : int
        Modification and change time in nanoseconds.
    content : int
        64-bit hash of the content.
    """

    size: int
    mtime: int
    ctime: int
    content: int

    @classmethod
    def from_content(cls, data: bytes, status: os.stat_result) -> "FileIdentity":
        """Return the identity of a file that was read.

        Parameters
        ----------
        data : bytes
            Its whole content.
        status : os.stat_result
            From when it was read.
        """
        return cls(len(data), status.st_mtime_ns, status.st_ctime_ns, checksum(data))


# The identity of a map that is missing and counted as black
NO_FILE = FileIdentity(-1, 0, 0, 0)


def counting_scheme(policy: Policy) -> CountingScheme:
    """Return what is counted for every pair: enough to score it under any known protocol but those on request.

    Parameters
    ----------
    policy : Policy
        Which metrics are computed, and for which protocols on request.
    """
    usual = [name for name in pixel_metric_names() if policy.weighted or name != "wf"]
    metrics = (*usual, *policy.metrics)
    protocols = [p for p in PROTOCOLS.values() if not p.on_request or p.name in policy.protocols]
    return CountingScheme.for_protocols(protocols, measurements=find_measurements(metrics))


@dataclass(frozen=True)
class StoredPairs:
    """Counted pairs in memory; a ``CountsSource`` for `sodbench.metrics.score`.

    Attributes
    ----------
    stems : tuple of str
        The names of N pairs.
    records : structured array of dtype PAIR_RECORD, shape [N]
    counts : Counts
        Of the same pairs.
    """

    stems: tuple[str, ...]
    records: Records
    counts: Counts

    def __len__(self) -> int:
        return len(self.stems)

    def __getitem__(self, rows: RowNumbers) -> Counts:
        return self.counts[rows]

    def read(self, rows: RowNumbers) -> "StoredPairs":
        """Return some pairs.

        Parameters
        ----------
        rows : int64 [n]
            Which, in any order.
        """
        stems = tuple(self.stems[row] for row in rows.tolist())
        return StoredPairs(stems, self.records[rows], self.counts[rows])

    @classmethod
    def stack(
        cls, stems: Sequence[str], records: Sequence[bytes], counts: Sequence[PairCounts]
    ) -> "StoredPairs":
        """Collect single pairs.

        Parameters
        ----------
        stems : sequence of str
            N names.
        records : sequence of bytes
            From `pack_record`.
        counts : sequence of PairCounts
        """
        array = np.frombuffer(b"".join(records), PAIR_RECORD)
        return cls(tuple(stems), array, Counts.from_pairs(counts[0].scheme, counts))

    @classmethod
    def concatenate(cls, parts: Sequence["StoredPairs"]) -> "StoredPairs":
        """Join pairs, in the order of the parts.

        Parameters
        ----------
        parts : sequence of StoredPairs
            At least one.
        """
        if len(parts) == 1:
            return parts[0]
        return cls(
            tuple(stem for part in parts for stem in part.stems),
            np.concatenate([part.records for part in parts]),
            Counts.concatenate(part.counts for part in parts),
        )


@dataclass(frozen=True)
class ScoredPairs:
    """Pairs whose scores are known, so that their counts were not kept; a ``PairSource`` that is never read.

    Attributes
    ----------
    stems : tuple of str
        The names of N pairs.
    records : structured array of dtype PAIR_RECORD, shape [N]
    """

    stems: tuple[str, ...]
    records: Records

    def read(self, rows: RowNumbers) -> StoredPairs:
        """Refuse to return pairs: there are no counts.

        Parameters
        ----------
        rows : int64 [n]

        Raises
        ------
        LookupError
            Always.
        """
        raise LookupError(f"the counts of {self.stems[int(rows[0])]} were not kept")


class PairSource(Protocol):
    """Where counted pairs are read from: memory, or a file whose histograms stay on disk."""

    @property
    def stems(self) -> tuple[str, ...]:
        """The names of N pairs."""

    @property
    def records(self) -> Records:
        """Their records, dtype PAIR_RECORD [N]."""

    def read(self, rows: RowNumbers) -> StoredPairs:
        """Return some pairs.

        Parameters
        ----------
        rows : int64 [n]
            Which, in any order; ascending rows are fastest.
        """


@dataclass(frozen=True)
class PairSelection:
    """Pairs of several sources, in an order of their own; a ``CountsSource`` that reads counts as they are needed.

    Every source is read from its beginning to its end where the selection is in the order of the names, as each of
    the sources is: then no more than a block of each is in memory.

    Attributes
    ----------
    sources : tuple of PairSource
    stems : tuple of str
        The names of N pairs.
    which, rows : int64 [N]
        For each pair, the number of its source and its row there.
    records : structured array of dtype PAIR_RECORD, shape [N]
    """

    sources: tuple[PairSource, ...]
    stems: tuple[str, ...]
    which: RowNumbers
    rows: RowNumbers
    records: Records

    @classmethod
    def select(cls, sources: Sequence[PairSource], stems: Sequence[str]) -> "PairSelection":
        """Find pairs by name; a later source replaces pairs of an earlier one.

        Parameters
        ----------
        sources : sequence of PairSource
        stems : sequence of str
            Names that the sources hold.

        Returns
        -------
        PairSelection
            In the order of ``stems``.
        """
        places = {
            stem: (number, row)
            for number, source in enumerate(sources)
            for row, stem in enumerate(source.stems)
        }
        source_and_row = np.array([places[stem] for stem in stems], np.intp).reshape(-1, 2)
        which, rows = source_and_row[:, 0], source_and_row[:, 1]
        records = np.zeros(len(stems), PAIR_RECORD)
        for number in np.unique(which).tolist():
            mine = which == number
            records[mine] = sources[number].records[rows[mine]]
        return cls(tuple(sources), tuple(stems), which, rows, records)

    def __len__(self) -> int:
        return len(self.stems)

    def __getitem__(self, rows: RowNumbers) -> Counts:
        return self.read(rows).counts

    def whole_source(self) -> PairSource | None:
        """Return the source that holds exactly these pairs, in this order; None if there is none."""
        if not len(self) or (self.which != self.which[0]).any():
            return None
        source = self.sources[int(self.which[0])]
        return source if source.stems == self.stems else None

    def read(self, rows: RowNumbers) -> StoredPairs:
        """Return some pairs, in any order.

        Parameters
        ----------
        rows : int64 [n]
            Which of the selection.
        """
        which = self.which[rows]
        order, parts = [], []
        for number in np.unique(which).tolist():
            mine = np.flatnonzero(which == number)
            parts.append(self.sources[number].read(self.rows[rows[mine]]))
            order.append(mine)
        pairs = StoredPairs.concatenate(parts)
        # each source was read on its own; back into the order that was asked for
        return pairs if len(parts) == 1 else pairs.read(np.argsort(np.concatenate(order)))

    def read_all(self) -> StoredPairs:
        """Return all pairs."""
        return self.read(np.arange(len(self)))


# -- what counted pairs must fulfil ------------------------------------------------------------------


def check_records(records: Records) -> str:
    """Look for values that no counting gives.

    Parameters
    ----------
    records : structured array of dtype PAIR_RECORD, shape [N]

    Returns
    -------
    str
        The first impossible value, e.g. ``pair 3: fitted cannot be 7``; empty if there is none.
    """
    height, width = records["size"][:, 0].astype(np.int64), records["size"][:, 1].astype(np.int64)
    pixels = height * width
    resized = np.isin(records["fitted"], RESIZED)
    same_size = (records["map_size"] == records["size"]).all(axis=1)
    conditions = {
        "size": (height > 0) & (width > 0),
        "map_size": (records["map_size"] > 0).all(axis=1) & (same_size | resized),
        "fitted": resized | np.isin(records["fitted"], (UNCHANGED, MISSING_AS_BLACK)),
        "mask_levels": (records["mask_levels"] >= 0) & (records["mask_levels"] <= 254),
        "foreground": (records["foreground"] >= 0) & (records["foreground"] <= pixels),
        "absolute_error": (records["absolute_error"] >= 0)
        & (records["absolute_error"] <= 255 * pixels),
    }
    for name in ("map_note", "mask_note"):
        notes = records[name]
        # the notes come from a file and are printed: nothing that acts on a terminal
        wrong = [
            note
            for note in set(notes.tolist())
            if not note.decode("utf-8", "replace").isprintable()
        ]
        conditions[name] = ~np.isin(notes, wrong) if wrong else np.ones(len(notes), bool)
    for name, fulfilled in conditions.items():
        if not fulfilled.all():
            row = int(np.flatnonzero(~fulfilled)[0])
            return f"pair {row}: {name} cannot be {records[name][row]}"
    return ""


def check_counts(pairs: StoredPairs) -> str:
    """Look for counts that contradict the records or each other.

    Parameters
    ----------
    pairs : StoredPairs

    Returns
    -------
    str
        The first contradiction; empty if there is none.
    """
    counts, records = pairs.counts, pairs.records
    # [N, 2, 256]
    per_class = counts.histogram.sum(axis=1, dtype=np.int64)
    per_level = per_class.sum(axis=1)
    levels = np.arange(256)
    error = (per_class[:, 0] * levels + per_class[:, 1] * (255 - levels)).sum(axis=1)
    # five bits: four quadrants and the adaptive threshold, see ties.py
    has_possible_flags: NDArray[np.bool_] = np.all(counts.tie_flags < 32, axis=1)
    is_same_map = np.ones(len(pairs), bool)
    for rows, histogram, flags in counts.deviations.values():
        # rules divide the pixels into other classes and quadrants, but the map's grey levels stay the same
        same = per_level[rows] == histogram.sum(axis=(1, 2), dtype=np.int64)
        is_same_map[rows] &= same.all(axis=1)
        has_possible_flags[rows] &= (flags < 32).all(axis=1)
    is_in_range = np.ones(len(pairs), bool)
    for column, values in counts.pixel_metrics.items():
        # the last bits of an optimum may round above 1
        if column.measurement == "wf":
            possible = np.isnan(values) | ((values >= 0) & (values <= 1 + 1e-9))
            is_in_range &= possible.all(axis=1)
    conditions = {
        "the number of counted pixels is not its size": (
            per_level.sum(axis=1) == records["size"].astype(np.int64).prod(axis=1)
        ),
        "foreground is not what its counts give": (
            per_class[:, 1].sum(axis=1) == records["foreground"]
        ),
        "brightest is not what its counts give": (
            255 - (per_level[:, ::-1] > 0).argmax(axis=1) == records["brightest"]
        ),
        "absolute_error is not what its counts give": (
            # the error on a mask with grey levels does not follow from its two classes
            (error == records["absolute_error"]) | (records["mask_levels"] > 0)
        ),
        "its counts under two rules are of different maps": is_same_map,
        "its tie flags are not possible": has_possible_flags,
        "weighted precision or recall is outside [0, 1]": is_in_range,
    }
    for fault, fulfilled in conditions.items():
        if not fulfilled.all():
            return f"pair {int(np.flatnonzero(~fulfilled)[0])}: {fault}"
    return ""
