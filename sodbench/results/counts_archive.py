"""The archive of a file of counted pairs: which arrays it has, and how they are checked before they are read.

Nothing in it is trusted: types and shapes are compared with what must be there, and sizes with the size of the file, before
memory is allocated.
"""

import hashlib
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from sodbench.errors import StoredFileError
from sodbench.metrics import CountingRule, CountingScheme
from sodbench.metrics.counts import HISTOGRAM_SHAPE
from sodbench.metrics.protocols import CENTROIDS
from sodbench.metrics.schemes import PixelColumn
from sodbench.results.stored_pairs import PAIR_RECORD

# Raised whenever an array changes its meaning or pixels are counted in another way
COUNTS_FORMAT = 5
# Deflate cannot shrink data more than about 1,032 times: an archive that claims more is not genuine
_MAX_DEFLATE_RATIO = 1040
HISTOGRAM = np.dtype("<u4")
FLAGS = np.dtype("u1")
# One array a measurement of the pixels, named after it: metric_wf_raw_128
_COLUMN = "metric_"


def rule_members(number: int) -> tuple[str, str, str]:
    """The arrays of the number-th counting rule after the first: rows, histograms and tie flags of the pairs that differ."""
    return f"rule{number}_rows", f"rule{number}_histogram", f"rule{number}_tie_flags"


def column_member(column: PixelColumn) -> str:
    """The array of a measurement of the pixels."""
    return f"{_COLUMN}{column}"


def encode_rule(rule: CountingRule) -> str:
    """The text of a counting rule, as the array ``rules`` holds it."""
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


class Archive:
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
        metrics = {name for name in names if name.startswith(_COLUMN)}
        further = names - fixed - metrics
        rules = {name for n in range(1, len(further) // 3 + 1) for name in rule_members(n)}
        return fixed <= names and further == rules

    def read_scheme(self) -> CountingScheme:
        """The counting rules, and the columns of the pixel metrics in their order."""
        rules = tuple(_decode_rule(text) for text in self._read_texts("rules"))
        names = [member.filename[:-4] for member in self.zip.infolist()]
        columns = [PixelColumn.parse(n[len(_COLUMN) :]) for n in names if n.startswith(_COLUMN)]
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
        dtype, shape = self._read_array_header(name)
        if dtype.kind != "U" or len(shape) != 1 or shape[0] < 1:
            raise ValueError(f"{name} is not a list of names")
        texts: list[str] = self.read(name, dtype, shape).tolist()
        return texts

    def read_rows(self, name: str, number: int) -> NDArray[np.int64]:
        """Ascending rows of ``number`` pairs."""
        _, shape = self._read_array_header(name)
        rows: NDArray[np.int64] = self.read(name, np.dtype("<i8"), shape[:1])
        if len(rows) and (rows[0] < 0 or rows[-1] >= number or (np.diff(rows) <= 0).any()):
            raise ValueError(f"{name} are not rows of the pairs, ascending")
        return rows

    def read_column(self, column: PixelColumn, number: int) -> NDArray[np.float64]:
        """The measurement of ``number`` pairs, one number or several for each."""
        name = column_member(column)
        _, shape = self._read_array_header(name)
        values: NDArray[np.float64] = self.read(name, np.dtype("<f8"), (number, *shape[1:2]))
        return values

    def _read_array_header(self, name: str) -> tuple[np.dtype[Any], tuple[int, ...]]:
        with self.zip.open(f"{name}.npy") as member:
            return _parse_array_header(member)

    def read(self, name: str, dtype: np.dtype[Any], shape: tuple[int, ...]) -> NDArray[Any]:
        """A whole member, which must have this type and shape."""
        with self.open(name, dtype, shape) as member:
            array = _take(member, dtype, shape)
            # also what makes zipfile compare the checksum
            if member.read(1):
                raise ValueError(f"{name} is longer than its shape")
            return array

    def open(self, name: str, dtype: np.dtype[Any], shape: tuple[int, ...]) -> IO[bytes]:
        """A member, read up to its first value."""
        member = self.zip.open(f"{name}.npy")
        actual = _parse_array_header(member)
        if actual != (dtype, shape):
            raise ValueError(f"{name} is {actual[0]} {actual[1]} instead of {dtype} {shape}")
        stated = self.zip.getinfo(f"{name}.npy").file_size
        if stated - member.tell() != dtype.itemsize * int(np.prod(shape, dtype=object)):
            raise ValueError(f"{name} is not as long as its shape")
        return member


class HistogramStream:
    """The histograms of a file, and tie flags where a rule differs, read from their beginning to their end.

    Parameters
    ----------
    archive : Archive
    numbers : sequence of int
        How many pairs there are under each counting rule.
    """

    def __init__(self, archive: Archive, numbers: Sequence[int]):
        self.archive = archive
        self._members = []
        for rule, number in enumerate(numbers):
            _, name, flags = rule_members(rule) if rule else ("", "histogram", "")
            histogram = archive.open(name, HISTOGRAM, (number, *HISTOGRAM_SHAPE))
            self._members.append(
                (histogram, archive.open(flags, FLAGS, (number, 2)) if flags else None)
            )

    def read(self, rule: int, number: int) -> tuple[NDArray[np.uint32], NDArray[np.uint8]]:
        """The next histograms and tie flags under a rule; the first rule's flags are not streamed."""
        histogram, flags = self._members[rule]
        return (
            _take(histogram, HISTOGRAM, (number, *HISTOGRAM_SHAPE)),
            _take(flags, FLAGS, (number, 2)) if flags else np.zeros((0, 2), np.uint8),
        )

    def check_end(self) -> None:
        """Check that nothing follows; this also makes zipfile compare the checksums."""
        if any(member.read(1) for members in self._members for member in members if member):
            raise ValueError("the counts are longer than their shape")


def _parse_array_header(member: IO[bytes]) -> tuple[np.dtype[Any], tuple[int, ...]]:
    """Type and shape of a .npy member, whose header has at most a thousand characters."""
    if np.lib.format.read_magic(member) != (1, 0):
        raise ValueError("a member is an array of another version of NumPy's format")
    shape, is_fortran, dtype = np.lib.format.read_array_header_1_0(member, max_header_size=1000)
    if is_fortran or dtype.hasobject or any(side < 0 for side in shape):
        raise ValueError("a member is an array of another kind than sodbench writes")
    return dtype, shape


def _take(member: IO[bytes], dtype: np.dtype[Any], shape: tuple[int, ...]) -> NDArray[Any]:
    """The next values of a member, whose size was checked before."""
    length = dtype.itemsize * int(np.prod(shape, dtype=object))
    data = member.read(length) if length else b""
    if len(data) != length:
        raise ValueError("a member ends too early")
    return np.frombuffer(data, dtype).reshape(shape)
