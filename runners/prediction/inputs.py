"""Which images are meant by the folders, files and lists that a user names."""

from collections import Counter
from collections.abc import Iterable, Iterator
from os.path import realpath
from pathlib import Path

from sodbench.console import logger
from sodbench.datasets import list_images, list_unread_images
from sodbench.datasets.list_files import read_lines
from sodbench.errors import Problem, ProblemKind, ProblemsError, SodbenchError

_JPEG = (".jpg", ".jpeg")


def find_images(inputs: Iterable[Path | str]) -> list[tuple[str, Path]]:
    """Find the images to predict.

    Parameters
    ----------
    inputs : iterable of Path or str
        Folders, image files, and lists (``.txt``, ``.lst``), whose names are relative to the list's folder or to
        ``Imgs`` in it. If a folder also holds masks next to its images (a JPEG and another file of the same stem, as in
        the reference's layout), the JPEGs are the images.

    Returns
    -------
    list of (str, Path)
        Stem and path of each image, in order.

    Raises
    ------
    ProblemsError
        For named files that do not exist, and for two images of one stem, whose maps would be one file.
    SodbenchError
        If there are no images.
    """
    images: dict[str, Path] = {}
    problems = []
    for path in _expand(inputs):
        # a link in a folder that leads nowhere is a problem of its image, as one that cannot be read
        if not path.exists() and not path.is_symlink():
            problems.append(Problem(ProblemKind.MISSING, str(path), "no such file"))
        # one image that is named twice, or through a link, is predicted once
        elif realpath(path) != realpath(images.setdefault(path.stem, path)):
            detail = f"its map would be that of {images[path.stem]}"
            problems.append(Problem(ProblemKind.AMBIGUOUS, str(path), detail))
    if problems:
        raise ProblemsError("the images cannot be predicted as named:", problems)
    if not images:
        raise SodbenchError("no images to predict")
    return list(images.items())


def find_unread_images(inputs: Iterable[Path | str]) -> list[Problem]:
    """Find the files in folders of images that are not read because of their type.

    Parameters
    ----------
    inputs : iterable of Path or str
        As for `find_images`; only the folders are looked at.

    Returns
    -------
    list of Problem
        A file next to an image of the same stem, such as the features of an image, is none.
    """
    problems = []
    for folder in filter(Path.is_dir, map(Path, inputs)):
        stems = {path.stem for path in list_images(folder)}
        for path in list_unread_images(folder):
            if path.stem not in stems:
                detail = f"{path.suffix} files are not read; convert it to JPEG or PNG"
                problems.append(Problem(ProblemKind.NOT_READ, str(path), detail))
    return problems


def _expand(inputs: Iterable[Path | str]) -> Iterator[Path]:
    for entry in map(Path, inputs):
        if entry.is_dir():
            yield from _images_of_folder(entry)
        elif entry.suffix.lower() in (".txt", ".lst"):
            for line in read_lines(entry):
                # the reference's lists name files without the folder Imgs that holds them
                next_to_list, below = entry.parent / line, entry.parent / "Imgs" / line
                yield below if below.exists() and not next_to_list.exists() else next_to_list
        else:
            yield entry


def _images_of_folder(folder: Path) -> list[Path]:
    files = list_images(folder)
    if not files:
        unread = Counter(path.suffix.lower() for path in list_unread_images(folder))
        counts = ", ".join(f"{number} {suffix}" for suffix, number in sorted(unread.items()))
        hint = f" of a type that is read ({counts}); convert them to JPEG or PNG" if unread else ""
        raise SodbenchError(f"{folder}: this folder holds no images{hint}")
    jpeg_stems = {p.stem for p in files if p.suffix.lower() in _JPEG}
    images = [p for p in files if p.suffix.lower() in _JPEG or p.stem not in jpeg_stems]
    if len(images) < len(files):
        logger.info(f"{folder}: {len(files) - len(images)} masks next to the images are left out")
    return images
