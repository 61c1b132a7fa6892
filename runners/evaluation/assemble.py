"""From counted pairs to a result: scores, names of the files, and how the numbers were made."""

import os
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sodbench.console import logger
from sodbench.demo_data import is_demo_data
from sodbench.errors import Problem
from sodbench.files import safe_folder_name, write_error
from sodbench.metrics.scores import BlockScores
from sodbench.output_folder import MAPS_MANIFEST, read_json
from sodbench.provenance import counting_versions
from sodbench.results import (
    COUNTS_FILE,
    RESULT_FILE,
    Result,
    ResultInfo,
    count_resized,
    digest_names,
    save_result,
)
from sodbench.results.counts_file import CountsFile, write_counts
from sodbench.results.pair_table import PairTable
from sodbench.results.stored_pairs import PairSelection
from sodbench.results.verified import note_verified
from sodbench.runners.evaluation.task import Task


@dataclass(frozen=True)
class Outcome:
    """What counting a task's pairs met.

    Attributes
    ----------
    skipped : tuple of Problem
        Unreadable maps that are left out.
    blackened : tuple of Problem
        Unreadable maps that were scored as black.
    errors : tuple of Problem
        Files for which the task has no result.
    scored : mapping of str to mapping of str to BlockScores
        For each protocol the blocks of pairs that workers have scored, by their first name.
    """

    skipped: tuple[Problem, ...] = ()
    blackened: tuple[Problem, ...] = ()
    errors: tuple[Problem, ...] = ()
    scored: Mapping[str, Mapping[str, BlockScores]] = field(default_factory=dict)


def describe(
    task: Task,
    pairs: CountsFile | PairSelection,
    protocol: str,
    outcome: Outcome = Outcome(),
    *,
    allow_swapped: bool = False,
) -> ResultInfo:
    """State everything about a result but its numbers; `sodbench.results.derive_result` computes these.

    Parameters
    ----------
    task : Task
    pairs : CountsFile or PairSelection
        The counted pairs in the order of their names.
    protocol : str
    outcome : Outcome
        What was met while they were counted.
    allow_swapped : bool
        Whether folders were scored although they look swapped; part of the stored command.

    Returns
    -------
    ResultInfo
    """
    files = PairTable(pairs.stems, task.file_names(pairs.stems))
    unreadable = (*outcome.skipped, *outcome.blackened)
    policy = task.policy.applied(
        n_missing=task.n_missing + len(unreadable),
        n_resized=count_resized(pairs.records),
        n_divided=task.n_divided,
    )
    provenance = {
        "scored_by": shlex.join(_command(task, protocol, allow_swapped)),
        "versions": counting_versions(),
        "maps": _read_maps_manifest(task.maps / MAPS_MANIFEST) if task.maps else None,
        "suffix": task.pairing.suffix,
        "sample": is_demo_data(task.masks) or is_demo_data(task.masks.parent),
        "pairs": digest_names(files),
    }
    return ResultInfo(
        method=task.method,
        dataset=task.dataset,
        files=files,
        policy=policy,
        problems=(*task.notes, *unreadable),
        folders=task.folders,
        provenance=provenance,
    )


def result_folder(item: Task | Result, output: Path) -> Path:
    """Return the folder in which a task's result is stored.

    Parameters
    ----------
    item : Task or Result
        Of the method and the dataset.
    output : Path
    """
    return output / safe_folder_name(item.method) / safe_folder_name(item.dataset)


def store_result(
    folder: Path, result: Result, pairs: CountsFile | PairSelection, replaced: Result | None
) -> Result:
    """Write a result's folder, whose lock the caller holds.

    Parameters
    ----------
    folder : Path
    result : Result
    pairs : CountsFile or PairSelection
        The result's pairs; a ``counts.npz`` that holds exactly these is left as it is.
    replaced : Result or None
        What was stored there.

    Returns
    -------
    Result
        The stored one.

    Raises
    ------
    SodbenchError
        Where a file cannot be written.
    """
    if replaced and replaced.signature != result.signature:
        logger.warning(f"{folder}: replaces the stored result, which was {replaced.signature}")
    try:
        # first, so that a run killed in between leaves no old numbers next to new counts
        (folder / RESULT_FILE).unlink(missing_ok=True)
    except OSError as error:
        raise write_error(folder / RESULT_FILE, error) from error
    counts = pairs if isinstance(pairs, CountsFile) else pairs.whole_source()
    if isinstance(counts, CountsFile) and counts.path == folder / COUNTS_FILE:
        counts_hash = counts.hash
    else:
        counts_hash = write_counts(folder / COUNTS_FILE, pairs)
    stored = save_result(result, folder, counts_hash)
    note_verified(stored)
    return stored


def _command(task: Task, protocol: str, allow_swapped: bool) -> list[str]:
    """The command that reproduces a result, from any folder."""
    policy = task.policy
    command = ["sodbench", "eval"]
    if task.maps:
        command.append(str(task.maps.absolute()))
    # a dataset chosen in Python cannot be named by arguments: its folder of masks comes nearest
    command += task.source or (str(task.masks.absolute()),)
    command += ["--name", task.method]
    command += ["--dataset-name", task.dataset] * (not task.source)
    command += ["--protocol", protocol, "--missing", policy.missing, "--resize", policy.resize]
    command += ["--undefined", policy.undefined] if policy.undefined else []
    command += ["--no-weighted-f"] * (not policy.weighted)
    command += ["--channel", policy.channel] if policy.channel != "grey" else []
    command += ["--metrics", ",".join(policy.metrics)] if policy.metrics else []
    command += ["--shard", policy.shard_text] if policy.shard else []
    command += ["--allow-swapped"] * allow_swapped
    return _join_values(command)


_WITHOUT_VALUE = frozenset({"--no-weighted-f", "--allow-swapped"})


def _join_values(command: Sequence[str]) -> list[str]:
    """The same command, where a value that looks like an option is joined to its own: ``--name=-x``."""
    words: list[str] = []
    rest = iter(command)
    for word in rest:
        value = next(rest, "") if word.startswith("--") and word not in _WITHOUT_VALUE else None
        if value is None:
            words.append(word)
        else:
            words += [f"{word}={value}"] if value.startswith("-") else [word, value]
    return words


def _read_maps_manifest(path: Path) -> Any:
    """How the maps were made, where the program that wrote them recorded it."""
    if not os.path.lexists(path):
        return None
    try:
        return read_json(path)
    except (OSError, ValueError) as error:
        logger.info(
            f"{path}: cannot be read ({error}), so the report cannot show how the maps were made"
        )
        return None
