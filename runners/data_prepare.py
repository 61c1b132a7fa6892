"""``sodbench data prepare``: the reference's list files for a data set in any layout.

``test.lst`` has one image file name a line, relative to the folder of the images; ``train_pair.lst``
has 'image mask' a line, relative to the folder of the set.  They are written aside, never into the
data: a ``test.lst`` there decides what belongs to the set.
"""

import os
from dataclasses import dataclass
from pathlib import Path

from sodbench.datasets import Dataset
from sodbench.errors import ProblemsError, SodbenchError


@dataclass(frozen=True)
class Written:
    """A list that was written: the file, how many lines it has, and what they are relative to."""

    file: Path
    lines: int
    relative_to: Path


def prepare(dataset: Dataset, folder: Path) -> list[Written]:
    """Write ``folder/<set>/test.lst`` and, where the set has masks, ``train_pair.lst``.

    An existing list is replaced only by an equal one.  Raises :class:`SodbenchError` for a set without
    images, for items without a mask or image, and for names with spaces, which the lists cannot hold.
    """
    images, masks = dataset.images, dataset.masks
    if not images:
        raise SodbenchError(f"{dataset.name}: no images in {dataset.root}")
    if dataset.problems:
        raise ProblemsError(
            f"{dataset.name} is not complete, so no lists are written:",
            dataset.problems,
            "mend these, or name a subset without them",
        )
    target = folder / dataset.name.replace("/", "-")
    image_root = Path(os.path.commonpath([path.parent.absolute() for path in images.values()]))
    names = [_relative(images[stem], image_root) for stem in sorted(images)]
    written = [_write(target / "test.lst", names, image_root)]
    if masks:
        root = dataset.root.absolute()
        pairs = [
            f"{_relative(images[stem], root)} {_relative(masks[stem], root)}"
            for stem in sorted(images)
        ]
        written.append(_write(target / "train_pair.lst", pairs, root))
    return written


def _relative(path: Path, root: Path) -> str:
    name = Path(os.path.relpath(path, root)).as_posix()
    if " " in name:
        raise SodbenchError(
            f"{path}: list files separate names by spaces, so a name with a space cannot stand in them"
        )
    return name


def _write(file: Path, lines: list[str], relative_to: Path) -> Written:
    text = "\n".join(lines) + "\n"
    try:
        if file.exists() and file.read_text("utf-8") != text:
            raise SodbenchError(f"{file} exists with other names in it; it is not replaced")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, "utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise SodbenchError(f"{file}: cannot be written ({error})") from error
    return Written(file, len(lines), relative_to)
