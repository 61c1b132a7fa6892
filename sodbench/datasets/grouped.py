"""Datasets in groups: the masks of every sequence or class in a folder of its own.

``DAVSOD/<sequence>/GT/0001.png`` and ``CoCA/gt/<class>/0001.png`` repeat the names of their files from group to group,
so an item is named with its group: ``<sequence>/0001``.
"""

from collections.abc import Iterable
from pathlib import Path

from sodbench.datasets.build import annotate_official_count
from sodbench.datasets.dataset import Dataset, DatasetNotFound, Sample, check_dataset_name
from sodbench.datasets.ground_truth import find_masks
from sodbench.datasets.layouts import (
    IMAGE_FOLDERS,
    MASK_FOLDERS,
    OTHER_FOLDERS,
    infer_dataset_name,
    list_images,
)
from sodbench.datasets.registry import known_name, normalise_name
from sodbench.errors import Problem, SodbenchError
from sodbench.folders import walk


def find_grouped_masks(
    path: Path | str, name: str | None = None, data_root: Path | str | None = None
) -> list[Dataset]:
    """Find ground truth whose masks are in a folder for each group.

    Parameters
    ----------
    path : Path or str
        The folder of one dataset, below which every folder of masks is a group; where folders named ``GT`` or similar
        exist, only these hold masks. Or the name of a dataset below ``data_root``, such as the union DIS-TE.
    name : str, optional
        What to call the dataset; by default its name is inferred from the path.
    data_root : Path or str, optional
        As for `find_masks`.

    Returns
    -------
    list of Dataset
        One, with items named ``<group>/<stem>``.

    Raises
    ------
    DatasetNotFound
        If there are no masks.
    SodbenchError
        If the masks are in no folders of groups.
    """
    if name is not None:
        check_dataset_name(name, "--dataset-name")
    folder = Path(path)
    if not folder.is_dir() and data_root is not None and (Path(data_root) / path).is_dir():
        folder = Path(data_root) / path
    datasets = (
        [_load_groups(folder, name)] if folder.is_dir() else find_masks(path, name, data_root)
    )
    for dataset in datasets:
        if not dataset.groups:
            raise SodbenchError(
                f"--group-by parent: the masks of {dataset.name} ({dataset.root}) are not in a folder for each group "
                "(<sequence>/GT/0001.png, gt/<class>/0001.png); give the folder above them, or name the groups in a "
                "file: --group-by FILE.csv"
            )
    return datasets


def _load_groups(root: Path, name: str | None) -> Dataset:
    """All masks below a folder as one dataset."""
    folders = {folder: list_images(folder) for folder, obstacle in walk(root) if not obstacle}
    folders = {folder: files for folder, files in folders.items() if files}
    named_as_masks = [folder for folder in folders if _has_part(folder, root, MASK_FOLDERS)]
    not_masks = IMAGE_FOLDERS | OTHER_FOLDERS
    # without folders named as masks, every folder counts but those named as images or as something else
    mask_folders = named_as_masks or [
        folder for folder in folders if not _has_part(folder, root, not_masks)
    ]
    samples: dict[str, Sample] = {}
    problems: list[Problem] = []
    for folder in sorted(mask_folders):
        group = "/".join(group_parts(folder.relative_to(root).parts))
        for file in folders[folder]:
            stem = f"{group}/{file.stem}" if group else file.stem
            if stem in samples:
                detail = f"{samples[stem].mask} is {stem}, too; keep one"
                problems.append(Problem("ambiguous", str(file), detail))
            samples[stem] = Sample(stem, None, file)
    if not samples:
        raise DatasetNotFound(f"{root}: no masks found in it or below it")
    inferred = infer_dataset_name(root)
    # the source selects the dataset again, so it repeats a name that cannot be inferred
    name_options = () if name is None or name == inferred else ("--dataset-name", name)
    dataset = Dataset(
        known_name(name or inferred) or name or inferred,
        root,
        f"{len({stem.rpartition('/')[0] for stem in samples})} folders of masks",
        tuple(samples[stem] for stem in sorted(samples)),
        problems=tuple(problems),
        source=(str(root.absolute()), *name_options, "--group-by", "parent"),
    )
    return annotate_official_count(dataset)


def group_parts(parts: Iterable[str]) -> tuple[str, ...]:
    """Return the folders that name a group: without those named ``GT``, ``Imgs`` and the like.

    Parameters
    ----------
    parts : iterable of str
        The folders of a path.

    Returns
    -------
    tuple of str
    """
    generic = MASK_FOLDERS | IMAGE_FOLDERS
    return tuple(part for part in parts if normalise_name(part) not in generic)


def _has_part(folder: Path, root: Path, kinds: frozenset[str]) -> bool:
    """Whether a folder, or one between it and the root, has a name of this kind."""
    below = folder.relative_to(root).parts
    # masks directly in the root: its own name says what they are
    if folder == root or not below:
        return normalise_name(root.absolute().name) in kinds
    return any(normalise_name(part) in kinds for part in (root.absolute().name, *below))
