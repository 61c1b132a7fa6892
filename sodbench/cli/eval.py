"""``sodbench eval``: score maps against masks."""

import argparse
from typing import TYPE_CHECKING, Any

from sodbench.cli.options import (
    add_workers,
    filled,
    names,
    path,
    positive,
    refuse_without_effect,
    some_names,
)
from sodbench.errors import ProblemsError, SodbenchError, listing
from sodbench.metrics.catalogue import (
    DEFAULT_METRICS,
    METRICS,
    aggregate_names,
    describe_metrics,
    listed_names,
    per_image_names,
    suggest,
)
from sodbench.metrics.protocols import DEFAULT_PROTOCOL, PROTOCOLS
from sodbench.quoting import printable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sodbench.datasets import Dataset
    from sodbench.errors import Problem
    from sodbench.results.policy import Policy
    from sodbench.runners.evaluation.plan import EvaluationPlan


def add_parser(commands: Any) -> None:
    """Add ``eval`` to the command line."""
    parser = commands.add_parser(
        "eval",
        help="score saliency maps against ground truth",
        description="Score saliency maps against ground truth masks. PREDS is a folder of maps, or a tree of them "
        "(<set>/, <method>/<set>/ or <set>/<method>/). GT is a folder of masks, a dataset, or a root folder of datasets.",
        epilog="Exit status: 0 no problems, 1 finished with problems, which are listed, 2 refused. "
        "Example: sodbench eval preds/DSS/SOD data/SOD/GT --protocol all",
    )
    parser.add_argument(
        "predictions", type=path, metavar="PREDS", nargs="?", help="folder or tree of saliency maps"
    )
    parser.add_argument(
        "truth",
        type=filled,
        metavar="GT",
        nargs="?",
        help="folder of masks, root folder of datasets, TOML file, or name of a dataset (HKU-IS/test)",
    )
    parser.add_argument(
        "--data-root",
        type=path,
        metavar="DIR",
        help="folder where the name GT is looked up first, before the working folder (default: the working folder, then data)",
    )
    parser.add_argument(
        "--dataset-name",
        type=filled,
        metavar="NAME",
        help="name of the dataset, if GT is a single one (default: the name of its folder)",
    )
    parser.add_argument(
        "--items",
        type=path,
        metavar="FILE",
        help="score only the items that FILE names, one per line",
    )
    parser.add_argument(
        "--pairs",
        type=path,
        metavar="FILE",
        help="instead of PREDS and GT: score the pairs of a SalMetric list, 'map.png mask.png' per line",
    )
    parser.add_argument(
        "--limit", type=positive, metavar="N", help="only the first N items of each dataset"
    )
    parser.add_argument(
        "--protocol",
        choices=(*PROTOCOLS, "all"),
        default=DEFAULT_PROTOCOL,
        help=f"whose conventions to follow; 'all' prints all three side by side (default: {DEFAULT_PROTOCOL})",
    )
    parser.add_argument(
        "--format",
        choices=("table", "markdown", "csv", "json"),
        default="table",
        help="how to print the scores (default: table)",
    )
    parser.add_argument(
        "--metrics",
        nargs="+",
        type=some_names,
        metavar="NAME",
        help=f"metrics to print (default: {','.join(DEFAULT_METRICS)}; in JSON all); 'all' prints all listed ones, "
        "'help' lists the names with their meaning",
    )
    parser.add_argument(
        "-o",
        "--output",
        type=path,
        metavar="DIR",
        help="store the results in DIR, and reuse the pairs already scored there",
    )
    parser.add_argument(
        "--methods",
        nargs="+",
        type=some_names,
        metavar="NAME",
        help="only these methods of the tree",
    )
    parser.add_argument(
        "--datasets", nargs="+", type=some_names, metavar="NAME", help="only these datasets"
    )
    parser.add_argument("--name", type=filled, help="name of the method, if there is only one")
    parser.add_argument(
        "--dry-run", action="store_true", help="print how the folders are understood, and stop"
    )
    add_workers(parser)
    parser.add_argument("--force", action="store_true", help="with -o: score everything again")
    parser.add_argument(
        "--show-worst",
        type=positive,
        metavar="N",
        help="also list the N worst images of each method",
    )
    parser.add_argument(
        "--sort-by",
        type=filled,
        metavar="NAME",
        help="metric that --show-worst sorts by (default: mae)",
    )
    add_policy(parser)
    parser.add_argument(
        "--shard",
        type=_shard,
        metavar="I/N",
        help="score only every N-th pair, starting with the I-th; 'sodbench merge' joins the parts",
    )
    parser.add_argument(
        "--allow-swapped", action="store_true", help="score even if PREDS and GT look swapped"
    )
    parser.set_defaults(run=run, resumed="the same command resumes where it stopped")


def add_policy(parser: argparse.ArgumentParser) -> None:
    """The options that say what to do about problems with the files; shared by ``eval`` and ``run``."""
    group = parser.add_argument_group(
        "how to handle problems (a choice that affected a pair is part of the signature)"
    )
    group.add_argument(
        "--missing",
        choices=("error", "skip", "zero"),
        default="error",
        help="missing or unreadable maps: refuse, leave the image out, or score an all-black map (default: error)",
    )
    group.add_argument(
        "--resize",
        choices=("error", "bilinear", "nearest"),
        default="bilinear",
        help="maps of another size than their mask: refuse, or resize the map (default: bilinear, and reported)",
    )
    group.add_argument(
        "--undefined",
        choices=("keep", "skip"),
        help="undefined S-measures: keep, so that the mean is undefined too, or skip, to leave these images out "
        "(default: as the program of the protocol does)",
    )
    group.add_argument("--no-weighted-f", action="store_true", help="do not compute weighted F")


def read_policy(arguments: argparse.Namespace) -> "Policy":
    """The policy that the options of :func:`add_policy` say."""
    from sodbench.results.policy import Policy

    return Policy(
        missing=arguments.missing,
        resize=arguments.resize,
        undefined=arguments.undefined,
        weighted=not arguments.no_weighted_f,
        shard=getattr(arguments, "shard", None),
    )


def _shard(text: str) -> tuple[int, int]:
    try:
        index, number = (int(part) for part in text.split("/"))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not of the form I/N, such as 2/8") from None
    if not 1 <= index <= number:
        raise argparse.ArgumentTypeError(f"{text}: I must be between 1 and N")
    return index, number


def run(arguments: argparse.Namespace) -> int:
    """Score the maps, print the scores, and report the problems."""
    from sodbench.console import logger, show
    from sodbench.reports.text import (
        find_worst_images,
        format_scores,
        format_scores_csv,
        format_scores_json,
    )
    from sodbench.runners.evaluation.evaluate import evaluate_plan
    from sodbench.runners.evaluation.workers import command_line_workers

    if names(arguments.metrics) == ("help",):
        show(describe_metrics())
        return 0
    wanted = _metrics(arguments.metrics)
    sort_by = arguments.sort_by or "mae"
    if not arguments.show_worst:
        refuse_without_effect(arguments, ("sort_by",), "without --show-worst N")
    else:
        _check_sort_by(sort_by, weighted=not arguments.no_weighted_f)
    if not arguments.output:
        refuse_without_effect(arguments, ("force",), "without -o DIR, where scores are stored")
    if arguments.shard and not arguments.output:
        raise SodbenchError("--shard needs -o DIR, a folder of its own for each shard")
    _check_output(arguments)
    plan = _plan(arguments)
    if arguments.dry_run:
        show("\n".join(map(printable, plan.describe())))
        return report_problems(plan.problems, per_kind=5)
    for line in plan.describe():
        logger.info(line)
    protocols = tuple(PROTOCOLS) if arguments.protocol == "all" else (arguments.protocol,)
    try:
        with command_line_workers(arguments.jobs, arguments.dask) as workers:
            evaluation = evaluate_plan(
                plan,
                protocols,
                output=arguments.output,
                workers=workers,
                force=arguments.force,
                allow_swapped=arguments.allow_swapped,
                keep_counts=False,
            )
    except ProblemsError as error:
        if arguments.format == "json":
            show(format_scores_json([], error.problems))
        raise
    results = list(evaluation.results)
    worst = [
        find_worst_images(result, sort_by, arguments.show_worst)
        for result in results[:: len(protocols)] * bool(arguments.show_worst)
    ]
    if arguments.format == "json":
        chosen = wanted if arguments.metrics else None
        show(format_scores_json(results, evaluation.problems, worst, chosen))
    elif arguments.format == "csv":
        show(format_scores_csv(results, wanted))
        for one in worst:  # a second table would spoil the CSV
            for line in one.to_lines(markdown=False):
                logger.warning(line)
    elif results:
        markdown = arguments.format == "markdown"
        show(format_scores(results, wanted, markdown=markdown))
        for one in worst:
            show("\n".join(["", *one.to_lines(markdown=markdown)]))
    return report_problems(evaluation.problems, per_kind=5)


def _check_output(arguments: argparse.Namespace) -> None:
    """Refuse to store results right among the maps' or datasets' own folders."""
    from pathlib import Path

    for name, given in (("PREDS", arguments.predictions), ("GT", arguments.truth)):
        if given and arguments.output and Path(given).resolve() == arguments.output.resolve():
            raise SodbenchError(
                f"{arguments.output}: is {name}, too; choose an output folder of its own"
            )


def report_problems(problems: "Sequence[Problem]", per_kind: int) -> int:
    """Print what was found in the files on standard error; return the exit status that follows from it.

    Problems, which lead to status 1, are printed even when quiet; what a documented rule settles is a note.
    """
    from sodbench.console import logger
    from sodbench.results.pair_problems import NOTES

    notes = [problem for problem in problems if problem.kind in NOTES]
    faults = [problem for problem in problems if problem.kind not in NOTES]
    for write, found, what in (
        (logger.warning, faults, "problem(s)"),
        (logger.info, notes, "note(s)"),
    ):
        if found:
            write(f"{len(found)} {what} with the files:")
            for line in listing(found, per_kind):
                write(line)
    return 1 if faults else 0


def _plan(arguments: argparse.Namespace) -> "EvaluationPlan":
    """The plan that PREDS and GT, or --pairs, describe."""
    from sodbench.runners.evaluation.plan import plan_evaluation, plan_pair_list

    if arguments.pairs:
        if arguments.predictions or arguments.truth:
            raise SodbenchError(
                "give PREDS and GT, or --pairs FILE, not both (--items FILE selects items)"
            )
        refuse_without_effect(
            arguments,
            ("items", "limit", "methods", "datasets", "data_root"),
            "with --pairs, whose list names its own pairs",
        )
        return plan_pair_list(
            arguments.pairs, arguments.name, arguments.dataset_name, read_policy(arguments)
        )
    if not arguments.predictions or not arguments.truth:
        raise SodbenchError("eval needs PREDS and GT: sodbench eval preds/ gt/")
    truths, others = read_truths(arguments)
    return plan_evaluation(
        arguments.predictions,
        truths,
        methods=names(arguments.methods),
        name=arguments.name,
        others=others if arguments.datasets else None,
        policy=read_policy(arguments),
    )


def read_truths(arguments: argparse.Namespace) -> "tuple[list[Dataset], list[Dataset]]":
    """The datasets that GT and the options that narrow it select, and those that --datasets leaves out."""
    from sodbench.datasets import apply_limits, find_masks
    from sodbench.runners.evaluation.plan import select_truths

    found = find_masks(
        arguments.truth, arguments.dataset_name, arguments.data_root, arguments.predictions
    )
    truths = select_truths(found, names(arguments.datasets))
    others = [dataset for dataset in found if dataset not in truths]
    return apply_limits(truths, arguments.items, arguments.limit), others


def _metrics(given: "Sequence[str] | None") -> tuple[str, ...]:
    """The metrics to print, checked against those there are."""
    wanted = names(given) or DEFAULT_METRICS
    if wanted == ("all",):
        return listed_names()
    unknown = [name for name in wanted if name not in aggregate_names()]
    if unknown:
        raise SodbenchError(
            f"unknown metric {', '.join(_with_suggestion(name, aggregate_names()) for name in unknown)}; "
            "'sodbench eval --metrics help' lists them all"
        )
    return tuple(dict.fromkeys(wanted))


def _with_suggestion(name: str, known: "Sequence[str]") -> str:
    """An unknown name and the one that was probably meant."""
    meant = suggest(name, known)
    return f"{name!r} (did you mean {meant}?)" if meant else repr(name)


def _check_sort_by(metric: str, *, weighted: bool) -> None:
    """Refuse a metric that single images will not have."""
    if metric not in per_image_names():
        raise SodbenchError(
            f"--sort-by: images have no metric {_with_suggestion(metric, per_image_names())}; "
            f"theirs are {', '.join(per_image_names())}"
        )
    if METRICS[metric].direction == "neither":
        raise SodbenchError(
            f"--sort-by: no image is worst by {metric}: neither a higher nor a lower value of it is better"
        )
    if metric == "wf" and not weighted:
        raise SodbenchError("--sort-by wf needs weighted F, which --no-weighted-f leaves out")
