"""Score maps against masks: every pixel is visited once, everything after that is arithmetic.

An evaluation is a sequence of values, each made once: the plan, what is stored of each task, the counts of its pairs,
its results.  Counted pairs are stored as they come, so a run that was interrupted resumes where it stopped, and a pair
whose files are unchanged is never read again.
"""

from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypedDict, Unpack

from sodbench.console import bar, logger
from sodbench.datasets import find_masks, infer_dataset_name, known_name
from sodbench.errors import Problem, ProblemKind, ProblemsError, Severity, SodbenchError
from sodbench.files import lock_folder
from sodbench.folders import listing_once
from sodbench.garbage import freeze_gc, pause_gc
from sodbench.metrics import DEFAULT_PROTOCOL, PROTOCOLS, get_protocol
from sodbench.metrics.scores import BlockScores
from sodbench.plugins import load_plugins
from sodbench.results import RESULT_FILE, Policy, Result, derive_result
from sodbench.results.policy import Channel, Missing, Resize, Undefined
from sodbench.results.store import CountsStore
from sodbench.runners.evaluation.assemble import Outcome, describe, result_folder, store_result
from sodbench.runners.evaluation.count import MapProblem, Scoring, Visit
from sodbench.runners.evaluation.plan import EvaluationPlan, plan_evaluation
from sodbench.runners.evaluation.preflight import advise, check_not_swapped, check_plan
from sodbench.runners.evaluation.reuse import Reusable, find_reusable
from sodbench.runners.evaluation.task import Task
from sodbench.runners.evaluation.workers import Workers


@dataclass(frozen=True)
class Evaluation:
    """The results of an evaluation.

    Attributes
    ----------
    results : tuple of Result
        In the order of the tasks, and for each task of the protocols.
    problems : tuple of Problem
        Everything that was found in the files.
    """

    results: tuple[Result, ...]
    problems: tuple[Problem, ...]

    @property
    def clean(self) -> bool:
        """Whether all problems are notes: settled by a documented rule."""
        return all(problem.severity == Severity.NOTE for problem in self.problems)


# Smaller sets may be half empty by chance
_MASKS_FOR_A_HINT = 10


class EvaluateOptions(TypedDict, total=False):
    """Further keyword arguments of `evaluate` and `evaluate_tree`.

    Attributes
    ----------
    missing, resize, undefined, weighted, metrics, channel
        As in `sodbench.results.Policy`.
    name : str
        What to call the one method.
    dataset_name : str
        What to call the one dataset.
    """

    missing: Missing
    resize: Resize
    undefined: Undefined | None
    weighted: bool
    metrics: Sequence[str]
    channel: Channel
    name: str | None
    dataset_name: str | None


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
    """Score one folder of saliency maps against one dataset.

    Parameters
    ----------
    predictions : path
        A folder of maps.  A map belongs to the mask of the same name; the extension may differ.
    truth : path
        A folder of masks, a dataset in any layout that is read, or the name of a dataset.
    protocol : str
        The evaluation program whose conventions apply: ``salmetric``, ``pysodmetrics``, ``matlab``, or a registered one.
    output : path, optional
        Store the result in ``output/<method>/<dataset>/``; pairs that are stored there and unchanged are not read
        again.
    jobs : int, optional
        How many maps are counted at a time; by default one for each processor.
    executor : concurrent.futures.Executor, optional
        Count with these workers, for example on other machines.
    force : bool
        Score everything again.
    **options
        ``missing`` (``"error"``, ``"skip"``, ``"zero"``), ``resize`` (``"error"``, ``"bilinear"``, ``"nearest"``, ``"bicubic"``, ``"opencv"``),
        ``undefined`` (``"keep"``, ``"skip"``), ``channel``, ``weighted`` and ``metrics`` as in `sodbench.results.Policy`; ``name`` and
        ``dataset_name``, the names of the method and the dataset in the result.

    Returns
    -------
    Result
        The aggregates, curves, per-image table and signature.

    Raises
    ------
    ProblemsError
        With every problem of the files that the policy does not cover.
    SodbenchError
        Where there are several methods or datasets, or an argument cannot be used.

    Examples
    --------
    >>> result = evaluate("preds/DSS/SOD", "data/SOD", missing="zero")  # doctest: +SKIP
    >>> result.metrics["f_max"]  # doctest: +SKIP
    """
    plan = _plan_folders(predictions, truth, **options)
    if len(plan.tasks) > 1:
        raise SodbenchError(
            f"{predictions}: {len(plan.tasks)} methods or datasets; use evaluate_tree for trees"
        )
    workers = Workers(jobs, executor)
    return evaluate_plan(plan, [protocol], output=output, workers=workers, force=force).results[0]


def evaluate_tree(
    predictions: Path | str,
    truth: Path | str,
    protocols: Sequence[str] = (DEFAULT_PROTOCOL,),
    *,
    output: Path | str | None = None,
    jobs: int | None = None,
    executor: Executor | None = None,
    force: bool = False,
    **options: Unpack[EvaluateOptions],
) -> Evaluation:
    """Score the maps of several methods on several datasets.

    Parameters
    ----------
    predictions : path
        A folder of maps, or a tree of them: ``<method>/<dataset>/``, ``<dataset>/<method>/``, ``<dataset>/`` or
        ``<method>/``.
    truth : path
        A dataset, or a folder of datasets.
    protocols : sequence of str, or str
        The first one's results are stored.
    output, jobs, executor, force, **options
        As for `evaluate`.

    Raises
    ------
    ProblemsError, SodbenchError
        As for `evaluate`.
    """
    plan = _plan_folders(predictions, truth, **options)
    workers = Workers(jobs, executor)
    protocols = [protocols] if isinstance(protocols, str) else protocols
    return evaluate_plan(plan, protocols, output=output, workers=workers, force=force)


@listing_once()
@pause_gc()
def _plan_folders(
    predictions: Path | str, truth: Path | str, **options: Unpack[EvaluateOptions]
) -> EvaluationPlan:
    if unknown := options.keys() - EvaluateOptions.__annotations__.keys():
        raise TypeError(f"evaluate() got an unexpected keyword argument {min(unknown)!r}")
    choices: dict[str, Any] = {**options}
    name, dataset_name = choices.pop("name", None), choices.pop("dataset_name", None)
    truths = find_masks(truth, dataset_name, without=predictions)
    return plan_evaluation(Path(predictions), truths, name=name, policy=Policy(**choices))


@dataclass(frozen=True)
class _Settings:
    """The arguments of evaluate_plan but the plan."""

    protocols: Sequence[str]
    output: Path | None
    workers: Workers
    force: bool
    allow_swapped: bool
    keep_counts: bool


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
    """Score every task of a plan under every protocol.

    Parameters
    ----------
    plan : EvaluationPlan
    protocols : sequence of str
        The first one's results are stored.
    output : path, optional
        Where results are stored.
    workers : Workers, optional
        What counts the pairs; by default threads, one for each processor.  The results do not depend on it.
    force : bool
        Score everything again.
    allow_swapped : bool
        Score folders although they look swapped.
    keep_counts : bool
        Without an output folder, whether the results hold their counts (8 KB for each pair), as ``Result.rescored``
        needs.

    Raises
    ------
    ProblemsError
        With every problem that the policy does not cover.  Everything else is scored and stored by then.
    SodbenchError
        Where results cannot be stored.
    """
    load_plugins("sodbench.metrics", "sodbench.protocols")
    _check_arguments(protocols, output)
    where = None if output is None else Path(output)
    # what is counted depends on the protocols, and so does which stored counts can be used again
    plan = plan.counted_for(protocols)
    settings = _Settings(protocols, where, workers or Workers(), force, allow_swapped, keep_counts)
    with settings.workers as started:
        # processes start while this one checks the headers of all files
        started.start_early(_count_new_maps(plan, where, force=force))
        check_plan(plan, where)
        _mention_empty_shards(plan)
        scored = [one for tasks in plan.by_dataset() for one in _score_dataset(tasks, settings)]
    if n_reused := sum(one.is_reused for one in scored):
        logger.info(f"{n_reused} of {len(scored)} results are up to date and were reused")
    _raise_errors(scored, stored=bool(output))
    results = tuple(result for one in scored for result in one.results)
    _hint_at_empty_masks(results)
    problems = [*plan.problems, *(problem for result in results for problem in result.problems)]
    return Evaluation(results, tuple(dict.fromkeys(problems)))


def _count_new_maps(plan: EvaluationPlan, output: Path | None, *, force: bool) -> int:
    """How many maps have no stored result; those of a result that is out of date come as a surprise."""
    return sum(
        len(task.stems)
        for task in plan.tasks
        if force or output is None or not (result_folder(task, output) / RESULT_FILE).exists()
    )


def _mention_empty_shards(plan: EvaluationPlan) -> None:
    for task in plan.tasks:
        if not task.stems:
            logger.info(f"{task}: its {task.n_divided} pair(s) are in other shards")


def _raise_errors(scored: "Sequence[_Scored]", *, stored: bool) -> None:
    """Raise ProblemsError where files could not be scored."""
    if errors := [error for one in scored for error in one.errors]:
        kept = "what could be scored is kept"
        raise ProblemsError(
            f"{len(errors)} file(s) could not be scored; "
            + (kept if stored else "nothing was stored (no output folder was given)"),
            list(dict.fromkeys(errors)),
            *advise(errors),
        )


def _hint_at_empty_masks(results: Sequence[Result]) -> None:
    """Say what a dataset is whose masks are empty for a good part: its numbers are not those that papers print."""
    for dataset in dict.fromkeys(result.dataset for result in results):
        result = next(result for result in results if result.dataset == dataset)
        empty = sum(problem.kind == ProblemKind.EMPTY_MASK for problem in result.problems)
        # about half of the masks of COD10K's test set are empty; where all are, this is not the reason
        if result.n >= _MASKS_FOR_A_HINT and 0.4 <= empty / result.n < 1:
            logger.warning(
                f"{dataset}: {empty} of {result.n} masks are empty. Is it COD10K? Papers score its camouflaged part, "
                f"COD10K/cam: {_cam_advice(result)}"
            )


def _cam_advice(result: Result) -> str:
    """How to select the camouflaged part of COD10K as GT."""
    root = Path(result.folders["masks"] or "").parent
    if known_name(infer_dataset_name(root)) == "COD10K":
        return f"give {root / 'cam'} as GT"
    return "name its folder COD10K and give COD10K/cam as GT, or list the items COD10K-CAM-* in a file: --items FILE"


def _check_arguments(protocols: Sequence[str], output: Path | str | None) -> None:
    """Raise SodbenchError for what would only fail, or be ignored, when everything is counted."""
    names = list(PROTOCOLS)
    unknown = [protocol for protocol in protocols if protocol not in names]
    if unknown or not protocols:
        fault = f"unknown protocol {unknown[0]!r}" if unknown else "no protocol"
        raise SodbenchError(f"{fault}; known are {', '.join(names)}")
    if output == "":
        raise SodbenchError("output is empty; give a folder, or None to store nothing")


@dataclass(frozen=True)
class _Scored:
    """The results of a task, or the errors for which it has none."""

    results: tuple[Result, ...] = ()
    errors: tuple[Problem, ...] = ()
    is_reused: bool = False


def _score_dataset(tasks: Sequence[Task], settings: _Settings) -> list[_Scored]:
    """Count and score the tasks of one dataset, and store their results before the next one's pairs are counted."""
    with freeze_gc(), ExitStack() as locks:
        group = [_open(task, settings, locks) for task in tasks]
        outcomes = _count_missing(group, settings)
        return [
            _Scored(errors=outcome.errors)
            if outcome.errors
            else _Scored(_finish(opened, outcome, settings), is_reused=opened.is_up_to_date)
            for opened, outcome in zip(group, outcomes, strict=True)
        ]


@dataclass(frozen=True)
class _OpenTask:
    """A task with its folder locked, what the folder holds, and the pairs that must be counted."""

    task: Task
    folder: Path | None
    reusable: Reusable
    store: CountsStore
    missing: tuple[str, ...]
    allow_swapped: bool

    @property
    def is_up_to_date(self) -> bool:
        return self.reusable.is_up_to_date and not self.missing


def _open(task: Task, settings: _Settings, locks: ExitStack) -> _OpenTask:
    """Lock a task's folder and see what it holds; ``held`` keeps the lock."""
    folder = result_folder(task, settings.output) if settings.output else None
    reusable = Reusable()
    if folder:
        # locked before it is read: another run must not replace in between what is used again
        locks.enter_context(lock_folder(folder))
        reusable = find_reusable(
            task,
            folder,
            settings.protocols[0],
            force=settings.force,
            allow_swapped=settings.allow_swapped,
        )
        task = reusable.task or task
    store = locks.enter_context(
        CountsStore(folder, task.policy, reusable.counts, restart=settings.force)
    )
    missing = [] if reusable.first else store.missing(task.map_files, task.mask_files, task.stems)
    if missing and not settings.allow_swapped:
        check_not_swapped(task, missing)
    swapped = settings.allow_swapped or reusable.allows_swapped
    return _OpenTask(task, folder, reusable, store, tuple(missing), swapped)


def _count_missing(opened: Sequence[_OpenTask], settings: _Settings) -> list[Outcome]:
    """Count the missing pairs of the tasks of one dataset into their stores."""
    visits = _plan_visits(opened)
    dataset = opened[0].task.dataset
    total = sum(len(task.task.stems) for task in opened)
    n_left = sum(len(task.missing) for task in opened)
    if n_left < total and visits:
        logger.info(
            f"{dataset}: {total - n_left} of {total} pairs were scored before and have not changed"
        )
    if not visits:
        return [Outcome() for _ in opened]
    # a task without missing pairs may keep more than was asked for
    policy = next((one.task.policy for one in opened if one.missing), opened[0].task.policy)
    problems: list[list[MapProblem]] = [[] for _ in opened]
    scored: list[dict[str, dict[str, BlockScores]]] = [
        {protocol: {} for protocol in settings.protocols} for _ in opened
    ]
    with (
        bar(total, f"score {dataset}", "map", initial=total - n_left) as progress,
        closing(settings.workers.count(visits, policy, _scoring(opened, settings))) as batches,
    ):
        for batch in batches:
            for number, pairs in batch.pairs.items():
                opened[number].store.append(pairs)
            for problem in batch.problems:
                problems[problem.task].append(problem)
            for number, blocks in batch.scores.items():
                for protocol, block in zip(settings.protocols, blocks, strict=True):
                    scored[number][protocol][block.stems[0]] = block
            progress.update(batch.n_maps)
    return [_outcome(*one, policy) for one in zip(problems, scored, strict=True)]


def _scoring(opened: Sequence[_OpenTask], settings: _Settings) -> Scoring | None:
    """What workers may score: everything, if nothing was scored before and all tasks have the same pairs."""
    task = opened[0].task
    if any(one.missing != task.stems for one in opened):
        return None
    needs_counts = bool(settings.output or settings.keep_counts)
    # where an unreadable map is left out, the pairs after it belong to other blocks
    if task.policy.missing == "skip" and not needs_counts:
        return None
    return Scoring(tuple(map(get_protocol, settings.protocols)), needs_counts)


def _outcome(
    problems: Sequence[MapProblem], scored: Mapping[str, Mapping[str, BlockScores]], policy: Policy
) -> Outcome:
    """Divide the problems of a task by what they mean for its result."""
    skipped, blackened, errors = [], [], []
    for one in problems:
        if one.is_black:
            blackened.append(one.problem)
        elif one.problem.kind == ProblemKind.UNREADABLE and policy.missing != "error":
            skipped.append(one.problem)
        else:
            errors.append(one.problem)
    return Outcome(tuple(skipped), tuple(blackened), tuple(errors), scored)


def _plan_visits(opened: Sequence[_OpenTask]) -> list[Visit]:
    """Every mask once, with the maps of all tasks that must be counted against it."""
    visits: dict[tuple[str, str], list[tuple[int, Path | None]]] = {}
    masks: dict[tuple[str, str], Path] = {}
    for number, one in enumerate(opened):
        map_files, mask_files = one.task.map_files, one.task.mask_files
        for stem in one.missing:
            mask = mask_files[stem]
            key = stem, str(mask)
            masks[key] = mask
            visits.setdefault(key, []).append((number, map_files[stem]))
    return [Visit(key[0], masks[key], tuple(visits[key])) for key in sorted(visits)]


def _finish(opened: _OpenTask, outcome: Outcome, settings: _Settings) -> tuple[Result, ...]:
    """Score a task's pairs under every protocol and store the first result."""
    task, folder, reusable = opened.task, opened.folder, opened.reusable
    if opened.is_up_to_date and reusable.stored and len(settings.protocols) == 1:
        return (reusable.stored,)
    left_out = {problem.file for problem in outcome.skipped}
    stems = [stem for stem in task.stems if str(task.map_files[stem]) not in left_out]
    if not stems:
        raise SodbenchError(f"{task}: no pair is left to score")
    pairs = opened.store.select(stems)
    counts = pairs.read_all() if settings.keep_counts and not folder else None
    results = [reusable.first] if reusable.first else []
    for protocol in settings.protocols[len(results) :]:
        info = describe(task, pairs, protocol, outcome, allow_swapped=opened.allow_swapped)
        scored = outcome.scored.get(protocol)
        results.append(derive_result(pairs, protocol, info, counts, scored))
    if folder and not opened.is_up_to_date:
        results[0] = store_result(folder, results[0], pairs, reusable.stored)
    opened.store.discard()
    return tuple(results)
