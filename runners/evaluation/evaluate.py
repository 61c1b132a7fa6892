"""Score maps against masks: every pixel is visited once, everything after that is arithmetic.

What is counted (runners.counting) is written to a journal at once (sodbench.results.pairs), so an interrupted run goes on where it
stopped, and a pair whose files have not changed since is never read again.
"""

import gc
import json
import os
import shlex
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypedDict, Unpack

import numpy as np
import pandas as pd

from sodbench.console import bar, say, warn
from sodbench.datasets import Pair, find_masks
from sodbench.demo_data import is_demo_data
from sodbench.errors import (
    ImageError,
    Problem,
    ProblemKind,
    ProblemsError,
    SodbenchError,
    StoredFileError,
)
from sodbench.files import checksum, lock_folder, open_regular, safe_folder_name, write_error
from sodbench.images import image_size, read_grey
from sodbench.metrics import DEFAULT_PROTOCOL, PreparedMask
from sodbench.parallel import in_threads
from sodbench.provenance import counting_versions
from sodbench.results import (
    COUNTS_FILE,
    JOURNAL,
    RESULT_FILE,
    AppliedPolicy,
    Policy,
    Result,
    ResultInfo,
    derive_result,
    digest_names,
    find_contradictions,
    find_differences,
    load_result,
    n_resized,
    save_result,
)
from sodbench.results.pair_problems import NOTES, sorted_unique
from sodbench.results.pairs import (
    PLAIN,
    ZERO,
    CountsFile,
    FileFacts,
    Journal,
    JournalPairs,
    StoredPairs,
    write_counts,
)
from sodbench.results.policy import Missing, Resize, Undefined
from sodbench.runners.evaluation.count import (
    RESIZE_CODES,
    CountedPair,
    Visit,
    size_problem,
)
from sodbench.runners.evaluation.plan import EvaluationPlan, Task, plan_evaluation
from sodbench.runners.evaluation.workers import Workers

MANIFEST = "prediction.json"
MOST_MANIFEST = 2**26
"""Bytes of a manifest that are read."""


@dataclass(frozen=True)
class Evaluation:
    """What a run of many tasks gave: results in the order of the tasks (and protocols), and all problems found."""

    results: tuple[Result, ...]
    problems: tuple[Problem, ...]

    @property
    def clean(self) -> bool:
        """Whether nothing was found but what a stated rule settles."""
        return all(problem.kind in NOTES for problem in self.problems)


class EvaluateOptions(TypedDict, total=False):
    """Optional keyword arguments of :func:`evaluate`."""

    missing: Missing
    resize: Resize
    undefined: Undefined | None
    weighted: bool
    name: str
    dataset_name: str


def evaluate(
    predictions: Path | str,
    truth: Path | str,
    protocol: str = DEFAULT_PROTOCOL,
    *,
    output: Path | str | None = None,
    jobs: int | None = None,
    executor: Executor | None = None,
    force: bool = False,
    **options: Unpack[EvaluateOptions],
) -> Result:
    """Score one folder of maps against one folder (or data set) of masks.

    Files pair by name; a missing map, a name claimed twice or an unreadable file raises :class:`ProblemsError`, which
    carries all of them.  With ``output`` the result is also stored in ``output/<method>/<dataset>/``.
    """
    truths = find_masks(truth, options.get("dataset_name"), without=predictions)
    policy = Policy(
        missing=options.get("missing", "error"),
        resize=options.get("resize", "bilinear"),
        undefined=options.get("undefined"),
        weighted=options.get("weighted", True),
    )
    plan = plan_evaluation(Path(predictions), truths, name=options.get("name"), policy=policy)
    if len(plan.tasks) > 1:
        raise SodbenchError(
            f"{predictions}: {len(plan.tasks)} methods or datasets; use evaluate_plan for trees"
        )
    workers = Workers(jobs, executor)
    return evaluate_plan(plan, [protocol], output=output, workers=workers, force=force).results[0]


def evaluate_plan(
    plan: EvaluationPlan,
    protocols: Sequence[str] = (DEFAULT_PROTOCOL,),
    *,
    output: Path | str | None = None,
    workers: Workers | None = None,
    force: bool = False,
    allow_swapped: bool = False,
    keep_counts: bool = True,
) -> Evaluation:
    """Score every task under every protocol; the first protocol is the one that is stored.

    output: where results are kept; pairs found there that were scored from the same files are not read again.
    workers: what counts the pairs, by default threads, one for each core; the results do not depend on it.
    force: score everything anew.  allow_swapped: do not refuse folders that look swapped.
    keep_counts: without an output folder, whether the results hold their counts (8 KB a pair), as ``Result.rescored`` needs.

    Raises :class:`ProblemsError` with every problem of every task when one is not covered by the policy.  Whatever could be
    finished is stored by then.
    """
    policy = plan.policy
    workers = workers or Workers()
    store = Path(output) if output else None
    if store:
        _check_writable(store)
    works = [_Work(task, store, policy) for task in plan.tasks]
    for work in works:
        work.check_folder(works)
    refusals = [problem for work in works for problem in work.refusals]
    if refusals:
        extra = [p for work in works for p in work.found if p.kind not in ("missing",)]
        refusals += [*extra, *plan.problems, *_in_the_way(works, policy)]
        refusals = list(dict.fromkeys(refusals))
        raise ProblemsError(
            f"{len(refusals)} problem(s) with the files; nothing was scored",
            refusals,
            *_way_out(refusals, nothing_matches=not any(w.task.pairing.pairs for w in works)),
        )
    for work in works:
        if not work.stems:
            say(
                f"{work.task.method} on {work.task.dataset}: its {work.n_divided} pair(s) are in other shards"
            )
    works = [work for work in works if work.stems]
    results: dict[int, list[Result]] = {}
    blocked: list[Problem] = []
    for group in _by_dataset(works):
        with _known_to_stay(), ExitStack() as held:
            for work in group:
                if store:
                    held.enter_context(lock_folder(work.folder))
                held.callback(work.close)
            _count(group, protocols[0], workers, force, allow_swapped)
            for work in group:
                if work.blocked:
                    blocked += work.blocked
                else:
                    results[works.index(work)] = work.finish(protocols, keep_counts)
    if reused := sum(work.reused is not None for work in works):
        say(f"{reused} of {len(works)} results are up to date and were reused")
    found = [*plan.problems]
    found += [problem for rows in results.values() for row in rows for problem in row.problems]
    if blocked:
        raise ProblemsError(
            f"{len(blocked)} file(s) could not be scored; "
            + (
                "what could be scored is kept"
                if output
                else "nothing was stored (no output folder was given)"
            ),
            list(dict.fromkeys(blocked)),
            *_way_out(blocked),
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
    return sorted_unique(found)


def _part(policy: Policy) -> str:
    return f"shard {policy.shard_text}" if policy.shard else "a whole result"


def _way_out(problems: Iterable[Problem], nothing_matches: bool = False) -> list[str]:
    names = (
        "names: a map is named as its mask, with any ending and a suffix that all maps share (0001.png or 0001_net.png "
        "for 0001.jpg); is this GT the dataset of these maps?"
    )
    kinds = {problem.kind for problem in problems}
    advice = {kind: kind.advice for kind in ProblemKind if kind in kinds}
    if nothing_matches and ProblemKind.MISSING in advice:
        advice[ProblemKind.MISSING] = names
    return [text for text in advice.values() if text]


def _check_writable(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise write_error(folder, error) from error


def _check_not_swapped(work: "_Work", stems: Sequence[str], look_at: int = 3) -> None:
    """Refuse when the masks of these pairs look like maps and the maps like masks."""
    task, wanted = work.task, set(stems)
    pairs = [pair for pair in task.pairing.pairs if pair.stem in wanted]
    pairs = pairs[:: max(1, len(pairs) // look_at)][:look_at]
    try:
        swapped = bool(pairs) and all(map(_looks_swapped, pairs))
        photographs = bool(pairs) and all(_looks_like_a_photograph(pair.mask) for pair in pairs)
    except ImageError:
        return  # reported when its turn comes
    if swapped and task.maps is None:
        raise SodbenchError(
            f"{task.source[-1] if task.source else 'the list'}: the first column names images of two grey levels, like "
            "masks, and the second images of many, like maps: are the columns swapped? A line is "
            "'map.png mask.png'. If they are right, add --allow-swapped"
        )
    if swapped:
        raise SodbenchError(
            f"{task.maps} holds images of two grey levels, like masks, and {task.masks} images of many, like maps: "
            "are the two folders swapped? The order is PREDS GT. If they are right, add --allow-swapped"
        )
    if photographs:
        raise SodbenchError(
            f"{task.masks}: holds images that look like photographs, not like masks (most of their pixels are neither "
            "black nor white); give the folder of the masks as GT. If these are the masks, add --allow-swapped"
        )


def _looks_swapped(pair: Pair) -> bool:
    """Whether the mask has many grey levels, as maps do, and the map two, as masks do."""
    return _levels(pair.mask) > 32 and _levels(pair.map) <= 2


def _looks_like_a_photograph(path: Path) -> bool:
    """Whether most pixels are neither dark nor bright, in many grey levels; JPEG masks have many levels, too, but few such pixels."""
    pixels = read_grey(path).pixels
    between = (pixels >= 32) & (pixels < 224)
    return len(PreparedMask(pixels).levels) > 128 and float(between.mean()) > 0.5


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
        self.folder = (
            (store or Path()) / safe_folder_name(task.method) / safe_folder_name(task.dataset)
        )
        self.blocked: list[Problem] = []
        self.skipped: list[Problem] = []
        self.blackened: list[Problem] = []
        self.journal: Journal | None = None
        self.counts_file: CountsFile | None = None
        self.stored: Result | None = None
        self.derived: Result | None = None
        self.reused: Result | None = None
        self.trusted = False
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
        if store:
            self.refusals += self._names_that_cannot_be_stored()
        if pairing.hint and self.refusals:
            self.refusals.append(Problem("hint", str(task.maps), pairing.hint))
        if not pairing.pairs and pairing.missing and pairing.extra and not pairing.hint:
            detail = (
                f"no map has the name of a mask: masks are named as {pairing.missing[0].path.name}, "
                f"maps as {pairing.extra[0].path.name}"
            )
            self.refusals.append(Problem("hint", str(task.maps), detail))
        self.stems = sorted(self.masks)
        self.n_divided: int | None = None
        if policy.shard:
            self._take_shard(*policy.shard)

    def _names_that_cannot_be_stored(self) -> list[Problem]:
        """Names that are not UTF-8, from old archives: neither JSON nor CSV can hold them."""
        task = self.task
        names = [task.method, task.dataset, *filter(None, self._folders().values())]
        names += [str(mask) for mask in self.masks.values()]
        names += [str(map_) for map_ in self.maps.values() if map_]
        return [
            Problem("name", name, "is not UTF-8, so that no result can hold it; rename it")
            for name in dict.fromkeys(names)
            if any("\udc80" <= letter <= "\udcff" for letter in name)
        ]

    def check_folder(self, works: Sequence["_Work"]) -> None:
        """Refuse an output folder that belongs to the user's data, to another task or to another shard."""
        task = self.task
        if task.maps and task.maps.resolve() == task.masks.resolve():
            raise SodbenchError(
                f"{task.maps}: PREDS and GT are the same folder; masks scored against themselves are no result"
            )
        image = next(iter(task.images.values()), None)
        places = (self.folder, self.store) if self.store else ()
        data = {task.maps, task.masks, image and image.parent}
        if task.maps is None:  # a list's own folder holds nothing but the list, as far as is known
            data = {file.parent for pair in task.pairing.pairs for file in (pair.mask, pair.map)}
        for folder in filter(None, data):
            if any(place.resolve().is_relative_to(folder.resolve()) for place in places):
                raise SodbenchError(
                    f"{self.store}: lies in {folder}, which holds maps or data; choose an output folder of its own"
                )
        if task.root and self.store and self.store.resolve() == task.root.resolve():
            raise SodbenchError(
                f"{self.store}: is the folder of the dataset {task.dataset}; choose an output folder of its own"
            )
        for other in works:
            if other is not self and other.folder == self.folder:
                raise SodbenchError(
                    f"{task.method} and {other.task.method} would both be stored in {self.folder}; rename one"
                )
        if not self.store:
            return
        stored = self._load_stored()
        if stored is None:
            return
        if (stored.method, stored.dataset) != (task.method, task.dataset):
            raise SodbenchError(
                f"{self.folder}: holds {stored.method} on {stored.dataset}; choose another output folder"
            )
        if stored.policy.shard != self.policy.shard:
            raise SodbenchError(
                f"{self.folder}: holds {_part(stored.policy)}, and this run makes {_part(self.policy)}; "
                "give each an output folder of its own"
            )

    def _load_stored(self) -> Result | None:
        """The result in the output folder, if there is one that can be read."""
        if not os.path.lexists(self.folder / RESULT_FILE):
            return None
        try:
            return load_result(self.folder)
        except StoredFileError:
            return None  # reported where it is replaced

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

    # -- what is counted already --------------------------------------------------------------------

    def open(self, protocol: str, force: bool, allow_swapped: bool) -> list[str]:
        """Open what the output folder holds, reuse what is still valid, and return the stems that must be counted."""
        self.trusted = allow_swapped
        if not self.store:
            self.journal = Journal(None)
            return self.stems
        journal = self.folder / JOURNAL
        usable = False
        if not force:
            self.stored = self._read_stored()
            if self.stored and "--allow-swapped" in self.stored.provenance["scored_by"].split():
                self.trusted = True  # its pairs were counted in spite of how they look
            usable = self._open_counts()
        # a run killed between its last two steps leaves its journal beside the result
        current = usable and not os.path.lexists(journal) and self._counts_are_current()
        if current and self._check_stored(protocol):
            return []
        # counts of other pairs than this run's are used in part, so they must agree with their result, too
        usable = usable and not current and self._stored_agrees()
        self.journal = Journal(journal, empty=force)
        if self.journal.damage:
            say(f"{journal}: damaged ({self.journal.damage}); its pairs are scored again")
        if self.counts_file:
            if usable:
                newer = {s for s in self.counts_file.stems if self.journal.find(s) is not None}
                mine = set(self.stems)
                try:
                    self.journal.append_all(
                        self.counts_file.blocks(),
                        newer | {s for s in self.counts_file.stems if s not in mine},
                    )
                except StoredFileError as error:
                    say(f"{error.fault}; its pairs are scored again now")
            self.counts_file.close()
            self.counts_file = None
        todo = []
        for stem in self.stems:
            record = self.journal.find(stem)
            if record is None or not self._is_current(stem, record[0]):
                todo.append(stem)
        return todo

    def _read_stored(self) -> Result | None:
        """The stored result; a damaged or modified one is reported, and replaced in the end."""
        if not os.path.lexists(self.folder / RESULT_FILE):
            return None
        try:
            return load_result(self.folder)
        except StoredFileError as error:
            say(f"{error.fault}; it is written again now")
            return None

    def _open_counts(self) -> bool:
        """Open the stored counts, if they can be trusted."""
        path = self.folder / COUNTS_FILE
        if not os.path.lexists(path):
            if self.stored:
                say(f"{path}: is missing; its pairs are scored again now")
            return False
        try:
            self.counts_file = CountsFile(
                path, self.stored.hashes[COUNTS_FILE] if self.stored else None
            )
        except StoredFileError as error:
            say(f"{error.fault}; its pairs are scored again now")
            return False
        return True

    def _counts_are_current(self) -> bool:
        """Whether the stored counts are of exactly these pairs, from the files as they are."""
        assert self.counts_file is not None
        facts = self.counts_file.facts()
        return list(self.counts_file.stems) == self.stems and all(
            self._is_current(stem, fact) for stem, fact in zip(self.stems, facts, strict=True)
        )

    def _check_stored(self, protocol: str) -> bool:
        """Derive the result again from the stored counts, and see whether the stored one agrees.

        Returns False where the two contradict each other: then neither is used.
        """
        assert self.counts_file is not None
        try:
            self.derived = self._derive(self.counts_file, self.stems, [protocol])[0]
            stored = self.stored
            if stored is None:
                return True
            _ = stored.table  # raises where it was modified
            if not find_differences(stored, self.derived):
                self.reused = stored
            else:
                return self._stored_agrees()
        except StoredFileError as error:
            say(f"{error.fault}; it is written again now")
            # the counts themselves may be what cannot be read
            return self.derived is not None
        return True

    def _stored_agrees(self) -> bool:
        """Whether the stored result, if it can be read, follows from the stored counts; report where it does not."""
        assert self.counts_file is not None
        if self.stored is None:
            return True
        try:
            _ = self.stored.table
        except StoredFileError as error:
            say(f"{error.fault}; it is written again now")
            return True  # the counts have a hash of their own
        try:
            wrong = find_contradictions(self.stored, self.counts_file)
        except StoredFileError as error:
            say(f"{error.fault}; its pairs are scored again now")
            return False
        if wrong:
            say(
                f"{self.folder / RESULT_FILE}: contradicts the counts it is stored with ({wrong[0]}), so at least one of "
                "them was modified; scored again from the images"
            )
        return not wrong

    def _is_current(self, stem: str, record: Any) -> bool:
        """Whether a record was counted from the files as they are, under this policy."""
        if bool(np.isnan(record["wf"]).any()) == self.policy.weighted:
            return False
        if not _is_same_file(self.masks[stem], record, "mask"):
            return False
        fitted = int(record["fitted"])
        map_ = self.maps[stem]
        if fitted == ZERO:
            return self.policy.missing == "zero" and map_ is None
        if fitted != PLAIN and fitted != RESIZE_CODES.get(self.policy.resize):
            return False
        return map_ is not None and _is_same_file(map_, record, "map")

    # -- the end ------------------------------------------------------------------------------------

    def finish(self, protocols: Sequence[str], keep_counts: bool) -> list[Result]:
        """Score what is counted; write the result's folder, if there is one, and remove the journal."""
        skipped = {p.file for p in self.skipped}
        stems = [stem for stem in self.stems if str(self.maps[stem]) not in skipped]
        if not stems:
            raise SodbenchError(
                f"{self.task.method} on {self.task.dataset}: no pair is left to score"
            )
        if self.counts_file:
            first = self.reused or self.derived
            assert first is not None
            others = self._derive(self.counts_file, stems, protocols[1:])
            if not self.reused:
                first = self._save(first, self.counts_file)
            return [first, *others]
        assert self.journal is not None
        pairs = self.journal.select(stems)
        counts = pairs.stored() if keep_counts and not self.store else None
        results = self._derive(pairs, stems, protocols, counts)
        if self.store:
            results[0] = self._save(results[0], pairs)
        self.journal.close(delete=True)
        return results

    def _derive(
        self,
        source: CountsFile | JournalPairs,
        stems: Sequence[str],
        protocols: Sequence[str],
        counts: StoredPairs | None = None,
    ) -> list[Result]:
        task = self.task
        facts = source.facts()
        names = self._names(stems)
        policy: AppliedPolicy = self.policy.applied(
            n_missing=self.n_missing + len(self.skipped) + len(self.blackened),
            n_resized=n_resized(facts),
            n_divided=self.n_divided,
        )
        results = []
        for protocol in protocols:
            info = ResultInfo(
                method=task.method,
                dataset=task.dataset,
                files=names,
                policy=policy,
                problems=[*self.found, *self.skipped, *self.blackened],
                folders=self._folders(),
                provenance={**self._provenance(protocol), "pairs": digest_names(names)},
            )
            results.append(derive_result(source, facts, protocol, info, counts))
        return results

    def _save(self, result: Result, source: CountsFile | JournalPairs) -> Result:
        stored = self.stored or self._load_stored()  # a forced run has not read it yet
        if stored and stored.signature != result.signature:
            warn(f"{self.folder}: replaces the stored result, which was {stored.signature}")
        return store_result(self.folder, result, source)

    def close(self) -> None:
        """Close what is open; a journal stays for the next run."""
        if self.journal:
            self.journal.close()
        if self.counts_file:
            self.counts_file.close()

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
                kind: _relative_names([paths.get(stem) for stem in stems], base)
                for kind, (paths, base) in files.items()
            },
            index=pd.Index(list(stems), name="stem"),
        )

    def _provenance(self, protocol: str) -> dict[str, Any]:
        maps = self.task.maps
        return {
            "scored_by": shlex.join(self._command(protocol)),
            "versions": counting_versions(),
            "maps": _read_manifest(maps / MANIFEST) if maps else None,
            "suffix": self.task.pairing.suffix,
            "sample": any(
                is_demo_data(folder) for folder in (self.task.masks, self.task.masks.parent)
            ),
        }

    def _command(self, protocol: str) -> list[str]:
        """The command that gives this very result again, from any folder."""
        task, policy = self.task, self.policy
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
        command += ["--shard", policy.shard_text] if policy.shard else []
        command += ["--allow-swapped"] * self.trusted
        return _with_joined_values(command)


_WITHOUT_VALUE = frozenset({"--no-weighted-f", "--allow-swapped"})


def _with_joined_values(command: Sequence[str]) -> list[str]:
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


def _read_manifest(path: Path) -> Any:
    """How the maps were made, where the program that wrote them left word of it."""
    if not os.path.lexists(path):
        return None
    try:
        with open_regular(path) as file:
            return json.loads(file.read(MOST_MANIFEST).decode("utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        say(f"{path}: cannot be read ({error}), so the report cannot say how the maps were made")
        return None


def _is_same_file(path: Path, record: Any, which: str) -> bool:
    """Whether a file is the one that a record was counted from: by its size and times, or else by its content."""
    stored = FileFacts(
        *(int(record[f"{which}_{name}"]) for name in ("bytes", "mtime", "ctime", "hash"))
    )
    try:
        status = path.stat()
        if status.st_size != stored.size:
            return False
        if (status.st_mtime_ns, status.st_ctime_ns) == (stored.mtime, stored.ctime):
            return True
        return checksum(path.read_bytes()) == stored.content
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


def _relative_names(paths: Sequence[Path | None], base: Path | str | None) -> list[str]:
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


def _count(
    works: Sequence[_Work], protocol: str, workers: Workers, force: bool, allow_swapped: bool
) -> None:
    """Count every pair of one dataset that is not counted yet."""
    todo = []
    for work in works:
        stems = work.open(protocol, force, allow_swapped)
        if stems and not allow_swapped:
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
    if left < total and visits:
        say(f"{name}: {total - left} of {total} pairs were scored before and have not changed")
    policy = works[0].policy
    with (
        bar(total, f"score {name}", "map", initial=total - left) as progress,
        closing(workers.count(visits, policy)) as counting,
    ):
        for done in counting:
            counted: list[list[tuple[str, bytes, Any]]] = [[] for _ in works]
            for visit, outcomes in done:
                for (index, _), outcome in zip(visit.maps, outcomes, strict=True):
                    work = works[index]
                    if isinstance(outcome, CountedPair):
                        counted[index].append((visit.stem, outcome.pair, outcome.matlab_joint))
                        if outcome.problem:
                            work.blackened.append(outcome.problem)
                    elif outcome.kind == "unreadable" and policy.missing != "error":
                        work.skipped.append(outcome)
                    else:
                        work.blocked.append(outcome)
            for work, pairs in zip(works, counted, strict=True):
                if pairs:
                    assert work.journal is not None
                    work.journal.append(pairs)
            progress.update(sum(len(visit.maps) for visit, _ in done))


# -- from counted pairs to results ------------------------------------------------------------------


def store_result(folder: Path, result: Result, source: CountsFile | JournalPairs) -> Result:
    """Write a result's folder, whose lock the caller holds; counts that are stored there already stay."""
    try:
        # first, so that a run killed in between leaves no old numbers beside new counts
        (folder / RESULT_FILE).unlink(missing_ok=True)
    except OSError as error:
        raise write_error(folder / RESULT_FILE, error) from error
    if isinstance(source, CountsFile):
        counts_hash = source.hash
    else:
        counts_hash = write_counts(folder / COUNTS_FILE, source)
    return save_result(result, folder, counts_hash)
