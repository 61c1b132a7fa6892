"""Small synthetic results, with images on disk if wanted, and names that try every escape."""

from pathlib import Path

import numpy as np
from PIL import Image

from sodbench.errors import Problem
from sodbench.images import write_grey, write_image
from sodbench.metrics import Counts, PreparedMask, count_pair, score
from sodbench.results import Policy, Result, ResultInfo
from sodbench.results.derivation import build_result
from sodbench.results.pair_table import PairTable
from sodbench.results.stored_pairs import PAIR_RECORD, StoredPairs

ODD = ("plain", "<b>bold</b> & co", "50%_net #1 $x$ ^~", "U²-Net β漢|*_`[x](y)")
"""Method names that mean something in HTML, LaTeX or Markdown."""


def pair(rng: np.random.Generator, noise: float, size=(24, 30)):
    """A mask with one disc, and a map that blurs and disturbs it."""
    rows, columns = np.mgrid[: size[0], : size[1]]
    centre = rng.uniform(8, 16), rng.uniform(8, 22)
    radius = rng.uniform(3, 9)
    inside = radius - np.hypot(rows - centre[0], columns - centre[1])
    mask = np.where(inside > 0, 255, 0).astype(np.uint8)
    values = 1 / (1 + np.exp(-inside)) + rng.normal(0, noise, size)
    return np.clip(255 * values, 0, 255).astype(np.uint8), mask


def synthetic(
    method: str,
    dataset: str,
    *,
    noise: float = 0.2,
    images: int = 12,
    seed: int = 0,
    protocol: str = "salmetric",
    folder: Path | None = None,
    missing: int = 0,
    problems: tuple[Problem, ...] = (),
    provenance: dict | None = None,
    resized: int = 0,
) -> Result:
    """A result of ``images`` drawn pairs; the masks of a dataset are the same for every method.

    folder: also write the images there.  missing: leave out so many pairs, as ``--missing skip`` does.
    """
    rng = np.random.default_rng([seed, sum(dataset.encode())])
    own = np.random.default_rng([seed, sum(method.encode()), 1])
    parts, rows = [], []
    for i in range(images):
        _, mask = pair(rng, 0)
        soft = 255 * (0.1 + 0.8 * (mask > 0)) + 255 * own.normal(0, noise, mask.shape)
        map_ = np.clip(soft, 0, 255).astype(np.uint8)
        stem = f"im_{i:03d} <&%>" if i == 0 else f"im_{i:03d}"
        rows.append((stem, f"{i}.png", f"{i}.png", f"{i}.jpg", *mask.shape))
        parts.append(count_pair(map_, PreparedMask(mask)).counts)
        if folder:
            write_grey(folder / "maps" / method.replace("/", "_") / f"{i}.png", map_)
            write_grey(folder / "masks" / f"{i}.png", mask)
            write_image(folder / "images" / f"{i}.jpg", np.stack([mask // 2 + 60] * 3, axis=2))
    stems, maps, masks, photographs, *sides = zip(*rows[missing:], strict=True)
    files = PairTable(
        stems,
        {"map": maps, "mask": masks, "image": photographs},
        dict(zip(("height", "width"), map(np.array, sides), strict=True)),
    )
    counts = Counts.concatenate(parts[missing:])
    info = ResultInfo(
        method=method,
        dataset=dataset,
        files=files,
        policy=Policy(missing="skip").applied(n_missing=missing, n_resized=resized),
        problems=problems,
        folders={
            "maps": str(folder / "maps" / method.replace("/", "_")) if folder else None,
            "masks": str(folder / "masks") if folder else None,
            "images": str(folder / "images") if folder else None,
        },
        provenance=provenance or {"scored_by": f"sodbench eval {method} masks", "maps": None},
    )
    pairs = stored_pairs(counts, files.stems)
    return build_result(score(counts, protocol, files.stems), info, pairs)


def stored_pairs(counts: Counts, stems) -> StoredPairs:
    """Counted pairs of binary masks with records of files that no one has read."""
    records = np.zeros(len(counts), PAIR_RECORD)
    levels = counts.histogram.any(axis=(1, 2))
    records["brightest"] = 255 - levels[:, ::-1].argmax(axis=1)
    records["size"] = records["map_size"] = counts.size
    records["absolute_error"] = counts.absolute_error
    return StoredPairs(tuple(stems), records, counts)


def report_page(results, out, **options) -> Path:
    """Write a report with these fields of ``ReportOptions``; returns the file to open."""
    from sodbench.reports.inputs import ReportOptions
    from sodbench.reports.report import write_report

    return write_report(results, out, ReportOptions(**options)).page


def draw_pair(seed: int, height: int = 30, width: int = 40):
    """A noisy map and the rectangle it shows, uint8 [height, width] each."""
    rng = np.random.default_rng(seed)
    mask = np.zeros((height, width), np.uint8)
    y, x = rng.integers(0, height // 2), rng.integers(0, width // 2)
    mask[y : y + height // 2, x : x + width // 2] = 255
    noise = rng.integers(-60, 60, mask.shape)
    return np.clip(mask * 0.7 + 40 + noise, 0, 255).astype(np.uint8), mask


def save_image(path: Path, pixels) -> None:
    """Write an image into a folder that is made if need be."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)
