"""The folders of maps below a root, and which method and dataset each of them belongs to."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from sodbench.datasets import Dataset, known_name, list_images
from sodbench.datasets.grouped import group_parts
from sodbench.datasets.registry import normalise_name
from sodbench.errors import Problem, ProblemKind, SodbenchError
from sodbench.folders import list_names, walk
from sodbench.images import UNREAD_EXTENSIONS, is_image_name
from sodbench.results import PARTS_FOLDER

# A folder of these only is a result of an earlier evaluation, not maps
_RESULT_FILES = frozenset({"result.json", "scores.csv", "counts.npz", PARTS_FOLDER})
# How many datasets a message names
_MAX_NAMES = 8


@dataclass(frozen=True)
class PredictionTree:
    """What is below the folder PREDS.

    Attributes
    ----------
    root : Path
    truths, unwanted : tuple of Dataset
        Datasets to score on, and those that the user left out.
    on_purpose : bool
        Whether the user chose among datasets, so that maps of others are left out without a problem.
    folders : mapping of Path to tuple of Path
        The folders that hold images, with these.
    empty : tuple of Path
        The folders that hold none.
    broken : tuple of Problem
        Links that lead nowhere.
    loops : tuple of str
        Links that are not followed, without loss.
    """

    root: Path
    truths: tuple[Dataset, ...]
    unwanted: tuple[Dataset, ...]
    on_purpose: bool
    folders: Mapping[Path, tuple[Path, ...]]
    empty: tuple[Path, ...]
    broken: tuple[Problem, ...]
    loops: tuple[str, ...]

    def group_of(self, folder: Path) -> tuple[Path, str]:
        """Find which group of a dataset in groups the maps of a folder belong to.

        Parameters
        ----------
        folder : Path
            One of `folders`.

        Returns
        -------
        base : Path
            The folder of all groups' maps; ``folder`` itself if it is no group's.
        group : str
            As in `Dataset.groups`; empty if it is no group's.
        """
        below = folder.relative_to(self.root).parts
        for start in range(len(below)):
            group = self._groups.get(_group_key("/".join(group_parts(below[start:]))))
            if group:
                return self.root.joinpath(*below[:start]), group
        return folder, ""

    @cached_property
    def _groups(self) -> dict[str, str]:
        return {_group_key(group): group for truth in self.truths for group in truth.groups}

    def identify(self, folder: Path) -> tuple[str, Dataset | None, str]:
        """Find what a folder of maps is scored on.

        Parameters
        ----------
        folder : Path
            One of `folders`.

        Returns
        -------
        method : str
        truth : Dataset or None
        reason : str
            Why it is scored on no dataset.
        """
        root = self.root
        base, group = self.group_of(folder)
        below = base.relative_to(root).parts
        method, truth, reason = self._identify_base(below)
        if truth and truth.groups and not group:
            groups = sorted(truth.groups)
            known = ", ".join(groups[:_MAX_NAMES]) + ", ..." * (len(groups) > _MAX_NAMES)
            return "", None, f"no group of {truth.name} is named so; its groups are {known}"
        return method, truth, reason

    def _identify_base(self, below: tuple[str, ...]) -> tuple[str, Dataset | None, str]:
        """As `identify`, for the folder of all groups' maps, or of a dataset without groups."""
        root, truths = self.root, self.truths
        for at in range(len(below) - 1, -1, -1):
            if truth := _find_named(below[at], truths):
                rest = below[:at] + below[at + 1 :]
                return "/".join(rest) or _suggest_method(root, truths), truth, ""
            if other := _find_named(below[at], self.unwanted):
                return "", None, f"maps of {other.name}, which is not wanted"
        if unknown := next((known_name(part) for part in below if known_name(part)), None):
            advice = "" if self.on_purpose else f"; --datasets {truths[0].name} leaves them out"
            return "", None, f"no ground truth for {unknown} was given{advice}"
        # PREDS/<method>/ or PREDS itself
        if len(truths) == 1 and not self._has_dataset_folders:
            return "/".join(below) or _suggest_method(root, truths), truths[0], ""
        if truth := _find_named(root.absolute().name, truths):
            # PREDS/ of a dataset, or PREDS/<part>/
            return "/".join((_suggest_method(root, truths), *below)), truth, ""
        known = ", ".join(f"{truth.name} ({truth.root})" for truth in truths[:_MAX_NAMES])
        known += f" and {len(truths) - _MAX_NAMES} more" * (len(truths) > _MAX_NAMES)
        reason = (
            f"no folder of its path is named as a dataset that was found: {known}; give their ground truth too, or "
            "choose the datasets that are meant with --datasets"
        )
        return "", None, reason

    @cached_property
    def _has_dataset_folders(self) -> bool:
        """Whether folders of this tree are named after datasets."""
        parts = {part for folder in self.folders for part in folder.relative_to(self.root).parts}
        return any(_find_named(part, [*self.truths, *self.unwanted]) for part in parts)

    def find_unscored(self) -> list[Problem]:
        """Find folders without images where maps are expected: of a dataset's name, or with maps of other formats.

        Returns
        -------
        list of Problem
            Of kind ``unscored-maps``.
        """
        problems = []
        for folder in self.empty:
            files = set(list_names(folder))
            if files and files <= _RESULT_FILES:
                continue
            suffixes = {Path(name).suffix.lower() for name in files} & UNREAD_EXTENSIONS
            if suffixes and not self.on_purpose:
                detail = f"holds {', '.join(sorted(suffixes))} files, which are not read; convert them to PNG"
                problems.append(Problem(ProblemKind.UNSCORED_MAPS, str(folder), detail))
                continue
            truth = _find_named(folder.name, self.truths) if folder != self.root else None
            if truth and not any(inner.is_relative_to(folder) for inner in self.folders):
                detail = f"is named as the dataset {truth.name}, but holds no maps"
                problems.append(Problem(ProblemKind.UNSCORED_MAPS, str(folder), detail))
        return problems


def _group_key(group: str) -> str:
    """A group's name as folders are compared: known names by any alias, others without case and punctuation."""
    return "/".join(known_name(part) or normalise_name(part) for part in group.split("/"))


def read_tree(
    root: Path, truths: Sequence[Dataset], unwanted: Sequence[Dataset], on_purpose: bool
) -> PredictionTree:
    """List the folders of maps below a root.

    Parameters
    ----------
    root : Path
    truths, unwanted : sequence of Dataset
    on_purpose : bool
        As in `PredictionTree`.

    Raises
    ------
    SodbenchError
        Where there are no maps.
    """
    folders: dict[Path, tuple[Path, ...]] = {}
    empty, broken, loops = [], [], []
    for folder, obstacle in walk(root) if root.is_dir() else ():
        if not obstacle:
            if images := list_images(folder):
                folders[folder] = images
            else:
                empty.append(folder)
        elif folder.exists():
            loops.append(f"{folder}: {obstacle}")
        elif not is_image_name(folder.name):
            # a map that is a broken link is reported as unreadable
            broken.append(Problem(ProblemKind.BROKEN_LINK, str(folder), obstacle))
    tree = PredictionTree(
        root,
        tuple(truths),
        tuple(unwanted),
        on_purpose,
        folders,
        tuple(empty),
        tuple(broken),
        tuple(loops),
    )
    if not folders:
        problems = [f"{p.file}: {p.detail}" for p in (*broken, *tree.find_unscored())]
        raise SodbenchError(
            f"{root}: no maps in it"
            + ("" if root.is_dir() else " (there is no such folder)")
            + "; give a folder of images, or a tree <method>/<set>/ of them",
            *(f"  {line}" for line in (*loops, *problems)),
        )
    return tree


def _find_named(part: str, truths: Sequence[Dataset]) -> Dataset | None:
    """The dataset that a folder is named after: by its exact name, else without case and punctuation."""
    matches = [truth for truth in truths if part in (truth.name, truth.name.split("/")[0])]
    if not matches:
        key, known = normalise_name(part), known_name(part)
        for truth in truths:
            names = (truth.name, truth.name.split("/")[0])
            if key in map(normalise_name, names) or known == names[1]:
                matches.append(truth)
    if len(matches) > 1:
        raise SodbenchError(
            f"a folder of maps named {part} could belong to {' or '.join(t.name for t in matches)}; rename it, or "
            "choose the dataset with --datasets"
        )
    return matches[0] if matches else None


def _suggest_method(root: Path, truths: Sequence[Dataset]) -> str:
    """The method's name that a path suggests; a folder that is named after the dataset is skipped (DSS/SOD)."""
    resolved = root.resolve()
    own = resolved.name
    if resolved.parent.name and (known_name(own) or _find_named(own, truths)):
        return resolved.parent.name
    return own or "method"


def is_selected(name: str, wanted: Collection[str]) -> bool:
    """Check whether a name is among those that the user chose; case and punctuation do not matter.

    Parameters
    ----------
    name : str
        Of a method or dataset.
    wanted : collection of str
    """
    keys = {normalise_name(w) for w in wanted} | {known_name(w) for w in wanted}
    return normalise_name(name) in keys or name in keys or name.split("/")[0] in keys
