"""The counts of one method on one dataset while they are being collected: what is stored already, and what is added.

Counted pairs are written to ``parts/part-0001.npz``, ``part-0002.npz`` ... next to the result, some hundred at a time, each
file whole or not at all.  A run that is killed loses no more than the pairs of the part that it was collecting.
"""

import os
import re
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from sodbench.console import logger
from sodbench.errors import SodbenchError, StoredFileError
from sodbench.files import checksum, is_temporary, open_regular, write_error
from sodbench.folders import list_paths
from sodbench.images import ALPHA_TAKEN
from sodbench.results.counts_file import CountsFile, write_counts
from sodbench.results.policy import Policy
from sodbench.results.result import PARTS_FOLDER
from sodbench.results.stored_pairs import (
    MISSING_AS_BLACK,
    PAIR_RECORD,
    RESIZE_CODES,
    UNCHANGED,
    PairSelection,
    PairSource,
    Records,
    ScoredPairs,
    StoredPairs,
    counting_scheme,
)

# A part is written when it has this many pairs (about 4 MB) or when its first pair is this old
PAIRS_PER_PART = 512
SECONDS_PER_PART = 5.0
# Without an output folder, this many pairs stay in memory before they move to a temporary file
PAIRS_IN_MEMORY = 1000
_PART_NAME = re.compile(r"part-(\d{4,9})\.npz")
_ZIP_MAGIC = b"PK\x03\x04"


class CountsStore:
    """Counted pairs by name: those of a stored ``counts.npz``, of parts on disk, and of the part under way.

    The caller holds the lock of the folder.  Use it as a context manager: pairs that were added are kept as parts
    unless `discard` was called.

    Parameters
    ----------
    folder : Path or None
        The folder of the result.  Without one, pairs stay in memory or in a temporary folder.
    policy : Policy
        How this run counts.
    stored : CountsFile, optional
        Counts of an earlier result.
    restart : bool
        Whether parts that are there are deleted unread.

    Raises
    ------
    SodbenchError
        Where the place of the parts holds something that sodbench did not write, or a part cannot be deleted.
    """

    def __init__(
        self,
        folder: Path | None,
        policy: Policy,
        stored: CountsFile | None = None,
        *,
        restart: bool = False,
    ):
        self._policy = policy
        self._scheme = counting_scheme(policy)
        self._folder = folder / PARTS_FOLDER if folder else None
        self._temporary: tempfile.TemporaryDirectory[str] | None = None
        self._sources: list[PairSource] = []
        self._pending: list[StoredPairs] = []
        self._since = 0.0
        self._next = 1
        if stored:
            self._add(stored)
        for path in find_parts(folder) if folder else ():
            self._next = max(self._next, _part_number(path) + 1)
            if restart:
                _delete_part(path)
            elif part := _open_stored_part(path):
                self._add(part)

    def _add(self, source: CountsFile) -> None:
        """Use a file's pairs, unless something else was counted than this run counts."""
        if source.scheme == self._scheme:
            self._sources.append(source)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self._write_part()
        else:
            # what ended the run is reported, not what prevents its pairs from being kept
            with suppress(SodbenchError):
                self._write_part()
        if self._temporary:
            self._temporary.cleanup()

    def missing(
        self, maps: Mapping[str, Path | None], masks: Mapping[str, Path], stems: Sequence[str]
    ) -> list[str]:
        """Find the pairs that must be counted: those that are not stored, or not from the files as they are now.

        Parameters
        ----------
        maps : mapping of str to Path or None
            None for a map that is missing and scored as black.
        masks : mapping of str to Path
        stems : sequence of str
            The names that are wanted.

        Returns
        -------
        list of str
            In the order of ``stems``.
        """
        if not self._sources:
            return list(stems)
        records: dict[str, Any] = {}
        for source in self._sources:
            records |= zip(source.stems, source.records, strict=True)
        stored = [stem for stem in stems if stem in records]
        current = are_current(
            np.array([records[stem] for stem in stored], PAIR_RECORD),
            [masks[stem] for stem in stored],
            [maps[stem] for stem in stored],
            self._policy,
        )
        unchanged = {stem for stem, same in zip(stored, current, strict=True) if same}
        return [stem for stem in stems if stem not in unchanged]

    def append(self, pairs: StoredPairs | ScoredPairs) -> None:
        """Add counted pairs; a pair that is there already is replaced.

        Parameters
        ----------
        pairs : StoredPairs or ScoredPairs
            In the order of their names.  Pairs without counts stay in memory.

        Raises
        ------
        SodbenchError
            Where a part cannot be written.
        """
        if isinstance(pairs, ScoredPairs):
            self._sources.append(pairs)
            return
        if not self._pending:
            self._since = time.monotonic()
        self._pending.append(pairs)
        number = sum(map(len, self._pending))
        if self._folder is None:
            full = number >= PAIRS_IN_MEMORY
        else:
            full = number >= PAIRS_PER_PART or time.monotonic() - self._since >= SECONDS_PER_PART
        if full:
            self._write_part()

    def select(self, stems: Sequence[str]) -> PairSelection:
        """Return stored pairs by name, as they are at this moment.

        Parameters
        ----------
        stems : sequence of str
            Names that are stored.

        Returns
        -------
        PairSelection
            In the order of ``stems``.
        """
        return PairSelection.select([*self._sources, *self._pending], stems)

    def discard(self) -> None:
        """Delete all parts: their pairs are stored in ``counts.npz`` now."""
        self._pending.clear()
        if self._folder is None:
            return
        # parts that stay are of the same pairs; the next run deletes them
        with suppress(OSError):
            for path in find_parts(self._folder.parent):
                path.unlink()
            for path in list_paths(self._folder) if self._folder.is_dir() else ():
                # no one else writes here: a killed run left it
                if is_temporary(path.name):
                    path.unlink()
            self._folder.rmdir()

    def _write_part(self) -> None:
        if not self._pending:
            return
        pairs = StoredPairs.concatenate(self._pending)
        self._pending.clear()
        if list(pairs.stems) != sorted(pairs.stems):
            pairs = pairs.read(np.argsort(np.array(pairs.stems, dtype=object)))
        if self._folder is None:
            self._temporary = self._temporary or tempfile.TemporaryDirectory(prefix="sodbench-")
        path = (self._folder or Path(self._temporary.name)) / f"part-{self._next:04d}.npz"  # type: ignore[union-attr]
        self._next += 1
        write_counts(path, pairs, compressed=False)
        self._sources.append(CountsFile(path))


def find_parts(folder: Path) -> list[Path]:
    """List the parts of a run that was not finished.

    Parameters
    ----------
    folder : Path
        The folder of the result.

    Returns
    -------
    list of Path
        In the order in which they were written.

    Raises
    ------
    SodbenchError
        Where the folder of the parts is something else.
    """
    parts = folder / PARTS_FOLDER
    if parts.is_symlink():
        raise SodbenchError(f"{parts}: is a link; remove it, or choose another output folder")
    if parts.exists() and not parts.is_dir():
        raise SodbenchError(
            f"{parts}: is not a folder, but sodbench keeps the parts of a run there; remove it, or choose another "
            "output folder"
        )
    paths = list_paths(parts) if parts.is_dir() else []
    return sorted((p for p in paths if _PART_NAME.fullmatch(p.name)), key=_part_number)


def _part_number(path: Path) -> int:
    match = _PART_NAME.fullmatch(path.name)
    return int(match[1]) if match else 0


def _open_stored_part(path: Path) -> CountsFile | None:
    """A part that is whole; a damaged one is reported and deleted, a file of someone else refused."""
    try:
        part = CountsFile(path)
        part.check()
        return part
    except StoredFileError as error:
        _delete_part(path, f"{error.fault}; its pairs are scored again")
    return None


def _delete_part(path: Path, reason: str = "") -> None:
    """Delete a part; a file that was not written as one is refused, so that nothing of a user's is deleted."""
    try:
        with open_regular(path) as file:
            start = file.read(len(_ZIP_MAGIC))
    except OSError:
        start = b"?"
    if not _ZIP_MAGIC.startswith(start):
        raise SodbenchError(
            f"{path}: has the name of a part of sodbench, but is none; remove it, or choose another output folder"
        )
    if reason:
        logger.info(reason)
    try:
        path.unlink()
    except OSError as error:
        raise write_error(path, error) from error


def are_current(
    records: Records, masks: Sequence[Path], maps: Sequence[Path | None], policy: Policy
) -> NDArray[np.bool_]:
    """Check which pairs were counted from the files as they are now, in the way that a policy asks for.

    Parameters
    ----------
    records : structured array of dtype PAIR_RECORD, shape [N]
    masks : sequence of Path
    maps : sequence of Path or None
        None for a map that is missing and scored as black.
    policy : Policy

    Returns
    -------
    ndarray of bool, shape [N]
    """
    fitted = records["fitted"]
    is_alpha = records["map_note"] == ALPHA_TAKEN.encode()
    usable = np.isin(fitted, (UNCHANGED, RESIZE_CODES.get(policy.resize, UNCHANGED)))
    usable &= is_alpha == (policy.channel == "alpha")
    black = fitted == MISSING_AS_BLACK
    has_map = np.array([map_ is not None for map_ in maps], bool)
    current = np.where(black, ~has_map & (policy.missing == "zero"), has_map & usable)
    rows = np.flatnonzero(current)
    current[rows] = _are_same_files(records[rows], "mask", [masks[row] for row in rows.tolist()])
    rows = np.flatnonzero(current & has_map)
    current[rows] = _are_same_files(records[rows], "map", [maps[row] for row in rows.tolist()])
    return current


def _are_same_files(records: Records, which: str, paths: Sequence[Path | None]) -> list[bool]:
    """Whether files are those that were counted: by their sizes and times, or else by their content."""
    columns = [records[f"{which}_{name}"].tolist() for name in ("bytes", "mtime", "ctime", "hash")]
    texts = list(map(str, paths))
    return [
        status == stored or (status[0] == stored[0] and _checksum(text) == content)
        for status, stored, content, text in zip(
            map(_stat, texts), zip(*columns[:3], strict=True), columns[3], texts, strict=True
        )
    ]


def _stat(path: str) -> tuple[int, int, int]:
    """The size of a file and its times; no file has the size -1."""
    try:
        status = os.stat(path)  # noqa: PTH116  half the time of the method
    except OSError:
        return -1, 0, 0
    return status.st_size, status.st_mtime_ns, status.st_ctime_ns


def _checksum(path: str) -> int | None:
    try:
        return checksum(Path(path).read_bytes())
    except OSError:
        return None
