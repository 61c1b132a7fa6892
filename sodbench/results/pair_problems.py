"""Find the problems of single pairs, derived from their records and counts alone."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sodbench.errors import Problem, ProblemKind
from sodbench.images import (
    ALPHA_TAKEN,
    ALPHA_VARIES,
    LOW_16_BIT,
    LOW_16_BIT_FIX,
    MASK_CODING_FIX,
    describe_levels,
)
from sodbench.metrics import Protocol
from sodbench.quoting import size_text
from sodbench.results.pair_table import PairTable
from sodbench.results.stored_pairs import MISSING_AS_BLACK, PAIR_RECORD, RESIZE_CODES, Records

# A map that holds 0 and 1, where 0 to 255 are expected
_ZERO_ONE = "values 0 and 1 only"
# How a note on a mask starts that names its levels; what the decoder noted follows after a semicolon
_NAMED_LEVELS = ("value ", "values ")
# A mask whose brightest level is not above this is background under most protocols
_DARK = 128
# The kinds that are found pair by pair, for each protocol; the others concern the folders
PAIR_PROBLEMS = frozenset(
    {
        ProblemKind.GREY_MASK,
        ProblemKind.EMPTY_MASK,
        ProblemKind.BLACK_MAP,
        ProblemKind.CONVERTED,
        ProblemKind.UNDEFINED_S,
        ProblemKind.LEFT_OUT,
        ProblemKind.SIZE,
        ProblemKind.MASK_CODING,
        ProblemKind.MAP_CODING,
    }
)

_RESIZED = {code: name for name, code in RESIZE_CODES.items()}


def find_pair_problems(
    facts: Records,
    empty: NDArray[np.bool_],
    files: PairTable,
    folders: Mapping[str, str | None],
    protocol: Protocol,
) -> list[Problem]:
    """Find what is noteworthy about single pairs under one protocol.

    Parameters
    ----------
    facts : records of dtype PAIR_RECORD, shape [N]
    empty : bool [N]
        Which masks have no foreground under the protocol.
    files : PairTable
        The names of the pairs and their files.
    folders : mapping
        ``maps`` and ``masks`` -> folder.
    protocol : Protocol

    Returns
    -------
    list of Problem
        Each once, ordered by kind and file.
    """
    rule = f"foreground is {protocol.mask_signature} under {protocol.name}"
    noteworthy = (
        empty
        | (facts["mask_levels"] > 0)
        | (facts["brightest"] <= 1)
        | (facts["mask_note"] != b"")
        | (facts["map_note"] != b"")
        | np.isin(facts["fitted"], list(_RESIZED))
    )
    problems: list[Problem] = []
    for row in np.flatnonzero(noteworthy).tolist():
        record = facts[row]
        mask, map_ = (_path(files, row, which, folders) for which in ("mask", "map"))
        problems += _mask_problems(mask, record, empty=bool(empty[row]), rule=rule)
        problems += _map_problems(map_, record)
    return sorted_unique(problems)


def _path(files: PairTable, row: int, which: str, folders: Mapping[str, str | None]) -> str:
    """The file of a pair, or its stem where there is none."""
    name = files.files[which][row]
    return str(Path(folders[f"{which}s"] or "") / name) if name else files.stems[row]


def _mask_problems(file: str, record: Any, *, empty: bool, rule: str) -> Iterator[Problem]:
    note, levels = record["mask_note"].decode(), int(record["mask_levels"])
    coding = f"{levels} level(s) other than 0"
    if note.startswith(_NAMED_LEVELS):
        coding, _, note = note.partition("; ")
    if LOW_16_BIT in note:
        detail = f"{note}; so all of it is background; {LOW_16_BIT_FIX}"
        yield Problem(ProblemKind.MASK_CODING, file, detail)
    elif empty and levels:
        detail = f"{coding}, so all of it is background ({rule}); {MASK_CODING_FIX}"
        yield Problem(ProblemKind.MASK_CODING, file, detail)
    elif levels:
        detail = f"{levels} grey level(s) besides 0 and 255; {rule}"
        yield Problem(ProblemKind.GREY_MASK, file, detail)
    if _is_noteworthy(note):
        yield Problem(ProblemKind.CONVERTED, file, note)
    if empty:
        yield Problem(ProblemKind.EMPTY_MASK, file, f"no pixel is foreground; {rule}")


def note_mask_levels(levels: Sequence[int], note: str) -> str:
    """Return the note on a mask: its levels, if it may be coded otherwise than as 0 and 255, and the decoder's note.

    Parameters
    ----------
    levels : sequence of int
        The grey levels that occur, ascending.
    note : str
        What the decoder noted.

    Returns
    -------
    str
        At most as long as a record holds, where the decoder's note is.
    """
    if not 0 < levels[-1] <= _DARK:
        return note
    own = describe_levels(levels)
    both = f"{own}; {note}" if note else own
    return both if len(both) <= PAIR_RECORD["mask_note"].itemsize else own


def _map_problems(file: str, record: Any) -> Iterator[Problem]:
    note, brightest, fitted = record["map_note"].decode(), record["brightest"], record["fitted"]
    if fitted in _RESIZED:
        own, wanted = (size_text(record[name]) for name in ("map_size", "size"))
        hint = describe_other_shape(record["map_size"], record["size"])
        detail = f"{own}, resized to its mask's {wanted} ({_RESIZED[fitted]}){hint}"
        yield Problem(ProblemKind.SIZE, file, detail)
    if _is_noteworthy(note):
        hint = "; is the mask in alpha? --channel alpha" if ALPHA_VARIES in note else ""
        yield Problem(ProblemKind.CONVERTED, file, note + hint)
    if brightest == 1:
        detail = f"{_ZERO_ONE}, so all of it is almost black; store it as 0 and 255"
        yield Problem(ProblemKind.MAP_CODING, file, detail)
    if LOW_16_BIT in note:
        detail = f"{note}; so all of it is black; {LOW_16_BIT_FIX}"
        yield Problem(ProblemKind.MAP_CODING, file, detail)
    elif not brightest and fitted != MISSING_AS_BLACK:
        yield Problem(ProblemKind.BLACK_MAP, file, "every pixel is 0")


def describe_other_shape(size: Sequence[int], wanted: Sequence[int]) -> str:
    """Return a hint if a map has its mask's sides swapped or another aspect ratio, else an empty text.

    Parameters
    ----------
    size, wanted : sequence of two int
        Height and width of the map and of its mask.

    Returns
    -------
    str
        Begins with a semicolon.
    """
    # networks return square maps of any image, which resizing puts right
    if size[0] == size[1]:
        return ""
    if tuple(size) == (wanted[1], wanted[0]):
        return "; its sides are swapped: was the map turned, for example by its image's EXIF orientation?"
    # sides are whole numbers, so that a smaller map has the ratio only within half a pixel
    if abs(size[0] * wanted[1] - size[1] * wanted[0]) > max(wanted):
        return "; another aspect ratio: was the map cropped or padded, or is it another image's?"
    return ""


def _is_noteworthy(note: str) -> bool:
    """Whether a decoder's conversion can change numbers or deserves a look; 1-bit masks are as good as 8-bit ones."""
    return bool(note) and note not in ("1-bit", ALPHA_TAKEN) and LOW_16_BIT not in note


def sorted_unique(problems: Iterable[Problem]) -> list[Problem]:
    """Return each problem once, ordered by kind and file.

    Parameters
    ----------
    problems : iterable of Problem
        In any order.

    Returns
    -------
    list of Problem
    """
    return sorted(set(problems), key=lambda p: (p.kind, p.file, p.detail))
