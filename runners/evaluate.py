"""Score maps against masks: every pixel is visited once, everything after that is arithmetic.

What is counted (runners.counting) is written to a journal at once (sodbench.pairs), so an interrupted run goes on where it
stopped, and a pair whose files have not changed since is never read again.
"""

import gc
import os
import shlex
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from sodbench.datasets import Pair, find_masks
from sodbench.errors import ImageError, Problem, ProblemsError, SodbenchError
from sodbench.folders import unwritable
from sodbench.images import image_size, read_grey
from sodbench.metrics import (
    DEFAULT_PROTOCOL,
    PreparedMask,
    protocol,
    score,
)
from sodbench.pairs import (
    BILINEAR,
    NEAREST,
    PLAIN,
    ZERO,
    Journal,
    Records,
    content_hash,
    read_counts,
    read_facts,
    write_counts,
)
from sodbench.progress import bar, in_threads, processors, say
from sodbench.results import (
    COUNTS,
    FILE,
    Result,
    build_result,
    folder_name,
    load_result,
    save_result,
    versions,
)
from sodbench.runners.counting import (
    FITTED,
    ZERO_ONE,
    Counted,
    Policy,
    Visit,
    count,
    get_ready,
    size_problem,
    stamp,
)
from sodbench.runners.trees import Task, Understood, understand
from sodbench.sample import is_sample

JOURNAL = "unfinished.pairs"
MANIFEST = "prediction.json"
NOTES = frozenset({"grey-mask", "empty-mask", "black-map", "converted", "undefined-s"})
"""Kinds of problems that a stated rule settles; the others make a run end with status 1 or 2."""
PAIR_PROBLEMS = NOTES | {"size", "mask-coding", "map-coding"}
"""Kinds that are noticed pair by pair; the others concern the folders."""


@dataclass(frozen=True)
class Evaluation:
    """What a run of many tasks gave: results in the order of the tasks (and protocols), and all problems found."""

    results: tuple[Result, ...]
    problems: tuple[Problem, ...]

    @property
    def clean(self) -> bool:
        """Whether nothing was found but what a stated rule settles."""
        return all(problem.kind in NOTES for problem in self.problems)


def evaluate(
    predictions: Path | str,
    truth: Path | str,
    protocol: str = DEFAULT_PROTOCOL,
    *,
    output: Path | str | None = None,
    policy: Policy | None = None,
    name: str | None = None,
    jobs: int | None = None,
) -> Result:
    """Score one folder of maps against one folder (or data set) of masks.

    Files pair by name; a missing map, a name claimed twice or an unreadable file raises :class:`ProblemsError`, which
    carries all of them.  With ``output`` the result is also stored in ``output/<method>/<dataset>/``.
    """
    understood = understand(Path(predictions), find_masks(truth), name=name)
    if len(understood.tasks) > 1:
        raise SodbenchError(
            f"{predictions}: {len(understood.tasks)} methods or data sets; use evaluate_all for trees"
        )
    return evaluate_all(understood, [protocol], output=output, policy=policy, jobs=jobs).results[0]


def evaluate_all(
    understood: Understood,
    protocols: Sequence[str] = (DEFAULT_PROTOCOL,),
    *,
    output: Path | str | None = None,
    policy: Policy | None = None,
    jobs: int | None = None,
    force: bool = False,
    trust_folders: bool = False,
    keep_counts: bool = True,
) -> Evaluation:
    """Score every task under every protocol; the first protocol is the one that is stored.

    output: where results are kept; pairs found there that were scored from the same files are not read again.
    jobs: how many pairs are counted at a time, by default one a core; the results do not depend on it.
    force: score everything anew.  trust_folders: do not refuse folders that look swapped.
    keep_counts: without an output folder, whether the results hold their counts (8 KB a pair), as ``Result.rescored`` needs.

    Raises :class:`ProblemsError` with every problem of every task when one is not covered by the policy.  Whatever could be
    finished is stored by then.
    """
    policy = policy or Policy()
    store = Path(output) if output else None
    if store:
        _check_writable(store)
    works = [_Work(task, store, policy) for task in understood.tasks]
    for work in works:
        work.check_folder(works)
    refusals = [problem for work in works for problem in work.refusals]
    if refusals:
        extra = [p for work in works for p in work.found if p.kind not in ("missing",)]
        refusals = list(dict.fromkeys([*refusals, *extra, *_in_the_way(works, policy)]))
        raise ProblemsError(
            f"{len(refusals)} problem(s) with the files; nothing was scored",
            refusals,
            _way_out(refusals),
        )
    for work in works:
        if not work.stems:
            say(
                f"{work.task.method} on {work.task.dataset}: its {work.n_divided} pair(s) are in other shards"
            )
    works = [work for work in works if work.stems]
    results: dict[int, list[Result]] = {}
    blocked: list[Problem] = []
    if output and not force and len(protocols) == 1:
        for index, work in enumerate(works):
            if stored := work.unchanged(protocols[0]):
                results[index] = [stored]
        if results:
            say(
                f"{len(results)} of {len(works)} results are there already and nothing they stand on has changed"
            )
    for group in _by_dataset([work for index, work in enumerate(works) if index not in results]):
        with _known_to_stay():
            _count(group, jobs or processors(), force, trust_folders)
            for work in group:
                if work.blocked:
                    blocked += work.blocked
                    work.journal.close()
                else:
                    results[works.index(work)] = work.finish(protocols, keep_counts)
    found = [problem for rows in results.values() for problem in rows[0].problems]
    if blocked:
        raise ProblemsError(
            f"{len(blocked)} file(s) could not be scored; "
            + (
                "what could be scored is kept"
                if output
                else "nothing was stored (no output folder was given)"
            ),
            list(dict.fromkeys(blocked)),
            _way_out(blocked),
        )
    return Evaluation(
        tuple(r for i in sorted(results) for r in results[i]), tuple(dict.fromkeys(found))
    )


@contextmanager
def _known_to_stay() -> Iterator[None]:
    """Spare the garbage collector the files' names and paths, which it would look through again and again.

    Nothing is done where the program does so itself, since what it has frozen would be thawed with the rest.
    """
    if gc.get_freeze_count():
        yield
        return
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


def _in_the_way(works: Sequence["_Work"], policy: Policy) -> list[Problem]:
    """What scoring would stumble over, as far as headers and checksums tell: a run that is refused names all at once."""
    kinds: dict[Path, str] = {
        mask: "unreadable-mask" for work in works for mask in work.masks.values()
    }
    pairs = [(m, work.masks[stem]) for work in works for stem, m in work.maps.items() if m]
    if policy.missing == "error" or policy.resize == "error":
        kinds |= {map_: "unreadable" for map_, _ in pairs}

    def look(path: Path) -> tuple[int, int] | str:
        try:
            return image_size(path)
        except ImageError as error:
            return error.problem.detail

    seen = dict(zip(kinds, in_threads(look, list(kinds), "looking", "files"), strict=True))
    found = [
        Problem(kinds[path], str(path), what)
        for path, what in seen.items()
        if isinstance(what, str) and (kinds[path] != "unreadable" or policy.missing == "error")
    ]
    for map_, mask in pairs if policy.resize == "error" else ():
        size, wanted = seen[map_], seen[mask]
        if size != wanted and not isinstance(size, str) and not isinstance(wanted, str):
            found.append(size_problem(map_, size, wanted))
    return in_order(found)


def _part(shard: str | None) -> str:
    return f"shard {shard}" if shard else "a whole result"


def _way_out(problems: Iterable[Problem]) -> str:
    advice = {
        "missing": "missing maps: add them, or choose --missing skip (leave them out) or --missing zero (score them as black)",
        "unreadable": "unreadable maps: write them again, or treat them as missing with --missing skip or zero",
        "unreadable-mask": "unreadable masks: replace them ('sodbench data check' lists all of them)",
        "size": "sizes: predict at the image's own size, or choose --resize bilinear",
        "ambiguous": "names claimed twice: keep one file of each name in the folder",
    }
    kinds = {problem.kind for problem in problems}
    return "\n".join(text for kind, text in advice.items() if kind in kinds)


def _check_writable(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise unwritable(folder, error) from error


def _check_not_swapped(work: "_Work", stems: Sequence[str], look_at: int = 3) -> None:
    """Refuse when the masks of these pairs look like maps and the maps like masks."""
    task, wanted = work.task, set(stems)
    pairs = [pair for pair in task.pairing.pairs if pair.stem in wanted]
    pairs = pairs[:: max(1, len(pairs) // look_at)][:look_at]
    try:
        swapped = bool(pairs) and all(map(_looks_swapped, pairs))
    except ImageError:
        return  # reported when its turn comes
    if swapped:
        raise SodbenchError(
            f"{task.maps} holds pictures of two grey levels, as masks are, and {task.masks} pictures of many, as maps are: "
            "are the two folders swapped? The order is PREDS GT. If they are right, add --trust-folders"
        )


def _looks_swapped(pair: Pair) -> bool:
    """Whether the mask has many grey levels, as maps do, and the map two, as masks do."""
    return _levels(pair.mask) > 32 and _levels(pair.map) <= 2


def _levels(path: Path) -> int:
    return len(PreparedMask(read_grey(path).pixels).levels)


def _by_dataset(works: Sequence["_Work"]) -> Iterator[list["_Work"]]:
    for name in dict.fromkeys(work.task.dataset for work in works):
        yield [work for work in works if work.task.dataset == name]


class _Work:
    """One task under way: which pairs it has, which are counted, and what stands in the way."""

    def __init__(self, task: Task, store: Path | None, policy: Policy):
        self.task = task
        self.policy = policy
        self.store = store
        self.folder = (store or Path()) / folder_name(task.method) / folder_name(task.dataset)
        self.blocked: list[Problem] = []
        self.skipped: list[Problem] = []
        self.blackened: list[Problem] = []
        pairing = task.pairing
        self.maps: dict[str, Path | None] = {pair.stem: pair.map for pair in pairing.pairs}
        self.masks: dict[str, Path] = {pair.stem: pair.mask for pair in pairing.pairs}
        problems = pairing.problems()
        absent = [p for p in problems if p.kind == "missing"]
        if policy.missing == "zero":
            self.maps |= {item.stem: None for item in pairing.missing}
            self.masks |= {item.stem: item.path for item in pairing.missing}
        if not self.masks and not absent:
            absent = [Problem("missing", str(task.masks), "no mask meets a map")]
        tolerated = {"extra", "missing"} if policy.missing != "error" else {"extra"}
        self.refusals = [
            p for p in (*task.problems, *problems) if p.kind not in (*tolerated, "no-mask")
        ]
        if not self.masks and not self.refusals:
            self.refusals = absent
        self.found = [
            p for p in (*task.problems, *problems) if p.kind in ("extra", "missing", "no-mask")
        ]
        self.n_missing = len(pairing.missing)
        if pairing.hint and self.refusals:
            self.refusals.append(Problem("hint", str(task.maps), pairing.hint))
        self.stems = sorted(self.masks)
        self.n_divided: int | None = None
        if policy.shard:
            self._take_shard(*policy.shard)

    def check_folder(self, works: Sequence["_Work"]) -> None:
        """Refuse an output folder that belongs to the user's data, to another task or to another shard."""
        task = self.task
        if task.maps and task.maps.resolve() == task.masks.resolve():
            raise SodbenchError(
                f"{task.maps}: PREDS and GT are the same folder; masks scored against themselves are no result"
            )
        image = next(iter(task.images.values()), None)
        places = (self.folder, self.store) if self.store else ()
        for folder in filter(None, (task.maps, task.masks, image and image.parent)):
            if any(place.resolve().is_relative_to(folder.resolve()) for place in places):
                raise SodbenchError(
                    f"{self.store}: lies in {folder}, which holds maps or data; choose an output folder of its own"
                )
        for other in works:
            if other is not self and other.folder == self.folder:
                raise SodbenchError(
                    f"{task.method} and {other.task.method} would both be stored in {self.folder}; rename one"
                )
        if self.store and (self.folder / FILE).exists():
            try:
                stored, mine = load_result(self.folder), self._chosen()["shard"]
            except SodbenchError:
                say(f"{self.folder / FILE}: cannot be read; it is written anew")
                return
            if (stored.method, stored.dataset) != (task.method, task.dataset):
                raise SodbenchError(
                    f"{self.folder}: holds {stored.method} on {stored.dataset}; choose another output folder"
                )
            if stored.policy["shard"] != mine:
                raise SodbenchError(
                    f"{self.folder}: holds {_part(stored.policy['shard'])}, and this run makes {_part(mine)}; "
                    "give each an output folder of its own"
                )

    def _take_shard(self, index: int, number: int) -> None:
        """Keep every ``number``-th pair; what is wrong with the folders, and masks left out, belong to the first shard."""
        self.n_divided = len(self.stems)
        self.stems = self.stems[index - 1 :: number]
        if self.policy.missing == "zero":
            mine = {str(self.masks[stem]) for stem in self.stems}
        else:
            mine = {str(item.path) for item in self.task.pairing.missing if index == 1}
        kept = {p.file for p in self.found if p.kind == "missing" and p.file in mine}
        self.found = [
            p for p in self.found if (p.file in kept if p.kind == "missing" else index == 1)
        ]
        self.n_missing = len(kept)

    def unchanged(self, protocol_name: str) -> Result | None:
        """The stored result, if it is what scoring would give again: same pairs, files, policy and protocol."""
        try:
            stored = load_result(self.folder)
            if (self.folder / JOURNAL).exists():
                return None  # a run killed between its last two steps leaves it beside the result
            if altered := stored.altered():
                say(f"{', '.join(map(str, altered))}: not what was stored; written anew")
                return None
            stems, facts = read_facts(self.folder / COUNTS)
        except SodbenchError:
            return None
        same = (
            stored.protocol == protocol_name
            and list(stems) == self.stems
            and stored.policy == {**stored.policy, **self._chosen(), "n_missing": self.n_missing}
            and stored.provenance
            == {**self._provenance(), "pairs": _digest(self._names(self.stems))}
            and [p for p in stored.problems if p.kind not in PAIR_PROBLEMS] == in_order(self.found)
            and all(self._is_current(stem, fact) for stem, fact in zip(stems, facts, strict=True))
        )
        return stored if same else None

    def _chosen(self) -> dict[str, Any]:
        return _chosen(self.policy, self.n_divided)

    # -- what is counted already --------------------------------------------------------------------

    def open(self, force: bool) -> list[str]:
        """Open the journal, take over what is still valid, and return the stems that must be counted."""
        path = self.folder / JOURNAL if self.store else None
        if path and force:
            path.unlink(missing_ok=True)
        self.journal = Journal(path)
        if self.journal.damage:
            say(f"{path}: damaged ({self.journal.damage}); its pairs are scored again")
        if path and not force:
            self._take_over_counts()
        todo = []
        for stem in self.stems:
            record = self.journal.find(stem)
            if record is None or not self._is_current(stem, record[0]):
                todo.append(stem)
        return todo

    def _take_over_counts(self) -> None:
        path = self.folder / COUNTS
        if not path.exists():
            return
        try:
            stored = read_counts(path)
        except SodbenchError as error:
            say(f"{error}; its pairs are scored again now")
            path.unlink()
            return
        newer = {stem for stem in stored.stems if self.journal.find(stem) is not None}
        self.journal.append_all(stored, newer | (set(stored.stems) - set(self.stems)))

    def _is_current(self, stem: str, record: Any) -> bool:
        """Whether a record was counted from the files as they are, under this policy."""
        if bool(np.isnan(record["wf"]).any()) == self.policy.weighted:
            return False
        if not _same_file(
            self.masks[stem], record["mask_bytes"], record["mask_time"], record["mask_hash"]
        ):
            return False
        fitted = int(record["fitted"])
        if fitted == ZERO:
            return self.policy.missing == "zero" and self.maps[stem] is None
        map_ = self.maps[stem]
        if fitted != PLAIN and fitted != FITTED.get(self.policy.resize):
            return False
        return map_ is not None and _same_file(
            map_, record["map_bytes"], record["map_time"], record["map_hash"]
        )

    # -- the end ------------------------------------------------------------------------------------

    def finish(self, protocols: Sequence[str], keep_counts: bool) -> list[Result]:
        """Score what is counted; write the result's folder, if there is one, and drop the journal."""
        skipped = {p.file for p in self.skipped}
        stems = [stem for stem in self.stems if str(self.maps[stem]) not in skipped]
        results = finish(
            folder=self.folder,
            journal=self.journal,
            stems=stems,
            names=self._names(stems),
            protocols=protocols,
            policy=self._chosen(),
            n_missing=self.n_missing + len(self.skipped) + len(self.blackened),
            method=self.task.method,
            dataset=self.task.dataset,
            problems=[*self.found, *self.skipped, *self.blackened],
            folders=self._folders(),
            provenance=self._provenance(),
            keep=self.store is not None,
            keep_counts=keep_counts,
        )
        return results

    def _folders(self) -> dict[str, str | None]:
        """The folders that hold the files, so that no file's name leads out of them; for a list, those of its files."""
        task, pairs = self.task, self.task.pairing.pairs
        listed = task.maps is None
        maps = _common_folder([p.map for p in pairs if p.map]) if listed else task.maps
        masks = _common_folder([p.mask for p in pairs]) if listed else task.masks
        return {
            "maps": str((maps or task.masks).resolve()),
            "masks": str((masks or task.masks).resolve()),
            "images": str(images) if (images := _common_folder(task.images.values())) else None,
        }

    def _names(self, stems: Sequence[str]) -> pd.DataFrame:
        task, folders = self.task, self._folders()
        listed = task.maps is None
        files: dict[str, tuple[Mapping[str, Path | None], Path | str | None]] = {
            "map": (self.maps, folders["maps"] if listed else task.maps),
            "mask": (self.masks, folders["masks"] if listed else task.masks),
            "image": (task.images, folders["images"]),
        }
        return pd.DataFrame(
            {
                kind: _below([paths.get(stem) for stem in stems], base)
                for kind, (paths, base) in files.items()
            },
            index=pd.Index(list(stems), name="stem"),
        )

    def _provenance(self) -> dict[str, Any]:
        maps = self.task.maps
        command = (
            ["sodbench", "eval", str(maps), str(self.task.masks)]
            if maps
            else ["sodbench", "eval", "--list", "LIST"]
        )
        command += ["--missing", self.policy.missing] * (self.policy.missing != "error")
        command += ["--resize", self.policy.resize] * (self.policy.resize != "bilinear")
        manifest = None
        if maps and (maps / MANIFEST).is_file():
            import json

            try:
                manifest = json.loads((maps / MANIFEST).read_text(encoding="utf-8"))
            except ValueError:
                say(
                    f"{maps / MANIFEST}: not readable, so the report cannot say how the maps were made"
                )
        return {
            "scored_by": shlex.join(command),
            "versions": versions(),
            "maps": manifest,
            "suffix": self.task.pairing.suffix,
            "sample": any(
                is_sample(folder) for folder in (self.task.masks, self.task.masks.parent)
            ),
        }


def _same_file(path: Path, size: int, time: int, content: int) -> bool:
    try:
        status = path.stat()
        if status.st_size != size:
            return False
        return stamp(status) == time or content_hash(path.read_bytes()) == content
    except OSError:
        return False


def _common_folder(files: Iterable[Path]) -> Path | None:
    """The folder that holds all files; that of the first one where they share no more than the root."""
    folders = [folder.resolve() for folder in dict.fromkeys(file.parent for file in files)]
    if not folders:
        return None
    try:
        common = Path(os.path.commonpath(folders))
    except ValueError:  # on two drives
        return folders[0]
    return folders[0] if common == Path(common.anchor) else common


def _below(paths: Sequence[Path | None], base: Path | str | None) -> list[str]:
    """The paths from a folder on; nothing where there is no path or no folder."""
    if base is None:
        return [""] * len(paths)
    inside = f"{base}{os.sep}"

    def below(path: Path | None) -> str:
        if path is None:
            return ""
        start, found, name = str(path).rpartition(inside)
        if found and not start and os.sep not in name:
            return name  # resolving every file would take as long as decoding it
        return os.path.relpath(path.resolve(), Path(base).resolve())

    return list(map(below, paths))


# -- counting ---------------------------------------------------------------------------------------


def _count(works: Sequence[_Work], jobs: int, force: bool, trust_folders: bool) -> None:
    """Count every pair of one data set that is not counted yet."""
    todo = []
    for work in works:
        stems = work.open(force)
        if stems and not trust_folders:
            _check_not_swapped(work, stems)
        todo.append(set(stems))
    visits: list[Visit] = []
    for stem in sorted(set().union(*todo)):
        maps: dict[str, list[tuple[int, Path | None]]] = {}
        for index, work in enumerate(works):
            if stem in todo[index]:
                maps.setdefault(str(work.masks[stem]), []).append((index, work.maps[stem]))
        for _, of_it in sorted(maps.items()):
            visits.append(Visit(stem, works[of_it[0][0]].masks[stem], tuple(of_it)))
    total = sum(len(work.stems) for work in works)
    left = sum(len(visit.maps) for visit in visits)
    name = works[0].task.dataset
    if left < total:
        say(f"{name}: {total - left} of {total} pairs were scored before and have not changed")
    policy = works[0].policy
    if visits:
        get_ready()
    with (
        bar(total, f"score {name}", "map", initial=total - left) as progress,
        closing(count(visits, policy, jobs)) as counting,
    ):
        for done in counting:
            counted: list[list[tuple[str, bytes, Any]]] = [[] for _ in works]
            for visit, outcomes in done:
                for (index, _), outcome in zip(visit.maps, outcomes, strict=True):
                    work = works[index]
                    if isinstance(outcome, Counted):
                        counted[index].append((visit.stem, outcome.pair, outcome.matlab_joint))
                        if outcome.problem:
                            work.blackened.append(outcome.problem)
                    elif outcome.kind == "unreadable" and policy.missing != "error":
                        work.skipped.append(outcome)
                    else:
                        work.blocked.append(outcome)
            for work, pairs in zip(works, counted, strict=True):
                if pairs:
                    work.journal.append(pairs)
            progress.update(sum(len(visit.maps) for visit, _ in done))


# -- from counted pairs to results ------------------------------------------------------------------


def finish(
    *,
    folder: Path,
    journal: Journal,
    stems: Sequence[str],
    names: pd.DataFrame,
    protocols: Sequence[str],
    policy: Mapping[str, Any],
    n_missing: int,
    method: str,
    dataset: str,
    problems: Sequence[Problem],
    folders: Mapping[str, str | None],
    provenance: Mapping[str, Any],
    keep: bool,
    keep_counts: bool = False,
) -> list[Result]:
    """Results of one task from its journal, one a protocol; with ``keep`` the first is stored in ``folder``.

    keep_counts: whether results that are not stored hold their counts.
    """
    if not stems:
        journal.close()
        raise SodbenchError(f"{method} on {dataset}: no pair is left to score")
    pairs = journal.chosen(stems)
    facts = pairs.facts()
    provenance = {**provenance, "pairs": _digest(names)}
    files = names.assign(height=facts["size"][:, 0], width=facts["size"][:, 1])
    noticed = _pair_problems(facts, names, folders, protocol(protocols[0]).rule.foreground_above)
    chosen = {
        **policy,
        "n_missing": n_missing,
        "n_resized": int(np.isin(facts["fitted"], (BILINEAR, NEAREST)).sum()),
    }
    del facts  # a few hundred bytes a pair
    counts = pairs.stored().counts if keep_counts and not keep else None
    results = []
    for number, name in enumerate(protocols):
        scores = score(pairs, name, stems, undefined_s=policy["undefined"])
        result = build_result(
            scores=scores,
            counts=counts,
            method=method,
            dataset=dataset,
            files=files,
            policy=chosen,
            problems=[*in_order(problems), *noticed],
            folders=folders,
            provenance=provenance,
        )
        if keep and number == 0:
            # first, so that a run broken off in between leaves no old numbers beside new counts
            (folder / FILE).unlink(missing_ok=True)
            write_counts(folder / COUNTS, pairs)
            result = save_result(result, folder)
        results.append(result)
    journal.close(delete=True)
    return results


def _chosen(policy: Policy, n_divided: int | None) -> dict[str, Any]:
    """The policy as it stands in a result; n_divided: the number of pairs of all shards together."""
    return {
        "missing": policy.missing,
        "resize": policy.resize,
        "undefined": policy.undefined,
        "weighted": policy.weighted,
        "shard": None if policy.shard is None else "/".join(map(str, policy.shard)),
        "n_divided": n_divided,
    }


def _digest(names: pd.DataFrame) -> str:
    """A hash of all pairs' names and files, so that a stored result is known to be of the same pairs."""
    columns = (names.index.tolist(), *(names[kind].tolist() for kind in names))
    lines = "\n".join("\t".join(row) for row in zip(*columns, strict=True))
    return f"{content_hash(lines.encode('utf-8', 'surrogateescape')):016x}"


def in_order(problems: Iterable[Problem]) -> list[Problem]:
    """The same problems, each once, by kind and file."""
    return sorted(set(problems), key=lambda p: (p.kind, p.file, p.detail))


def _pair_problems(
    facts: Records, names: pd.DataFrame, folders: Mapping[str, str | None], above: int
) -> list[Problem]:
    """What was noticed about single pairs, in the order of kinds and stems."""
    how = {BILINEAR: "bilinear", NEAREST: "nearest"}
    found: list[Problem] = []

    def tell(kind: str, row: int, which: str, detail: str) -> None:
        name = str(names[which].iloc[row])
        file = Path(folders[f"{which}s"] or "") / name if name else names.index[row]
        found.append(Problem(kind, str(file), detail))

    columns = [
        facts[name].tolist() for name in ("mask_levels", "foreground", "brightest", "fitted")
    ]
    notes = [facts[name].tolist() for name in ("mask_note", "map_note")]
    for row, (levels, foreground, brightest, fitted) in enumerate(zip(*columns, strict=True)):
        mask_note, map_note = (column[row].decode() for column in notes)
        if fitted in how:
            sizes = ["x".join(map(str, facts[name][row])) for name in ("map_size", "size")]
            detail = f"{sizes[0]}, resized to its mask's {sizes[1]} ({how[fitted]})"
            tell("size", row, "map", detail)
        if mask_note == ZERO_ONE:
            tell(
                "mask-coding",
                row,
                "mask",
                f"{ZERO_ONE}, so all of it is background; store it as 0 and 255",
            )
        elif levels:
            tell(
                "grey-mask",
                row,
                "mask",
                f"{levels} grey level(s) beside 0 and 255; foreground is >{above}",
            )
        if worth_telling(mask_note):
            tell("converted", row, "mask", mask_note)
        if worth_telling(map_note):
            tell("converted", row, "map", map_note)
        if not foreground:
            tell("empty-mask", row, "mask", "no pixel is foreground (>128)")
        if brightest == 1:
            tell(
                "map-coding",
                row,
                "map",
                f"{ZERO_ONE}, so all of it is almost black; store it as 0 and 255",
            )
        if not brightest and fitted != ZERO:
            tell("black-map", row, "map", "every pixel is 0")
    return in_order(found)


def worth_telling(note: str) -> bool:
    """Whether a decoder's conversion can change numbers or deserves a look; 1-bit masks are as good as 8-bit ones."""
    return bool(note) and note not in ("1-bit", ZERO_ONE)
