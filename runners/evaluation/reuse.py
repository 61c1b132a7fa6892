"""What an output folder already holds for a task, and how much of it can be used again."""

import os
from dataclasses import dataclass, replace
from pathlib import Path

from sodbench.console import logger
from sodbench.errors import SodbenchError, StoredFileError
from sodbench.metrics.catalogue import find_measurements, find_metric
from sodbench.results import (
    COUNTS_FILE,
    PARTS_FOLDER,
    RESULT_FILE,
    Policy,
    Result,
    ResultInfo,
    derive_result,
    find_contradictions,
    find_differences,
    load_result,
    states,
)
from sodbench.results.counts_file import CountsFile
from sodbench.results.older import names_added_since
from sodbench.results.store import are_current
from sodbench.results.stored_pairs import counting_scheme
from sodbench.results.verified import is_verified, note_verified
from sodbench.runners.evaluation.assemble import describe
from sodbench.runners.evaluation.task import Task


@dataclass(frozen=True)
class Reusable:
    """What is stored for a task, checked against itself.

    Attributes
    ----------
    stored : Result or None
        The stored result, if it can be read.
    counts : CountsFile or None
        The stored counts, if they can be trusted.
    derived : Result or None
        What this run would store, if the counts are exactly those of the task's pairs; None where ``stored`` is that.
    is_up_to_date : bool
        Whether ``stored`` is what this run would store.
    task : Task or None
        Where nothing has to be counted, the task with the metrics and protocols on request that are stored already, so
        that a run that asks for fewer of them loses none.
    """

    stored: Result | None = None
    counts: CountsFile | None = None
    derived: Result | None = None
    is_up_to_date: bool = False
    task: Task | None = None

    @property
    def first(self) -> Result | None:
        """The result under the first protocol, if nothing has to be counted for it."""
        return self.stored if self.is_up_to_date else self.derived

    @property
    def allows_swapped(self) -> bool:
        """Whether the stored pairs were counted although their folders look swapped."""
        return bool(
            self.stored and "--allow-swapped" in self.stored.provenance["scored_by"].split()
        )


def find_reusable(
    task: Task, folder: Path, protocol: str, *, force: bool, allow_swapped: bool
) -> Reusable:
    """Read what a folder holds; whatever is damaged or modified is reported and left out.

    Parameters
    ----------
    task : Task
    folder : Path
        The folder of the task's result.
    protocol : str
        The protocol whose result is stored.
    force : bool
        Whether everything is scored again.
    allow_swapped : bool
        Whether the run allows folders that look swapped.

    Raises
    ------
    SodbenchError
        Where the folder holds the result of another task or shard.
    """
    stored = read_stored_result(folder, report=not force)
    if stored:
        _check_owner(task, folder, stored)
    if force:
        return Reusable(stored)
    counts = _open_counts(folder, stored)
    if counts is None:
        return Reusable(stored)
    reusable = Reusable(stored, counts)
    task = _keep_requested(task, stored, counts)
    if _is_complete(task, counts) and not os.path.lexists(folder / PARTS_FOLDER):
        # parts that are there come from a run killed between its last two steps, which is done again
        allowed = allow_swapped or reusable.allows_swapped
        info = describe(task, counts, protocol, allow_swapped=allowed)
        if stored and _is_unchanged(stored, protocol, info):
            return Reusable(stored, counts, is_up_to_date=True, task=task)
        try:
            derived = derive_result(counts, protocol, info)
        except StoredFileError as error:
            # histograms are checked as they are read
            logger.info(f"{error.fault}; its pairs are scored again now")
            return Reusable(stored)
        reusable = Reusable(stored, counts, derived, task=task)
    if stored is None:
        return reusable
    try:
        # raises where it was modified
        _ = stored.pair_table
    except StoredFileError as error:
        logger.info(f"{error.fault}; it is written again now")
        # the counts have a hash of their own
        return reusable
    if reusable.derived and not find_differences(stored, reusable.derived):
        note_verified(stored)
        return Reusable(stored, counts, is_up_to_date=True, task=task)
    return reusable if _agrees(stored, counts) else Reusable(stored)


def read_stored_result(folder: Path, *, report: bool = True) -> Result | None:
    """Read the result that a folder holds.

    Parameters
    ----------
    folder : Path
    report : bool
        Whether to report a result that is damaged or modified.

    Returns
    -------
    Result or None
        None where there is none that can be read.
    """
    if not os.path.lexists(folder / RESULT_FILE):
        return None
    try:
        return load_result(folder)
    except StoredFileError as error:
        if report:
            logger.info(f"{error.fault}; it is written again now")
        return None


def _check_owner(task: Task, folder: Path, stored: Result) -> None:
    """Raise SodbenchError where a folder belongs to another task or shard."""
    if (stored.method, stored.dataset) != (task.method, task.dataset):
        raise SodbenchError(
            f"{folder}: holds {stored.method} on {stored.dataset}; choose another output folder"
        )
    if stored.policy.shard != task.policy.shard:
        raise SodbenchError(
            f"{folder}: holds {_describe_shard(stored.policy)}, and this run makes {_describe_shard(task.policy)}; "
            "give each an output folder of its own"
        )


def _describe_shard(policy: Policy) -> str:
    return f"shard {policy.shard_text}" if policy.shard else "a whole result"


def _open_counts(folder: Path, stored: Result | None) -> CountsFile | None:
    path = folder / COUNTS_FILE
    if not os.path.lexists(path):
        if stored:
            logger.info(f"{path}: is missing; its pairs are scored again now")
        return None
    try:
        return CountsFile(path, stored.hashes[COUNTS_FILE] if stored else None)
    except StoredFileError as error:
        logger.info(f"{error.fault}; its pairs are scored again now")
        return None


def _keep_requested(task: Task, stored: Result | None, counts: CountsFile) -> Task:
    """The task with what is stored on request as well, where that spares counting; what is lost otherwise is reported."""
    if stored is None:
        return task
    own_policy, stored_policy = task.policy, stored.policy
    both = replace(
        own_policy,
        metrics=(*stored_policy.metrics, *own_policy.metrics),
        protocols=(*stored_policy.protocols, *own_policy.protocols),
    )
    if both == own_policy:
        return task
    whole = replace(task, policy=both)
    if _is_complete(whole, counts):
        return whole
    lost = [name for name in stored_policy.metrics if name not in own_policy.metrics]
    if needed := find_measurements(lost):
        names = ",".join(name for name in lost if find_metric(name).measurement in needed)
        logger.info(
            f"{task}: its pairs are counted again without {names}, which the stored result has; name in --metrics what you want to keep"
        )
    return task


def _is_complete(task: Task, counts: CountsFile) -> bool:
    """Whether counts are of exactly the task's pairs, from the files as they are now."""
    if counts.stems != task.stems or counts.scheme != counting_scheme(task.policy):
        return False
    masks = [task.mask_files[stem] for stem in task.stems]
    maps = [task.map_files[stem] for stem in task.stems]
    return bool(are_current(counts.records, masks, maps, task.policy).all())


def _is_unchanged(stored: Result, protocol: str, info: ResultInfo) -> bool:
    """Whether a stored result is what would be derived, as is known without deriving it.

    Its numbers were derived from its counts before, and it states what would be stated now.
    """
    return (
        stored.protocol == protocol
        and not names_added_since(stored)
        and is_verified(stored)
        and states(stored, info)
        and not stored.is_table_modified()
    )


def _agrees(stored: Result, counts: CountsFile) -> bool:
    """Whether a stored result follows from the counts it is stored with; where not, that is reported."""
    try:
        contradictions = find_contradictions(stored, counts)
    except StoredFileError as error:
        logger.info(f"{error.fault}; its pairs are scored again now")
        return False
    if contradictions:
        logger.info(
            f"{stored.folder / RESULT_FILE if stored.folder else RESULT_FILE}: contradicts the counts it is stored with "
            f"({contradictions[0]}), so at least one of them was modified; scored again from the images"
        )
    return not contradictions
