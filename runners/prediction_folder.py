"""The folder that maps are written to: its manifest, what it may hold, and which of its maps stay.

A manifest beside the maps says what made them, and a comment in each PNG which image it is of.  So the maps
of two networks never lie together, and maps of images that have changed are made anew.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sodbench import __version__
from sodbench.datasets import pictures
from sodbench.errors import ImageError, SodbenchError
from sodbench.folders import unwritable
from sodbench.images import read_bytes, read_comment
from sodbench.progress import say, thread_pool
from sodbench.results import write_text

MANIFEST = "prediction.json"
IDENTITY = ("model", "source_sha256", "weights", "weights_sha256", "precision", "max_side")
"""What two runs must share for their maps to lie in one folder."""
ORIGIN = "sodbench: map of an image of "
"""So begins the comment in a map; its image's length and hash follow."""

Samples = Sequence[tuple[str, Path]]


def prepare_folder(
    out_dir: Path, samples: Samples, identity: Mapping[str, Any], force: bool
) -> list[tuple[str, Path]]:
    """Write the manifest, delete the maps to be replaced; return the (stem, image) still to be predicted.

    force: replace every map of the samples, of whatever network.  Raises :class:`SodbenchError` where the folder
    holds other people's pictures, or maps of another identity that this run may not or would not replace.
    """
    images = {f"{stem}.png": image for stem, image in samples}
    try:
        present = {p.name for p in pictures(out_dir)} if out_dir.exists() else set()
        _refuse_strangers(out_dir, present, images)
        _refuse_other_maps(out_dir, present, images, identity, force)
        there = {name: image for name, image in images.items() if name in present}
        replaced = list(there) if force else _outdated(out_dir, there)
        for name in replaced:
            (out_dir / name).unlink()
    except OSError as error:
        raise unwritable(out_dir, error) from error
    content = {"made_by": f"sodbench {__version__}", **identity}
    write_text(out_dir / MANIFEST, json.dumps(content, indent=2) + "\n")
    kept = there.keys() - set(replaced)
    return [(stem, image) for stem, image in samples if f"{stem}.png" not in kept]


def origin_of(content: bytes) -> str:
    """What a map says of the image file, with these bytes, that it was made from."""
    return f"{ORIGIN}{len(content)} bytes, blake2b {hashlib.blake2b(content, digest_size=8).hexdigest()}"


def _refuse_strangers(out_dir: Path, present: set[str], images: Mapping[str, Path]) -> None:
    """Refuse a folder with pictures that sodbench did not write."""
    if any(image.resolve().parent == out_dir.resolve() for image in images.values()):
        raise SodbenchError(f"{out_dir}: this is the images' folder; choose another for the maps")
    if present and not (out_dir / MANIFEST).exists():
        raise SodbenchError(
            f"{out_dir}: holds {len(present)} pictures that sodbench did not write (there is no "
            f"{MANIFEST}); choose another folder for the maps"
        )


def _refuse_other_maps(
    out_dir: Path,
    present: set[str],
    images: Mapping[str, Path],
    identity: Mapping[str, Any],
    force: bool,
) -> None:
    """Refuse a folder with maps made otherwise, unless they are all to be replaced."""
    manifest = out_dir / MANIFEST
    made_by = _read_manifest(manifest) if manifest.exists() else {}
    different = "; ".join(
        f"{key} {_short(made_by.get(key))} there, {_short(identity.get(key))} now"
        for key in IDENTITY
        if made_by.get(key) != identity.get(key)
    )
    if not present or not different:
        return
    if not force:
        raise SodbenchError(
            f"{out_dir}: holds maps made otherwise: {different}. Choose another folder, or give --force to "
            "replace them"
        )
    if others := present - images.keys():
        raise SodbenchError(
            f"{out_dir}: holds {len(others)} maps made otherwise ({different}) that this run would not "
            "replace; choose another folder, or delete this one"
        )


def _read_manifest(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        fault = "" if isinstance(content, dict) else "it is not a JSON object"
    except (OSError, ValueError, RecursionError) as error:
        content, fault = {}, str(error)
    if fault:
        raise SodbenchError(
            f"{path}: damaged, or not sodbench's ({fault}); choose another folder for the maps, or "
            "delete this one"
        )
    return dict(content)


def _short(value: Any) -> str:
    """A hash by its beginning; anything else whole."""
    text = str(value)
    return text[:12] if len(text) == 64 else text


def _outdated(out_dir: Path, there: Mapping[str, Path]) -> list[str]:
    """The maps, of those that are there (with their images), not known to be of these very images."""
    with thread_pool() as threads:
        doubts = list(threads.map(lambda name: _doubt(out_dir / name, there[name]), there))
    for doubt, count in Counter(filter(None, doubts)).items():
        say(f"{out_dir}: {count} {doubt}; predicted anew")
    return [name for name, doubt in zip(there, doubts, strict=True) if doubt]


def _doubt(path: Path, image: Path) -> str:
    """Why a map cannot be kept, nothing where it says that it is of this image."""
    try:
        said = read_comment(path)
    except ImageError:
        return "maps are damaged"
    if not said.startswith(ORIGIN):
        return "maps do not say of which image they are"
    try:
        same = said == origin_of(read_bytes(image))
    except ImageError:
        return "images can no longer be read"
    return "" if same else "images have changed since"
