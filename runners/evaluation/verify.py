"""Check stored results: every number against the counts, and the counts against the images.

Stored results are read by other programs, copied, merged and sometimes edited. Everything that is stored is checked,
and what does not agree is listed; nothing is changed.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sodbench.console import bar
from sodbench.datasets import find_masks
from sodbench.errors import SodbenchError, StoredFileError
from sodbench.folders import listing_once, walk
from sodbench.metrics import Counts
from sodbench.results import (
    COUNTS_FILE,
    PARTS_FOLDER,
    RESULT_FILE,
    SCORES_FILE,
    Result,
    find_contradictions,
    load_result,
)
from sodbench.results.counts_file import CountsFile
from sodbench.results.stored_pairs import (
    MISSING_AS_BLACK,
    PAIR_RECORD,
    StoredPairs,
)
from sodbench.runners.evaluation.count import Visit
from sodbench.runners.evaluation.plan import plan_evaluation
from sodbench.runners.evaluation.task import Task
from sodbench.runners.evaluation.workers import Workers

# Endings of the fields that identify the files, which may have been copied since
_FILE_IDENTITY = ("bytes", "mtime", "ctime", "hash")


@dataclass(frozen=True)
class Verification:
    """What was checked of one stored result.

    Attributes
    ----------
    folder : Path
        The result's folder.
    name : str
        ``<method> on <dataset>``, or the folder where the result cannot be read.
    n : int
        Pairs that were checked.
    differences : tuple of str
        What does not agree, in words; empty for a sound result.
    from_images : bool
        Whether the images were counted again, too.
    """

    folder: Path
    name: str
    n: int
    differences: tuple[str, ...]
    from_images: bool = False


def verify_results(
    results: Path | str,
    predictions: Path | str | None = None,
    truth: Path | str | None = None,
    *,
    data_root: Path | str | None = None,
    workers: Workers | None = None,
) -> list[Verification]:
    """Check every result at or below a folder.

    Parameters
    ----------
    results : path
        A folder of results.
    predictions, truth : path, optional
        The saliency maps and the ground truth, as for ``sodbench eval``: every stored pair is then counted again from
        its two images.
    data_root : path, optional
        The folder where a dataset that ``truth`` names is looked up first, as for ``sodbench eval``.
    workers : Workers, optional
        What counts the pairs; by default threads, one for each processor.

    Returns
    -------
    list of Verification
        One for each result, in the order of the folders.

    Raises
    ------
    SodbenchError
        Where there is no result, or the maps and masks cannot be matched with one.
    """
    folders = _result_folders(Path(results))
    tasks: tuple[Task, ...] = ()
    if predictions is not None and truth is not None:
        with listing_once():
            truths = find_masks(truth, data_root=data_root)
            tasks = plan_evaluation(Path(predictions), truths).tasks
    return [_verify(folder, tasks, len(folders) == 1, workers or Workers()) for folder in folders]


def _result_folders(root: Path) -> list[Path]:
    """The folders that hold a result or a part of one."""
    folders = [
        folder
        for folder, obstacle in (walk(root) if root.is_dir() else ())
        if not obstacle
        and any(
            (folder / name).exists()
            for name in (RESULT_FILE, COUNTS_FILE, SCORES_FILE, PARTS_FOLDER)
        )
    ]
    if not folders:
        raise SodbenchError(f"{root}: no results below it (no {RESULT_FILE})")
    return folders


def _verify(folder: Path, tasks: Sequence[Task], alone: bool, workers: Workers) -> Verification:
    """Check one folder: first that its files can be read, then its numbers, then the images."""
    differences: list[str] = []
    if (folder / PARTS_FOLDER).exists():
        differences.append(f"{PARTS_FOLDER}: a run was not finished; run its command again")
    try:
        result = load_result(folder)
    except SodbenchError as error:
        return Verification(folder, str(folder), 0, (*differences, _describe_error(error)))
    name = f"{result.method} on {result.dataset}"
    try:
        file = CountsFile(folder / COUNTS_FILE, result.hashes[COUNTS_FILE])
    except SodbenchError as error:
        differences += [_describe_error(error), *_check_table(result)]
        return Verification(folder, name, 0, tuple(differences))
    if damage := _check_table(result):
        return Verification(folder, name, 0, (*differences, *damage))
    try:
        # read block by block
        differences += find_contradictions(result, file)
        stored = file.read_all() if tasks else None
    except SodbenchError as error:
        return Verification(folder, name, 0, (*differences, _describe_error(error)))
    if stored is None:
        return Verification(folder, name, len(file), tuple(differences))
    task = _find_task(result, tasks, alone)
    if task is None:
        differences.append("PREDS and GT hold no maps and masks for it")
        return Verification(folder, name, len(stored), tuple(differences))
    differences += _compare_with_images(result, stored, task, workers)
    return Verification(folder, name, len(stored), tuple(differences), from_images=True)


def _check_table(result: Result) -> list[str]:
    """What is wrong with the file of the table, if anything."""
    try:
        _ = result.pair_table
    except SodbenchError as error:
        return [_describe_error(error)]
    return []


def _describe_error(error: SodbenchError) -> str:
    return error.fault if isinstance(error, StoredFileError) else str(error)


def _find_task(result: Result, tasks: Sequence[Task], alone: bool) -> Task | None:
    """The task of a result's method and dataset; a subset is part of its whole dataset."""
    whole = result.dataset.partition("/")[0]
    for task in tasks:
        if task.method == result.method and task.dataset in (result.dataset, whole):
            return task
    return tasks[0] if alone and len(tasks) == 1 else None


def _compare_with_images(
    result: Result, stored: StoredPairs, task: Task, workers: Workers
) -> Iterator[str]:
    """Count every pair again from its two images, and describe what differs from the stored counts."""
    maps: dict[str, Path | None] = {pair.stem: pair.map for pair in task.pairing.pairs}
    masks = {pair.stem: pair.mask for pair in task.pairing.pairs}
    masks |= {item.stem: item.path for item in task.pairing.missing}
    left_out = _find_missing_images(result, stored, task, masks)
    if left_out and result.policy.missing != "skip":
        yield f"{len(left_out)} image(s) of GT are not in the result, the first is {left_out[0]}"
        left_out = []
    visits = []
    # an image that was left out for its unreadable map is looked at again
    for stem in (*stored.stems, *(stem for stem in left_out if stem in maps)):
        if stem in masks:
            visits.append(Visit(stem, masks[stem], ((0, maps.get(stem)),)))
        else:
            yield f"{stem}: GT holds no mask for it"
    rows = {stem: row for row, stem in enumerate(stored.stems)}
    with bar(len(visits), f"verify {result.dataset}", "map") as progress:
        for batch in workers.count(visits, result.policy):
            for _, stem, problem, is_black in batch.problems:
                if stem in rows and not is_black:
                    yield f"{stem}: {problem.kind}: {problem.file}: {problem.detail}"
            for counted in batch.pairs.values():
                for row, stem in enumerate(counted.stems):
                    if stem not in rows:
                        yield f"{stem}: is left out, but its map is there and can be read"
                        continue
                    pair = counted.read(np.array([row]))
                    if difference := _difference(stored.read(np.array([rows[stem]])), pair):
                        yield f"{stem}: {difference}"
            progress.update(batch.n_maps)


def _find_missing_images(
    result: Result, stored: StoredPairs, task: Task, masks: Mapping[str, Path]
) -> list[str]:
    """The images of GT that should be in the result and are not."""
    # which images belong to a subset is known only where GT is that subset itself
    is_whole = "/" not in result.dataset or task.dataset == result.dataset
    if not is_whole or result.policy.shard:
        return []
    return sorted(masks.keys() - set(stored.stems))


def _difference(stored: StoredPairs, counted: StoredPairs) -> str:
    """How a pair that was counted again differs from the stored one; empty if it does not."""
    old, new = stored.records[0], counted.records[0]
    if old["fitted"] != new["fitted"] and MISSING_AS_BLACK in (old["fitted"], new["fitted"]):
        is_missing = new["fitted"] == MISSING_AS_BLACK
        now = "there is none" if is_missing else "there is one"
        return f"the result was made {'with' if is_missing else 'without'} a map, and {now}"
    for name in PAIR_RECORD.names or ():
        identifies_file = name.partition("_")[2] in _FILE_IDENTITY
        if not identifies_file and not np.array_equal(old[name], new[name]):
            return f"the images give another {name} ({_plain_value(old[name])} is stored)"
    return _compare_counts(stored.counts, counted.counts)


def _compare_counts(stored: Counts, counted: Counts) -> str:
    """What differs in the counts of one pair; metrics of pixels may differ in the last bits."""
    for rule in stored.scheme.rules:
        if rule not in counted.scheme.rules:
            return f"the images were not counted under the rule '{rule}'"
        one, other = stored.for_rule(rule), counted.for_rule(rule)
        if not np.array_equal(one.histogram, other.histogram):
            return f"the images give another histogram under the rule '{rule}'"
        if not np.array_equal(one.tie_flags, other.tie_flags):
            return f"the images give other tie flags under the rule '{rule}'"
    for column, values in stored.pixel_metrics.items():
        now = counted.pixel_metrics.get(column, np.full(1, np.nan))
        if not np.allclose(values, now, rtol=1e-12, atol=1e-12, equal_nan=True):
            return f"the images give another {column}"
    return ""


def _plain_value(value: Any) -> str:
    return str(value.tolist() if hasattr(value, "tolist") else value)
