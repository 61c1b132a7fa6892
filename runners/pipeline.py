"""``sodbench run``: predict and score, dataset by dataset; a rerun does only what is missing.

Everything is stored below one output folder: ``maps/<method>/<dataset>/``, ``scores/<method>/<dataset>/``, and for the
built-in sample also ``sample-data/`` and ``sample-model/``. The command line adds the report.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import takewhile
from pathlib import Path

from sodbench.console import logger
from sodbench.datasets import (
    TEST_SETS,
    Dataset,
    DatasetNotFound,
    apply_limits,
    check_unique_names,
    deduplicate,
    find_dataset,
    name_own_subset,
)
from sodbench.errors import Problem, ProblemKind, ProblemsError, SodbenchError
from sodbench.files import safe_folder_name
from sodbench.metrics import DEFAULT_PROTOCOL
from sodbench.models import BASELINES, DEFAULT_MODEL, starts_untrained
from sodbench.models.execution import Execution
from sodbench.models.source import ModelSource
from sodbench.output_folder import check_outside
from sodbench.results import Policy, Result
from sodbench.runners.distributed import environment_number
from sodbench.runners.evaluation.evaluate import Evaluation, evaluate_plan
from sodbench.runners.evaluation.plan import EvaluationPlan
from sodbench.runners.evaluation.task import Task, make_task, select_mask_problems
from sodbench.runners.evaluation.workers import Workers
from sodbench.runners.prediction.predict import PredictionSummary, predict
from sodbench.runners.prediction.predictor import Predictor
from sodbench.runners.prediction.predictors import load_predictor


@dataclass(frozen=True)
class Run:
    """What to run.

    Attributes
    ----------
    output : Path
        The output folder.
    datasets : sequence of str
        Names, subsets (``HKU-IS/test``) or folders of the user's own.
    data_root : Path
        The folder that holds the datasets.
    model, execution
        As for `load_predictor`.
    name : str, optional
        Name of the method in results; by default the model's name.
    batch_size : int, optional
        As for `predict`.
    baselines : bool
        Also run the classical methods that need no weights.
    limit : int, optional
        Only the first images of each dataset.
    items : Path, optional
        A file that names the only images of a single dataset.
    skip_missing : bool
        Leave out datasets that are not on disk.
    force : bool
        Predict and score everything again.
    protocols : sequence of str
    policy : Policy
    workers : Workers
        As for `evaluate_plan`.
    """

    output: Path
    datasets: Sequence[str] = TEST_SETS
    data_root: Path = Path("data")
    model: ModelSource = field(default_factory=ModelSource)
    name: str | None = None
    execution: Execution = field(default_factory=Execution)
    batch_size: int | None = None
    baselines: bool = False
    limit: int | None = None
    items: Path | None = None
    skip_missing: bool = False
    force: bool = False
    protocols: Sequence[str] = (DEFAULT_PROTOCOL,)
    policy: Policy = field(default_factory=Policy)
    workers: Workers = field(default_factory=Workers)


@dataclass(frozen=True)
class RunResult:
    """What a run computed.

    Attributes
    ----------
    evaluation : Evaluation
        Results by task and protocol.
    stored : tuple of Result
        The results of the first protocol, which are stored.
    problems : tuple of Problem
        From the prediction: images without a map, and likely faults of the network.
    """

    evaluation: Evaluation
    stored: tuple[Result, ...]
    problems: tuple[Problem, ...] = ()


def run_sample(run: Run) -> RunResult:
    """Draw six tiny datasets, train the network on them, and run it and the baselines.

    Parameters
    ----------
    run : Run
        With a checkpoint or another model than the default, nothing is trained. ``data_root`` and ``baselines`` have
        no effect.

    Returns
    -------
    RunResult

    Raises
    ------
    SodbenchError
        As `run_datasets`.
    """
    from sodbench.demo_data import write_demo_data

    _check_single_process()
    logger.info(
        "This is the built-in sample: drawn images that show the toolkit at work, not a benchmark."
    )
    model = run.model
    fit = model.checkpoint is None and model.name == DEFAULT_MODEL
    # before the images are drawn, so that a missing or old torch is reported at once
    if fit:
        from sodbench.models.devices import check_torch_version
        from sodbench.runners.training.train import train_on_demo

        check_torch_version()
    data_root = write_demo_data(run.output / "sample-data")
    if fit:
        device = run.execution.get("device", "auto")
        weights = train_on_demo(
            data_root, run.output / "sample-model", device=device, force=run.force
        )
        model = replace(model, checkpoint=weights)
    return run_datasets(replace(run, data_root=data_root, model=model, baselines=True))


def run_datasets(run: Run) -> RunResult:
    """Predict and score datasets.

    Parameters
    ----------
    run : Run

    Returns
    -------
    RunResult

    Raises
    ------
    SodbenchError
        If a dataset is not on disk; all of them are named.
    ProblemsError
        For images or maps that cannot be used. What was finished by then is stored.
    """
    _check_single_process()
    datasets = _find_datasets(run)
    check_outside(run.output, [folder for dataset in datasets for folder in dataset.folders])
    # once for all datasets: loading a network takes longer than predicting a small one
    predictors = [_load_predictor(run)]
    if run.baselines:
        predictors += [(name, load_predictor(name)) for name in BASELINES if name != run.model.name]
    tasks = []
    problems: list[Problem] = []
    warnings: list[Problem] = []
    for dataset in datasets:
        for method, predictor in predictors:
            task, summary = _predict(run, dataset, method, predictor)
            tasks.append(task)
            problems += summary.problems
            warnings += (w for w in summary.warnings if w not in warnings)
    # after all predictions: one bad image must not keep the maps of other datasets from being made
    if problems and run.policy.missing == "error":
        raise ProblemsError(
            f"{len(problems)} image(s) have no map; the other maps are finished",
            problems,
            "fix them and run the same command again, or choose --missing skip or --missing zero",
        )
    evaluation = evaluate_plan(
        EvaluationPlan(tuple(tasks)),
        run.protocols,
        output=run.output / "scores",
        workers=run.workers,
        force=run.force,
    )
    # results come task by task, and for each task protocol by protocol
    stored = evaluation.results[:: len(run.protocols)]
    return RunResult(evaluation, stored, (*warnings, *problems))


def _check_single_process() -> None:
    if environment_number("WORLD_SIZE", 1) > 1:
        raise SodbenchError(
            "run scores and reports in one process; predict under torchrun with 'sodbench predict', and score with 'sodbench eval'"
        )


def _find_datasets(run: Run) -> list[Dataset]:
    """Find the datasets of a run, with its limits applied; raise SodbenchError if one cannot be used."""
    datasets: list[Dataset] = []
    missing: dict[str, DatasetNotFound] = {}
    for name in run.datasets:
        try:
            datasets.append(find_dataset(name, run.data_root))
        except DatasetNotFound as error:
            missing[name] = error
    if missing and not (datasets and run.skip_missing):
        raise SodbenchError(*_describe_missing(missing, bool(datasets)))
    for name in missing:
        logger.info(f"{name}: not there; left out because of --skip-missing")
    datasets = deduplicate(map(name_own_subset, datasets))
    check_unique_names(datasets)
    for dataset in datasets:
        if not dataset.images:
            raise SodbenchError(
                f"{dataset.name}: no images in {dataset.root} ({dataset.layout}), so nothing can be predicted; "
                "'sodbench eval PREDS GT' scores maps that exist"
            )
    datasets = apply_limits(datasets, run.items, run.limit)
    problems = [p for dataset in datasets for p in select_mask_problems(dataset)]
    if refused := [p for p in problems if p.kind != ProblemKind.NO_MASK]:
        raise ProblemsError(
            f"{len(refused)} problem(s) with the datasets; nothing was predicted",
            refused,
            "fix them ('sodbench data check' lists everything), or name a subset without these items",
        )
    for dataset in datasets:
        logger.info(f"{dataset.name}: {len(dataset)} images in {dataset.root} ({dataset.layout})")
        for note in dataset.notes:
            logger.info(f"  {note}")
    return datasets


def _describe_missing(missing: Mapping[str, DatasetNotFound], others: bool) -> list[str]:
    """Return the lines of the error for datasets that were not found; others: whether some were found."""
    if not others:
        (_, error), *rest = missing.items()
        also = ", ".join(name for name, _ in rest)
        return [*error.lines, *([f"nor were found: {also}"] if also else [])]
    lines = [f"{len(missing)} of the datasets are not there:"]
    for error in missing.values():
        # the layouts that a dataset may have are listed for a single one only
        lines += takewhile(lambda line: not line.startswith("  layouts"), error.lines)
    return [
        *lines,
        "add them, name the ones you want with --datasets, or leave them out with --skip-missing",
    ]


def _load_predictor(run: Run) -> tuple[str, Predictor]:
    """Return the method's name and its predictor."""
    predictor = load_predictor(run.model, **run.execution)
    # a table must not pass off random weights as the method
    untrained = run.model.checkpoint is None and starts_untrained(run.model.name)
    method = run.name or Path(run.model.name).name.replace(".py:", "-") + " (untrained)" * untrained
    return method, predictor


def _predict(
    run: Run, dataset: Dataset, method: str, predictor: Predictor
) -> tuple[Task, PredictionSummary]:
    maps = run.output / "maps" / safe_folder_name(method) / safe_folder_name(dataset.name)
    images = [
        (sample.stem, sample.image) for sample in dataset.samples if sample.image and sample.mask
    ]
    summary = predict(
        predictor,
        images,
        maps,
        batch_size=run.batch_size,
        force=run.force,
        description=f"predict {dataset.name} ({method})",
    )
    return make_task(method, dataset, maps, policy=run.policy), summary
