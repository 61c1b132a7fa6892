"""Counted pairs on disk: a journal while a run is under way, and ``counts.npz`` when it is done.

Both hold the same record of each pair: what its two files were (size, times, content hash), what was noticed while
reading them, and the counts.  The journal is only appended to, one checksummed record at a time, so that a run
killed at any moment loses no more than the pairs in flight.

Nothing that is read back is believed: sizes are checked against the file's own size before memory is allocated, and
every record against what its own counts imply (:func:`check_facts`, :func:`check_joint`).
"""

import ast
import hashlib
import itertools
import math
import os
import stat
import struct
import tempfile
import zipfile
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, NamedTuple, Self

import deflate
import numpy as np
from numpy.typing import NDArray

from sodbench.errors import SodbenchError, StoredFileError
from sodbench.files import (
    CHECKSUM,
    atomic_write,
    checksum,
    file_hash,
    open_regular,
    stream_hash,
    write_error,
)
from sodbench.metrics import Counts, PairCounts
from sodbench.metrics.counts import Deviations
from sodbench.metrics.protocols import DEFAULT_SCHEME, MATLAB_RULE
from sodbench.metrics.ties import TIE_EXCLUDED

FORMAT = 3
"""Raised whenever a record or the way pixels are counted changes: older files are then counted again."""

Records = NDArray[np.void]

PLAIN, BILINEAR, NEAREST, ZERO = 0, 1, 2, 3
"""How the map came to the mask's size: unchanged, resized, or all black because it is missing."""

_PAIR_FIELDS: list[Any] = [
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
    ("knife_edge", "u1", (2,)),
    ("wf", "<f8", (3,)),
    ("joint", "<u4", (4, 2, 256)),
]
PAIR = np.dtype(_PAIR_FIELDS)
"""One pair.  map_bytes/_mtime/_ctime/_hash: size, times (ns) and content hash of the map's file, likewise the
mask's; fitted: PLAIN, BILINEAR, NEAREST or ZERO; map_size: its own height and width; mask_levels: number of grey
levels that are neither 0 nor 255; foreground: pixels above 128; brightest: the map's highest grey level; notes: how
the decoder converted the image; the rest as in metrics.Counts."""

SMALL = np.dtype(_PAIR_FIELDS[:-1])
"""A pair without its joint counts, its last field: a hundred thousand of these fit in memory."""

_PACKED = struct.Struct("<qqqQqqqQB2iiqB60s60s2iq2B3d")
"""SMALL for struct: filling a record field by field through numpy takes far longer."""

_JOINT_SHAPE = (4, 2, 256)
_JOURNAL = np.dtype([("stem", "S16"), ("kind", "u1"), ("pair", PAIR), ("crc", "<u4")])
_PAIR_OFFSET = _JOURNAL.itemsize - PAIR.itemsize - 4
_STANDARD, _MATLAB = 0, 1
_MAGIC_WORDS = b"sodbench pairs "
_MAGIC = _MAGIC_WORDS + f"{FORMAT}\n".encode()
_BLOCK = 256
_NO_WEIGHTED_F = (math.nan,) * len(DEFAULT_SCHEME.columns)
_IN_MEMORY = 1000 * _JOURNAL.itemsize
_MOST_DEFLATED = 1040
"""Deflate cannot shrink data further than about 1,032 times: a ZIP member that claims more is not genuine."""


@dataclass(frozen=True)
class StoredPairs:
    """Counted pairs with their names, in memory; a metrics.CountsSource.

    Attributes
    ----------
    stems : tuple of str
        N names.
    pairs : structured array of dtype PAIR, shape [N]
    matlab_rows : int64 [K]
        The pairs whose counts differ under MATLAB's rule, ascending.
    matlab_joint : uint32 [K, 4, 2, 256]
        Their counts under that rule.
    """

    stems: tuple[str, ...]
    pairs: Records
    matlab_rows: NDArray[np.int64]
    matlab_joint: NDArray[np.uint32]

    def __len__(self) -> int:
        return len(self.stems)

    def __getitem__(self, rows: NDArray[np.intp]) -> Counts:
        return self.counts[rows]

    @property
    def counts(self) -> Counts:
        """The counts alone."""
        return _counts(self.pairs, self.matlab_rows, self.matlab_joint)

    def facts(self) -> Records:
        """All pairs without their joint counts, dtype SMALL."""
        return _small(self.pairs)


def _counts(
    pairs: Records, matlab_rows: NDArray[np.int64], matlab_joint: NDArray[np.uint32]
) -> Counts:
    return Counts(
        scheme=DEFAULT_SCHEME,
        histogram=pairs["joint"],
        tie_flags=pairs["knife_edge"],
        deviations={
            MATLAB_RULE: Deviations(
                matlab_rows, matlab_joint, pairs["knife_edge"][matlab_rows] & np.uint8(TIE_EXCLUDED)
            )
        },
        size=pairs["size"],
        absolute_error=pairs["absolute_error"],
        pixel_metrics={c: pairs["wf"][:, i] for i, c in enumerate(DEFAULT_SCHEME.columns)},
    )


def _small(pairs: Records) -> Records:
    records = np.zeros(len(pairs), SMALL)
    for name in SMALL.names or ():
        records[name] = pairs[name]
    return records


# -- hashes and file identity -----------------------------------------------------------------------


class FileFacts(NamedTuple):
    """What a file was when it was read.

    Both times are kept: a modification time in the future, or one set back, hides no later change of the file,
    because the system sets the change time itself.
    """

    size: int
    mtime: int
    ctime: int
    content: int

    @classmethod
    def of(cls, data: bytes, status: os.stat_result) -> "FileFacts":
        """The facts of a file from its content and status."""
        return cls(len(data), status.st_mtime_ns, status.st_ctime_ns, checksum(data))


def packed(
    *,
    map_file: FileFacts,
    mask_file: FileFacts,
    fitted: int,
    map_size: tuple[int, int],
    mask_levels: int,
    foreground: int,
    map_note: str,
    mask_note: str,
    counts: PairCounts,
) -> bytes:
    """The record of one pair, dtype PAIR, where the arguments are explained."""
    small = _PACKED.pack(
        *map_file,
        *mask_file,
        fitted,
        *map_size,
        mask_levels,
        foreground,
        counts.brightest,
        map_note.encode(),
        mask_note.encode(),
        *counts.size,
        counts.absolute_error,
        *counts.tie_flags,
        *(counts.pixel_metrics or _NO_WEIGHTED_F),
    )
    return small + counts.histogram.tobytes()


# -- what a record must fulfil ----------------------------------------------------------------------


def check_facts(facts: Records) -> str:
    """What is impossible in N records, dtype SMALL or PAIR, e.g. ``pair 3: fitted is 7``; nothing if all can be."""
    height, width = facts["size"][:, 0].astype(np.int64), facts["size"][:, 1].astype(np.int64)
    pixels = height * width
    wf = facts["wf"]
    conditions = {
        "size": (height > 0) & (width > 0),
        "map_size": (facts["map_size"] > 0).all(axis=1)
        & ((facts["map_size"] == facts["size"]).all(axis=1) | np.isin(facts["fitted"], (1, 2))),
        "fitted": facts["fitted"] <= ZERO,
        "mask_levels": (facts["mask_levels"] >= 0) & (facts["mask_levels"] <= 254),
        "foreground": (facts["foreground"] >= 0) & (facts["foreground"] <= pixels),
        "absolute_error": (facts["absolute_error"] >= 0)
        & (facts["absolute_error"] <= 255 * pixels),
        "knife_edge": (facts["knife_edge"] < 32).all(axis=1),
        # the last bits of an optimum may round above 1
        "wf": (np.isnan(wf) | ((wf >= 0) & (wf <= 1 + 1e-9))).all(axis=1),
    }
    for name in ("map_note", "mask_note"):
        notes = facts[name]
        wrong = [
            note for note in np.unique(notes) if not note.decode("utf-8", "replace").isprintable()
        ]
        conditions[name] = ~np.isin(notes, wrong)
    for name, fulfilled in conditions.items():
        if not fulfilled.all():
            row = int(np.flatnonzero(~fulfilled)[0])
            return f"pair {row}: {name} cannot be {facts[name][row]}"
    return ""


def check_joint(pairs: Records) -> str:
    """As :func:`check_facts`, for what the joint counts of N pairs (dtype PAIR) imply about their facts."""
    joint = pairs["joint"]
    per_class = joint.sum(axis=1, dtype=np.int64)  # [N, 2, 256]
    per_level = per_class.sum(axis=1)
    pixels = pairs["size"].astype(np.int64).prod(axis=1)
    levels = np.arange(256)
    error = (per_class[:, 0] * levels + per_class[:, 1] * (255 - levels)).sum(axis=1)
    brightest = 255 - (per_level[:, ::-1] > 0).argmax(axis=1)
    conditions = {
        "the number of counted pixels": per_level.sum(axis=1) == pixels,
        "foreground": per_class[:, 1].sum(axis=1) == pairs["foreground"],
        "brightest": brightest == pairs["brightest"],
        "absolute_error": (error == pairs["absolute_error"]) | (pairs["mask_levels"] > 0),
    }
    for name, fulfilled in conditions.items():
        if not fulfilled.all():
            return f"pair {int(np.flatnonzero(~fulfilled)[0])}: {name} is not what its counts give"
    return ""


def _check_matlab(pairs: Records, matlab_joint: NDArray[np.uint32]) -> str:
    """As :func:`check_joint`, for the counts of the same pairs under MATLAB's rule: the maps are the same."""
    ours = pairs["joint"].sum(axis=(1, 2), dtype=np.int64)
    theirs = matlab_joint.sum(axis=(1, 2), dtype=np.int64)
    wrong = np.flatnonzero((ours != theirs).any(axis=1))
    return f"pair {int(wrong[0])}: its two counts are of different maps" if len(wrong) else ""


# -- the journal ------------------------------------------------------------------------------------


def _key(stem: str) -> bytes:
    digest = hashlib.blake2b(stem.encode("utf-8", "surrogateescape"), digest_size=15).digest()
    return digest + b"\1"  # numpy strips trailing zero bytes from S fields


def _record(key: bytes, kind: int, pair: bytes) -> bytes:
    """A record of the journal."""
    body = key + bytes([kind]) + pair
    return body + deflate.crc32(body).to_bytes(4, "little")


class Journal:
    """Pairs counted so far, appended one by one to a file; also the source that scores are computed from.

    Opening it checks every record.  A record cut short at the end is what a killed run leaves, and is dropped; any
    other damage makes the whole journal untrustworthy: ``damage`` says what it was, and the journal starts empty.
    Without a path the pairs live in memory, and from a thousand on in a temporary file.

    MATLAB's counts of a pair, where they differ, are a record of their own, directly before the pair's.

    The caller holds the lock of the folder (:func:`sodbench.files.lock_folder`).  A link or a file that is not a
    journal is refused: it belongs to someone else.
    """

    def __init__(self, path: Path | None, *, empty: bool = False):
        """Open the journal; with ``empty`` what it holds is dropped unread."""
        self.path = path
        self.damage = ""
        self._row: dict[bytes, int] = {}
        self._after_matlab: set[int] = set()
        self._rows = 0
        self._file: Any
        if path is None:
            self._file = tempfile.SpooledTemporaryFile(_IN_MEMORY)  # noqa: SIM115
        else:
            self._file = self._open(path)
        size = self._file.seek(0, os.SEEK_END)
        self._file.seek(0)
        start = self._file.read(min(size, len(_MAGIC)))
        if not _MAGIC_WORDS.startswith(start[: len(_MAGIC_WORDS)]):
            self._file.close()
            raise SodbenchError(
                f"{path}: is not a journal of sodbench, whose name it has; remove it, or choose another output folder"
            )
        if empty or size < len(_MAGIC):
            self._start()
        elif start != _MAGIC:
            self._restart("it was written by another version")
        else:
            self._read()

    @staticmethod
    def _open(path: Path) -> Any:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            # not through a link, whose target is someone else's; not blocking on a pipe
            flags = os.O_RDWR | os.O_CREAT | os.O_APPEND
            flags |= getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
            flags |= getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0)
            number = os.open(path, flags, 0o666)
        except OSError as error:
            if path.is_symlink():
                raise SodbenchError(
                    f"{path}: is a link; remove it, or choose another output folder"
                ) from error
            raise write_error(path, error) from error
        if not stat.S_ISREG(os.fstat(number).st_mode):
            os.close(number)
            raise SodbenchError(
                f"{path}: is not a regular file; remove it, or choose another output folder"
            )
        # unbuffered, so that what was appended survives a killed process
        return os.fdopen(number, "a+b", buffering=0)

    def _read(self) -> None:
        matlab: bytes | None = None  # the pair whose MATLAB counts were the record before
        held = np.zeros(
            0, _JOURNAL
        )  # such a record at the end of a block, to be checked with its pair
        while block := self._file.read(_JOURNAL.itemsize * _BLOCK):
            whole = len(block) // _JOURNAL.itemsize
            records = np.frombuffer(block, _JOURNAL, count=whole)
            for record in records:
                if deflate.crc32(record.tobytes()[:-4]) != record["crc"]:
                    self._restart(f"record {self._rows} does not match its checksum")
                    return
                key = record["stem"]
                if record["kind"] == _MATLAB:
                    matlab = key
                elif record["kind"] == _STANDARD:
                    self._enter(key, self._rows, matlab=matlab == key)
                    matlab = None
                else:
                    self._restart(f"record {self._rows} is of an unknown kind")
                    return
                self._rows += 1
            if len(held):
                records = np.concatenate([held, records])
            held = records[-1:] if matlab is not None else records[:0]
            if wrong := self._check_records(records):
                self._restart(wrong)
                return
        self._rows -= matlab is not None  # without its pair it says nothing
        self._file.truncate(self._end)

    def _check_records(self, records: Records) -> str:
        """As :func:`check_joint`, for whole records that follow each other in the file."""
        pairs, matlab = records["pair"], records["kind"] == _MATLAB
        same = records["stem"][:-1] == records["stem"][1:]
        first = np.flatnonzero(matlab[:-1] & ~matlab[1:] & same)
        return (
            check_facts(pairs)
            or check_joint(pairs[~matlab])
            or _check_matlab(pairs[first + 1], pairs["joint"][first])
        )

    def _restart(self, damage: str) -> None:
        self.damage = damage
        self._row.clear()
        self._after_matlab.clear()
        self._rows = 0
        self._start()

    def _start(self) -> None:
        """Empty the file."""
        self._file.truncate(0)
        self._write(0, _MAGIC)

    def __len__(self) -> int:
        return len(self._row)

    @property
    def _end(self) -> int:
        """Where the next record goes."""
        return len(_MAGIC) + self._rows * _JOURNAL.itemsize

    def _enter(self, key: bytes, row: int, *, matlab: bool) -> None:
        """Remember where a pair is, and whether MATLAB's counts are directly before it."""
        self._row[key] = row
        if matlab:
            self._after_matlab.add(row)

    def append(self, pairs: Iterable[tuple[str, bytes, NDArray[np.uint32] | None]]) -> None:
        """Add pairs: name, record (dtype PAIR) and MATLAB's counts where they differ, uint32 [4, 2, 256].

        A later record of the same name replaces an earlier one.  Raises :class:`SodbenchError` where they cannot be
        written; the journal is then what it was.
        """
        content: list[bytes] = []
        places: list[tuple[bytes, int, bool]] = []
        for stem, pair, matlab_joint in pairs:
            key = _key(stem)
            if matlab_joint is not None:
                matlab = pair[: SMALL.itemsize] + matlab_joint.astype("<u4").tobytes()
                content.append(_record(key, _MATLAB, matlab))
            places.append((key, self._rows + len(content), matlab_joint is not None))
            content.append(_record(key, _STANDARD, pair))
        self._write(self._end, b"".join(content))
        self._rows += len(content)
        for key, row, has_matlab in places:
            self._enter(key, row, matlab=has_matlab)

    def _write(self, start: int, content: bytes) -> None:
        """Write at the end of the file, which is at ``start``: all of it or nothing."""
        try:
            self._file.seek(start)
            rest = memoryview(content)
            while rest:  # a file without a buffer may take a part
                rest = rest[self._file.write(rest) :]
            self._file.flush()
        except OSError as error:
            with suppress(OSError):
                self._file.truncate(start)
            raise write_error(self.path or Path(tempfile.gettempdir()), error) from error

    def append_all(self, parts: Iterable[StoredPairs], leave_out: Collection[str] = ()) -> None:
        """Add the pairs of other stores, but those of some names."""
        for stored in parts:
            slot = dict(zip(stored.matlab_rows.tolist(), stored.matlab_joint, strict=True))
            self.append(
                (stem, stored.pairs[row].tobytes(), slot.get(row))
                for row, stem in enumerate(stored.stems)
                if stem not in leave_out
            )

    def find(self, stem: str) -> Records | None:
        """The pair of that stem, dtype PAIR [1], or None."""
        row = self._row.get(_key(stem)) if self._row else None
        return None if row is None else _pairs(self._read_rows(np.array([row])))

    def select(self, stems: Sequence[str]) -> "JournalPairs":
        """These pairs, in this order."""
        rows = [self._row[_key(stem)] for stem in stems]
        return JournalPairs(self, tuple(stems), np.array(rows, np.int64))

    def _read_rows(self, rows: NDArray[np.int64]) -> NDArray[np.uint8]:
        """Whole records, uint8 [n, bytes].  Rows that follow each other, as they mostly do, are read at once."""
        records = np.empty((len(rows), _JOURNAL.itemsize), np.uint8)
        breaks = (np.flatnonzero(np.diff(rows) != 1) + 1).tolist()
        for begin, end in itertools.pairwise([0, *breaks, len(rows)] if len(rows) else []):
            self._file.seek(len(_MAGIC) + int(rows[begin]) * _JOURNAL.itemsize)
            rest = records[begin:end].data.cast("B")
            while rest:
                part = self._file.readinto(rest)
                if not part:
                    raise SodbenchError(
                        f"{self.path or 'the temporary file of counts'}: was cut short while it was in use; score again"
                    )
                rest = rest[part:]
        return records

    def close(self, *, delete: bool = False) -> None:
        """Close the file, and delete it when its pairs are safe elsewhere."""
        self._file.close()
        if delete and self.path:
            self.path.unlink(missing_ok=True)


def _pairs(records: NDArray[np.uint8]) -> Records:
    """The pairs, dtype PAIR [n], of whole records."""
    pairs: Records = records.view(_JOURNAL)["pair"][:, 0]
    return pairs


@dataclass(frozen=True)
class JournalPairs:
    """Some pairs of a journal, in an order; a metrics.CountsSource: counts are read as they are asked for.

    rows: int64 [N], the numbers of their records.
    """

    journal: Journal
    stems: tuple[str, ...]
    rows: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.stems)

    def __getitem__(self, which: NDArray[np.intp] | slice) -> Counts:
        return _counts(*self._read(which))

    def stored(self) -> StoredPairs:
        """All of them."""
        return StoredPairs(self.stems, *self._read(slice(None)))

    def facts(self) -> Records:
        """All of them without their joint counts, dtype SMALL."""
        facts = np.empty((len(self), SMALL.itemsize), np.uint8)
        small = slice(_PAIR_OFFSET, _PAIR_OFFSET + SMALL.itemsize)
        for start in range(0, len(self), _BLOCK):
            block = slice(start, start + _BLOCK)
            facts[block] = self.journal._read_rows(self.rows[block])[:, small]
        return facts.view(SMALL)[:, 0]

    def _read(
        self, which: NDArray[np.intp] | slice
    ) -> tuple[Records, NDArray[np.int64], NDArray[np.uint32]]:
        """The pairs, dtype PAIR [n]; which of them have MATLAB's counts, and these."""
        rows, after_matlab = self.rows[which], self.journal._after_matlab
        matlab_rows = [i for i, row in enumerate(rows.tolist()) if row in after_matlab]
        matlab = _pairs(self.journal._read_rows(rows[matlab_rows] - 1))
        pairs = _pairs(self.journal._read_rows(rows))
        return pairs, np.array(matlab_rows, np.int64), np.ascontiguousarray(matlab["joint"])


# -- counts.npz -------------------------------------------------------------------------------------


def write_counts(path: Path, pairs: JournalPairs) -> str:
    """Write ``counts.npz`` of these pairs, a block at a time; the file appears whole or not at all.

    Returns the :func:`file_hash` of what was written.
    """
    facts = pairs.facts()
    matlab_rows = [np.zeros(0, np.int64)]
    matlab_joint = [np.zeros((0, *_JOINT_SHAPE), np.uint32)]
    with atomic_write(path) as temporary:
        # archive members that are named by a string are dated 1980, so that equal pairs make equal files
        with zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
            with archive.open("joint.npy", "w", force_zip64=True) as member:
                header = {
                    "descr": "<u4",
                    "fortran_order": False,
                    "shape": (len(pairs), *_JOINT_SHAPE),
                }
                np.lib.format.write_array_header_1_0(member, header)
                for start in range(0, len(pairs), _BLOCK):
                    block = pairs[start : start + _BLOCK]
                    member.write(block.histogram.tobytes())
                    matlab = block.deviations[MATLAB_RULE]
                    matlab_rows.append(matlab.rows + start)
                    matlab_joint.append(matlab.histogram)
            arrays = [
                ("format", np.array([FORMAT], np.int64)),
                ("stems", np.array(pairs.stems, dtype=np.str_)),
                *((name, facts[name]) for name in SMALL.names or ()),
                ("matlab_rows", np.concatenate(matlab_rows)),
                ("matlab_joint", np.concatenate(matlab_joint)),
            ]
            for name, array in arrays:
                with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                    np.lib.format.write_array(
                        member, np.ascontiguousarray(array), allow_pickle=False
                    )
            archive.comment = _seal(archive)
        return file_hash(temporary, CHECKSUM)


def _seal(archive: zipfile.ZipFile) -> bytes:
    """The archive's comment: a digest of its members' names, sizes and checksums.

    A killed run leaves ``counts.npz`` without the ``result.json`` that knows its hash.  The comment then tells a file
    that sodbench wrote from one that was edited.
    """
    digest = hashlib.blake2b(digest_size=16)
    for member in archive.infolist():
        digest.update(f"{member.filename}\0{member.file_size}\0{member.CRC}\n".encode())
    return f"sodbench counts {FORMAT} {digest.hexdigest()}".encode()


class CountsFile:
    """An open ``counts.npz``: a metrics.CountsSource that reads its counts block by block, in the order of the file.

    Attributes
    ----------
    stems : tuple of str
        The pairs' names.
    matlab_rows : int64 [K]
        The pairs whose counts differ under MATLAB's rule, ascending.
    hash : str
        The :func:`file_hash` of the file.

    Raises
    ------
    SodbenchError
        Where the file cannot be read, is damaged, of another version, not what was stored (``stored_hash``), or holds
        what no counting gives.  Everything is checked before it is used: sizes before memory is allocated, the joint
        counts as they are read.
    """

    def __init__(self, path: Path, stored_hash: str | None = None):
        self.path = path
        self._position = 0
        self._all: StoredPairs | None = None
        with self._errors():
            self._file = open_regular(path)
            try:
                self.hash = stream_hash(self._file, CHECKSUM)
                if stored_hash is not None and self.hash != stored_hash:
                    raise StoredFileError.modified(path)
                self._file.seek(0)
                self._archive = zipfile.ZipFile(self._file)
                self._check_archive(os.fstat(self._file.fileno()).st_size)
                self._read_facts()
                self._rewind()
            except BaseException:
                self._file.close()
                raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def __len__(self) -> int:
        return len(self.stems)

    def facts(self) -> Records:
        """All pairs without their joint counts, dtype SMALL."""
        return self._facts

    def __getitem__(self, rows: NDArray[np.intp]) -> Counts:
        """The counts of some pairs; only rows that follow the ones read last, or start at 0, are read as a stream."""
        first = int(rows[0]) if len(rows) else 0
        if self._all is None and np.array_equal(rows, np.arange(first, first + len(rows))):
            if first == 0:
                self._rewind()
            if first == self._position:
                return self._next(len(rows)).counts
        if self._all is None:
            self._all = self.read()
        return self._all.counts[rows]

    def read(self) -> StoredPairs:
        """All pairs."""
        self._rewind()
        return self._next(len(self))

    def blocks(self) -> Iterator[StoredPairs]:
        """All pairs, some hundred at a time."""
        self._rewind()
        while self._position < len(self):
            yield self._next(_BLOCK)

    def _check_archive(self, size: int) -> None:
        members = self._archive.infolist()
        names = [member.filename for member in members]
        expected = {f"{name}.npy" for name in ("format", "stems", "matlab_rows", "matlab_joint")}
        expected |= {f"{name}.npy" for name in PAIR.names or ()}
        if self._archive.comment != _seal(self._archive):
            if "format.npy" in names and self._array("format", np.dtype("<i8"), (1,)) != [FORMAT]:
                raise StoredFileError(self.path, "written by another version of sodbench")
            raise ValueError("its seal is broken: it was modified after it was written")
        if len(names) != len(expected) or set(names) != expected:
            raise ValueError("its members are not those of a counts file")
        if any(m.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED) for m in members):
            raise ValueError("it is compressed in another way than sodbench does")
        if sum(m.file_size for m in members) > _MOST_DEFLATED * size:
            raise ValueError("it claims to hold more than its size can")
        if self._array("format", np.dtype("<i8"), (1,)).tolist() != [FORMAT]:
            raise StoredFileError(self.path, "written by another version of sodbench")

    def _read_facts(self) -> None:
        with self._archive.open("stems.npy") as member:
            dtype, shape = _array_header(member)
        if dtype.kind != "U" or len(shape) != 1 or shape[0] < 1:
            raise ValueError("stems is not a list of names")
        number = shape[0]
        self.stems = tuple(self._array("stems", dtype, shape).tolist())
        if len(set(self.stems)) < number or list(self.stems) != sorted(self.stems):
            raise ValueError("its pairs are not in the order of their names, each once")
        self._facts = np.zeros(number, SMALL)
        for name in SMALL.names or ():
            field = SMALL[name]
            self._facts[name] = self._array(name, field.base, (number, *field.shape))
        if wrong := check_facts(self._facts):
            raise ValueError(wrong)
        with self._archive.open("matlab_rows.npy") as member:
            _, shape = _array_header(member)
        rows = self._array("matlab_rows", np.dtype("<i8"), shape[:1])
        if len(rows) and (rows[0] < 0 or rows[-1] >= number or (np.diff(rows) <= 0).any()):
            raise ValueError("matlab_rows are not rows of the pairs, ascending")
        self.matlab_rows: NDArray[np.int64] = rows

    def _array(self, name: str, dtype: np.dtype[Any], shape: tuple[int, ...]) -> NDArray[Any]:
        """A whole member, which must have this type and shape."""
        with self._member(name, dtype, shape) as member:
            array = _take(member, dtype, shape)
            if member.read(1):  # also what makes zipfile look at the checksum
                raise ValueError(f"{name} is longer than it says")
            return array

    def _member(self, name: str, dtype: np.dtype[Any], shape: tuple[int, ...]) -> IO[bytes]:
        """A member, read up to its first value."""
        member = self._archive.open(f"{name}.npy")
        found = _array_header(member)
        if found != (dtype, shape):
            raise ValueError(f"{name} is {found[0]} {found[1]} instead of {dtype} {shape}")
        stated = self._archive.getinfo(f"{name}.npy").file_size
        if stated - member.tell() != dtype.itemsize * int(np.prod(shape, dtype=object)):
            raise ValueError(f"{name} is not as long as its shape says")
        return member

    def _rewind(self) -> None:
        self._position = 0
        joint = np.dtype("<u4")
        self._joint = self._member("joint", joint, (len(self), *_JOINT_SHAPE))
        matlab_shape = (len(self.matlab_rows), *_JOINT_SHAPE)
        self._matlab_joint = self._member("matlab_joint", joint, matlab_shape)

    def _next(self, number: int) -> StoredPairs:
        """The pairs that follow, at most ``number``."""
        with self._errors():
            start = self._position
            end = min(start + number, len(self))
            pairs = np.zeros(end - start, PAIR)
            for name in SMALL.names or ():
                pairs[name] = self._facts[name][start:end]
            pairs["joint"] = _take(self._joint, np.dtype("<u4"), (end - start, *_JOINT_SHAPE))
            first, last = np.searchsorted(self.matlab_rows, (start, end))
            rows = self.matlab_rows[first:last] - start
            matlab = _take(self._matlab_joint, np.dtype("<u4"), (len(rows), *_JOINT_SHAPE))
            if wrong := check_joint(pairs) or _check_matlab(pairs[rows], matlab):
                raise ValueError(f"from pair {start} on, {wrong}")
            self._position = end
            if end == len(self) and (self._joint.read(1) or self._matlab_joint.read(1)):
                raise ValueError("the counts are longer than they say")
            return StoredPairs(self.stems[start:end], pairs, rows, matlab)

    @contextmanager
    def _errors(self) -> Iterator[None]:
        """One kind of error for everything a damaged or hostile archive can cause in zipfile, zlib and numpy."""
        try:
            yield
        except SodbenchError:
            raise
        except OSError as error:
            reason = f"cannot be read ({error.strerror or error})"
            raise StoredFileError(self.path, reason) from error
        except Exception as error:
            raise StoredFileError(self.path, f"damaged counts file ({error})") from error


def _array_header(member: IO[bytes]) -> tuple[np.dtype[Any], tuple[int, ...]]:
    """Type and shape of a .npy member; its header is at most a thousand characters of a plain literal."""
    start = member.read(10)
    if len(start) < 10 or start[:8] != b"\x93NUMPY\x01\x00":
        raise ValueError("a member is not an array")
    length = int.from_bytes(start[8:], "little")
    header = ast.literal_eval(member.read(length).decode("latin-1")) if length <= 1000 else {}
    if not isinstance(header, dict) or header.keys() != {"descr", "fortran_order", "shape"}:
        raise ValueError("a member has no array header")
    shape = header["shape"]
    plain = isinstance(header["descr"], str) and header["fortran_order"] is False
    if not plain or not all(type(side) is int and 0 <= side < 2**40 for side in shape):
        raise ValueError("a member is an array of another kind than sodbench writes")
    dtype = np.dtype(header["descr"])
    if dtype.hasobject:
        raise ValueError("a member holds Python objects")
    return dtype, tuple(shape)


def _take(member: IO[bytes], dtype: np.dtype[Any], shape: tuple[int, ...]) -> NDArray[Any]:
    """The next values of a member, whose size was checked before."""
    length = dtype.itemsize * int(np.prod(shape, dtype=object))
    data = member.read(length) if length else b""
    if len(data) != length:
        raise ValueError("a member ends too early")
    return np.frombuffer(data, dtype).reshape(shape)


def read_counts(path: Path, stored_hash: str | None = None) -> StoredPairs:
    """Read ``counts.npz`` whole.  Raises as :class:`CountsFile`."""
    with CountsFile(path, stored_hash) as file:
        return file.read()
