"""Which images a report shows, and their thumbnails: the only part of reports that opens an image."""

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image

from sodbench.errors import ImageError, SodbenchError
from sodbench.images import read_grey, read_rgb
from sodbench.metrics.catalogue import Metric
from sodbench.metrics.statistics.bootstrap import dataset_seed
from sodbench.reports.analysis import Analysis
from sodbench.reports.sources import files_of
from sodbench.results import Result

KINDS = ("best", "worst", "disputed", "random")
DEFAULT_IMAGES = ("best", "disputed", "worst")


@dataclass(frozen=True)
class ImageChoice:
    """An image to show, and the reason: one of `KINDS`, or ``named``.

    Attributes
    ----------
    stem, reason : str
    """

    stem: str
    reason: str


def choose_images(analysis: Analysis, dataset: str, wanted: Sequence[str]) -> list[ImageChoice]:
    """Choose the images of a dataset to show.

    Parameters
    ----------
    analysis : Analysis
        Its primary metric decides which images are best and worst, its seed the random ones.
    dataset : str
    wanted : sequence of str
        ``best``, ``worst`` (by the mean over methods), ``disputed`` (methods differ most), ``random``, each with an
        optional number (``worst:3``), or the stem of an image.

    Returns
    -------
    list of ImageChoice
        Each image once. No image is best or worst by a metric without a direction, and none is disputed by one method.
        Only comparable results decide: scores of different protocols have no common mean.
    """
    results, metric = analysis.results_on(dataset), analysis.primary_metric
    deciding = analysis.comparable.alike[dataset]
    scores = _score_frame({m: r for m, r in results.items() if m in deciding}, metric)
    stems = set.union(*(set(r.table.index) for r in results.values()))
    reasons: dict[str, str] = {}
    for item in wanted:
        kind, number = _split_number(item)
        if kind:
            for stem in _ranked_images(scores, kind, metric, dataset, analysis.seed)[:number]:
                reasons.setdefault(stem, kind)
        elif item in stems:
            reasons.setdefault(item, "named")
    return [ImageChoice(stem, reason) for stem, reason in reasons.items()]


def want_some_of_each(number: int) -> list[str]:
    """Return what to ask `choose_images` for, so that it chooses a number of images, the most interesting ones first.

    Returns
    -------
    list of str
    """
    third = -(-number // 3)
    # scores choose too few if there is a single method
    return [f"worst:{third}", f"disputed:{third}", f"best:{third}", f"random:{number}"]


def _split_number(item: str) -> tuple[str, int]:
    """``worst:3`` as kind and number; an empty kind for the name of an image."""
    kind, _, number = item.partition(":")
    if kind in KINDS and (not number or number.isdigit()):
        return kind, int(number or 1)
    return "", 0


def _score_frame(results: Mapping[str, Result], metric: Metric) -> pd.DataFrame:
    """Images x methods: the scores of every image that all methods were scored on."""
    columns = {m: r.table[metric.name] for m, r in results.items() if metric.name in r.table}
    return pd.DataFrame(columns).dropna() if columns else pd.DataFrame()


def check_selection(wanted: Sequence[str], results: Sequence[Result]) -> None:
    """Check which images were asked for.

    Raises
    ------
    SodbenchError
        If an entry is neither a kind nor an image of any result.
    """
    for item in wanted:
        if not _split_number(item)[0] and not any(item in r.table.index for r in results):
            raise SodbenchError(
                f"--images {item}: neither an image of these results nor one of {', '.join(KINDS)} "
                "(with a number if you like: worst:3)"
            )


def _ranked_images(
    scores: pd.DataFrame, kind: str, metric: Metric, dataset: str, seed: int
) -> list[str]:
    # one method cannot disagree with itself
    if scores.empty or (kind == "disputed" and len(scores.columns) < 2):
        return []
    if kind in ("best", "worst") and not metric.sign:
        return []
    if kind == "random":
        order = np.random.default_rng(dataset_seed(dataset, seed)).permutation(len(scores))
        return [str(s) for s in scores.index[order]]
    if kind == "disputed":
        key, ascending = scores.max(axis=1) - scores.min(axis=1), False
    else:
        key, ascending = scores.mean(axis=1), metric.higher_is_better == (kind == "worst")
    return [str(s) for s in key.sort_values(ascending=ascending, kind="stable").index]


# ---- thumbnails ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class Thumbnails:
    """One image with its mask and every method's map, made small.

    Attributes
    ----------
    image : uint8 [h, w, 3] or None
    mask : uint8 [h, w] or None
    maps : dict
        By method, uint8 [h, w]. None for a file that is missing.
    """

    image: NDArray[np.uint8] | None
    mask: NDArray[np.uint8] | None
    maps: dict[str, NDArray[np.uint8] | None]


def load_thumbnails(
    stem: str, results: Mapping[str, Result], max_side: int
) -> tuple[Thumbnails, list[Path]]:
    """Read an image, its mask and its maps.

    Parameters
    ----------
    stem : str
        The image's name.
    results : mapping
        By method.
    max_side : int
        Pixels that the longer side may have.

    Returns
    -------
    thumbnails : Thumbnails
    missing : list of Path
        Files that are no longer there, or can no longer be read.
    """
    missing: list[Path] = []

    def first(kind: str, methods: Sequence[str]) -> NDArray[np.uint8] | None:
        candidates = [files[m][kind] for m in methods if m in files]
        # methods share images and masks; the copy of another method serves where one has moved
        for path in dict.fromkeys(p for p in candidates if p is not None):
            pixels = load_thumbnail(path, max_side, colour=kind == "image")
            if pixels is not None:
                return pixels
            missing.append(path)
        return None

    methods = list(results)
    files = {m: files_of(r, stem) for m, r in results.items() if stem in r.table.index}
    image, mask = first("image", methods), first("mask", methods)
    return Thumbnails(image, mask, {m: first("map", [m]) for m in methods}), missing


def load_thumbnail(path: Path, max_side: int, colour: bool) -> NDArray[np.uint8] | None:
    """Read an image and reduce it.

    Parameters
    ----------
    path : Path
    max_side : int
        Pixels that the longer side may have.
    colour : bool
        Whether it is read in colour.

    Returns
    -------
    uint8 [h, w, 3] or [h, w], or None
        None if it cannot be read any more.
    """
    try:
        pixels = read_rgb(path) if colour else read_grey(path).pixels
    except ImageError:
        return None
    height, width = pixels.shape[:2]
    scale = max_side / max(height, width)
    # a small image is not enlarged: the page scales it, pixel by pixel
    if scale >= 1:
        return pixels
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    # reducing_gap: shrinks by a whole factor first, which is several times as fast and enough for a thumbnail
    reduced = Image.fromarray(np.ascontiguousarray(pixels)).resize(
        size, Image.Resampling.BILINEAR, reducing_gap=1.0
    )
    return np.asarray(reduced, np.uint8)


def encode_jpeg(pixels: NDArray[np.uint8], quality: int = 70) -> bytes:
    """Return a reduced map or mask as JPEG.

    Parameters
    ----------
    pixels : uint8 [h, w]
    quality : int
        1 to 100.

    Returns
    -------
    bytes
    """
    content = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels)).save(content, format="JPEG", quality=quality)
    return content.getvalue()


def encode_webp(pixels: NDArray[np.uint8], quality: int = 70) -> bytes:
    """Return a reduced image as WebP, which needs about half the space of JPEG.

    Parameters
    ----------
    pixels : uint8 [h, w] or [h, w, 3]
    quality : int
        1 to 100.

    Returns
    -------
    bytes
    """
    content = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels)).save(
        content, format="WEBP", quality=quality, method=2
    )
    return content.getvalue()
