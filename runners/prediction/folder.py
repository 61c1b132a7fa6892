"""The folder of the maps: what its manifest records, and which of its maps are kept.

The manifest records what made the maps. A comment in each PNG records the image and the settings that it was made
from, and a digest of the map itself. So maps of two networks are never mixed in one folder, maps of images that have
changed are predicted again, and a file that sodbench did not write, or that was modified since, is never replaced
without ``--force``.
"""

import hashlib
import json
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from sodbench.console import logger
from sodbench.errors import ImageError, Problem, ProblemKind, ProblemsError, SodbenchError
from sodbench.images import is_image_name, read_bytes, read_comment
from sodbench.output_folder import MAPS_MANIFEST, FolderKind, OutputFolder, read_json
from sodbench.parallel import thread_pool

# Stem and path of each image.
ImageList = Sequence[tuple[str, Path]]
Verdict = Literal["keep", "replace", "predict", "refuse"]

# What two runs must share for their maps to be in one folder.
_IDENTITY = (
    "model",
    "source_sha256",
    "weights",
    "weights_sha256",
    "output",
    "processing",
    "precision",
    "max_side",
)

# Where a manifest records earlier runs whose maps are kept, if they ran otherwise, for example on another device.
_EARLIER = "earlier_runs"

# Start of the comment in a map; the image's length and hash follow.
_ORIGIN = "sodbench: map of an image of "

_COMMENT = re.compile(
    rf"(?P<origin>{re.escape(_ORIGIN)}\d+ bytes, blake2b [0-9a-f]+)"
    r"; settings (?P<settings>[0-9a-f]+); data (?P<data>[0-9a-f]+)"
)


def _read_manifest(path: Path) -> Mapping[str, Any]:
    manifest = {**dict.fromkeys(_IDENTITY), **read_json(path)}
    # raises ValueError
    _read_problems(manifest)
    earlier = manifest.get(_EARLIER, [])
    if not isinstance(earlier, list) or not all(isinstance(run, dict) for run in earlier):
        raise ValueError("its earlier runs are not those of a prediction")
    return manifest


MAPS_FOLDER = FolderKind(
    content="maps",
    purpose="predicting",
    manifest=MAPS_MANIFEST,
    read=_read_manifest,
    # other files may be next to the maps; they are never written to
    is_foreign=lambda path: is_image_name(path.name),
)


@dataclass(frozen=True)
class Prepared:
    """A folder ready for prediction.

    Attributes
    ----------
    todo : list of (str, Path)
        Stem and image of the maps that are still to be predicted.
    n_kept : int
        Number of maps that are kept.
    problems : tuple of Problem
        What an earlier run recorded about the network that made the kept maps.
    earlier : tuple of mapping
        How the runs ran that made the kept maps.
    """

    todo: list[tuple[str, Path]]
    n_kept: int
    problems: tuple[Problem, ...] = ()
    earlier: tuple[Mapping[str, Any], ...] = ()


def check_not_images_folder(path: Path, images: ImageList) -> None:
    """Check that maps are not to be written next to the images themselves.

    Parameters
    ----------
    path : Path
        The folder for the maps.
    images : sequence of (str, Path)
        Stem and path of each image.

    Raises
    ------
    SodbenchError
    """
    folders = {image.parent for _, image in images}
    if any(folder.resolve() == path.resolve() for folder in folders):
        raise SodbenchError(f"{path}: this is the images' folder; choose another for the maps")


def prepare_folder(
    folder: OutputFolder, images: ImageList, settings: Mapping[str, Any], force: bool
) -> Prepared:
    """Write the manifest, delete the maps that are to be replaced, and list what is still to be predicted.

    Parameters
    ----------
    folder : OutputFolder
        A folder of the kind `MAPS_FOLDER`.
    images : sequence of (str, Path)
        Stem and path of each image.
    settings : mapping
        What makes the maps; the manifest's content.
    force : bool
        Replace every map of the images, whatever made it.

    Returns
    -------
    Prepared

    Raises
    ------
    SodbenchError
        If the folder holds maps made with other settings, or files that sodbench did not write or that were
        modified since. Then nothing in it is changed.
    """
    paths = {f"{stem}.png": image for stem, image in images}
    present = {p.name for p in folder.path.iterdir() if is_image_name(p.name)}
    _check_settings(folder, present, paths, settings, force)
    existing = {name: image for name, image in paths.items() if name in present}
    if force:
        kept: set[str] = set()
        replaced = list(existing)
    else:
        kept, replaced = _judge_all(folder.path, existing, settings_digest(settings))
    for name in replaced:
        (folder.path / name).unlink()
    before = folder.manifest if kept and folder.manifest else {}
    problems = _read_problems(before)
    earlier = (*before.get(_EARLIER, ()), _run_of(before)) if before else ()
    todo = [(stem, image) for stem, image in images if f"{stem}.png" not in kept]
    if todo or not before:
        write_manifest(folder, settings, problems, earlier)
    return Prepared(todo, len(kept), problems, earlier)


def write_manifest(
    folder: OutputFolder,
    settings: Mapping[str, Any],
    problems: Sequence[Problem] = (),
    earlier: Sequence[Mapping[str, Any]] = (),
) -> None:
    """Write the manifest.

    Parameters
    ----------
    folder : OutputFolder
    settings : mapping
        What makes the maps.
    problems : sequence of Problem
        What is wrong with the network's maps as a whole.
    earlier : sequence of mapping
        How earlier runs ran whose maps are kept; those that ran in the same way are left out.

    Raises
    ------
    SodbenchError
        If it cannot be written.
    """
    entries: dict[str, Any] = {}
    if problems:
        entries["problems"] = [asdict(problem) for problem in problems]
    seen: list[Mapping[str, Any]] = [_run_of(settings)]
    for run in earlier:
        if run not in seen:
            seen.append(run)
    if others := seen[1:]:
        entries[_EARLIER] = others
    folder.write_manifest({**settings, **entries})


def _run_of(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a manifest records of the run, which runs with maps in one folder need not share."""
    others = ("made_by", "problems", _EARLIER, *_IDENTITY)
    return {key: value for key, value in manifest.items() if key not in others}


def describe_image(content: bytes) -> str:
    """Describe an image file by its bytes, as the comment of its map does.

    Parameters
    ----------
    content : bytes
        The whole file.

    Returns
    -------
    str
        Its length and hash: a map is kept as long as its image has the same.
    """
    digest = hashlib.blake2b(content, digest_size=8).hexdigest()
    return f"{_ORIGIN}{len(content)} bytes, blake2b {digest}"


def settings_digest(settings: Mapping[str, Any]) -> str:
    """Hash what makes a map: the network, its weights and its settings."""
    values = json.dumps(list(_map_settings(settings).values()))
    return hashlib.blake2b(values.encode(), digest_size=8).hexdigest()


def make_comment(origin: str, settings: str) -> Callable[[str], str]:
    """Return the comment of a map as a function of the map's own digest, as `write_grey` takes it."""
    return lambda data: f"{origin}; settings {settings}; data {data}"


def _map_settings(settings: Mapping[str, Any]) -> dict[str, Any]:
    # a baseline has no processing and no precision
    return {key: settings.get(key) for key in _IDENTITY}


def _check_settings(
    folder: OutputFolder,
    present: set[str],
    paths: Mapping[str, Path],
    settings: Mapping[str, Any],
    force: bool,
) -> None:
    """Refuse a folder with maps of other settings, unless they are all to be replaced."""
    differences = "; ".join(folder.differences(_map_settings(settings)))
    if not present or not differences:
        return
    if not force:
        raise SodbenchError(
            f"{folder.path}: holds maps made with other settings: {differences}. Choose another folder, or give "
            "--force to replace them"
        )
    if others := present - paths.keys():
        raise SodbenchError(
            f"{folder.path}: holds {len(others)} maps made with other settings ({differences}) that this run would "
            "not replace; choose another folder, or delete this one"
        )


def _read_problems(manifest: Mapping[str, Any]) -> tuple[Problem, ...]:
    try:
        problems = tuple(Problem(**entry) for entry in manifest.get("problems", []))
    except TypeError:
        raise ValueError("its problems are not those of a prediction") from None
    if not all(isinstance(value, str) for p in problems for value in asdict(p).values()):
        raise ValueError("its problems are not those of a prediction")
    return problems


def _judge_all(
    folder: Path, existing: Mapping[str, Path], settings: str
) -> tuple[set[str], list[str]]:
    """Return the names of the maps to keep and to replace; others are left until they are predicted again."""
    # Raises `ProblemsError` that names every file which sodbench may not replace.
    with thread_pool() as threads:
        judged = threads.map(lambda name: _judge(folder / name, existing[name], settings), existing)
        verdicts = dict(zip(existing, judged, strict=True))
    refused = [
        Problem(ProblemKind.NOT_THIS_PREDICTION, str(folder / name), reason)
        for name, (verdict, reason) in verdicts.items()
        if verdict == "refuse"
    ]
    if refused:
        raise ProblemsError(
            f"{folder}: {len(refused)} files have the name of a map but were not written by this prediction:",
            refused,
            "Nothing was changed. Move them away, choose another folder, or replace the maps with --force.",
        )
    reasons = Counter(reason for verdict, reason in verdicts.values() if verdict == "replace")
    for reason, count in reasons.items():
        logger.info(f"{folder}: {count} {reason}; predicted again")
    kept = {name for name, (verdict, _) in verdicts.items() if verdict == "keep"}
    return kept, [name for name, (verdict, _) in verdicts.items() if verdict == "replace"]


def _judge(path: Path, image: Path, settings: str) -> tuple[Verdict, str]:
    """Return what to do with a map, and why."""
    try:
        comment, data = read_comment(path)
    except ImageError as error:
        # a map that was cut short or damaged after sodbench wrote it is of no use to anyone
        if _starts_as_map(path):
            return "replace", "maps are damaged"
        return "refuse", error.problem.detail
    match = _COMMENT.fullmatch(comment)
    if not match:
        return "refuse", "it does not state that sodbench wrote it"
    if match["data"] != data:
        return "refuse", "it was modified after sodbench wrote it"
    if match["settings"] != settings:
        return "refuse", "another network, or other settings, made it"
    try:
        unchanged = match["origin"] == describe_image(read_bytes(image))
    except ImageError:
        # the image will be reported; its old map is kept
        return "predict", ""
    return ("keep", "") if unchanged else ("replace", "images have changed since")


def _starts_as_map(path: Path) -> bool:
    """Whether a damaged file starts with the header and comment of a map of sodbench."""
    try:
        # opening a pipe would wait forever
        if not path.is_file():
            return False
        with path.open("rb") as file:
            return _ORIGIN.encode() in file.read(200)
    except OSError:
        return False
