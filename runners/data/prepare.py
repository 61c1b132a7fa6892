"""``sodbench data prepare``: write the reference's list files for a dataset in any layout.

``test.lst`` has one image file name a line, relative to the folder of the images; ``train_pair.lst`` has
'image mask' a line, relative to the folder of the dataset. They are never written into the data: a ``test.lst``
there decides which items belong to the dataset.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sodbench.datasets import Dataset, check_unique_names
from sodbench.datasets.dataset import check_storable_name
from sodbench.datasets.layouts import IMAGE_LIST, PAIR_LIST
from sodbench.errors import ProblemsError, SodbenchError
from sodbench.files import atomic_write, is_plain_file, safe_folder_name
from sodbench.output_folder import check_outside
from sodbench.quoting import printable


@dataclass(frozen=True)
class ListFile:
    """A list file: where it is written, its lines, and the folder that they are relative to.

    Attributes
    ----------
    file : Path
        Where it is written.
    lines : tuple of str
    relative_to : Path
        The folder that the names are relative to.
    """

    file: Path
    lines: tuple[str, ...]
    relative_to: Path

    @property
    def content(self) -> bytes:
        """The bytes of the file."""
        return ("\n".join(self.lines) + "\n").encode("utf-8")


def prepare(datasets: Sequence[Dataset], folder: Path) -> list[ListFile]:
    """Write ``folder/<set>/test.lst`` and, for datasets with masks, ``train_pair.lst``.

    Everything is checked before the first file is written. A file that exists is never replaced; if it has the
    same content it is left as it is.

    Parameters
    ----------
    datasets : sequence of Dataset
        Complete datasets: every item has an image, and a mask if any has.
    folder : Path
        Where the datasets' folders are created; a subset ``HKU-IS/test`` is written to ``HKU-IS@test``.

    Returns
    -------
    list of ListFile
        The lists, in the order of the datasets.

    Raises
    ------
    SodbenchError
        For datasets without images, items without mask or image, names with spaces or that are not UTF-8
        (which the lists cannot hold), unsafe names of datasets, and other files in the way.
    """
    check_unique_names(datasets)
    lists = [planned for dataset in datasets for planned in _plan_lists(dataset, folder)]
    for planned in lists:
        _check_place(planned)
    for planned in lists:
        # else it is the same list, as was checked
        if not is_plain_file(planned.file):
            with atomic_write(planned.file) as temporary:
                temporary.write_bytes(planned.content)
    return lists


def _plan_lists(dataset: Dataset, folder: Path) -> list[ListFile]:
    """The lists of a dataset; nothing is written."""
    images, masks = dataset.images, dataset.masks
    check_storable_name(dataset.name)
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
    check_outside(target, sorted({path.parent for path in (*images.values(), *masks.values())}))
    if target.resolve() == dataset.root.resolve():
        raise SodbenchError(
            f"{target}: is the dataset's own folder, where {IMAGE_LIST} decides which items belong to it; "
            "choose another output folder"
        )
    image_root = Path(os.path.commonpath([path.parent.absolute() for path in images.values()]))
    names = tuple(_listed_name(images[stem], image_root) for stem in sorted(images))
    lists = [ListFile(target / IMAGE_LIST, names, image_root)]
    if masks:
        root = dataset.root.absolute()
        pairs = tuple(
            f"{_listed_name(images[stem], root)} {_listed_name(masks[stem], root)}"
            for stem in sorted(images)
        )
        lists.append(ListFile(target / PAIR_LIST, pairs, root))
    return lists


def _listed_name(path: Path, root: Path) -> str:
    name = Path(os.path.relpath(path, root)).as_posix()
    # the readers of these lists split at any white space, and a byte order mark is dropped
    if name.split() != [name] or printable(name) != name or name.startswith("\ufeff"):
        raise SodbenchError(
            f"{path}: list files separate names by spaces, so they cannot hold a name with a space, a "
            "control character, or bytes that are not UTF-8; rename the file"
        )
    return name


def _check_place(planned: ListFile) -> None:
    """Raise `SodbenchError` if anything but the same list is at its place."""
    file, folder = planned.file, planned.file.parent
    try:
        if os.path.lexists(folder):
            if not folder.is_dir():
                raise SodbenchError(f"{folder}: is not a folder; choose another output folder")
            others = sorted({entry.name for entry in folder.iterdir()} - {IMAGE_LIST, PAIR_LIST})
            if others:
                raise SodbenchError(
                    f"{folder}: holds other files ({', '.join(others[:3])}); choose another output folder"
                )
        if not os.path.lexists(file):
            return
        content = planned.content
        same = is_plain_file(file) and file.stat().st_size == len(content)
        if not (same and file.read_bytes() == content):
            raise SodbenchError(
                f"{file} exists with other content; it is not replaced: move it, or choose another "
                "output folder"
            )
    except OSError as error:
        raise SodbenchError(f"{file}: cannot be read ({error.strerror or error})") from error
