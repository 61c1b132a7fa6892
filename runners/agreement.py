"""``sodbench agree``: read the maps of several methods and compare them with one another; no masks are needed."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sodbench.datasets import list_images
from sodbench.datasets.pairing import common_suffix
from sodbench.errors import ImageError, Problem, ProblemKind, SodbenchError
from sodbench.folders import list_folders
from sodbench.images import decode_alpha, read_bytes, read_grey, resize_grey
from sodbench.metrics.agreement import Agreement, compare_maps
from sodbench.metrics.arrays import Floats
from sodbench.parallel import in_threads


@dataclass(frozen=True)
class ComparedMaps:
    """What was compared.

    Attributes
    ----------
    agreement : Agreement
    files : mapping of str to mapping of str to Path
        Method -> stem -> map.
    images : mapping of str to Path
        Stem -> image, as far as images were given.
    problems : tuple of Problem
        Maps that are missing or cannot be read, and images whose maps differ in size.
    """

    agreement: Agreement
    files: Mapping[str, Mapping[str, Path]]
    images: Mapping[str, Path]
    problems: tuple[Problem, ...]


def find_methods(folders: Sequence[Path]) -> dict[str, Path]:
    """Find the methods that folders hold: themselves, or their sub-folders where a folder holds no maps itself.

    Parameters
    ----------
    folders : sequence of Path

    Returns
    -------
    dict of str to Path
        The name of each method and the folder of its maps.

    Raises
    ------
    SodbenchError
        For a folder without maps, and where there are fewer than two methods.
    """
    places: list[Path] = []
    for folder in folders:
        inner = [] if list_images(folder) else [f for f in list_folders(folder) if list_images(f)]
        if not inner and not list_images(folder):
            raise SodbenchError(f"{folder}: no maps in it; give a folder of maps for each method")
        places += inner or [folder]
    places = list({place.resolve(): place for place in places}.values())
    if len(places) < 2:
        raise SodbenchError(
            f"{', '.join(map(str, places))}: a single method; agreement needs the maps of two or more"
        )
    found = Counter(place.name for place in places if place not in folders)
    repeated = sorted(name for name, number in found.items() if number > 1)
    if repeated:
        raise SodbenchError(
            f"{', '.join(map(str, folders))}: several of them hold {', '.join(repeated)}, as trees of datasets do; maps of "
            f"different datasets are not compared, so give one folder of maps for each method ({folders[0] / repeated[0]} ...)"
        )
    return dict(zip(_name_methods(places), places, strict=True))


def _name_methods(places: Sequence[Path]) -> list[str]:
    """The shortest different ends of the folders' paths; what all end in, such as the dataset, is left out."""
    parts = [place.resolve().parts for place in places]
    while len({own[-1] for own in parts}) == 1:
        parts = [own[:-1] for own in parts]
    names = []
    for own in parts:
        length = 1
        while sum(other[-length:] == own[-length:] for other in parts) > 1:
            length += 1
        names.append("/".join(own[-length:]))
    return names


def compare_folders(
    methods: Mapping[str, Path],
    images: Path | None = None,
    *,
    channel: str = "grey",
    jobs: int | None = None,
) -> ComparedMaps:
    """Compare the maps of methods on the images that all of them have.

    Parameters
    ----------
    methods : mapping of str to Path
        From `find_methods`.
    images : Path, optional
        The folder of the images; only their maps are compared.
    channel : {"grey", "alpha"}
        What of a map's file is the map.
    jobs : int, optional
        The number of threads.

    Returns
    -------
    ComparedMaps

    Raises
    ------
    SodbenchError
        Where no image has a map of every method.
    """
    image_files = {path.stem: path for path in list_images(images)} if images else {}
    claims = _stems(methods, image_files)
    files, problems = _leave_out_ambiguous(claims)
    wanted = set(image_files) or set().union(*claims.values())
    common = sorted(wanted.intersection(*files.values()))
    if not common:
        examples = ", ".join(f"{name}: {min(own)}" for name, own in files.items())
        raise SodbenchError(
            f"no image has a map of every method; maps of an image have its name ({examples})"
        )
    problems += [
        Problem(ProblemKind.MISSING, stem, f"{name} has no map of this image; it is not compared")
        for name, own in claims.items()
        for stem in sorted(wanted - own.keys())
    ]

    def compare(stem: str) -> _Compared:
        return _compare_image(stem, [own[stem] for own in files.values()], channel)

    compared = in_threads(compare, common, "compare", "image", jobs)
    problems += [problem for one in compared for problem in one.problems]
    rows = [(stem, one) for stem, one in zip(common, compared, strict=True) if one.mae is not None]
    if not rows:
        raise SodbenchError("no image has readable maps of every method", *map(str, problems[:10]))
    agreement = Agreement(
        tuple(files),
        tuple(stem for stem, _ in rows),
        np.stack([one.mae for _, one in rows if one.mae is not None]),
        np.stack([one.iou for _, one in rows if one.iou is not None]),
    )
    return ComparedMaps(agreement, files, image_files, tuple(problems))


def _leave_out_ambiguous(
    claims: Mapping[str, Mapping[str, Sequence[Path]]],
) -> tuple[dict[str, dict[str, Path]], list[Problem]]:
    """The one map of each image by method; where two files have its name, neither is guessed to be the map."""
    files: dict[str, dict[str, Path]] = {}
    problems = []
    for name, own in claims.items():
        files[name] = {stem: paths[0] for stem, paths in own.items() if len(paths) == 1}
        for stem in sorted(own.keys() - files[name].keys()):
            detail = (
                f"{name} has {' and '.join(path.name for path in own[stem])}; it is not compared"
            )
            problems.append(Problem(ProblemKind.AMBIGUOUS, stem, detail))
    return files, problems


def _stems(
    methods: Mapping[str, Path], images: Mapping[str, Path]
) -> dict[str, dict[str, list[Path]]]:
    """The maps of each method by the name of their image: without a suffix that all maps of a method have."""
    own = {name: list_images(folder) for name, folder in methods.items()}
    stems = {name: [path.stem for path in paths] for name, paths in own.items()}
    # without images, the method with the shortest names has no suffix
    shortest = min(stems.values(), key=lambda maps: sum(map(len, maps)) / len(maps))
    names = images or set(shortest)
    claims: dict[str, dict[str, list[Path]]] = {}
    for name, paths in own.items():
        suffix = common_suffix(stems[name], names)
        claims[name] = {}
        for path in paths:
            stem = path.stem if path.stem in names else path.stem.removesuffix(suffix)
            claims[name].setdefault(stem, []).append(path)
    return claims


@dataclass(frozen=True)
class _Compared:
    mae: Floats | None = None
    iou: Floats | None = None
    problems: tuple[Problem, ...] = ()


def _compare_image(stem: str, paths: Sequence[Path], channel: str) -> _Compared:
    """Compare the maps of one image, each resized to the largest of them."""
    try:
        if channel == "alpha":
            maps = [decode_alpha(read_bytes(path), path).pixels for path in paths]
        else:
            maps = [read_grey(path).pixels for path in paths]
    except ImageError as error:
        return _Compared(problems=(error.problem,))
    sizes = {(int(map_.shape[0]), int(map_.shape[1])) for map_ in maps}
    problems: tuple[Problem, ...] = ()
    if len(sizes) > 1:
        largest = max(sizes, key=lambda size: (size[0] * size[1], size))
        maps = [m if m.shape == largest else resize_grey(m, largest, "bilinear") for m in maps]
        texts = ", ".join(f"{width}x{height}" for height, width in sorted(sizes))
        detail = f"maps of several sizes ({texts}), resized to the largest (bilinear)"
        problems = (Problem(ProblemKind.SIZE, stem, detail),)
    mae, iou = compare_maps(maps)
    return _Compared(mae, iou, problems)
