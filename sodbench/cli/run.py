"""``sodbench run``: the whole of it, from images to a report."""

import argparse
from pathlib import Path
from typing import Any

from sodbench.cli.eval import add_policy, read_policy, report_problems, to_text
from sodbench.cli.options import filled, names, path, positive, refuse_without_effect, some_names
from sodbench.cli.predict import add_network_options
from sodbench.errors import SodbenchError, listing
from sodbench.metrics.catalogue import DEFAULT_METRICS, DEFAULT_PROTOCOL, PROTOCOL_NAMES


def add_parser(commands: Any) -> None:
    """Add ``run`` to the command line."""
    parser = commands.add_parser(
        "run",
        help="predict, score and report on the data sets",
        description="Predict with a model on each data set, score the maps, and write a report. "
        "A rerun does only what is missing.",
        epilog="Examples: sodbench run --sample    (needs no data and no weights; a few minutes)\n"
        "          sodbench run --all-datasets --checkpoint final.pth",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    which = parser.add_argument_group("which data")
    which.add_argument(
        "--all-datasets",
        action="store_true",
        help="ECSSD, PASCAL-S, DUT-OMRON, HKU-IS, SOD, DUTS-TE, in this order",
    )
    which.add_argument(
        "--datasets",
        nargs="+",
        type=some_names,
        metavar="NAME",
        help="these sets or subsets (HKU-IS/test), or folders of your own",
    )
    which.add_argument(
        "--data-root",
        type=path,
        metavar="DIR",
        help="the folder that holds them (default: data)",
    )
    which.add_argument(
        "--sample",
        action="store_true",
        help="the built-in sample: six tiny drawn sets, a network fitted to them",
    )
    which.add_argument(
        "--limit", type=positive, metavar="N", help="only the first N images of each set"
    )
    which.add_argument(
        "--list",
        type=path,
        metavar="FILE",
        help="only the images that FILE names, one a line, of one set",
    )
    which.add_argument(
        "--skip-missing", action="store_true", help="go on without sets that are not there"
    )
    add_network_options(parser)
    parser.add_argument(
        "--batch-size",
        type=positive,
        metavar="N",
        help="most images of a batch (default: by device)",
    )
    parser.add_argument(
        "--name", type=filled, help="what to call the method in tables (default: the model's name)"
    )
    parser.add_argument(
        "--baselines", action="store_true", help="also run the two methods that need no weights"
    )
    parser.add_argument(
        "-o",
        "--output",
        type=path,
        metavar="DIR",
        help="where everything goes (default: results, or sample-run with --sample)",
    )
    parser.add_argument(
        "--protocol",
        choices=(*PROTOCOL_NAMES, "all"),
        default=DEFAULT_PROTOCOL,
        help=f"whose conventions to follow (default: {DEFAULT_PROTOCOL})",
    )
    parser.add_argument(
        "--jobs", type=positive, metavar="N", help="threads that score (default: all cores)"
    )
    parser.add_argument("--force", action="store_true", help="predict and score everything anew")
    add_policy(parser)
    parser.set_defaults(run=run, resumed="the same command resumes where it stopped")


def run(arguments: argparse.Namespace) -> int:
    """Run, print the table, and say where the report is."""
    from sodbench.datasets import TEST_SETS
    from sodbench.progress import show, warn
    from sodbench.quoting import printable
    from sodbench.runners.pipeline import Run, run_datasets, run_sample

    if not (arguments.all_datasets or arguments.datasets or arguments.sample):
        raise SodbenchError(
            "which data? Say --all-datasets, --datasets NAME ..., or --sample for the built-in sample"
        )
    if arguments.sample:
        refuse_without_effect(
            arguments, ("all_datasets", "data_root", "baselines"), "with --sample"
        )
    if arguments.all_datasets and arguments.datasets:
        raise SodbenchError("give either --all-datasets or --datasets NAME ..., not both")
    protocols = PROTOCOL_NAMES if arguments.protocol == "all" else (arguments.protocol,)
    wanted = Run(
        output=arguments.output or Path("sample-run" if arguments.sample else "results"),
        datasets=names(arguments.datasets) or TEST_SETS,
        data_root=arguments.data_root or Path("data"),
        model=arguments.model,
        checkpoint=arguments.checkpoint,
        name=arguments.name,
        device=arguments.device,
        precision=arguments.precision,
        compiled=arguments.compile,
        batch_size=arguments.batch_size,
        baselines=arguments.baselines,
        limit=arguments.limit,
        items=arguments.list,
        skip_missing=arguments.skip_missing,
        force=arguments.force,
        protocols=protocols,
        policy=read_policy(arguments),
        jobs=arguments.jobs,
    )
    finished = (run_sample if arguments.sample else run_datasets)(wanted)
    results = finished.evaluation.results
    show(to_text(results, DEFAULT_METRICS, markdown=False))
    status = report_problems(finished.evaluation.problems, per_kind=3)
    for line in listing(finished.problems):
        warn(line)
    show(f"\nreport: {printable(finished.report)}")
    return 1 if finished.problems else status
