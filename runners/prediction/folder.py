"""The folder of the maps: its manifest, what it may hold, and which of its maps stay.

The manifest beside the maps records what made them. A comment in each PNG records the image and the settings
that it was made from, and a digest of the map itself. So maps of two networks are never mixed in one folder,
maps of images that have changed are predicted again, and a file that sodbench did not write, or that was modified
since, is never replaced without ``--force``.
"""

import hashlib
import json
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from sodbench.console import say
from sodbench.datasets import list_images
from sodbench.errors import ImageError, Problem, ProblemsError, SodbenchError
from sodbench.files import remove_stale_temporaries, write_error, write_text
from sodbench.images import read_bytes, read_comment
from sodbench.parallel import thread_pool
from sodbench.version import __version__

MANIFEST = "prediction.json"
IDENTITY = (
    "model",
    "source_sha256",
    "weights",
    "weights_sha256",
    "output",
    "precision",
    "max_side",
)
"""What two runs must share for their maps to lie in one folder."""
DEFAULTS = {"output": "logits"}
"""What a manifest means that does not mention a part of the identity."""
ORIGIN = "sodbench: map of an image of "
"""Start of the comment in a map; the image's length and hash follow."""

_COMMENT = re.compile(
    rf"(?P<origin>{re.escape(ORIGIN)}\d+ bytes, blake2b [0-9a-f]+)"
    r"(?:; settings (?P<settings>[0-9a-f]+); data (?P<data>[0-9a-f]+))?"
)

Samples = Sequence[tuple[str, Path]]


@dataclass(frozen=True)
class Prepared:
    """A folder ready for prediction.

    Attributes
    ----------
    todo : list of (str, Path)
        Stem and image of the maps still to be predicted.
    kept : int
        How many maps stay.
    problems : tuple of Problem
        What an earlier run recorded about the network that made the kept maps.
    """

    todo: list[tuple[str, Path]]
    kept: int
    problems: tuple[Problem, ...] = ()


def prepare_folder(
    out_dir: Path, samples: Samples, identity: Mapping[str, Any], force: bool
) -> Prepared:
    """Write the manifest, delete the maps to be replaced, and list what is still to be predicted.

    Parameters
    ----------
    out_dir : Path
        The folder of the maps.
    samples : sequence of (str, Path)
        Stem and path of every image.
    identity : mapping
        The manifest's content; the keys of :data:`IDENTITY` must agree with those of the maps in the folder.
    force : bool
        Replace every map of the samples, whatever made it.

    Raises
    ------
    SodbenchError
        Where the folder holds files that sodbench did not write or that were modified since, or maps made with
        other settings, which this run may not or would not replace. Then nothing in it is changed.
    """
    images = {f"{stem}.png": image for stem, image in samples}
    try:
        remove_stale_temporaries(out_dir)
        present = {p.name for p in list_images(out_dir)} if out_dir.exists() else set()
        _refuse_strangers(out_dir, present, images)
        manifest = out_dir / MANIFEST
        before = _read_manifest(manifest) if manifest.exists() else {}
        _refuse_other_maps(out_dir, present, images, before, identity, force)
        there = {name: image for name, image in images.items() if name in present}
        verdicts = {} if force else _judge_all(out_dir, there, settings_digest(identity))
        replaced = list(there) if force else [n for n, v in verdicts.items() if v == "replace"]
        for name in replaced:
            (out_dir / name).unlink()
    except OSError as error:
        raise write_error(out_dir, error) from error
    kept = {name for name, verdict in verdicts.items() if verdict == "keep"}
    problems = _recorded_problems(manifest, before) if kept else ()
    layout = (
        {"memory_format": before["memory_format"]} if kept and "memory_format" in before else {}
    )
    write_manifest(out_dir, {**identity, **layout}, problems)
    todo = [(stem, image) for stem, image in samples if f"{stem}.png" not in kept]
    return Prepared(todo, len(kept), problems)


def write_manifest(
    out_dir: Path, content: Mapping[str, Any], problems: Sequence[Problem] = ()
) -> None:
    """Write ``prediction.json``; problems: what is wrong with the network's maps as a whole."""
    whole = {"made_by": f"sodbench {__version__}", **content}
    if problems:
        whole["problems"] = [asdict(problem) for problem in problems]
    write_text(out_dir / MANIFEST, json.dumps(whole, indent=2) + "\n")


def origin_of(content: bytes) -> str:
    """Describe the image file with these bytes, as the comment of its map does."""
    return f"{ORIGIN}{len(content)} bytes, blake2b {hashlib.blake2b(content, digest_size=8).hexdigest()}"


def settings_digest(identity: Mapping[str, Any]) -> str:
    """A hash of what made a map: the network, its weights and its settings."""
    values = json.dumps([_part(identity, key) for key in IDENTITY])
    return hashlib.blake2b(values.encode(), digest_size=8).hexdigest()


def comment_of(origin: str, settings: str) -> Callable[[str], str]:
    """The comment of a map as a function of the map's own digest, as :func:`write_grey` takes it."""
    return lambda data: f"{origin}; settings {settings}; data {data}"


def _part(manifest: Mapping[str, Any], key: str) -> Any:
    return manifest.get(key, DEFAULTS.get(key))


def _refuse_strangers(out_dir: Path, present: set[str], images: Mapping[str, Path]) -> None:
    """Refuse a folder with images that sodbench did not write."""
    if any(image.resolve().parent == out_dir.resolve() for image in images.values()):
        raise SodbenchError(f"{out_dir}: this is the images' folder; choose another for the maps")
    if present and not (out_dir / MANIFEST).exists():
        raise SodbenchError(
            f"{out_dir}: holds {len(present)} images that sodbench did not write (there is no "
            f"{MANIFEST}); choose another folder for the maps"
        )


def _refuse_other_maps(
    out_dir: Path,
    present: set[str],
    images: Mapping[str, Path],
    before: Mapping[str, Any],
    identity: Mapping[str, Any],
    force: bool,
) -> None:
    """Refuse a folder with maps of other settings, unless they are all to be replaced."""
    different = "; ".join(
        f"{key} {_short(_part(before, key))} there, {_short(_part(identity, key))} now"
        for key in IDENTITY
        if _part(before, key) != _part(identity, key)
    )
    if not present or not different:
        return
    if not force:
        raise SodbenchError(
            f"{out_dir}: holds maps made with other settings: {different}. Choose another folder, or give "
            "--force to replace them"
        )
    if others := present - images.keys():
        raise SodbenchError(
            f"{out_dir}: holds {len(others)} maps made with other settings ({different}) that this run would "
            "not replace; choose another folder, or delete this one"
        )


def _read_manifest(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        fault = "" if isinstance(content, dict) else "it is not a JSON object"
    except (OSError, ValueError, RecursionError) as error:
        content, fault = {}, str(error)
    if fault:
        raise _not_ours(path, fault)
    return dict(content)


def _recorded_problems(path: Path, manifest: Mapping[str, Any]) -> tuple[Problem, ...]:
    recorded = manifest.get("problems", [])
    try:
        problems = tuple(Problem(**entry) for entry in recorded)
    except (TypeError, ValueError):
        raise _not_ours(path, "its problems are not those of a prediction") from None
    if not all(isinstance(value, str) for p in problems for value in asdict(p).values()):
        raise _not_ours(path, "its problems are not those of a prediction")
    return problems


def _not_ours(path: Path, fault: str) -> SodbenchError:
    return SodbenchError(
        f"{path}: damaged, or not sodbench's ({fault}); choose another folder for the maps, or "
        "delete this one"
    )


def _short(value: Any) -> str:
    """The first digits of a hash; anything else whole."""
    text = str(value)
    return text[:12] if len(text) == 64 else text


def _judge_all(out_dir: Path, there: Mapping[str, Path], settings: str) -> dict[str, str]:
    """Decide for every map in the folder: ``keep``, ``replace``, or ``predict`` (and leave it until then).

    Raises :class:`ProblemsError` that names every file which sodbench may not replace.
    """
    with thread_pool() as threads:
        judged = threads.map(lambda name: _judge(out_dir / name, there[name], settings), there)
        found = dict(zip(there, judged, strict=True))
    if foreign := [
        Problem("not-this-prediction", str(out_dir / name), reason)
        for name, (verdict, reason) in found.items()
        if verdict == "refuse"
    ]:
        raise ProblemsError(
            f"{out_dir}: {len(foreign)} files have the name of a map but were not written by this prediction:",
            foreign,
            "Nothing was changed. Move them away, choose another folder, or replace the maps with --force.",
        )
    for reason, count in Counter(r for v, r in found.values() if v == "replace").items():
        say(f"{out_dir}: {count} {reason}; predicted again")
    return {name: verdict for name, (verdict, _) in found.items()}


def _judge(path: Path, image: Path, settings: str) -> tuple[str, str]:
    """What to do with a map, and why."""
    try:
        comment, data = read_comment(path)
    except ImageError as error:
        if _starts_as_ours(
            path
        ):  # cut short or damaged after sodbench wrote it: of no use to anyone
            return "replace", "maps are damaged"
        return "refuse", error.problem.detail
    found = _COMMENT.fullmatch(comment)
    if not found:
        return "refuse", "it does not say that sodbench wrote it"
    if found["settings"] is None:
        return "replace", "maps of an earlier version do not record what made them"
    if found["data"] != data:
        return "refuse", "it was modified after sodbench wrote it"
    if found["settings"] != settings:
        return "refuse", "another network, or other settings, made it"
    try:
        same = found["origin"] == origin_of(read_bytes(image))
    except ImageError:
        return "predict", ""  # the image will be reported; its old map stays
    return ("keep", "") if same else ("replace", "images have changed since")


def _starts_as_ours(path: Path) -> bool:
    """Whether a damaged file begins with the header and comment of a map of sodbench."""
    try:
        if not path.is_file():  # opening a pipe would wait for ever
            return False
        with path.open("rb") as file:
            return ORIGIN.encode() in file.read(200)
    except OSError:
        return False
