"""One item of a data set looked at: both files decoded once, and what is wrong with them."""

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from sodbench.datasets import Sample
from sodbench.datasets.attributes import FOREGROUND_THRESHOLD
from sodbench.errors import ImageError, Problem
from sodbench.images import (
    LOW_16_BIT,
    LOW_16_BIT_FIX,
    decode_luminance,
    read_bytes,
    read_grey,
    resize_grey,
)

T = TypeVar("T")


_FIX = "write it again with 0 and 255 as 8-bit PNG"


@dataclass(frozen=True)
class Picture:
    """What is kept of an image: its size, its file's digest, its mean grey on a 16 x 16 grid."""

    size: tuple[int, int]
    digest: bytes
    grid: NDArray[np.uint8]


@dataclass(frozen=True)
class Item:
    """A sample and what its files hold; what could not be read is None or empty, and a problem."""

    sample: Sample
    image: Picture | None = None
    mask_digest: bytes = b""
    mask_note: str = ""
    problems: list[Problem] = field(default_factory=list)


def inspect(sample: Sample) -> Item:
    """Decode the image and the mask of a sample, and compare them."""
    problems: list[Problem] = []
    image = _looked_at(_image, sample.image, problems)
    mask = _looked_at(_mask, sample.mask, problems)
    if mask:
        problems += mask.problems
    if image and mask and image.size != mask.size:
        detail = f"{_by(mask.size)} (h x w), its image {_by(image.size)}"
        problems.append(Problem("size", str(sample.mask), detail))
    if mask is None:
        return Item(sample, image, problems=problems)
    return Item(sample, image, mask.digest, mask.note, problems)


def _looked_at(look: Callable[[Path], T], path: Path | None, problems: list[Problem]) -> T | None:
    """What a file holds; None where there is none, and where it cannot be read, which is a problem."""
    try:
        return look(path) if path else None
    except ImageError as error:
        problems.append(error.problem)
        return None


def _image(path: Path) -> Picture:
    data = read_bytes(path)
    pixels = decode_luminance(data, path)
    grid = resize_grey(pixels, (16, 16), "bilinear")
    return Picture(_size(pixels), hashlib.sha256(data).digest(), grid)


class _Mask(NamedTuple):
    size: tuple[int, int]
    digest: bytes
    note: str
    problems: list[Problem]


def _mask(path: Path) -> _Mask:
    mask = read_grey(path)
    problems = list(_mask_problems(path, mask.pixels, mask.note))
    return _Mask(_size(mask.pixels), _pixels_digest(mask.pixels), mask.note, problems)


def _size(pixels: NDArray[np.uint8]) -> tuple[int, int]:
    return int(pixels.shape[0]), int(pixels.shape[1])


def _pixels_digest(pixels: NDArray[np.uint8]) -> bytes:
    """SHA-256 of "height width " and the pixels: the same however they are encoded."""
    digest = hashlib.sha256(f"{pixels.shape[0]} {pixels.shape[1]} ".encode())
    digest.update(pixels.data)
    return digest.digest()


def _by(size: tuple[int, int]) -> str:
    return f"{size[0]}x{size[1]}"


def _mask_problems(path: Path, pixels: NDArray[np.uint8], note: str) -> Iterator[Problem]:
    if LOW_16_BIT in note:
        yield Problem("mask-coding", str(path), f"{note}; so it is all black; {LOW_16_BIT_FIX}")
        return
    white = pixels == 255
    number_white = int(np.count_nonzero(white))
    if np.array_equal(white, pixels > 0):  # only 0 and 255: most masks, so the quick way
        if number_white == 0:
            detail = "all black: no object" + f"; {note}" * bool(note)
            yield Problem("empty-mask", str(path), detail)
        elif number_white == pixels.size:
            yield Problem("full-mask", str(path), "all white: no background")
        return
    counts = np.bincount(pixels.ravel(), minlength=256)
    levels = np.flatnonzero(counts)
    share = counts[1:255].sum() / pixels.size
    shown = ", ".join(map(str, levels[:7])) + (", ..." if len(levels) > 7 else "")
    detail = f"{len(levels)} grey levels ({shown}); {share:.2%} of the pixels are neither 0 nor 255"
    detail += f"; {note}" * bool(note)
    if len(levels) <= 2 and levels[-1] == 1:
        yield Problem("mask-coding", str(path), f"coded 0 and 1, so it is read as empty; {_FIX}")
        return
    if not counts[FOREGROUND_THRESHOLD + 1 :].any():
        detail += f"; none is above {FOREGROUND_THRESHOLD}, so the mask would be empty"
    yield Problem("grey-mask", str(path), detail)
