"""``counts.npz``: counted pairs in a file.  Parts of a run that is not finished and shards are files of the same format.

A file is a ZIP archive of NumPy arrays, one for each field of ``PAIR_RECORD`` and of ``Counts``.  Its pairs are in the
order of their names.  Nothing that is read is trusted: sizes are checked against the size of the file before memory is
allocated, and every pair against what its own counts imply.
"""

import os
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sodbench.errors import SodbenchError, StoredFileError
from sodbench.files import CHECKSUM, atomic_write, file_hash, open_regular, stream_hash
from sodbench.metrics import Counts
from sodbench.metrics.counts import HISTOGRAM_SHAPE, Deviations
from sodbench.results.counts_archive import (
    COUNTS_FORMAT,
    FLAGS,
    HISTOGRAM,
    Archive,
    HistogramStream,
    column_member,
    encode_rule,
    rule_members,
    seal,
)
from sodbench.results.stored_pairs import (
    PAIR_RECORD,
    PairSource,
    Records,
    RowNumbers,
    StoredPairs,
    check_counts,
    check_records,
)

# Pairs that are read and written at a time: 1 MB of histograms
PAIRS_PER_BLOCK = 128


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
                header = {"descr": HISTOGRAM.str, "fortran_order": False, "shape": shape}
                np.lib.format.write_array_header_1_0(member, header)
                for start in range(0, number, PAIRS_PER_BLOCK):
                    counts = pairs.read(
                        np.arange(start, min(start + PAIRS_PER_BLOCK, number))
                    ).counts
                    member.write(np.ascontiguousarray(counts.histogram, HISTOGRAM).data)
                    blocks.append(_small_arrays(counts, start))
            arrays = {
                "format": np.array([COUNTS_FORMAT], np.int64),
                "stems": np.array(pairs.stems, dtype=np.str_),
                "rules": np.array(list(map(encode_rule, counts.scheme.rules)), dtype=np.str_),
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
        arrays |= zip(rule_members(number), (rows + start, histogram, flags), strict=True)
    return arrays | {column_member(c): values for c, values in counts.pixel_metrics.items()}


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
        self._stream: HistogramStream | None = None
        self._block: StoredPairs | None = None
        self._start = 0
        with self._errors(), open_regular(path) as file:
            status = os.fstat(file.fileno())
            self._identity = _identify(status)
            self.hash = stream_hash(file, CHECKSUM)
            if stored_hash is not None and self.hash != stored_hash:
                raise StoredFileError.modified(path)
            file.seek(0)
            archive = Archive(file, path)
            archive.check(status.st_size)
            self.stems = archive.read_stems()
            self.records: Records = np.zeros(len(self), PAIR_RECORD)
            for name in PAIR_RECORD.names or ():
                field = PAIR_RECORD[name]
                self.records[name] = archive.read(name, field.base, (len(self), *field.shape))
            if fault := check_records(self.records):
                raise ValueError(fault)
            self.scheme = archive.read_scheme()
            self._tie_flags = archive.read("tie_flags", FLAGS, (len(self), 2))
            self._metrics = {
                column: archive.read_column(column, len(self)) for column in self.scheme.columns
            }
            self._rows = [
                archive.read_rows(rule_members(number)[0], len(self))
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

    def _open(self) -> "HistogramStream":
        file = open_regular(self.path)
        try:
            if _identify(os.fstat(file.fileno())) != self._identity:
                raise StoredFileError.modified(self.path)
            numbers = [len(self), *map(len, self._rows)]
            return HistogramStream(Archive(file, self.path), numbers)
        except BaseException:
            file.close()
            raise

    def _close(self) -> None:
        if self._stream is not None:
            self._stream.archive.file.close()
        self._stream = self._block = None
        self._start = 0

    def _next_block(self, stream: "HistogramStream") -> StoredPairs:
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
