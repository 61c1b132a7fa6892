"""``sodbench run``: predict, score and report, data set by data set; a rerun does only what is missing.

Everything lies below one output folder: ``maps/<method>/<set>/``, ``scores/<method>/<set>/``, ``report.md`` with its
figures, and for the built-in sample also ``sample-data/`` and ``sample-model/``.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
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
from sodbench.errors import Problem, ProblemsError, SodbenchError
from sodbench.files import safe_folder_name
from sodbench.metrics import DEFAULT_PROTOCOL
from sodbench.models import BASELINES, starts_untrained
from sodbench.results import Policy
from sodbench.runners.distributed import environment_number
from sodbench.runners.evaluation.evaluate import Evaluation, evaluate_plan
from sodbench.runners.evaluation.plan import EvaluationPlan
from sodbench.runners.evaluation.task import Task, make_task, select_mask_problems
from sodbench.runners.evaluation.workers import Workers
from sodbench.runners.prediction.predict import PredictionSummary, predict
from sodbench.runners.prediction.predictors import Predictor, load_predictor

DEFAULT_MODEL = "csf-res2net50"


@dataclass(frozen=True)
class Run:
    """What to run.

    datasets: names, subsets (``HKU-IS/test``) or folders of one's own; data_root: where they lie.
    model, checkpoint, device, precision, compiled, batch_size: as for ``sodbench predict``; name: what to call the method.
    baselines: also run the classical methods that need no weights.
    limit: only the first so many images of each set; items: a file that names the only ones of one set.  skip_missing: go on without sets that are not there.
    """

    output: Path
    datasets: Sequence[str] = TEST_SETS
    data_root: Path = Path("data")
    model: str = DEFAULT_MODEL
    checkpoint: Path | None = None
    name: str | None = None
    device: str = "auto"
    precision: str | None = None
    compiled: bool = False
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
class Finished:
    """What a run left behind; problems: what prediction reported, the images without a map and doubtful networks."""

    evaluation: Evaluation
    report: Path
    problems: tuple[Problem, ...] = ()


def run_sample(run: Run) -> Finished:
    """The whole of sodbench on six tiny drawn sets: fit the network (unless a checkpoint is given), then as :func:`run_datasets`."""
    from dataclasses import replace

    from sodbench.demo_data import write_demo_data

    _refuse_torchrun()
    logger.info(
        "This is the built-in sample: drawn images that show the toolkit at work, not a benchmark."
    )
    checkpoint = run.checkpoint
    fit = checkpoint is None and run.model == DEFAULT_MODEL
    if fit:  # imported before the images are drawn, so that a missing torch is reported at once
        from sodbench.runners.training.train import train_on_demo
    data_root = write_demo_data(run.output / "sample-data")
    if fit:
        checkpoint = train_on_demo(
            data_root, run.output / "sample-model", device=run.device, force=run.force
        )
    return run_datasets(
        replace(run, data_root=data_root, checkpoint=checkpoint, baselines=True),
        title="The built-in sample (drawn images, not a benchmark)",
        sample=True,
    )


def run_datasets(
    run: Run, *, title: str = "Salient object detection: scores", sample: bool = False
) -> Finished:
    """Predict, score and report.

    Raises :class:`SodbenchError` where a data set is not there (all of them are named), and :class:`ProblemsError` for
    images or maps that could not be used; what was finished by then stays.
    """
    _refuse_torchrun()
    datasets = _find(run)
    predictors = [_predictor(run)]
    if run.baselines:
        predictors += [(name, load_predictor(name)) for name in BASELINES if name != run.model]
    tasks = []
    problems: list[Problem] = []
    warnings: list[Problem] = []
    for dataset in datasets:
        for method, predictor in predictors:
            task, summary = _predict(run, dataset, method, predictor)
            tasks.append(task)
            problems += summary.problems
            warnings += (w for w in summary.warnings if w not in warnings)
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
    from sodbench.reports.inputs import ReportOptions
    from sodbench.reports.report import write_report

    logger.info("writing the report")
    stored = evaluation.results[:: len(run.protocols)]
    options = ReportOptions(title=title, sample=sample)
    report = write_report(stored, run.output / "report.md", options)
    return Finished(evaluation, report.page, (*warnings, *problems))


def _refuse_torchrun() -> None:
    if environment_number("WORLD_SIZE", 1) > 1:
        raise SodbenchError(
            "run scores and reports in one process; predict under torchrun with 'sodbench predict', and score with 'sodbench eval'"
        )


def _find(run: Run) -> list[Dataset]:
    """The data sets of the run, restricted as it says; raises :class:`SodbenchError` where some are not there."""
    found: list[Dataset] = []
    missing: dict[str, DatasetNotFound] = {}
    for name in run.datasets:
        try:
            found.append(find_dataset(name, run.data_root))
        except DatasetNotFound as error:
            missing[name] = error
    if missing and not (found and run.skip_missing):
        raise SodbenchError(*_not_there(missing, bool(found)))
    for name in missing:
        logger.info(f"{name}: not there; left out because of --skip-missing")
    found = deduplicate(map(name_own_subset, found))
    check_unique_names(found)
    for dataset in found:
        if not dataset.images:
            raise SodbenchError(
                f"{dataset.name}: no images in {dataset.root} ({dataset.layout}), so nothing can be predicted; "
                "'sodbench eval PREDS GT' scores maps that exist"
            )
    found = apply_limits(found, run.items, run.limit)
    if refused := [p for d in found for p in select_mask_problems(d) if p.kind != "no-mask"]:
        raise ProblemsError(
            f"{len(refused)} problem(s) with the datasets; nothing was predicted",
            refused,
            "fix them ('sodbench data check' lists everything), or name a subset without these items",
        )
    for dataset in found:
        logger.info(f"{dataset.name}: {len(dataset)} images in {dataset.root} ({dataset.layout})")
        for note in dataset.notes:
            logger.info(f"  {note}")
    return found


def _not_there(missing: Mapping[str, DatasetNotFound], others: bool) -> list[str]:
    """What to say of sets that were not found, where there are others and where there are none."""
    if others:
        return [
            f"{len(missing)} of the datasets are not there:",
            *(
                line
                for error in missing.values()
                for line in takewhile(lambda line: not line.startswith("  layouts"), error.lines)
            ),
            "add them, name the ones you want with --datasets, or leave them out with --skip-missing",
        ]
    (_, error), *rest = missing.items()
    also = ", ".join(name for name, _ in rest)
    return [*error.lines, *[f"nor were found: {also}"] * bool(also)]


def _predictor(run: Run) -> tuple[str, Predictor]:
    predictor = load_predictor(
        run.model,
        run.checkpoint,
        device=run.device,
        precision=run.precision,
        compiled=run.compiled,
    )
    untrained = run.checkpoint is None and starts_untrained(run.model)
    method = run.name or Path(run.model).name.replace(".py:", "-") + " (untrained)" * untrained
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
