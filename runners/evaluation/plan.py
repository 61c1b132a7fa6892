"""What a user's folders mean: which methods' maps stand against which data sets' masks."""

import os
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from sodbench.datasets import (
    Dataset,
    Pairing,
    known_name,
    list_images,
    pair_files,
    read_pair_list,
)
from sodbench.datasets.dataset import check_dataset_name
from sodbench.datasets.layouts import describe_layouts
from sodbench.datasets.list_files import list_subset_name
from sodbench.datasets.registry import normalise_name
from sodbench.errors import Problem, SodbenchError
from sodbench.files import list_names, walk
from sodbench.images import is_image_name
from sodbench.results.policy import Policy


@dataclass(frozen=True)
class Task:
    """Score one method's maps on one data set.

    maps: the folder of the maps, or None for a pair list.  pairing: how they meet the masks.
    problems: what was found in the ground truth's own folders.
    source: the arguments that select the ground truth, see :attr:`Dataset.source`: ``sodbench eval <maps> *source``
        scores this task, and for a pair list ``sodbench eval *source``.  Empty where no arguments do.
    root: the folder of the dataset, which holds its folders of masks and images.
    """

    method: str
    dataset: str
    maps: Path | None
    masks: Path
    images: dict[str, Path]
    pairing: Pairing
    problems: tuple[Problem, ...] = ()
    source: tuple[str, ...] = ()
    root: Path | None = None


@dataclass(frozen=True)
class EvaluationPlan:
    """Which saliency maps are scored against which masks, and how.

    tasks: sorted by dataset, then method.  policy: what to do about what is wrong with a pair.  problems: folders of maps that are not scored (``unscored-maps``) and links
    that lead nowhere (``broken-link``): they make a run finish with problems.  ignored: what is left out on purpose or
    without loss, in words.
    """

    tasks: tuple[Task, ...]
    policy: Policy = field(default_factory=Policy)
    ignored: tuple[str, ...] = ()
    problems: tuple[Problem, ...] = ()

    def describe(self) -> list[str]:
        """Return what will be scored, a line for each task."""
        lines = []
        for task in self.tasks:
            pairing = task.pairing
            parts = [f"{len(pairing.pairs)} pairs"]
            parts += [f"{len(pairing.missing)} without a map"] * bool(pairing.missing)
            parts += [f"{len(pairing.extra)} maps without a mask"] * bool(pairing.extra)
            parts += [f"{len(pairing.ambiguous)} names claimed twice"] * bool(pairing.ambiguous)
            parts += [f"{len(pairing.outside_subset)} maps outside the subset"] * bool(
                pairing.outside_subset
            )
            parts += [f"suffix '{pairing.suffix}' on the maps' names"] * bool(pairing.suffix)
            lines.append(f"{task.method} on {task.dataset}: {', '.join(parts)}")
        return lines + [f"not scored: {reason}" for reason in self.ignored]


def plan_evaluation(
    predictions: Path,
    truths: Sequence[Dataset],
    *,
    methods: Collection[str] = (),
    datasets: Collection[str] = (),
    name: str | None = None,
    others: Sequence[Dataset] | None = None,
    policy: Policy | None = None,
) -> EvaluationPlan:
    """Find the methods below ``predictions`` and pair their maps with the masks of ``truths``.

    predictions: one folder of maps, or a tree of them: ``<set>/``, ``<method>/<set>/``, ``<set>/<method>/``, or
        ``<method>/`` where there is one data set; a method's name may be several folders deep (``<paper>/<backbone>``).
    methods, datasets: only these (names as printed; case and punctuation do not matter); name: what to call the one method.
    others: where the user chose among data sets, those that are not wanted: maps of further sets are then left out
        without a problem.

    Raises :class:`SodbenchError` where there are no maps, or nothing is left to do.
    """
    wanted = wanted_truths(truths, datasets)
    on_purpose = bool(datasets) or others is not None
    unwanted = [*(others or ()), *(truth for truth in truths if truth not in wanted)]
    reader = _Tree(predictions, wanted, unwanted, on_purpose)
    tasks, seen, problems = [], set(), list(reader.broken)
    ignored = list(reader.loops)
    for folder, maps in reader.folders.items():
        method, truth, reason = reader.meaning(folder)
        if truth is None:
            if reader.on_purpose:
                ignored.append(f"{folder}: {reason}")
            else:
                problems.append(
                    Problem("unscored-maps", str(folder), f"{len(maps)} maps: {reason}")
                )
            continue
        method = name or method
        seen.add(method)
        if not methods or _named(method, methods):
            tasks.append(task_of(method, truth, folder, maps))
    problems += reader.without_maps()
    _check(tasks, predictions, methods, seen, [*ignored, *map(_line, problems)])
    order = {truth.name: i for i, truth in enumerate(wanted)}
    tasks.sort(key=lambda task: (order[task.dataset], task.method))
    return EvaluationPlan(tuple(tasks), policy or Policy(), tuple(ignored), tuple(problems))


def _line(problem: Problem) -> str:
    return f"{problem.file}: {problem.detail}"


def wanted_truths(truths: Sequence[Dataset], datasets: Collection[str]) -> Sequence[Dataset]:
    """The data sets of these names, or all; raises :class:`SodbenchError` for a name that there is not."""
    if unknown := [w for w in datasets if not any(_named(t.name, [w]) for t in truths)]:
        raise SodbenchError(
            f"no ground truth for {', '.join(unknown)}; there is {', '.join(t.name for t in truths)} "
            "(a subset such as HKU-IS/test is asked for as GT itself: data/HKU-IS/test)"
        )
    return [t for t in truths if not datasets or _named(t.name, datasets)]


UNREADABLE_MAPS = frozenset(
    {".npy", ".npz", ".mat", ".exr", ".jp2", ".heic", ".avif", ".pfm", ".tga", ".h5", ".hdf5"}
)
"""Endings of files that hold maps for other programs, but are not read."""

RESULT_FILES = frozenset({"result.json", "scores.csv", "counts.npz", "unfinished.pairs"})
"""A folder of these files only is a result of an earlier evaluation, not maps."""


class _Tree:
    """The folders of maps below a root, and what their places mean.

    folders: those that hold pictures, with these.  others: data sets that are not wanted.
    on_purpose: the user chose among data sets, so that maps of further ones are left out on purpose.
    broken: links that lead nowhere; loops: links that are not followed, without loss.
    by_set: whether folders of this tree are named after data sets.
    """

    def __init__(
        self, root: Path, truths: Sequence[Dataset], others: Sequence[Dataset], on_purpose: bool
    ):
        self.root, self.truths, self.others, self.on_purpose = root, truths, others, on_purpose
        self.folders: dict[Path, tuple[Path, ...]] = {}
        self.broken: list[Problem] = []
        self.loops: list[str] = []
        self._empty: list[Path] = []
        for folder, obstacle in walk(root) if root.is_dir() else ():
            if not obstacle:
                if found := list_images(folder):
                    self.folders[folder] = found
                else:
                    self._empty.append(folder)
            elif folder.exists():
                self.loops.append(f"{folder}: {obstacle}")
            elif not is_image_name(
                folder
            ):  # a map that is a dead link is reported as an unreadable map
                self.broken.append(Problem("broken-link", str(folder), obstacle))
        if not self.folders:
            obstacles = [*self.loops, *map(_line, [*self.broken, *self.without_maps()])]
            raise SodbenchError(
                f"{root}: no maps in it"
                + ("" if root.is_dir() else " (there is no such folder)")
                + "; give a folder of images, or a tree <method>/<set>/ of them",
                *(f"  {obstacle}" for obstacle in obstacles),
            )
        parts = {part for folder in self.folders for part in folder.relative_to(root).parts}
        self.by_set = any(_truth_named(part, [*truths, *others]) for part in parts)

    def meaning(self, folder: Path) -> tuple[str, Dataset | None, str]:
        """(method, data set, why there is none) of one folder of maps."""
        root, truths = self.root, self.truths
        below = folder.relative_to(root).parts
        for at in range(len(below) - 1, -1, -1):
            if truth := _truth_named(below[at], truths):
                rest = below[:at] + below[at + 1 :]
                return "/".join(rest) or _own_name(root, truths), truth, ""
            if other := _truth_named(below[at], self.others):
                return "", None, f"maps of {other.name}, which is not wanted"
        if unknown := next((known_name(part) for part in below if known_name(part)), None):
            way = "" if self.on_purpose else f"; --datasets {truths[0].name} leaves them out"
            return "", None, f"no ground truth for {unknown} was given{way}"
        if len(truths) == 1 and not self.by_set:  # PREDS/<method>/ or PREDS itself
            return "/".join(below) or _own_name(root, truths), truths[0], ""
        if truth := _truth_named(root.absolute().name, truths):  # PREDS/ of a set, or PREDS/<part>/
            own = _own_name(root, truths)
            return "/".join((own, *below)), truth, ""
        known = ", ".join(f"{truth.name} ({truth.root})" for truth in truths[:_NAMED])
        known += f" and {len(truths) - _NAMED} more" * (len(truths) > _NAMED)
        return (
            "",
            None,
            (
                f"no folder of its path is named as a dataset that was found: {known}; give their ground truth too, or "
                "choose the datasets that are meant with --datasets"
            ),
        )

    def without_maps(self) -> list[Problem]:
        """Folders without pictures where maps were to be expected: of a data set's name, or with maps of other formats."""
        found = []
        for folder in self._empty:
            files = set(list_names(folder))
            if files and files <= RESULT_FILES:
                continue
            endings = {Path(name).suffix.lower() for name in files} & UNREADABLE_MAPS
            if endings and not self.on_purpose:
                detail = f"holds {', '.join(sorted(endings))} files, which are not read; convert them to PNG"
                found.append(Problem("unscored-maps", str(folder), detail))
                continue
            truth = _truth_named(folder.name, self.truths) if folder != self.root else None
            if truth and not any(inner.is_relative_to(folder) for inner in self.folders):
                detail = f"is named as the dataset {truth.name}, but holds no maps"
                found.append(Problem("unscored-maps", str(folder), detail))
        return found


_NAMED = 8
"""How many data sets a message names."""


_WAYS_OUT = (
    "  PREDS is read as <set>/*.png, <method>/<set>/*.png or <set>/<method>/*.png where GT has several datasets",
    *describe_layouts(),
    "  or give the folder of the dataset and --dataset-name NAME",
)


def _check(
    tasks: Sequence[Task],
    predictions: Path,
    methods: Collection[str],
    seen: Collection[str],
    ignored: Sequence[str],
) -> None:
    """Raise :class:`SodbenchError` for a method that there is not or that is there twice, and where nothing is left."""
    if unknown := [w for w in methods if not any(_named(name, [w]) for name in seen)]:
        raise SodbenchError(
            f"{predictions}: no method named {', '.join(unknown)}; there are {', '.join(sorted(seen))}"
        )
    folders_of: dict[tuple[str, str], list[str]] = {}
    for task in tasks:
        folders_of.setdefault((task.method, task.dataset), []).append(str(task.maps))
    for (method, dataset), folders in sorted(folders_of.items()):
        if len(folders) > 1:
            raise SodbenchError(
                f"{method} on {dataset} has maps in {len(folders)} folders: {', '.join(folders)}; name one of them"
            )
    if not tasks:
        raise SodbenchError(
            f"{predictions}: nothing to score", *(f"  {reason}" for reason in ignored), *_WAYS_OUT
        )


def plan_pair_list(
    list_file: Path,
    name: str | None = None,
    dataset_name: str | None = None,
    policy: Policy | None = None,
) -> EvaluationPlan:
    """The pairs of a SalMetric list, ``map.png mask.png`` a line, as one task.

    name: what to call the method, by default as the list; dataset_name: what to call the dataset.  A hash of the items'
    names is its subset, so that the numbers of two lists have different signatures.
    """
    source: tuple[str, ...] = ("--pairs", str(list_file.absolute()))
    if dataset_name is not None:
        check_dataset_name(dataset_name, "--dataset-name")
        source = (*source, "--dataset-name", dataset_name)
    pairing = read_pair_list(list_file)
    stems = {item.stem for item in pairing.pairs}
    stems |= {item.stem for item in pairing.missing} | {item.stem for item in pairing.ambiguous}
    dataset = f"{dataset_name or 'list'}/{list_subset_name(stems)}"
    task = Task(
        name or list_file.stem,
        dataset,
        None,
        list_file.parent,
        {},
        pairing,
        same_files(pairing),
        source,
    )
    return EvaluationPlan((task,), policy or Policy())


def _truth_named(part: str, truths: Sequence[Dataset]) -> Dataset | None:
    """The data set that a folder is named as: by its exact name, else without case and punctuation.

    Raises :class:`SodbenchError` where that could be several.
    """
    found = [truth for truth in truths if part in (truth.name, truth.name.split("/")[0])]
    if not found:
        key = normalise_name(part)
        found = [
            truth
            for truth in truths
            if key in (normalise_name(truth.name), normalise_name(truth.name.split("/")[0]))
            or known_name(part) == truth.name.split("/")[0]
        ]
    if len(found) > 1:
        raise SodbenchError(
            f"a folder of maps named {part} could belong to {' or '.join(t.name for t in found)}; rename it, or "
            "choose the dataset with --datasets"
        )
    return found[0] if found else None


def _own_name(root: Path, truths: Sequence[Dataset] = ()) -> str:
    """The method's name that the path itself suggests; a folder named as the data set is skipped (DSS/SOD)."""
    resolved = root.resolve()
    own = resolved.name
    if resolved.parent.name and (known_name(own) or _truth_named(own, truths)):
        return resolved.parent.name
    return own or "method"


def _named(name: str, wanted: Collection[str]) -> bool:
    keys = {normalise_name(w) for w in wanted} | {known_name(w) for w in wanted}
    return normalise_name(name) in keys or name in keys or name.split("/")[0] in keys


def task_of(method: str, truth: Dataset, folder: Path, maps: Sequence[Path] | None = None) -> Task:
    """Score the maps in ``folder`` (its pictures, unless they are given) on a data set."""
    masks = truth.masks
    pairing = pair_files(masks, list_images(folder) if maps is None else maps, truth.excluded)
    parent = next(iter(masks.values())).parent if masks else truth.root
    return Task(
        method,
        truth.name,
        folder,
        parent,
        truth.images,
        pairing,
        (*mask_problems(truth), *same_files(pairing)),
        truth.source,
        truth.root,
    )


def mask_problems(truth: Dataset) -> tuple[Problem, ...]:
    """What was found about a set's masks: ``no-mask``, which is told, and ``ambiguous`` and ``no-item``.

    The latter two are refused: no policy for missing maps covers an item that a list or subset names
    and that has no mask.
    """
    found = [p for p in truth.problems if p.kind in ("ambiguous", "no-mask")]
    found += [Problem("no-item", p.file, p.detail) for p in truth.problems if p.kind == "missing"]
    return tuple(found)


def same_files(pairing: Pairing) -> tuple[Problem, ...]:
    """Pairs whose map and mask are one file, by the same path or by a link: they would score as perfect."""
    found = []
    for pair in pairing.pairs:
        try:
            map_file, mask_file = pair.map.stat(), pair.mask.stat()
        except OSError:
            continue  # reported when the pair is scored
        if os.path.samestat(map_file, mask_file):
            detail = f"is the same file as its mask {pair.mask}: a mask scored against itself is no result"
            found.append(Problem("same-file", str(pair.map), detail))
    return tuple(found)
