"""Inspect one item of a dataset: decode both files once, and find what is wrong with them."""

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
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
    MASK_CODING_FIX,
    decode_luminance,
    describe_levels,
    read_bytes,
    read_grey,
    resize_grey,
)
from sodbench.quoting import size_text

T = TypeVar("T")


@dataclass(frozen=True)
class ImageFacts:
    """What is kept of an image: (height, width), its file's SHA-256, its luminance on a 16 x 16 grid.

    Attributes
    ----------
    size : tuple of int
        (height, width).
    digest : bytes
        SHA-256 of the file.
    grid : ndarray of uint8, shape (16, 16)
        The luminance.
    """

    size: tuple[int, int]
    digest: bytes
    grid: NDArray[np.uint8]


class _MaskFacts(NamedTuple):
    size: tuple[int, int]
    digest: bytes
    note: str
    problems: list[Problem]


@dataclass(frozen=True)
class Item:
    """An inspected sample.

    Attributes
    ----------
    sample : Sample
        The item.
    image : ImageFacts, optional
        None if it could not be read.
    mask_digest : bytes
        SHA-256 of the mask's size and pixels; empty if it could not be read.
    mask_note : str
        How the mask was converted to 8-bit grey; empty for plain ones.
    problems : tuple of Problem
        What is wrong with the files.
    """

    sample: Sample
    image: ImageFacts | None = None
    mask_digest: bytes = b""
    mask_note: str = ""
    problems: tuple[Problem, ...] = ()


def inspect_sample(sample: Sample) -> Item:
    """Decode the image and the mask of a sample, and compare them.

    Parameters
    ----------
    sample : Sample

    Returns
    -------
    Item
        Files that cannot be read are problems.
    """
    problems: list[Problem] = []
    image = _try_read(_read_image, sample.image, problems)
    mask = _try_read(_read_mask, sample.mask, problems)
    if mask:
        problems += mask.problems
    if image and mask and image.size != mask.size:
        detail = f"{size_text(mask.size)}, its image {size_text(image.size)}"
        problems.append(Problem("size", str(sample.mask), detail))
    if mask is None:
        return Item(sample, image, problems=tuple(problems))
    return Item(sample, image, mask.digest, mask.note, tuple(problems))


def _try_read(read: Callable[[Path], T], path: Path | None, problems: list[Problem]) -> T | None:
    """What a file holds; None if there is none, and if it cannot be read, which is a problem."""
    try:
        return read(path) if path else None
    except ImageError as error:
        problems.append(error.problem)
        return None


def _read_image(path: Path) -> ImageFacts:
    data = read_bytes(path)
    pixels = decode_luminance(data, path)
    # small enough to compare all images of a dataset with each other
    grid = resize_grey(pixels, (16, 16), "bilinear")
    return ImageFacts(_size_of(pixels), hashlib.sha256(data).digest(), grid)


def _read_mask(path: Path) -> _MaskFacts:
    mask = read_grey(path)
    size = _size_of(mask.pixels)
    # the same however it is encoded
    digest = hashlib.sha256(f"{size[0]} {size[1]} ".encode())
    digest.update(mask.pixels.data)
    problems = list(find_level_problems(path, mask.pixels, mask.note))
    return _MaskFacts(size, digest.digest(), mask.note, problems)


def _size_of(pixels: NDArray[np.uint8]) -> tuple[int, int]:
    return int(pixels.shape[0]), int(pixels.shape[1])


def find_level_problems(path: Path, pixels: NDArray[np.uint8], note: str) -> Iterator[Problem]:
    """Find what is wrong with the levels of a mask.

    Parameters
    ----------
    path : Path
        The file, for the problems.
    pixels : ndarray of uint8, shape (h, w)
        The mask as it is read.
    note : str
        How it was converted to 8-bit grey; may be empty.

    Yields
    ------
    Problem
        Of kind ``mask-coding``, ``empty-mask``, ``full-mask`` or ``grey-mask``.
    """
    # it is read as black, so that anything said about its levels would mislead
    if LOW_16_BIT in note:
        detail = f"{note}; so it is all black; {LOW_16_BIT_FIX}"
        yield Problem("mask-coding", str(path), detail)
        return
    after_note = f"; {note}" if note else ""
    white = pixels == 255
    number_white = int(np.count_nonzero(white))
    # only 0 and 255: most masks, and this is fast
    if np.array_equal(white, pixels > 0):
        if number_white == 0:
            yield Problem("empty-mask", str(path), f"all black: no object{after_note}")
        elif number_white == pixels.size:
            yield Problem("full-mask", str(path), "all white: no background")
        return
    counts = np.bincount(pixels.ravel(), minlength=256)
    levels = np.flatnonzero(counts)
    # another fault than grey levels: the values are classes or colours, and all are below the threshold
    if levels[-1] <= FOREGROUND_THRESHOLD:
        detail = f"{describe_levels(levels.tolist())}, so it is read as empty{after_note}; {MASK_CODING_FIX}"
        yield Problem("mask-coding", str(path), detail)
        return
    share = counts[1:255].sum() / pixels.size
    first = ", ".join(map(str, levels[:7])) + (", ..." if len(levels) > 7 else "")
    detail = f"{len(levels)} grey levels ({first}); {share:.2%} of the pixels are neither 0 nor 255"
    yield Problem("grey-mask", str(path), detail + after_note)
