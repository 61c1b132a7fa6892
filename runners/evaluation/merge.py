"""Join the shards that ``sodbench eval --shard I/N`` scored into what one run would have written."""

import itertools
import os
import shlex
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from sodbench.console import logger
from sodbench.errors import ProblemKind, SodbenchError
from sodbench.files import lock_folder
from sodbench.output_folder import check_outside
from sodbench.results import (
    PARTS_FOLDER,
    Result,
    ResultInfo,
    count_resized,
    derive_result,
    digest_names,
    load_results,
    result_folders,
)
from sodbench.results.counts_file import CountsFile
from sodbench.results.pair_table import FILE_COLUMNS, PairTable
from sodbench.results.stored_pairs import PairSelection
from sodbench.runners.evaluation.assemble import result_folder, store_result
from sodbench.runners.evaluation.reuse import read_stored_result


def merge(parts: Sequence[Path], output: Path) -> list[Result]:
    """Join shards, separately for every method and dataset.

    Parameters
    ----------
    parts : sequence of Path
        Folders that hold the shards' results.
    output : Path
        Where the joined results are stored.

    Raises
    ------
    SodbenchError
        Where shards overlap, are missing, or were not made in the same way; the message names them.
    """
    for part in parts:
        if output.resolve().is_relative_to(part.resolve()):
            raise SodbenchError(
                f"{output}: is the part {part} or inside it; choose an output folder of its own"
            )
    empty = [part for part in parts if part.is_dir() and not result_folders(part)]
    for part in empty:
        logger.info(f"{part}: holds no result (a shard without pairs writes none)")
    groups: dict[tuple[str, str], list[Result]] = {}
    for result in load_results([part for part in parts if part not in empty] or parts):
        groups.setdefault((result.method, result.dataset), []).append(result)
    chains = [(f"{method} on {dataset}", group) for (method, dataset), group in groups.items()]
    chains = [(title, _order_shards(title, results)) for title, results in chains]
    for _, chain in chains:
        _check_merge_folder(chain, output)
    return [_join(title, chain, output) for title, chain in chains]


def _order_shards(title: str, results: Sequence[Result]) -> list[Result]:
    """The shards 1..N of one method on one dataset, checked to belong together."""
    shards: dict[int, Result] = {}
    numbers = set()
    for result in results:
        if result.policy.shard is None:
            raise SodbenchError(
                f"{title}: {result.folder} is no shard but a whole result; leave it out"
            )
        index, number = result.policy.shard
        numbers.add(number)
        if index in shards:
            raise SodbenchError(
                f"{title}: shard {index}/{number} is there twice: {shards[index].folder} and {result.folder}"
            )
        shards[index] = result
    if len(numbers) > 1:
        divisions = ", ".join(f"1/{n}" for n in sorted(numbers))
        raise SodbenchError(f"{title}: shards of different divisions: {divisions}")
    number = numbers.pop()
    # where there are fewer pairs than shards, the last shards have no pair and no result
    pairs = max(result.policy.n_divided or 0 for result in shards.values())
    gaps = sorted(set(range(1, min(number, pairs) + 1)) - shards.keys())
    if gaps:
        missing = ", ".join(map(str, gaps))
        raise SodbenchError(f"{title}: shard(s) {missing} of {number} are missing")
    chain = [shards[index] for index in sorted(shards)]
    first = _describe_making(chain[0])
    for other in chain[1:]:
        for (what, one), (_, two) in zip(first, _describe_making(other), strict=True):
            if one != two:
                raise SodbenchError(
                    f"{title}: {chain[0].folder} has {what} {one}, {other.folder} has {two}; score them alike"
                )
    return chain


def _describe_making(result: Result) -> list[tuple[str, object]]:
    """Everything that the shards of one result must share, with its name."""
    policy, provenance = result.policy, result.provenance
    options = ("missing", "resize", "undefined", "weighted", "channel")
    return [
        ("protocol", result.protocol),
        ("a number of pairs of", policy.n_divided),
        ("versions", provenance["versions"]),
        *((f"--{name}", getattr(policy, name)) for name in options),
        *((f"{kind} folder", result.folders[kind]) for kind in ("maps", "masks", "images")),
        ("maps made by", provenance["maps"]),
    ]


def _check_merge_folder(shards: Sequence[Result], output: Path) -> None:
    """Raise SodbenchError for an output folder among the maps, masks or images of the results."""
    for shard in shards:
        for kind, base in shard.folders.items():
            names = shard.pair_table.files[kind.removesuffix("s")] if base else ()
            parents = {Path(base or "", name).parent for name in names if name}
            check_outside(result_folder(shard, output), sorted(parents))


def _join(title: str, shards: Sequence[Result], output: Path) -> Result:
    first = shards[0]
    files = [shard.open_counts() for shard in shards]
    _check_division(title, shards, files)
    folder = result_folder(first, output)
    pairs = PairSelection.select(files, sorted(stem for file in files for stem in file.stems))
    tables = {stem: shard.pair_table for shard in shards for stem in shard.pair_table.stems}
    rows = [tables[stem].files_of(stem) for stem in pairs.stems]
    names = PairTable(pairs.stems, {kind: [row[kind] for row in rows] for kind in FILE_COLUMNS})
    scored_by = _without_shard(str(first.provenance["scored_by"]))
    info = ResultInfo(
        method=first.method,
        dataset=first.dataset,
        files=names,
        policy=replace(
            first.policy,
            shard=None,
            n_divided=None,
            n_missing=sum(shard.policy.n_missing for shard in shards),
            n_resized=count_resized(pairs.records),
        ),
        problems=[problem for shard in shards for problem in shard.problems],
        folders=first.folders,
        provenance={**first.provenance, "scored_by": scored_by, "pairs": digest_names(names)},
    )
    with lock_folder(folder):
        # a run with the same output may still be finished; what it has counted is not part of the shards
        if os.path.lexists(folder / PARTS_FOLDER):
            logger.info(
                f"{folder / PARTS_FOLDER}: a run was not finished there; its pairs are kept"
            )
        merged = derive_result(pairs, first.protocol, info)
        return store_result(folder, merged, pairs, read_stored_result(folder))


def _without_shard(command: str) -> str:
    """The command that scores the whole, from one that scores a part."""
    try:
        words = shlex.split(command)
        at = words.index("--shard")
    except ValueError:
        return command
    return shlex.join(words[:at] + words[at + 2 :])


def _check_division(title: str, shards: Sequence[Result], files: Sequence[CountsFile]) -> None:
    """Raise SodbenchError unless every shard holds the pairs that its number gives it in the division of all."""
    union = sorted(stem for file in files for stem in file.stems)
    if len({file.scheme for file in files}) > 1:
        raise SodbenchError(
            f"{title}: its shards were counted under different rules; score them alike"
        )
    twice = sorted({a for a, b in itertools.pairwise(union) if a == b})
    if twice:
        raise SodbenchError(
            f"{title}: {len(twice)} pair(s) are in more than one shard, the first {twice[0]}"
        )
    kinds = {problem.kind for shard in shards for problem in shard.problems}
    if ProblemKind.UNREADABLE in kinds and shards[0].policy.missing == "skip":
        # pairs that were left out have shifted the division
        return
    for index, file in enumerate(files):
        # with fewer pairs than shards every file holds one pair, and this division gives the same
        expected = union[index :: len(files)]
        if list(file.stems) != expected:
            other = next(iter(set(file.stems) ^ set(expected)), "")
            raise SodbenchError(
                f"{title}: shard {index + 1}/{len(files)} was divided from other files than the rest "
                f"({other} does not belong where it is); score all shards from the same folders"
            )
