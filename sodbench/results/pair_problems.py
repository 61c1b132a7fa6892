"""Find the problems of single pairs, derived from their records and counts alone."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from sodbench.errors import Problem, ProblemKind
from sodbench.images import LOW_16_BIT, LOW_16_BIT_FIX
from sodbench.metrics import Protocol
from sodbench.results.stored_pairs import BILINEAR, MISSING_AS_BLACK, NEAREST, Records

if TYPE_CHECKING:
    import pandas as pd

    from sodbench.metrics.scores import CountsSource

# A decoder's note: the image holds 0 and 1, where 0 and 255 are expected
ZERO_ONE = "values 0 and 1 only"
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

_HOW = {BILINEAR: "bilinear", NEAREST: "nearest"}
_BLOCK = 256


def foreground_pixels(
    source: "CountsSource", facts: Records, protocol: Protocol
) -> NDArray[np.int64]:
    """The number of foreground pixels of each mask under a protocol's rule, int64 [N]."""
    pixels: NDArray[np.int64] = facts["foreground"].astype(np.int64)
    # the records hold the number above 128; a mask without grey levels has the same under every rule
    if protocol.rule.foreground_above == 128 or not facts["mask_levels"].any():
        return pixels
    for start in range(0, len(pixels), _BLOCK):
        rows = np.arange(start, min(start + _BLOCK, len(pixels)))
        pixels[rows] = source[rows].foreground(protocol.rule)
    return pixels


def find_pair_problems(
    facts: Records,
    foreground: NDArray[np.int64],
    names: "pd.DataFrame",
    folders: Mapping[str, str | None],
    protocol: Protocol,
) -> list[Problem]:
    """Find what is noteworthy about single pairs under one protocol.

    Parameters
    ----------
    facts : records of dtype RECORD, shape [N]
    foreground : int64 [N]
        From :func:`foreground_pixels`, for the same protocol.
    names : DataFrame
        Index the pairs' names, columns ``map`` and ``mask`` with file names below ``folders``.
    """
    rule = f"foreground is {protocol.mask_signature} under {protocol.name}"
    problems: list[Problem] = []

    def add(kind: ProblemKind, row: int, which: str, detail: str) -> None:
        name = str(names[which].iloc[row])
        file = Path(folders[f"{which}s"] or "") / name if name else names.index[row]
        problems.append(Problem(kind, str(file), detail))

    columns = [facts[name].tolist() for name in ("mask_levels", "brightest", "fitted")]
    notes = [facts[name].tolist() for name in ("mask_note", "map_note")]
    rows = zip(foreground.tolist(), *columns, *notes, strict=True)
    for row, (pixels, levels, brightest, fitted, *texts) in enumerate(rows):
        mask_note, map_note = (text.decode() for text in texts)
        if fitted in _HOW:
            own, wanted = ("x".join(map(str, facts[name][row])) for name in ("map_size", "size"))
            hint = describe_swapped_sides(facts["map_size"][row], facts["size"][row])
            add(
                ProblemKind.SIZE,
                row,
                "map",
                f"{own}, resized to its mask's {wanted} ({_HOW[fitted]}){hint}",
            )
        if mask_note == ZERO_ONE:
            detail = f"{ZERO_ONE}, so all of it is background; store it as 0 and 255"
            add(ProblemKind.MASK_CODING, row, "mask", detail)
        elif LOW_16_BIT in mask_note:
            detail = f"{mask_note}; so all of it is background; {LOW_16_BIT_FIX}"
            add(ProblemKind.MASK_CODING, row, "mask", detail)
        elif levels:
            add(
                ProblemKind.GREY_MASK,
                row,
                "mask",
                f"{levels} grey level(s) beside 0 and 255; {rule}",
            )
        if is_noteworthy(mask_note):
            add(ProblemKind.CONVERTED, row, "mask", mask_note)
        if is_noteworthy(map_note):
            add(ProblemKind.CONVERTED, row, "map", map_note)
        if not pixels:
            add(ProblemKind.EMPTY_MASK, row, "mask", f"no pixel is foreground; {rule}")
        if brightest == 1:
            detail = f"{ZERO_ONE}, so all of it is almost black; store it as 0 and 255"
            add(ProblemKind.MAP_CODING, row, "map", detail)
        if LOW_16_BIT in map_note:
            detail = f"{map_note}; so all of it is black; {LOW_16_BIT_FIX}"
            add(ProblemKind.MAP_CODING, row, "map", detail)
        elif not brightest and fitted != MISSING_AS_BLACK:
            add(ProblemKind.BLACK_MAP, row, "map", "every pixel is 0")
    return sorted_unique(problems)


def describe_swapped_sides(size: Sequence[int], wanted: Sequence[int]) -> str:
    """A hint where a map has its mask's sides the other way round, else nothing."""
    if size[0] == size[1] or tuple(size) != (wanted[1], wanted[0]):
        return ""
    return (
        "; its sides are swapped: was the map turned, for example by its image's EXIF orientation?"
    )


def is_noteworthy(note: str) -> bool:
    """Whether a decoder's conversion can change numbers or deserves a look; 1-bit masks are as good as 8-bit ones."""
    return bool(note) and note not in ("1-bit", ZERO_ONE) and LOW_16_BIT not in note


def sorted_unique(problems: Iterable[Problem]) -> list[Problem]:
    """The same problems, each once, by kind and file."""
    return sorted(set(problems), key=lambda p: (p.kind, p.file, p.detail))
