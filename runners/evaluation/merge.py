"""Join the parts that ``sodbench eval --shard I/N`` scored into what one run would have written."""

import itertools
import os
import shlex
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from sodbench.console import say, warn
from sodbench.errors import SodbenchError, StoredFileError
from sodbench.files import lock_folder, safe_folder_name
from sodbench.results import (
    JOURNAL,
    RESULT_FILE,
    Result,
    ResultInfo,
    derive_result,
    digest_names,
    load_result,
    load_results,
    n_resized,
    result_folders,
)
from sodbench.results.pairs import Journal, StoredPairs
from sodbench.runners.evaluation.evaluate import store_result

MERGING = "merging.pairs"
"""The pairs while they are joined; the journal of an evaluation in the same folder is left alone."""


def merge(parts: Sequence[Path], output: Path) -> list[Result]:
    """Join the shards found below ``parts``, every (method, data set) for itself, into ``output``.

    Raises :class:`SodbenchError`, by name, where shards overlap, are missing, or were not made in the same way.
    """
    for part in parts:
        if output.resolve().is_relative_to(part.resolve()):
            raise SodbenchError(
                f"{output}: is or lies in the part {part}; choose an output folder of its own"
            )
    empty = [part for part in parts if part.is_dir() and not result_folders(part)]
    for part in empty:
        say(f"{part}: holds no result (a shard to which no pair fell writes none)")
    groups: dict[tuple[str, str], list[Result]] = {}
    for result in load_results([part for part in parts if part not in empty] or parts):
        groups.setdefault((result.method, result.dataset), []).append(result)
    ordered = {key: _in_order(key, results) for key, results in groups.items()}
    for results in ordered.values():
        _check_output(results, output)
    return [_join(results, output) for results in ordered.values()]


def _in_order(key: tuple[str, str], results: Sequence[Result]) -> list[Result]:
    """The shards 1..N of one (method, data set), checked to belong together."""
    name = " on ".join(key)
    shards: dict[int, Result] = {}
    numbers = set()
    for result in results:
        if result.policy.shard is None:
            raise SodbenchError(
                f"{name}: {result.folder} is no shard but a whole result; leave it out"
            )
        index, number = result.policy.shard
        numbers.add(number)
        if index in shards:
            raise SodbenchError(
                f"{name}: shard {index}/{number} is there twice: {shards[index].folder} and {result.folder}"
            )
        shards[index] = result
    if len(numbers) > 1:
        raise SodbenchError(
            f"{name}: shards of different divisions: {', '.join(f'1/{n}' for n in sorted(numbers))}"
        )
    number = numbers.pop()
    pairs = max(result.policy.n_divided or 0 for result in shards.values())
    gaps = sorted(set(range(1, min(number, pairs) + 1)) - shards.keys())
    if gaps:
        raise SodbenchError(f"{name}: shard(s) {', '.join(map(str, gaps))} of {number} are missing")
    chain = [shards[index] for index in sorted(shards)]
    for other in chain[1:]:
        for what, one, two in _ways(chain[0], other):
            if one != two:
                raise SodbenchError(
                    f"{name}: {chain[0].folder} has {what} {one}, {other.folder} has {two}; score them alike"
                )
    return chain


def _check_output(shards: Sequence[Result], output: Path) -> None:
    """Refuse an output folder that lies among the maps, masks or images of the results."""
    folder = _folder_of(shards[0], output).resolve()
    for shard in shards:
        for kind, base in shard.folders.items():
            if base is None:
                continue
            names = shard.table[kind.removesuffix("s")]
            for parent in sorted({Path(base, name).parent for name in names if name}):
                if folder.is_relative_to(parent.resolve()):
                    raise SodbenchError(
                        f"{output}: lies in {parent}, which holds maps or data, or leads into it; "
                        "choose an output folder of its own"
                    )


def _folder_of(result: Result, output: Path) -> Path:
    return output / safe_folder_name(result.method) / safe_folder_name(result.dataset)


def _report_replaced(folder: Path, merged: Result) -> None:
    """Report what is in the place of a merged result, where it is another one or not finished."""
    if os.path.lexists(folder / JOURNAL):
        say(f"{folder / JOURNAL}: a run was not finished there; its pairs are kept")
    if not os.path.lexists(folder / RESULT_FILE):
        return
    try:
        stored = load_result(folder)
    except StoredFileError as error:
        say(f"{error.fault}; it is written again now")
        return
    if stored.signature != merged.signature:
        warn(f"{folder}: replaces the stored result, which was {stored.signature}")


def _ways(first: Result, other: Result) -> list[tuple[str, object, object]]:
    """(what, its value in one, in the other) of everything that shards must share."""
    chosen = ("missing", "resize", "undefined", "weighted")
    return [
        ("protocol", first.protocol, other.protocol),
        ("a number of pairs of", first.policy.n_divided, other.policy.n_divided),
        ("versions", first.provenance["versions"], other.provenance["versions"]),
        *(
            (f"--{what}", getattr(first.policy, what), getattr(other.policy, what))
            for what in chosen
        ),
        *(
            (f"{kind} folder", first.folders[kind], other.folders[kind])
            for kind in ("maps", "masks", "images")
        ),
        ("maps made by", first.provenance["maps"], other.provenance["maps"]),
    ]


def _join(shards: Sequence[Result], output: Path) -> Result:
    first = shards[0]
    name = f"{first.method} on {first.dataset}"
    stored = [shard.stored_pairs() for shard in shards]
    skipped = any(p.kind == "unreadable" for shard in shards for p in shard.problems)
    _check_division(name, stored, skipped)
    folder = _folder_of(first, output)
    names = pd.concat([shard.table[["map", "mask", "image"]] for shard in shards]).sort_index()
    stems = sorted(stem for part in stored for stem in part.stems)
    with lock_folder(folder), closing(Journal(folder / MERGING, empty=True)) as journal:
        journal.append_all(stored)
        pairs = journal.select(stems)
        facts = pairs.facts()
        provenance = {
            **first.provenance,
            "scored_by": _without_shard(str(first.provenance["scored_by"])),
            "pairs": digest_names(names),
        }
        info = ResultInfo(
            method=first.method,
            dataset=first.dataset,
            files=names,
            policy=replace(
                first.policy,
                shard=None,
                n_divided=None,
                n_missing=sum(shard.policy.n_missing for shard in shards),
                n_resized=n_resized(facts),
            ),
            problems=[p for shard in shards for p in shard.problems],
            folders=first.folders,
            provenance=provenance,
        )
        merged = derive_result(pairs, facts, first.protocol, info)
        _report_replaced(folder, merged)
        result = store_result(folder, merged, pairs)
        journal.close(delete=True)
    return result


def _without_shard(command: str) -> str:
    """The command that scores the whole, from one that scores a part."""
    try:
        words = shlex.split(command)
        at = words.index("--shard")
    except ValueError:
        return command
    return shlex.join(words[:at] + words[at + 2 :])


def _check_division(name: str, stored: Sequence[StoredPairs], skipped: bool) -> None:
    """Every shard must hold exactly the pairs that its number gives it in the division of all of them.

    skipped: some pairs were left out as unreadable, so that only overlaps can be told.
    """
    union = sorted(stem for part in stored for stem in part.stems)
    twice = sorted({a for a, b in itertools.pairwise(union) if a == b})
    if twice:
        raise SodbenchError(
            f"{name}: {len(twice)} pair(s) are in more than one shard, the first {twice[0]}"
        )
    for index, part in enumerate(() if skipped else stored):
        mine = np.array(union, dtype=object)[index :: len(stored)].tolist()
        if list(part.stems) != mine:
            other = next(iter(set(part.stems) ^ set(mine)), "")
            raise SodbenchError(
                f"{name}: shard {index + 1}/{len(stored)} was divided from other files than the rest "
                f"({other} does not belong where it is); score all shards from the same folders"
            )
