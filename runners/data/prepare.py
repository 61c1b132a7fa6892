"""``sodbench data prepare``: the reference's list files for a dataset in any layout.

``test.lst`` has one image file name a line, relative to the folder of the images; ``train_pair.lst``
has 'image mask' a line, relative to the folder of the dataset. They are never written into the
data: a ``test.lst`` there decides which items belong to the dataset.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sodbench.datasets import Dataset, check_unique_names
from sodbench.datasets.layouts import IMAGE_LIST, PAIR_LIST
from sodbench.errors import ProblemsError, SodbenchError
from sodbench.files import safe_folder_name, write_error
from sodbench.quoting import printable
from sodbench.runners.data.output import is_plain_file, refuse_among_data, refuse_unsafe_name


@dataclass(frozen=True)
class Written:
    """A list that was written: the file, how many lines it has, and what they are relative to."""

    file: Path
    lines: int
    relative_to: Path


@dataclass(frozen=True)
class _List:
    """A list file that is to be written."""

    file: Path
    lines: tuple[str, ...]
    relative_to: Path

    @property
    def content(self) -> bytes:
        return ("\n".join(self.lines) + "\n").encode("utf-8")


def prepare(datasets: Sequence[Dataset], folder: Path) -> list[Written]:
    """Write ``folder/<set>/test.lst`` and, for datasets with masks, ``train_pair.lst``.

    Everything is checked before the first file is written. A file that exists is never replaced; if it
    has the same content it is left as it is.

    Parameters
    ----------
    datasets : sequence of Dataset
        Complete datasets: every item has an image, and a mask if any has.
    folder : Path
        Where the datasets' folders are created; a subset ``HKU-IS/test`` is written to ``HKU-IS@test``.

    Returns
    -------
    list of Written
        The lists, in the order of the datasets.

    Raises
    ------
    SodbenchError
        For datasets without images, items without mask or image, names with spaces or that are not UTF-8
        (which the lists cannot hold), unsafe names of datasets, and anything in the way.
    """
    check_unique_names(datasets)
    lists = [planned for dataset in datasets for planned in _plan(dataset, folder)]
    for planned in lists:
        _refuse_foreign(planned)
    for planned in lists:
        _create(planned)
    return [Written(item.file, len(item.lines), item.relative_to) for item in lists]


def _plan(dataset: Dataset, folder: Path) -> list[_List]:
    """The lists of a dataset; nothing is written."""
    images, masks = dataset.images, dataset.masks
    refuse_unsafe_name(dataset.name)
    if not images:
        raise SodbenchError(f"{dataset.name}: no images in {dataset.root}")
    incomplete = masks and images.keys() != masks.keys()
    if dataset.problems or incomplete:
        raise ProblemsError(
            f"{dataset.name} is not complete, so no lists are written:",
            dataset.problems,
            "fix these, or name a subset without them",
        )
    target = folder / safe_folder_name(dataset.name)
    refuse_among_data(target, [dataset])
    if target.resolve() == dataset.root.resolve():
        raise SodbenchError(
            f"{target}: is the dataset's own folder, where {IMAGE_LIST} decides which items belong to it; "
            "choose another place with -o"
        )
    image_root = Path(os.path.commonpath([path.parent.absolute() for path in images.values()]))
    names = tuple(_relative(images[stem], image_root) for stem in sorted(images))
    lists = [_List(target / IMAGE_LIST, names, image_root)]
    if masks:
        root = dataset.root.absolute()
        pairs = tuple(
            f"{_relative(images[stem], root)} {_relative(masks[stem], root)}"
            for stem in sorted(images)
        )
        lists.append(_List(target / PAIR_LIST, pairs, root))
    return lists


def _relative(path: Path, root: Path) -> str:
    name = Path(os.path.relpath(path, root)).as_posix()
    # the readers of these lists split at any white space, and a byte order mark is dropped
    if name.split() != [name] or printable(name) != name or name.startswith("\ufeff"):
        raise SodbenchError(
            f"{path}: list files separate names by spaces, so they cannot hold a name with a space, a "
            "control character, or bytes that are not UTF-8; rename the file"
        )
    return name


def _refuse_foreign(planned: _List) -> None:
    """Raise :class:`SodbenchError` if anything but the same list is at its place."""
    file, folder = planned.file, planned.file.parent
    try:
        if os.path.lexists(folder):
            if not folder.is_dir():
                raise SodbenchError(f"{folder}: is not a folder; choose another place with -o")
            others = sorted({entry.name for entry in folder.iterdir()} - {IMAGE_LIST, PAIR_LIST})
            if others:
                raise SodbenchError(
                    f"{folder}: holds other files ({', '.join(others[:3])}); choose another place with -o"
                )
        if not os.path.lexists(file):
            return
        content = planned.content
        same = is_plain_file(file) and file.stat().st_size == len(content)
        if not (same and file.read_bytes() == content):
            raise SodbenchError(
                f"{file} exists with other content; it is not replaced: move it, or choose another "
                "place with -o"
            )
    except OSError as error:
        raise SodbenchError(f"{file}: cannot be read ({error.strerror or error})") from error


def _create(planned: _List) -> None:
    """Write a list that does not exist yet; nothing of it is left if that fails."""
    try:
        planned.file.parent.mkdir(parents=True, exist_ok=True)
        if is_plain_file(planned.file):  # the same list, as was checked
            return
        with planned.file.open("xb") as stream:
            try:
                stream.write(planned.content)
                stream.flush()
            except BaseException:
                planned.file.unlink(missing_ok=True)
                raise
    except OSError as error:
        raise write_error(planned.file, error) from error
