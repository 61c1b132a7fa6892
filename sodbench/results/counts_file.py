"""``counts.npz``: counted pairs in a file.  Parts of a run that is not finished and shards are files of the same format.

A file is a ZIP archive of NumPy arrays, one for each field of ``PAIR_RECORD`` and of ``Counts``.  Its pairs are in the
order of their names.  Nothing that is read is trusted: sizes are checked against the size of the file before memory is
allocated, and every pair against what its own counts imply.
"""

import ast
import hashlib
import os
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from sodbench.errors import SodbenchError, StoredFileError
from sodbench.files import CHECKSUM, atomic_write, file_hash, open_regular, stream_hash
from sodbench.metrics import CountingRule, CountingScheme, Counts
from sodbench.metrics.counts import HISTOGRAM_SHAPE, Deviations
from sodbench.metrics.protocols import CENTROIDS
from sodbench.metrics.schemes import PixelColumn
from sodbench.results.stored_pairs import (
    PAIR_RECORD,
    PairSource,
    Records,
    RowNumbers,
    StoredPairs,
    check_counts,
    check_records,
)

# Raised whenever an array changes its meaning or pixels are counted in another way
COUNTS_FORMAT = 5
# Pairs that are read and written at a time: 1 MB of histograms
PAIRS_PER_BLOCK = 128
# Deflate cannot shrink data more than about 1,032 times: an archive that claims more is not genuine
_MAX_DEFLATE_RATIO = 1040
_HISTOGRAM = np.dtype("<u4")
_FLAGS = np.dtype("u1")
# One array a measurement of the pixels, named after it: metric_wf_raw_128
_METRIC = "metric_"


def _rule_members(number: int) -> tuple[str, str, str]:
    """The arrays of the number-th counting rule after the first: rows, histograms and tie flags of the pairs that differ."""
    return f"rule{number}_rows", f"rule{number}_histogram", f"rule{number}_tie_flags"


def write_counts(path: Path, pairs: PairSource, *, compressed: bool = True) -> str:
    """Write a file of counted pairs, a block at a time; it appears whole or not at all.

    Parameters
    ----------
    path : Path
        The file.
    pairs : PairSource
        In the order of their names.
    compressed : bool
        Equal pairs give equal files only with the same choice.

    Returns
    -------
    str
        The hash of the file.

    Raises
    ------
    SodbenchError
        Where it cannot be written.
    """
    method = zipfile.ZIP_DEFLATED if compressed else zipfile.ZIP_STORED
    number = len(pairs.stems)
    blocks: list[dict[str, NDArray[Any]]] = []
    with atomic_write(path) as temporary:
        # members that are named by a string are dated 1980, so that equal pairs make equal files
        with zipfile.ZipFile(temporary, "w", method, compresslevel=1) as archive:
            with archive.open("histogram.npy", "w", force_zip64=True) as member:
                shape = (number, *HISTOGRAM_SHAPE)
                header = {"descr": _HISTOGRAM.str, "fortran_order": False, "shape": shape}
                np.lib.format.write_array_header_1_0(member, header)
                for start in range(0, number, PAIRS_PER_BLOCK):
                    counts = pairs.read(
                        np.arange(start, min(start + PAIRS_PER_BLOCK, number))
                    ).counts
                    member.write(np.ascontiguousarray(counts.histogram, _HISTOGRAM).data)
                    blocks.append(_small_arrays(counts, start))
            arrays = {
                "format": np.array([COUNTS_FORMAT], np.int64),
                "stems": np.array(pairs.stems, dtype=np.str_),
                "rules": np.array(list(map(_encode_rule, counts.scheme.rules)), dtype=np.str_),
                **{name: pairs.records[name] for name in PAIR_RECORD.names or ()},
                **{name: np.concatenate([block[name] for block in blocks]) for name in blocks[0]},
            }
            for name, array in arrays.items():
                with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                    whole = np.ascontiguousarray(array)
                    np.lib.format.write_array(member, whole, allow_pickle=False)
            archive.comment = seal(archive)
        return file_hash(temporary, CHECKSUM)


def _small_arrays(counts: Counts, start: int) -> dict[str, NDArray[Any]]:
    """The arrays of some pairs, from row ``start`` on, but the histograms of the first rule."""
    arrays: dict[str, NDArray[Any]] = {"tie_flags": counts.tie_flags}
    for number, rule in enumerate(counts.scheme.rules[1:], start=1):
        rows, histogram, flags = counts.deviations[rule]
        arrays |= zip(_rule_members(number), (rows + start, histogram, flags), strict=True)
    return arrays | {f"{_METRIC}{name}": v for name, v in counts.pixel_metrics.items()}


def _encode_rule(rule: CountingRule) -> str:
    return f"{rule.foreground_above} {rule.centroid}"


def _decode_rule(text: str) -> CountingRule:
    above, _, centroid = text.partition(" ")
    for known in CENTROIDS:
        if centroid == known:
            return CountingRule(int(above), known)
    raise ValueError(f"{text!r} is not a counting rule")


def seal(archive: zipfile.ZipFile) -> bytes:
    """Return the comment of an archive: a digest of its members' names, sizes and checksums.

    The hash of ``counts.npz`` is in ``result.json``, but parts have none, and a killed run may leave one file without the
    other.  The comment distinguishes a file that sodbench wrote from one that was edited.

    Parameters
    ----------
    archive : zipfile.ZipFile
        With all its members.
    """
    digest = hashlib.blake2b(digest_size=16)
    for member in archive.infolist():
        digest.update(f"{member.filename}\0{member.file_size}\0{member.CRC}\n".encode())
    return f"sodbench counts {COUNTS_FORMAT} {digest.hexdigest()}".encode()


class CountsFile:
    """A file of counted pairs, whose histograms are read a block at a time; a ``PairSource`` and a ``CountsSource``.

    The file is open only while its histograms are read, so that any number of parts can be in use.

    Parameters
    ----------
    path : Path
        The file.
    stored_hash : str, optional
        The hash that it must have.

    Attributes
    ----------
    stems : tuple of str
        The names of N pairs, ascending.
    records : structured array of dtype PAIR_RECORD, shape [N]
    scheme : CountingScheme
        What was counted.
    hash : str
        Of the whole file.

    Raises
    ------
    StoredFileError
        Where the file cannot be read, is damaged, of another version, not what was stored, or holds what no counting
        gives; also from `read`, since histograms are checked as they are read.
    """

    def __init__(self, path: Path, stored_hash: str | None = None):
        self.path = path
        self._stream: _HistogramStream | None = None
        self._block: StoredPairs | None = None
        self._start = 0
        with self._errors(), open_regular(path) as file:
            status = os.fstat(file.fileno())
            self._identity = _identify(status)
            self.hash = stream_hash(file, CHECKSUM)
            if stored_hash is not None and self.hash != stored_hash:
                raise StoredFileError.modified(path)
            file.seek(0)
            archive = _Archive(file, path)
            archive.check(status.st_size)
            self.stems = archive.read_stems()
            self.records: Records = np.zeros(len(self), PAIR_RECORD)
            for name in PAIR_RECORD.names or ():
                field = PAIR_RECORD[name]
                self.records[name] = archive.read(name, field.base, (len(self), *field.shape))
            if fault := check_records(self.records):
                raise ValueError(fault)
            self.scheme = archive.read_scheme()
            self._tie_flags = archive.read("tie_flags", _FLAGS, (len(self), 2))
            self._metrics = {
                column: archive.read_column(f"{_METRIC}{column}", len(self))
                for column in self.scheme.columns
            }
            self._rows = [
                archive.read_rows(_rule_members(number)[0], len(self))
                for number in range(1, len(self.scheme.rules))
            ]

    def __len__(self) -> int:
        return len(self.stems)

    def __getitem__(self, rows: RowNumbers) -> Counts:
        return self.read(rows).counts

    def read(self, rows: RowNumbers) -> StoredPairs:
        """Return some pairs; rows before those that were read last start the file again.

        Parameters
        ----------
        rows : int64 [n]
            Which, in any order; ascending rows are fastest.
        """
        if len(rows) > 1 and (np.diff(rows) < 0).any():
            order = np.argsort(rows, kind="stable")
            return self.read(rows[order]).read(np.argsort(order))
        last = int(rows[-1]) if len(rows) else 0
        parts = []
        while len(rows):
            block = self._block_of(int(rows[0]))
            inside = rows[rows < self._start + len(block)] - self._start
            rows = rows[len(inside) :]
            whole = len(inside) == len(block) and (np.diff(inside) == 1).all()
            parts.append(block if whole else block.read(inside))
        # nothing follows: the memory is needed for other files
        if last == len(self) - 1:
            self._close()
        return StoredPairs.concatenate(parts or [self._no_pairs()])

    def read_all(self) -> StoredPairs:
        """Return all pairs.

        Returns
        -------
        StoredPairs
        """
        return self.read(np.arange(len(self)))

    def check(self) -> None:
        """Read the whole file, and so check it.

        Raises
        ------
        StoredFileError
            As the class.
        """
        for start in range(0, len(self), PAIRS_PER_BLOCK):
            self.read(np.array([start]))

    def _no_pairs(self) -> StoredPairs:
        return self._block_of(0).read(np.zeros(0, np.intp))

    def _block_of(self, row: int) -> StoredPairs:
        """The block that holds a row; the blocks between are read and checked on the way."""
        with self._errors():
            if self._stream is None or row < self._start:
                self._close()
                self._stream = self._open()
            while self._block is None or row >= self._start + len(self._block):
                self._start += len(self._block) if self._block else 0
                # its memory is needed for the next one
                self._block = None
                self._block = self._next_block(self._stream)
            return self._block

    def _open(self) -> "_HistogramStream":
        file = open_regular(self.path)
        try:
            if _identify(os.fstat(file.fileno())) != self._identity:
                raise StoredFileError.modified(self.path)
            numbers = [len(self), *map(len, self._rows)]
            return _HistogramStream(_Archive(file, self.path), numbers)
        except BaseException:
            file.close()
            raise

    def _close(self) -> None:
        if self._stream is not None:
            self._stream.archive.file.close()
        self._stream = self._block = None
        self._start = 0

    def _next_block(self, stream: "_HistogramStream") -> StoredPairs:
        rows = slice(self._start, min(self._start + PAIRS_PER_BLOCK, len(self)))
        deviations = {}
        for number, (rule, differing) in enumerate(
            zip(self.scheme.rules[1:], self._rows, strict=True), start=1
        ):
            first, last = np.searchsorted(differing, (rows.start, rows.stop)).tolist()
            histogram, flags = stream.read(number, last - first)
            deviations[rule] = Deviations(differing[first:last] - rows.start, histogram, flags)
        records = self.records[rows]
        counts = Counts(
            scheme=self.scheme,
            histogram=stream.read(0, rows.stop - rows.start)[0],
            tie_flags=self._tie_flags[rows],
            deviations=deviations,
            size=records["size"],
            absolute_error=records["absolute_error"],
            pixel_metrics={column: values[rows] for column, values in self._metrics.items()},
        )
        block = StoredPairs(self.stems[rows], records, counts)
        if fault := check_counts(block):
            raise ValueError(f"from pair {rows.start} on, {fault}")
        if rows.stop == len(self):
            stream.check_end()
        return block

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


def _identify(status: os.stat_result) -> tuple[int, int, int]:
    return status.st_ino, status.st_size, status.st_mtime_ns


class _Archive:
    """A ZIP archive of arrays whose types and shapes are checked before they are read."""

    def __init__(self, file: IO[bytes], path: Path):
        self.file = file
        self.path = path
        self.zip = zipfile.ZipFile(file)

    def check(self, size: int) -> None:
        """Check the directory of a file of ``size`` bytes."""
        members = self.zip.infolist()
        names = [member.filename for member in members]
        if self.zip.comment != seal(self.zip):
            if "format.npy" in names:
                self._check_format()
            raise ValueError("its seal is broken: it was modified after it was written")
        if len(set(names)) < len(names) or not self._has_all_members({n[:-4] for n in names}):
            raise ValueError("its members are not those of a counts file")
        if any(m.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED) for m in members):
            raise ValueError("it is compressed in another way than sodbench does")
        if sum(m.file_size for m in members) > _MAX_DEFLATE_RATIO * size:
            raise ValueError("it claims to hold more than its size can")
        self._check_format()

    def _check_format(self) -> None:
        if self.read("format", np.dtype("<i8"), (1,)).tolist() != [COUNTS_FORMAT]:
            raise StoredFileError(self.path, "written by another version of sodbench")

    def _has_all_members(self, names: set[str]) -> bool:
        fixed = {"format", "stems", "rules", "histogram", "tie_flags", *(PAIR_RECORD.names or ())}
        metrics = {name for name in names if name.startswith(_METRIC)}
        further = names - fixed - metrics
        rules = {name for n in range(1, len(further) // 3 + 1) for name in _rule_members(n)}
        return fixed <= names and further == rules

    def read_scheme(self) -> CountingScheme:
        """The counting rules, and the columns of the pixel metrics in their order."""
        rules = tuple(_decode_rule(text) for text in self._read_texts("rules"))
        names = [member.filename[:-4] for member in self.zip.infolist()]
        columns = [PixelColumn.parse(n[len(_METRIC) :]) for n in names if n.startswith(_METRIC)]
        if len(rules) != 1 + sum(name.endswith("_rows") for name in names):
            raise ValueError("its rules are not those of its histograms")
        return CountingScheme(rules, tuple(columns))

    def read_stems(self) -> tuple[str, ...]:
        """The names of the pairs."""
        stems = self._read_texts("stems")
        if len(set(stems)) < len(stems) or stems != sorted(stems):
            raise ValueError("its pairs are not in the order of their names, each once")
        return tuple(stems)

    def _read_texts(self, name: str) -> list[str]:
        with self.zip.open(f"{name}.npy") as member:
            dtype, shape = _read_header(member)
        if dtype.kind != "U" or len(shape) != 1 or shape[0] < 1:
            raise ValueError(f"{name} is not a list of names")
        texts: list[str] = self.read(name, dtype, shape).tolist()
        return texts

    def read_rows(self, name: str, number: int) -> NDArray[np.int64]:
        """Ascending rows of ``number`` pairs."""
        with self.zip.open(f"{name}.npy") as member:
            _, shape = _read_header(member)
        rows: NDArray[np.int64] = self.read(name, np.dtype("<i8"), shape[:1])
        if len(rows) and (rows[0] < 0 or rows[-1] >= number or (np.diff(rows) <= 0).any()):
            raise ValueError(f"{name} are not rows of the pairs, ascending")
        return rows

    def read_column(self, name: str, number: int) -> NDArray[np.float64]:
        """The measurement of ``number`` pairs, one number or several for each."""
        with self.zip.open(f"{name}.npy") as member:
            _, shape = _read_header(member)
        values: NDArray[np.float64] = self.read(name, np.dtype("<f8"), (number, *shape[1:2]))
        return values

    def read(self, name: str, dtype: np.dtype[Any], shape: tuple[int, ...]) -> NDArray[Any]:
        """A whole member, which must have this type and shape."""
        with self.open(name, dtype, shape) as member:
            array = _take(member, dtype, shape)
            # also what makes zipfile compare the checksum
            if member.read(1):
                raise ValueError(f"{name} is longer than it says")
            return array

    def open(self, name: str, dtype: np.dtype[Any], shape: tuple[int, ...]) -> IO[bytes]:
        """A member, read up to its first value."""
        member = self.zip.open(f"{name}.npy")
        actual = _read_header(member)
        if actual != (dtype, shape):
            raise ValueError(f"{name} is {actual[0]} {actual[1]} instead of {dtype} {shape}")
        stated = self.zip.getinfo(f"{name}.npy").file_size
        if stated - member.tell() != dtype.itemsize * int(np.prod(shape, dtype=object)):
            raise ValueError(f"{name} is not as long as its shape says")
        return member


class _HistogramStream:
    """The histograms of a file, and tie flags where a rule differs, read from their beginning to their end.

    Parameters
    ----------
    archive : _Archive
    numbers : sequence of int
        How many pairs there are under each counting rule.
    """

    def __init__(self, archive: _Archive, numbers: Sequence[int]):
        self.archive = archive
        self._members = []
        for rule, number in enumerate(numbers):
            _, name, flags = _rule_members(rule) if rule else ("", "histogram", "")
            histogram = archive.open(name, _HISTOGRAM, (number, *HISTOGRAM_SHAPE))
            self._members.append(
                (histogram, archive.open(flags, _FLAGS, (number, 2)) if flags else None)
            )

    def read(self, rule: int, number: int) -> tuple[NDArray[np.uint32], NDArray[np.uint8]]:
        """The next histograms and tie flags under a rule; the first rule's flags are not streamed."""
        histogram, flags = self._members[rule]
        return (
            _take(histogram, _HISTOGRAM, (number, *HISTOGRAM_SHAPE)),
            _take(flags, _FLAGS, (number, 2)) if flags else np.zeros((0, 2), np.uint8),
        )

    def check_end(self) -> None:
        """Check that nothing follows; this also makes zipfile compare the checksums."""
        if any(member.read(1) for members in self._members for member in members if member):
            raise ValueError("the counts are longer than their shape")


def _read_header(member: IO[bytes]) -> tuple[np.dtype[Any], tuple[int, ...]]:
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
    """Read a file of counted pairs whole.

    Parameters
    ----------
    path : Path
        The file.
    stored_hash : str, optional
        The hash that it must have.

    Raises
    ------
    StoredFileError
        As `CountsFile`.
    """
    return CountsFile(path, stored_hash).read_all()
