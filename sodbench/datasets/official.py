"""The official name lists, shipped as small compressed text files, and the named subsets made of them."""

import lzma
from functools import cache
from pathlib import Path

from sodbench.datasets.registry import DATASETS, canonical_name

_FOLDER = Path(__file__).parent / "lists"
_SPLITS = {"HKU-IS": ("train", "val", "test")}


def official_names(name: str) -> frozenset[str]:
    """The official item names (stems) of a known set, or of a subset such as ``HKU-IS/test``.

    The lists were taken from public list files that agree with one another; see docs/datasets.md.
    """
    base, _, subset = canonical_name(name).partition("/")
    if not subset:
        return _whole(base)
    if subset in _SPLITS.get(base, ()):
        return _read(f"{base}-{subset}")
    # The other named subsets (clean, 4445, 5166) are the whole set without its known items.
    return _whole(base) - DATASETS[base].known.keys()


def _whole(base: str) -> frozenset[str]:
    splits = _SPLITS.get(base)
    if splits is None:
        return _read(base)
    return frozenset().union(*(_read(f"{base}-{split}") for split in splits))


@cache
def _read(file: str) -> frozenset[str]:
    text = lzma.decompress((_FOLDER / f"{file}.txt.xz").read_bytes()).decode()
    return frozenset(text.splitlines())
