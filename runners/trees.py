"""What a user's folders mean: which methods' maps stand against which data sets' masks."""

import os
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from sodbench.datasets import Dataset, Pairing, known_name, pair_files, pictures, read_pair_list
from sodbench.datasets.registry import folder_key
from sodbench.errors import Problem, SodbenchError
from sodbench.folders import walk
from sodbench.images import is_picture


@dataclass(frozen=True)
class Task:
    """Score one method's maps on one data set.

    maps: the folder of the maps, or None for a pair list.  pairing: how they meet the masks.
    problems: what was found in the ground truth's own folders.
    source: the arguments that select the ground truth, see :attr:`Dataset.source`: ``sodbench eval <maps> *source``
        scores this task, and for a pair list ``sodbench eval *source``.  Empty where no arguments do.
    """

    method: str
    dataset: str
    maps: Path | None
    masks: Path
    images: dict[str, Path]
    pairing: Pairing
    problems: tuple[Problem, ...] = ()
    source: tuple[str, ...] = ()


@dataclass(frozen=True)
class Understood:
    """What two paths were taken to mean.

    tasks: sorted by data set, then method.  ignored: folders with maps for which there is no ground truth, and
    links that could not be followed, and why.
    """

    tasks: tuple[Task, ...]
    ignored: tuple[str, ...] = ()

    def lines(self) -> list[str]:
        """The understanding in words, a line a task."""
        lines = []
        for task in self.tasks:
            pairing = task.pairing
            parts = [f"{len(pairing.pairs)} pairs"]
            parts += [f"{len(pairing.missing)} without a map"] * bool(pairing.missing)
            parts += [f"{len(pairing.extra)} maps without a mask"] * bool(pairing.extra)
            parts += [f"{len(pairing.ambiguous)} names claimed twice"] * bool(pairing.ambiguous)
            parts += [f"{len(pairing.outside)} maps outside the subset"] * bool(pairing.outside)
            parts += [f"suffix '{pairing.suffix}' on the maps' names"] * bool(pairing.suffix)
            lines.append(f"{task.method} on {task.dataset}: {', '.join(parts)}")
        return lines + [f"not scored: {reason}" for reason in self.ignored]


def understand(
    predictions: Path,
    truths: Sequence[Dataset],
    *,
    methods: Collection[str] = (),
    datasets: Collection[str] = (),
    name: str | None = None,
) -> Understood:
    """Find the methods below ``predictions`` and pair their maps with the masks of ``truths``.

    predictions: one folder of maps, or a tree of them: ``<set>/``, ``<method>/<set>/``, ``<set>/<method>/``, or
        ``<method>/`` where there is one data set; a method's name may be several folders deep (``<paper>/<backbone>``).
    methods, datasets: only these (names as printed; case and punctuation do not matter); name: what to call the one method.

    Raises :class:`SodbenchError` where there are no maps, or nothing is left to do.
    """
    truths = wanted_truths(truths, datasets)
    folders, ignored = _picture_folders(predictions)
    tasks, seen = [], set()
    by_set = any(
        _truth_named(part, truths) for f in folders for part in f.relative_to(predictions).parts
    )
    for folder, maps in folders.items():
        method, truth, reason = _meaning(folder, predictions, truths, by_set)
        if truth is None:
            ignored.append(reason)
            continue
        method = name or method
        seen.add(method)
        if not methods or _named(method, methods):
            tasks.append(task_of(method, truth, folder, maps))
    _check(tasks, predictions, methods, seen, ignored)
    order = {truth.name: i for i, truth in enumerate(truths)}
    tasks.sort(key=lambda task: (order[task.dataset], task.method))
    return Understood(tuple(tasks), tuple(ignored))


def wanted_truths(truths: Sequence[Dataset], datasets: Collection[str]) -> Sequence[Dataset]:
    """The data sets of these names, or all; raises :class:`SodbenchError` for a name that there is not."""
    if unknown := [w for w in datasets if not any(_named(t.name, [w]) for t in truths)]:
        raise SodbenchError(
            f"no ground truth for {', '.join(unknown)}; there is {', '.join(t.name for t in truths)} "
            "(a subset such as HKU-IS/test is asked for as GT itself: data/HKU-IS/test)"
        )
    return [t for t in truths if not datasets or _named(t.name, datasets)]


def _picture_folders(root: Path) -> tuple[dict[Path, tuple[Path, ...]], list[str]]:
    """The folders at or below root that hold pictures, with these; and what could not be entered, and why."""
    folders, obstacles = {}, []
    for folder, obstacle in walk(root) if root.is_dir() else ():
        if not obstacle:
            if found := pictures(folder):
                folders[folder] = found
        elif not is_picture(folder):  # a map that is a dead link is told as an unreadable map
            obstacles.append(f"{folder}: {obstacle}")
    if not folders:
        raise SodbenchError(
            f"{root}: no maps in it"
            + ("" if root.is_dir() else " (there is no such folder)")
            + "; give a folder of pictures, or a tree <method>/<set>/ of them"
            + "".join(f"\n  {obstacle}" for obstacle in obstacles)
        )
    return folders, obstacles


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
            "\n".join([f"{predictions}: nothing to score", *(f"  {reason}" for reason in ignored)])
        )


def from_pair_list(list_file: Path, name: str | None = None) -> Understood:
    """The pairs of a SalMetric list, ``map.png mask.png`` a line, as one task."""
    pairing = read_pair_list(list_file)
    source = ("--list", str(list_file.absolute()))
    same = same_files(pairing)
    task = Task(name or list_file.stem, "list", None, list_file.parent, {}, pairing, same, source)
    return Understood((task,))


def _meaning(
    folder: Path, root: Path, truths: Sequence[Dataset], by_set: bool
) -> tuple[str, Dataset | None, str]:
    """(method, data set, why there is none) of one folder of maps; by_set: folders of this tree are named after sets."""
    below = folder.relative_to(root).parts
    for at in range(len(below) - 1, -1, -1):
        if truth := _truth_named(below[at], truths):
            rest = below[:at] + below[at + 1 :]
            return "/".join(rest) or _own_name(root), truth, ""
    if unknown := next((known_name(part) for part in below if known_name(part)), None):
        return "", None, f"{folder}: no ground truth for {unknown} was given"
    if len(truths) == 1 and not by_set:  # PREDS/<method>/ or PREDS itself
        truth = truths[0]
        name = "/".join(below) or _own_name(root, truths)
        return name, truth, ""
    if not below and (truth := _truth_named(root.name, truths)):
        return _own_name(root, truths), truth, ""
    known = ", ".join(t.name for t in truths)
    return "", None, f"{folder}: no part of its path names one of the data sets {known}"


def _truth_named(part: str, truths: Sequence[Dataset]) -> Dataset | None:
    for truth in truths:
        base = truth.name.split("/")[0]
        if folder_key(part) in (folder_key(truth.name), folder_key(base)):
            return truth
        if known_name(part) == base:
            return truth
    return None


def _own_name(root: Path, truths: Sequence[Dataset] = ()) -> str:
    """The method's name that the path itself suggests; a folder named as the data set is skipped (DSS/SOD)."""
    resolved = root.resolve()
    own = resolved.name
    if resolved.parent.name and (known_name(own) or _truth_named(own, truths)):
        return resolved.parent.name
    return own or "method"


def _named(name: str, wanted: Collection[str]) -> bool:
    keys = {folder_key(w) for w in wanted} | {known_name(w) for w in wanted}
    return folder_key(name) in keys or name in keys or name.split("/")[0] in keys


def task_of(method: str, truth: Dataset, folder: Path, maps: Sequence[Path] | None = None) -> Task:
    """Score the maps in ``folder`` (its pictures, unless they are given) on a data set."""
    masks = truth.masks
    pairing = pair_files(masks, pictures(folder) if maps is None else maps, truth.left_out)
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
