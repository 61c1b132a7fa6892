"""One method on one dataset: which saliency map meets which mask, and what is wrong with their names."""

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from sodbench.datasets import Dataset, Pairing, list_images, list_unread_images, pair_files
from sodbench.errors import Problem, ProblemKind, Severity
from sodbench.folders import list_file_folders, list_file_numbers
from sodbench.results.policy import Policy


@dataclass(frozen=True)
class Task:
    """Score one method's maps on one dataset.

    Attributes
    ----------
    method, dataset : str
        Their names; a subset's name is ``HKU-IS/test``.
    maps : Path or None
        The folder of the maps; None for a list of pairs.
    masks : Path
        The folder of the masks.
    images : mapping of str to Path
        The dataset's images by stem, as far as they are known.
    pairing : Pairing
        How the maps match the masks.
    problems : tuple of Problem
        What is wrong with the folders of the ground truth, and maps that are their own masks.
    source : tuple of str
        The arguments that select the ground truth: ``sodbench eval MAPS *source`` scores this task, and for a list
        of pairs ``sodbench eval *source``.  Empty where no arguments do.
    root : Path or None
        The folder of the dataset, which holds its folders of masks and images.
    policy : Policy
        What to do about missing maps, and which shard of the pairs to score.
    """

    method: str
    dataset: str
    maps: Path | None
    masks: Path
    images: Mapping[str, Path]
    pairing: Pairing
    problems: tuple[Problem, ...] = ()
    source: tuple[str, ...] = ()
    root: Path | None = None
    policy: Policy = field(default_factory=Policy)

    def __str__(self) -> str:
        return f"{self.method} on {self.dataset}"

    @cached_property
    def map_files(self) -> dict[str, Path | None]:
        """The map of every stem that is scored, in all shards; None for a missing map that is scored as black."""
        files: dict[str, Path | None] = {pair.stem: pair.map for pair in self.pairing.pairs}
        if self.policy.missing == "zero":
            files |= {item.stem: None for item in self.pairing.missing}
        return files

    @cached_property
    def mask_files(self) -> dict[str, Path]:
        """The mask of every stem of `map_files`."""
        files = {pair.stem: pair.mask for pair in self.pairing.pairs}
        if self.policy.missing == "zero":
            files |= {item.stem: item.path for item in self.pairing.missing}
        return files

    @cached_property
    def stems(self) -> tuple[str, ...]:
        """The stems that this run scores, ascending: every n-th of all where there are n shards."""
        stems = sorted(self.mask_files)
        if self.policy.shard:
            index, number = self.policy.shard
            stems = stems[index - 1 :: number]
        return tuple(stems)

    @property
    def n_divided(self) -> int | None:
        """The number of pairs of all shards together; None without shards."""
        return len(self.mask_files) if self.policy.shard else None

    @cached_property
    def notes(self) -> tuple[Problem, ...]:
        """Problems with names that the run reports and scores in spite of: ``extra``, ``missing`` and others.

        With shards, a missing map belongs to the shard that scores it as black, or else to the first one, and so does
        everything about the folders: together the shards report each problem once.
        """
        kinds = (
            *(ProblemKind.EXTRA, ProblemKind.MISSING),
            *(ProblemKind.NO_MASK, ProblemKind.NOT_READ, ProblemKind.OTHER_FILES),
        )
        noted = [p for p in (*self.problems, *self.pairing.problems()) if p.kind in kinds]
        if not self.policy.shard:
            return tuple(noted)
        first = self.policy.shard[0] == 1
        if self.policy.missing == "zero":
            mine = {str(self.mask_files[stem]) for stem in self.stems}
        else:
            mine = {str(item.path) for item in self.pairing.missing if first}
        return tuple(
            p for p in noted if (p.file in mine if p.kind == ProblemKind.MISSING else first)
        )

    @property
    def n_missing(self) -> int:
        """Number of missing maps that this run leaves out or scores as black."""
        if not self.policy.shard:
            return len(self.pairing.missing)
        return sum(note.kind == ProblemKind.MISSING for note in self.notes)

    @cached_property
    def errors(self) -> tuple[Problem, ...]:
        """Problems with names for which the policy refuses to score; with them, hints at the likely reason."""
        problems = (*self.problems, *self.pairing.problems())
        missing = [p for p in problems if p.kind == ProblemKind.MISSING]
        errors = [p for p in problems if p.severity == Severity.ERROR]
        if self.policy.missing != "error":
            errors = [p for p in errors if p.kind != ProblemKind.MISSING]
        # a policy that leaves out what is missing must not leave out everything
        if not self.mask_files and not errors:
            nothing = Problem(ProblemKind.MISSING, str(self.masks), "no mask meets a map")
            errors = missing or [nothing]
        pairing = self.pairing
        if pairing.hint and errors:
            errors.append(Problem(ProblemKind.HINT, str(self.maps), pairing.hint))
        if not pairing.pairs and pairing.missing and pairing.extra and not pairing.hint:
            detail = (
                f"no map has the name of a mask: masks are named as {pairing.missing[0].path.name}, "
                f"maps as {pairing.extra[0].path.name}"
            )
            errors.append(Problem(ProblemKind.HINT, str(self.maps), detail))
        return tuple(errors)

    @cached_property
    def folders(self) -> dict[str, str | None]:
        """The folders ``maps``, ``masks`` and ``images`` that hold the files, resolved; for a list, those of its files."""
        if self.maps is None:
            pairs = self.pairing.pairs
            maps = _common_folder([pair.map for pair in pairs]) or self.masks
            masks = _common_folder([pair.mask for pair in pairs]) or self.masks
        else:
            maps, masks = self.maps, self.masks
        images = _common_folder(list(self.images.values()))
        return {
            "maps": str(maps.resolve()),
            "masks": str(masks.resolve()),
            "images": str(images) if images else None,
        }

    def file_names(self, stems: Sequence[str]) -> dict[str, list[str]]:
        """Return the files of some pairs as they are stored: relative to `folders`.

        Parameters
        ----------
        stems : sequence of str

        Returns
        -------
        dict of str to list of str
            ``map``, ``mask`` and ``image``; empty where there is none.
        """
        listed = self.maps is None
        files: dict[str, tuple[Mapping[str, Path | None] | Mapping[str, Path], Path | str | None]]
        files = {
            "map": (self.map_files, self.folders["maps"] if listed else self.maps),
            "mask": (self.mask_files, self.folders["masks"] if listed else self.masks),
            "image": (self.images, self.folders["images"]),
        }
        return {
            kind: _relative_names([paths.get(stem) for stem in stems], base)
            for kind, (paths, base) in files.items()
        }


def make_task(
    method: str,
    truth: Dataset,
    folder: Path,
    maps: Mapping[str, list[Path]] | Sequence[Path] | None = None,
    policy: Policy | None = None,
) -> Task:
    """Match the maps of a folder with the masks of a dataset.

    Parameters
    ----------
    method : str
        The method's name.
    truth : Dataset
        The dataset.
    folder : Path
        Where the maps are.
    maps : sequence of Path, or mapping of str to list of Path, optional
        The maps, or stem -> maps for a dataset in groups; by default all images of the folder.
    policy : Policy, optional
        By default, missing maps are refused.
    """
    masks, groups = truth.masks, truth.groups
    pairing = pair_files(masks, list_images(folder) if maps is None else maps, truth.excluded)
    # the maps of a dataset in groups are in folders of their own
    map_folders = list_file_folders(p.map for p in pairing.pairs) if groups else [str(folder)]
    mask_folders = list_file_folders(masks.values())
    return Task(
        method,
        truth.name,
        folder,
        next(iter(masks.values())).parent if masks and not groups else truth.root,
        truth.images,
        pairing,
        problems=(
            *select_mask_problems(truth),
            *find_same_files(pairing, map_folders, mask_folders),
            *_find_unread_files(truth, pairing, map_folders, mask_folders),
        ),
        source=truth.source,
        root=truth.root,
        policy=policy or Policy(),
    )


def select_mask_problems(truth: Dataset) -> tuple[Problem, ...]:
    """Select the problems of a dataset that concern its masks: ``no-mask``, ``ambiguous`` and ``no-item``.

    Parameters
    ----------
    truth : Dataset

    Returns
    -------
    tuple of Problem
        An item that a list or subset names and that has no mask is ``no-item``, which no policy for missing maps covers.
    """
    selected = [p for p in truth.problems if p.kind in (ProblemKind.AMBIGUOUS, ProblemKind.NO_MASK)]
    selected += [
        Problem(ProblemKind.NO_ITEM, p.file, p.detail)
        for p in truth.problems
        if p.kind == ProblemKind.MISSING
    ]
    return tuple(selected)


def _find_unread_files(
    truth: Dataset, pairing: Pairing, map_folders: Sequence[str], mask_folders: Sequence[str]
) -> list[Problem]:
    """Masks and maps of types that are not read: those of unpaired items, and the number of others."""
    lacking_mask = {item.path.stem.removesuffix(pairing.suffix) for item in pairing.extra}
    lacking_mask |= {s.image.stem for s in truth.samples if s.image and not s.mask}
    lacking_map = {item.stem.rpartition("/")[2] + pairing.suffix for item in pairing.missing}
    folders = dict.fromkeys(map_folders, lacking_map)
    folders |= dict.fromkeys(mask_folders, lacking_mask)
    problems = []
    for folder, wanted in ((Path(text), wanted) for text, wanted in folders.items()):
        others: Counter[str] = Counter()
        for path in list_unread_images(folder):
            if path.stem in wanted:
                detail = f"{path.suffix} files are not read; convert it to 8-bit PNG"
                problems.append(Problem(ProblemKind.NOT_READ, str(path), detail))
            else:
                others[path.suffix.lower()] += 1
        if others:
            counts = ", ".join(f"{number} {suffix}" for suffix, number in sorted(others.items()))
            detail = f"files that are not read: {counts}"
            problems.append(Problem(ProblemKind.OTHER_FILES, str(folder), detail))
    return problems


def find_same_files(
    pairing: Pairing, map_folders: Sequence[str], mask_folders: Sequence[str]
) -> tuple[Problem, ...]:
    """Find pairs whose map and mask are one file, by path or by link: they would score as perfect.

    Parameters
    ----------
    pairing : Pairing
    map_folders, mask_folders : sequence of str
        The folders that hold them, as `list_file_folders` returns them.

    Returns
    -------
    tuple of Problem
        Of kind ``same-file``.
    """
    mask_numbers = list(map(list_file_numbers, mask_folders))
    for own in map(list_file_numbers, map_folders):
        if own is None or any(other is None or not own.isdisjoint(other) for other in mask_numbers):
            break
    else:
        return ()
    problems = []
    for pair in pairing.pairs:
        try:
            # half the time of the methods
            map_file, mask_file = os.stat(pair.map), os.stat(pair.mask)  # noqa: PTH116
        except OSError:
            # reported when the pair is scored
            continue
        if os.path.samestat(map_file, mask_file):
            detail = f"is the same file as its mask {pair.mask}: a mask scored against itself is no result"
            problems.append(Problem(ProblemKind.SAME_FILE, str(pair.map), detail))
    return tuple(problems)


def _common_folder(files: Sequence[Path]) -> Path | None:
    """The folder that holds all files; that of the first one where they share no more than the root."""
    folders = [folder.resolve() for folder in dict.fromkeys(file.parent for file in files)]
    if not folders:
        return None
    try:
        common = Path(os.path.commonpath(folders))
    except ValueError:
        # Windows: two paths on different drives have no relative path
        return folders[0]
    return folders[0] if common == Path(common.anchor) else common


def _relative_names(paths: Sequence[Path | None], base: Path | str | None) -> list[str]:
    """The paths relative to a folder; empty where there is no path or no folder."""
    if base is None:
        return [""] * len(paths)
    inside = f"{base}{os.sep}"
    texts = list(map(str, paths))
    if all(text.startswith(inside) for text in texts):
        names = [text[len(inside) :] for text in texts]
        if os.sep not in "".join(names):
            return names
    resolved = Path(base).resolve()
    names = []
    for path, text in zip(paths, texts, strict=True):
        name = text[len(inside) :]
        if path is None:
            names.append("")
        elif text.startswith(inside) and os.sep not in name:
            # resolving every file would take as long as decoding it
            names.append(name)
        else:
            names.append(os.path.relpath(path.resolve(), resolved))
    return names
