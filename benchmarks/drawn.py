"""What benchmarks draw: noise for objects and maps, and photographs of the sizes of a dataset."""

import csv
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np

Size = tuple[int, int]


def read_sizes(file: Path, split: str) -> list[Size]:
    """Heights and widths of a split's images, from a CSV file with the columns split, height and width."""
    with file.open(newline="") as lines:
        rows = [row for row in csv.DictReader(lines) if row["split"] == split]
    return [(int(row["height"]), int(row["width"])) for row in rows]


def smooth(rng: np.random.Generator, shape: tuple[int, int], width: float) -> Any:
    """Noise of unit variance under a Gaussian whose width is a share of the image's shorter side."""
    y, x = np.fft.fftfreq(shape[0])[:, None], np.fft.rfftfreq(shape[1])
    kernel = np.exp(-2 * (np.pi * width * min(shape)) ** 2 * (y**2 + x**2))
    field = np.fft.irfft2(np.fft.rfft2(rng.standard_normal(shape)) * kernel, shape)
    return field / field.std()


def draw_image(numbered: tuple[int, Size], folder: Path) -> None:
    """Write a drawn JPEG; its blobs under noise take about as many bytes as a photograph."""
    from sodbench.images import write_image

    number, (height, width) = numbered
    rng = np.random.default_rng(number)
    coarse = rng.integers(0, 200, (-(-height // 24), -(-width // 24), 3))
    blobs = coarse.repeat(24, 0).repeat(24, 1)[:height, :width]
    pixels = (blobs + rng.integers(0, 40, (height, width, 1))).astype(np.uint8)
    write_image(folder / f"{number:05}.jpg", pixels)


def draw_images(folder: Path, sizes: Sequence[Size]) -> list[tuple[str, Path]]:
    """Draw images of these sizes; return their stems and files."""
    from sodbench.parallel import processors
    from sodbench.runners.prediction.inputs import find_images

    folder.mkdir(parents=True, exist_ok=True)
    with ProcessPoolExecutor(processors(), get_context("forkserver")) as processes:
        draw = partial(draw_image, folder=folder)
        list(processes.map(draw, enumerate(sizes), chunksize=32))
    return find_images([folder])
