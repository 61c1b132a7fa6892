"""Which images a report shows, and their pictures; the only part of reports that opens a picture, to show it."""

from collections.abc import Collection, Mapping, Sequence
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
from sodbench.reports.sources import files_of
from sodbench.results import Result

Pixels = NDArray[np.uint8]

KINDS = ("best", "worst", "disputed", "random")
DEFAULT_IMAGES = ("best", "disputed", "worst")


@dataclass(frozen=True)
class ImageChoice:
    """An image to show and why."""

    stem: str
    why: str


def per_image_scores(results: Mapping[str, Result], metric: str) -> pd.DataFrame:
    """Images x methods: one metric of every image that all methods were scored on."""
    columns = {m: r.table[metric] for m, r in results.items() if metric in r.table}
    return pd.DataFrame(columns).dropna() if columns else pd.DataFrame()


def choose_images(
    results: Mapping[str, Result],
    metric: Metric,
    wanted: Sequence[str] = DEFAULT_IMAGES,
    dataset: str = "",
    seed: int = 0,
    judged: Collection[str] = (),
) -> list[ImageChoice]:
    """The images to show of one data set, each once.

    wanted: ``best``, ``worst`` (by the mean over methods), ``disputed`` (methods differ most), ``random``, each with an
    optional number (``worst:3``), or the stem of an image.  judged: the methods whose scores decide, by default all:
    scores of different protocols have no common mean, and their differences mean nothing.  There is no best or worst image
    by a metric without a direction, and none that a single method disputes.
    """
    deciding = {m: r for m, r in results.items() if not judged or m in judged}
    scores = per_image_scores(deciding, metric.name)
    stems = set.union(*(set(r.table.index) for r in results.values()))
    found: dict[str, str] = {}
    for item in wanted:
        kind, _, number = item.partition(":")
        if kind in KINDS and (not number or number.isdigit()):
            for stem in _ranked(scores, kind, metric, dataset, seed)[: int(number or 1)]:
                found.setdefault(stem, kind)
        elif item in stems:
            found.setdefault(item, "named")
    return [ImageChoice(stem, why) for stem, why in found.items()]


def check_selection(wanted: Sequence[str], results: Sequence[Result]) -> None:
    """Raises :class:`SodbenchError` for an entry that is neither a kind nor an image of any result."""
    for item in wanted:
        kind, _, number = item.partition(":")
        if kind in KINDS and (not number or number.isdigit()):
            continue
        if not any(item in r.table.index for r in results):
            raise SodbenchError(
                f"--images {item}: neither an image of these results nor one of {', '.join(KINDS)} "
                "(with a number if you like: worst:3)"
            )


def _ranked(scores: pd.DataFrame, kind: str, metric: Metric, dataset: str, seed: int) -> list[str]:
    if scores.empty:
        return []
    if kind == "disputed" and len(scores.columns) < 2:
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


@dataclass(frozen=True)
class Thumbnails:
    """One image with its mask and every method's map; None where a file is gone.

    image: uint8 [h, w, 3]; mask and maps: uint8 [h, w], their longer side at most what was asked for.
    """

    image: Pixels | None
    mask: Pixels | None
    maps: dict[str, Pixels | None]


def load_thumbnails(
    stem: str, results: Mapping[str, Result], longest: int
) -> tuple[Thumbnails, list[Path]]:
    """The pictures of one image, made small; also the files that are no longer there."""
    gone: list[Path] = []
    files = {m: files_of(r, stem) for m, r in results.items() if stem in r.table.index}
    image = _first([f["image"] for f in files.values()], longest, gone, colour=True)
    mask = _first([f["mask"] for f in files.values()], longest, gone, colour=False)
    maps = {
        method: _first([files[method]["map"]], longest, gone, colour=False)
        if method in files
        else None
        for method in results
    }
    return Thumbnails(image, mask, maps), gone


def _first(
    candidates: Sequence[Path | None], longest: int, gone: list[Path], colour: bool
) -> Pixels | None:
    for path in dict.fromkeys(p for p in candidates if p is not None):
        found = thumbnail(path, longest, colour)
        if found is not None:
            return found
        gone.append(path)
    return None


def thumbnail(path: Path, longest: int, colour: bool) -> Pixels | None:
    """A picture with its longer side at most ``longest`` pixels; None where it cannot be read any more."""
    try:
        pixels = read_rgb(path) if colour else read_grey(path).pixels
    except ImageError:
        return None
    height, width = pixels.shape[:2]
    scale = longest / max(height, width)
    if scale >= 1:
        return pixels
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    reduced = Image.fromarray(np.ascontiguousarray(pixels)).resize(
        size, Image.Resampling.BILINEAR, reducing_gap=2.0
    )
    return np.asarray(reduced, np.uint8)
