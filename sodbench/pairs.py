"""Counted pairs on disk: a journal while they are being counted, and ``counts.npz`` when they are done.

Both hold the same record of each pair: what its two files were (size, time, content hash), what was noticed while
reading them, and the counts.  The journal is only appended to, one checksummed record at a time, so that a run
killed at any moment loses no more than the pairs in flight.
"""

import hashlib
import itertools
import os
import struct
import tempfile
import zipfile
import zlib
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import deflate
import numpy as np
from numpy.typing import NDArray

from sodbench.errors import SodbenchError
from sodbench.folders import replacing, unwritable
from sodbench.metrics import Counts, PairCounts

FORMAT = 2
"""Raised whenever a record or the way pixels are counted changes: older files are then counted anew."""

Records = NDArray[np.void]

PLAIN, BILINEAR, NEAREST, ZERO = 0, 1, 2, 3
"""How the map came to the mask's size: as it is, resized, or taken to be all black because it is missing."""

_PAIR_FIELDS: list[Any] = [
    ("map_bytes", "<i8"),
    ("map_time", "<i8"),
    ("map_hash", "<u8"),
    ("mask_bytes", "<i8"),
    ("mask_time", "<i8"),
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
"""One pair.  map_bytes/_time/_hash: size, modification time (ns) and content hash of the map's file, likewise the
mask's; fitted: PLAIN, BILINEAR, NEAREST or ZERO; map_size: its own height and width; mask_levels: number of grey levels
that are neither 0 nor 255; foreground: its pixels above 128; brightest: the map's highest grey level; notes: how the decoder converted the picture; the rest as in metrics.Counts."""

SMALL = np.dtype(_PAIR_FIELDS[:-1])
"""A pair without its joint counts, its last field: a hundred thousand of these fit in memory."""

_PACKED = struct.Struct("<qqQqqQB2iiqB60s60s2iq2B3d")
"""SMALL for struct: filling a record field by field through numpy takes far longer."""

_JOURNAL = np.dtype([("stem", "S16"), ("kind", "u1"), ("pair", PAIR), ("crc", "<u4")])
_PAIR_OFFSET = _JOURNAL.itemsize - PAIR.itemsize - 4
_STANDARD, _MATLAB = 0, 1
_MAGIC = f"sodbench pairs {FORMAT}\n".encode()
_BLOCK = 256
_IN_MEMORY = 1000 * _JOURNAL.itemsize


@dataclass(frozen=True)
class StoredPairs:
    """Counted pairs with their names: ``pairs`` of dtype PAIR [N]; MATLAB's counts where they differ."""

    stems: tuple[str, ...]
    pairs: Records
    matlab_rows: NDArray[np.int64]
    matlab_joint: NDArray[np.uint32]

    @property
    def counts(self) -> Counts:
        """The counts alone."""
        return _counts(self.pairs, self.matlab_rows, self.matlab_joint)


def _counts(
    pairs: Records, matlab_rows: NDArray[np.int64], matlab_joint: NDArray[np.uint32]
) -> Counts:
    return Counts(
        joint=pairs["joint"],
        matlab_rows=matlab_rows,
        matlab_joint=matlab_joint,
        size=pairs["size"],
        absolute_error=pairs["absolute_error"],
        knife_edge=pairs["knife_edge"],
        wf=pairs["wf"],
    )


def content_hash(data: bytes) -> int:
    """64 bits that tell a changed file from one whose date alone is new.

    Two checksums take a tenth of a cryptographic hash's time, and nobody forges maps against his own cache.
    """
    return deflate.crc32(data) << 32 | deflate.adler32(data)


def file_hash(path: Path) -> str:
    """The :func:`content_hash` of a file, 16 hexadecimal digits, a piece at a time."""
    crc, adler = 0, 1
    with path.open("rb") as file:
        while piece := file.read(2**20):
            crc, adler = deflate.crc32(piece, crc), deflate.adler32(piece, adler)
    return f"{crc << 32 | adler:016x}"


class FileFacts(NamedTuple):
    """What a file was when it was read: bytes, time of its last change (ns), content hash."""

    size: int
    time: int
    content: int


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
        *counts.knife_edge,
        *counts.wf,
    )
    return small + counts.joint.tobytes()


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
    """

    def __init__(self, path: Path | None):
        self.path = path
        self.damage = ""
        self._row: dict[bytes, int] = {}
        self._after_matlab: set[int] = set()
        self._rows = 0
        self._file: Any
        if path is None:
            self._file = tempfile.SpooledTemporaryFile(_IN_MEMORY)  # noqa: SIM115
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            # unbuffered, so that what was appended survives a killed process
            self._file = path.open("a+b", buffering=0)
            self._lock(path)
        if self._file.seek(0, os.SEEK_END) < len(_MAGIC):
            self._start()
        else:
            self._file.seek(0)
            self._read()

    def _lock(self, path: Path) -> None:
        """Refuse a journal that another process is writing to (where the system has such locks)."""
        try:
            import fcntl
        except ImportError:
            return
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            self._file.close()
            raise SodbenchError(
                f"{path.parent}: another process is scoring into this folder; wait for it, or choose another output folder"
            ) from error

    def _read(self) -> None:
        if self._file.read(len(_MAGIC)) != _MAGIC:
            self._restart("it was written by another version or is not a journal")
            return
        matlab: bytes | None = None  # the pair whose MATLAB counts were the record before
        while block := self._file.read(_JOURNAL.itemsize * _BLOCK):
            whole = len(block) // _JOURNAL.itemsize
            for record in np.frombuffer(block, _JOURNAL, count=whole):
                if deflate.crc32(record.tobytes()[:-4]) != record["crc"]:
                    self._restart(f"record {self._rows} does not match its checksum")
                    return
                key = record["stem"]
                if record["kind"] == _MATLAB:
                    matlab = key
                else:
                    self._enter(key, self._rows, matlab=matlab == key)
                    matlab = None
                self._rows += 1
        self._rows -= matlab is not None  # without its pair it says nothing
        self._file.truncate(self._end)

    def _restart(self, damage: str) -> None:
        self.damage = damage
        self._row.clear()
        self._after_matlab.clear()
        self._rows = 0
        self._start()

    def _start(self) -> None:
        """Begin the file anew."""
        self._file.truncate(0)
        self._write(0, _MAGIC)

    @property
    def _end(self) -> int:
        """Where the next record goes."""
        return len(_MAGIC) + self._rows * _JOURNAL.itemsize

    def _enter(self, key: bytes, row: int, *, matlab: bool) -> None:
        """Remember where a pair is, and whether MATLAB's counts stand before it."""
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
            raise unwritable(self.path or Path(tempfile.gettempdir()), error) from error

    def append_all(self, stored: StoredPairs, leave_out: Collection[str] = ()) -> None:
        """Add the pairs of another store, but those of some names."""
        slot = dict(zip(stored.matlab_rows.tolist(), stored.matlab_joint, strict=True))
        for row, stem in enumerate(stored.stems):
            if stem not in leave_out:
                self.append([(stem, stored.pairs[row].tobytes(), slot.get(row))])

    def find(self, stem: str) -> Records | None:
        """The pair of that stem, dtype PAIR [1], or None."""
        row = self._row.get(_key(stem)) if self._row else None
        return None if row is None else _pairs(self._read_rows(np.array([row])))

    def chosen(self, stems: Sequence[str]) -> "JournalPairs":
        """These pairs, in this order."""
        rows = [self._row[_key(stem)] for stem in stems]
        return JournalPairs(self, tuple(stems), np.array(rows, np.int64))

    def _read_rows(self, rows: NDArray[np.int64]) -> NDArray[np.uint8]:
        """Whole records, uint8 [n, bytes].  Rows that follow each other, as they mostly do, are read at once."""
        found = np.empty((len(rows), _JOURNAL.itemsize), np.uint8)
        breaks = (np.flatnonzero(np.diff(rows) != 1) + 1).tolist()
        for begin, end in itertools.pairwise([0, *breaks, len(rows)] if len(rows) else []):
            self._file.seek(len(_MAGIC) + int(rows[begin]) * _JOURNAL.itemsize)
            rest = found[begin:end].data.cast("B")
            while rest:
                part = self._file.readinto(rest)
                if not part:
                    raise SodbenchError(
                        f"{self.path or 'the temporary file of counts'}: was cut short while it was in use; score again"
                    )
                rest = rest[part:]
        return found

    def close(self, *, delete: bool = False) -> None:
        """Close the file, and delete it when its pairs are safe elsewhere."""
        self._file.close()
        if delete and self.path:
            self.path.unlink(missing_ok=True)


def _pairs(records: NDArray[np.uint8]) -> Records:
    """The pairs, dtype PAIR [n], of whole records."""
    found: Records = records.view(_JOURNAL)["pair"][:, 0]
    return found


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
        found = np.empty((len(self), SMALL.itemsize), np.uint8)
        small = slice(_PAIR_OFFSET, _PAIR_OFFSET + SMALL.itemsize)
        for start in range(0, len(self), _BLOCK):
            block = slice(start, start + _BLOCK)
            found[block] = self.journal._read_rows(self.rows[block])[:, small]
        return found.view(SMALL)[:, 0]

    def _read(
        self, which: NDArray[np.intp] | slice
    ) -> tuple[Records, NDArray[np.int64], NDArray[np.uint32]]:
        """The pairs, dtype PAIR [n]; which of them have MATLAB's counts, and these."""
        rows, after_matlab = self.rows[which], self.journal._after_matlab
        matlab_rows = [i for i, row in enumerate(rows.tolist()) if row in after_matlab]
        matlab = _pairs(self.journal._read_rows(rows[matlab_rows] - 1))
        pairs = _pairs(self.journal._read_rows(rows))
        return pairs, np.array(matlab_rows, np.int64), np.ascontiguousarray(matlab["joint"])


def write_counts(path: Path, pairs: JournalPairs) -> None:
    """Write ``counts.npz`` of these pairs, a block at a time; the file appears whole or not at all."""
    facts = pairs.facts()
    matlab_rows = [np.zeros(0, np.int64)]
    matlab_joint = [np.zeros((0, 4, 2, 256), np.uint32)]
    # archive members that are named by a string are dated 1980, so that equal pairs make equal files
    with (
        replacing(path, locked=True) as temporary,
        zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive,
    ):
        with archive.open("joint.npy", "w", force_zip64=True) as member:
            header = {"descr": "<u4", "fortran_order": False, "shape": (len(pairs), 4, 2, 256)}
            np.lib.format.write_array_header_1_0(member, header)
            for start in range(0, len(pairs), _BLOCK):
                block = pairs[start : start + _BLOCK]
                member.write(block.joint.tobytes())
                matlab_rows.append(block.matlab_rows + start)
                matlab_joint.append(block.matlab_joint)
        arrays = [
            ("format", np.array([FORMAT])),
            ("stems", np.array(pairs.stems, dtype=np.str_)),
            *((name, facts[name]) for name in SMALL.names or ()),
            ("matlab_rows", np.concatenate(matlab_rows)),
            ("matlab_joint", np.concatenate(matlab_joint)),
        ]
        for name, array in arrays:
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array(member, np.ascontiguousarray(array), allow_pickle=False)


def read_facts(path: Path) -> tuple[tuple[str, ...], Records]:
    """Names and facts (dtype SMALL) of the pairs in ``counts.npz``.  Raises as :func:`read_counts`."""
    with _opened(path) as archive:
        return _stems(archive), _fields(archive, SMALL)


def read_counts(path: Path) -> StoredPairs:
    """Read ``counts.npz``.  Raises :class:`SodbenchError` when it is damaged or of another version."""
    with _opened(path) as archive:
        pairs = _fields(archive, PAIR)
        return StoredPairs(_stems(archive), pairs, archive["matlab_rows"], archive["matlab_joint"])


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    try:
        with np.load(path, allow_pickle=False) as archive:
            if archive["format"].tolist() != [FORMAT]:
                raise SodbenchError(
                    f"{path}: written by another version of sodbench; score again with --force"
                )
            yield archive
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise SodbenchError(
            f"{path}: damaged counts file ({error}); score again with --force"
        ) from error


def _stems(archive: Any) -> tuple[str, ...]:
    return tuple(archive["stems"].tolist())


def _fields(archive: Any, dtype: np.dtype[Any]) -> Records:
    records = np.zeros(len(archive["stems"]), dtype)
    for name in dtype.names or ():
        records[name] = archive[name]
    return records
