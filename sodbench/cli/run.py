"""``sodbench run``: all steps, from images to a report."""

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sodbench.cli.network_options import (
    add_batch_size,
    add_inference,
    add_model_choices,
    read_execution,
    read_model,
)
from sodbench.cli.options import (
    add_exit_zero,
    add_limits,
    add_names,
    add_output,
    add_policy,
    add_protocol,
    add_workers,
    default_data_root,
    read_policy,
    read_protocols,
)
from sodbench.cli.values import filled, names, path, refuse_without_effect
from sodbench.errors import SodbenchError, listing
from sodbench.metrics.catalogue import DEFAULT_METRICS

if TYPE_CHECKING:
    from sodbench.results import Result


def add_parser(commands: Any) -> None:
    """Add ``run`` to the command line."""
    parser = commands.add_parser(
        "run",
        help="predict, score and report on datasets",
        description="Predict with a model on each dataset, score the maps, and write a report. "
        "A rerun does only what is missing.",
        epilog="examples:\n"
        "  sodbench run --sample    (needs no data and no weights; a few minutes)\n"
        "  sodbench run --all-datasets --data-root data/ --checkpoint final.pth",
    )
    _add_dataset_options(parser.add_argument_group("which data"))
    add_model_choices(parser)
    network = parser.add_argument_group("how it is computed")
    add_inference(network)
    add_batch_size(network)
    network.add_argument(
        "--name",
        type=filled,
        metavar="NAME",
        help="name of the method in tables (default: the model's name)",
    )
    network.add_argument(
        "--baselines",
        action="store_true",
        help="also run centre-prior and frequency-tuned, which need no weights",
    )
    scoring = parser.add_argument_group("how it is scored")
    add_protocol(scoring)
    add_workers(scoring)
    add_policy(parser)
    storing = parser.add_argument_group("what is stored")
    add_output(
        storing,
        "DIR",
        "folder for maps, scores and report (default: results, or sample-run with --sample)",
    )
    storing.add_argument("--force", action="store_true", help="predict and score everything again")
    add_exit_zero(parser)
    parser.set_defaults(run=run, resumed="the same command resumes where it stopped")


def _add_dataset_options(which: argparse._ArgumentGroup) -> None:
    which.add_argument(
        "--all-datasets",
        action="store_true",
        help="ECSSD, PASCAL-S, DUT-OMRON, HKU-IS, SOD, DUTS-TE, in this order",
    )
    add_names(
        which, "--datasets", "these datasets or subsets (HKU-IS/test), or folders of your own"
    )
    which.add_argument(
        "--data-root",
        type=path,
        metavar="DIR",
        help="folder that holds the datasets (default: $SODBENCH_DATA, or else data)",
    )
    which.add_argument(
        "--sample",
        action="store_true",
        help="the built-in sample: six tiny drawn datasets and a network trained on them",
    )
    add_limits(which)
    which.add_argument(
        "--skip-missing", action="store_true", help="leave out datasets that are not on disk"
    )


def run(arguments: argparse.Namespace) -> int:
    """Run all steps, print the table and the path of the report."""
    from sodbench.cli.problems import report_problems
    from sodbench.console import logger, show
    from sodbench.datasets import TEST_SETS
    from sodbench.quoting import printable
    from sodbench.reports.text import format_scores
    from sodbench.runners.evaluation.workers import command_line_workers
    from sodbench.runners.pipeline import Run, run_datasets, run_sample

    if not (arguments.all_datasets or arguments.datasets or arguments.sample):
        raise SodbenchError(
            "no data chosen: give --all-datasets, --datasets NAME ..., or --sample for the built-in sample"
        )
    if arguments.sample:
        refuse_without_effect(
            arguments, ("all_datasets", "data_root", "baselines"), "with --sample"
        )
    if arguments.all_datasets and arguments.datasets:
        raise SodbenchError("give either --all-datasets or --datasets NAME ..., not both")
    wanted = Run(
        output=arguments.output or Path("sample-run" if arguments.sample else "results"),
        datasets=names(arguments.datasets) or TEST_SETS,
        data_root=arguments.data_root or default_data_root(),
        model=read_model(arguments),
        name=arguments.name,
        execution=read_execution(arguments),
        batch_size=arguments.batch_size,
        baselines=arguments.baselines,
        limit=arguments.limit,
        items=arguments.items,
        skip_missing=arguments.skip_missing,
        force=arguments.force,
        protocols=read_protocols(arguments),
        policy=read_policy(arguments),
    )
    with command_line_workers(arguments.jobs, arguments.dask) as workers:
        wanted = replace(wanted, workers=workers)
        finished = (run_sample if arguments.sample else run_datasets)(wanted)
    page = _write_report(finished.stored, wanted.output / "report.md", arguments.sample)
    results = finished.evaluation.results
    metrics = [m for m in DEFAULT_METRICS if m != "wf" or not arguments.no_weighted_f]
    show(format_scores(results, metrics))
    status = report_problems(finished.evaluation.problems, per_kind=3)
    for line in listing(finished.problems):
        logger.warning(line)
    show(f"\nreport: {printable(page)}")
    return 1 if finished.problems else status


def _write_report(results: "Sequence[Result]", path: Path, sample: bool) -> Path:
    from sodbench.console import logger
    from sodbench.reports.inputs import ReportOptions
    from sodbench.reports.report import write_report

    logger.info("writing the report")
    title = "Salient object detection: scores"
    if sample:
        title = "The built-in sample (drawn images, not a benchmark)"
    return write_report(results, path, ReportOptions(title=title, sample=sample)).page
