"""``sodbench eval``: score maps against masks."""

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sodbench.cli.conditions import (
    add_conditions,
    check_outcome_files,
    read_conditions,
    refuse_other_datasets,
    report_outcomes,
)
from sodbench.cli.options import (
    add_channel,
    add_exit_zero,
    add_format,
    add_limits,
    add_names,
    add_output,
    add_policy,
    add_protocol,
    add_truth_root,
    add_workers,
    read_policy,
    read_protocols,
    read_truth_root,
)
from sodbench.cli.values import filled, names, path, positive, refuse_without_effect
from sodbench.errors import ProblemsError, SodbenchError
from sodbench.metrics.catalogue import (
    DEFAULT_METRICS,
    PAPER_COLUMNS,
    describe_metrics,
    find_metric,
    listed_names,
    parse_metric,
    per_image_names,
    suggest,
)
from sodbench.plugins import load_plugins
from sodbench.quoting import json_text, printable

if TYPE_CHECKING:
    from sodbench.datasets import Dataset
    from sodbench.reports.conditions import Condition
    from sodbench.reports.text import WorstImages
    from sodbench.results.groups import GroupedResult
    from sodbench.runners.evaluation.evaluate import Evaluation
    from sodbench.runners.evaluation.plan import EvaluationPlan
    from sodbench.runners.evaluation.workers import Workers


def add_parser(commands: Any) -> None:
    """Add ``eval`` to the command line."""
    parser = commands.add_parser(
        "eval",
        help="score saliency maps against ground truth",
        description="Score saliency maps against ground truth masks. PREDS is a folder of maps, or a tree of them "
        "(<set>/, <method>/<set>/ or <set>/<method>/). GT is a folder of masks, a dataset, or a root folder of datasets.",
        epilog="Exit status: 0 no problems, 1 finished with problems, which are listed, or a --require does not hold, "
        "2 refused.\n\n"
        "examples:\n"
        "  sodbench eval preds/DSS data/SOD/GT\n"
        "  sodbench eval preds/ data/ --protocol all --format json -o results/",
    )
    _add_inputs(parser)
    _add_selection(parser.add_argument_group("what is scored"))
    _add_scoring(parser.add_argument_group("how it is scored"))
    add_policy(parser)
    _add_printing(parser.add_argument_group("what is printed"))
    _add_storing(parser.add_argument_group("what is stored"))
    add_conditions(
        parser,
        "--require",
        'conditions that every score must fulfil, such as "f_max>=0.85" or "SOD:mae<0.1"',
    )
    add_exit_zero(parser)
    parser.set_defaults(run=run, resumed="the same command resumes where it stopped")


def _add_inputs(parser: argparse.ArgumentParser) -> None:
    """Add PREDS and GT."""
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


def _add_selection(group: argparse._ArgumentGroup) -> None:
    """Add the options that select or name what is scored."""
    add_truth_root(group)
    group.add_argument(
        "--pairs",
        type=path,
        metavar="FILE",
        help="instead of PREDS and GT: score the pairs of a SalMetric list, 'map.png mask.png' per line",
    )
    for what in ("methods", "datasets"):
        add_names(group, f"--{what}", f"only these {what} of the tree")
    add_limits(group)
    group.add_argument(
        "--shard",
        type=_shard,
        metavar="I/N",
        help="score only every N-th pair, starting with the I-th; 'sodbench merge' joins the parts",
    )
    group.add_argument(
        "--name", type=filled, metavar="NAME", help="name of the method, if there is only one"
    )
    group.add_argument(
        "--dataset-name",
        type=filled,
        metavar="NAME",
        help="name of the dataset, if GT is a single one (default: the name of its folder)",
    )
    group.add_argument(
        "--allow-swapped", action="store_true", help="score even if PREDS and GT look swapped"
    )


def _add_scoring(group: argparse._ArgumentGroup) -> None:
    """Add the options that choose the conventions and the workers."""
    add_protocol(group)
    add_channel(group, "scored")
    add_workers(group)


def _add_printing(group: argparse._ArgumentGroup) -> None:
    """Add the options that choose which scores are printed, and how."""
    add_format(group, ("table", "markdown", "csv", "json"))
    add_names(
        group,
        "--metrics",
        f"metrics to compute and print (default: {','.join(DEFAULT_METRICS)}; in JSON all usual ones); 'all' prints "
        f"all listed ones, {', '.join(PAPER_COLUMNS)} the columns of papers' tables; 'help' lists the names with their meaning, and parameters such as iou@0.5 and f_max(b2=1)",
    )
    group.add_argument(
        "--group-by",
        type=filled,
        metavar="parent|FILE.csv",
        help="print the mean over groups of the means of their images: by the folders of the masks (sequences, classes), "
        "or by a file with 'item,group' on each line; and the scores of each group",
    )
    group.add_argument(
        "--show-worst",
        type=positive,
        metavar="N",
        help="also list the N worst images of each method",
    )
    group.add_argument(
        "--sort-by",
        type=filled,
        metavar="NAME",
        help="metric that --show-worst sorts by (default: mae)",
    )
    group.add_argument(
        "--dry-run",
        action="store_true",
        help="show how the folders are interpreted, and exit; with --format json for programs",
    )


def _add_storing(group: argparse._ArgumentGroup) -> None:
    """Add the options that choose where the results are kept."""
    add_output(group, "DIR", "store the results in DIR, and reuse the pairs already scored there")
    group.add_argument("--force", action="store_true", help="with -o: score everything again")


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
    from sodbench.cli.problems import report_problems
    from sodbench.console import logger, show
    from sodbench.folders import listing_once
    from sodbench.garbage import pause_gc
    from sodbench.results.groups import group_results, read_grouping
    from sodbench.runners.evaluation.workers import command_line_workers

    load_plugins("sodbench.metrics")
    if names(arguments.metrics) == ("help",):
        show(describe_metrics())
        return 0
    metrics = _read_metrics(arguments.metrics, weighted=not arguments.no_weighted_f)
    _check_options(arguments, metrics)
    conditions = read_conditions(arguments, "--require")
    grouping = read_grouping(arguments.group_by) if arguments.group_by else None
    wanted = (*metrics, *(condition.metric for condition in conditions))
    with command_line_workers(
        arguments.jobs, None if arguments.dry_run else arguments.dask
    ) as workers:
        with listing_once():
            if _starts_workers_early(arguments):
                workers.start_for(arguments.predictions)
            with pause_gc():
                plan = _plan(arguments, wanted)
        refuse_other_datasets(
            conditions, list(dict.fromkeys(t.dataset for t in plan.tasks)), "--require"
        )
        check_outcome_files(arguments, [f for t in plan.tasks for f in (t.maps, t.masks) if f])
        if arguments.dry_run:
            return _show_plan(arguments, plan)
        for line in plan.describe():
            logger.info(line)
        evaluation = _evaluate(arguments, plan, workers, keep_counts=grouping is not None)
    grouped = group_results(evaluation.results, grouping) if grouping else []
    if grouped and arguments.output:
        logger.info(
            f"{printable(arguments.output)} holds the means over images, which compare uses; the same command prints those over "
            f"groups again without reading an image, and 'sodbench report' shows them with --group-by {printable(arguments.group_by)}"
        )
    _print_scores(arguments, evaluation, metrics, grouped)
    status = report_problems(evaluation.problems, per_kind=5)
    if conditions or arguments.summary:
        failed = _check_requirements(arguments, evaluation, conditions, metrics)
        status |= failed
        # --exit-zero is for problems with files
        arguments.exit_zero = arguments.exit_zero and not failed
    return status


def _starts_workers_early(arguments: argparse.Namespace) -> bool:
    """Whether all maps will be counted, as far as is known before the folders are read."""
    has_results = arguments.output and arguments.output.exists() and not arguments.force
    return bool(arguments.predictions) and not has_results and not arguments.dry_run


def _show_plan(arguments: argparse.Namespace, plan: "EvaluationPlan") -> int:
    """Print what would be scored; returns the exit status."""
    from sodbench.cli.problems import report_problems
    from sodbench.console import show

    if arguments.format == "json":
        show(json_text(plan.to_dict()))
    else:
        show("\n".join(map(printable, plan.describe())))
    return report_problems(plan.problems, per_kind=5)


def _evaluate(
    arguments: argparse.Namespace, plan: "EvaluationPlan", workers: "Workers", *, keep_counts: bool
) -> "Evaluation":
    """Score the plan; where files prevent that, their problems are printed for programs, too."""
    from sodbench.console import show
    from sodbench.reports.text import format_scores_json
    from sodbench.runners.evaluation.evaluate import evaluate_plan

    try:
        return evaluate_plan(
            plan,
            read_protocols(arguments),
            output=arguments.output,
            workers=workers,
            force=arguments.force,
            allow_swapped=arguments.allow_swapped,
            # intervals and groups are computed from the counts; without them 8 KB a pair are not kept
            keep_counts=keep_counts or arguments.certainty != "value",
        )
    except ProblemsError as error:
        if arguments.format == "json":
            show(format_scores_json([], error.problems))
        raise


def _check_requirements(
    arguments: argparse.Namespace,
    evaluation: "Evaluation",
    conditions: "Sequence[Condition]",
    metrics: Sequence[str],
) -> int:
    """Check what ``--require`` names; returns the exit status."""
    from sodbench.reports.requirements import check_results
    from sodbench.reports.text import format_scores

    results = list(evaluation.results)
    outcomes = check_results(results, conditions, arguments.certainty)
    table = format_scores(results, metrics, markdown=True) if results else ""
    return report_outcomes(arguments, outcomes, "--require", "sodbench eval", table)


def _check_options(arguments: argparse.Namespace, metrics: Sequence[str]) -> None:
    if arguments.group_by:
        refuse_without_effect(arguments, ("shard",), "with --group-by, which needs all images")
        if arguments.conditions:
            raise SodbenchError(
                "--require checks the mean over images, not that over groups: leave out --group-by"
            )
    if not arguments.show_worst:
        refuse_without_effect(arguments, ("sort_by",), "without --show-worst N")
    elif arguments.sort_by:
        _check_sort_by(arguments.sort_by, metrics, weighted=not arguments.no_weighted_f)
    if not arguments.output:
        refuse_without_effect(arguments, ("force",), "without -o DIR, where scores are stored")
        if arguments.shard:
            raise SodbenchError("--shard needs -o DIR, a folder of its own for each shard")
        return
    for name, given in (("PREDS", arguments.predictions), ("GT", arguments.truth)):
        # here, so that the message can name the argument
        if given and Path(given).resolve() == arguments.output.resolve():
            raise SodbenchError(
                f"{arguments.output}: is {name}, too; choose an output folder of its own"
            )


def _check_sort_by(metric: str, metrics: Sequence[str], *, weighted: bool) -> None:
    """Refuse a metric that single images will not have."""
    asked = map(find_metric, metrics)
    requested = [m.name for m in asked if m.on_request and m.per_image]
    known = (*per_image_names(), *requested)
    if metric not in known:
        raise SodbenchError(
            f"--sort-by: images have no metric {_quote_unknown(metric, known)}; theirs are {', '.join(known)}"
        )
    if find_metric(metric).direction == "neither":
        raise SodbenchError(
            f"--sort-by: no image is worst by {metric}: neither a higher nor a lower value of it is better"
        )
    if metric == "wf" and not weighted:
        raise SodbenchError("--sort-by wf needs weighted F, which --no-weighted-f leaves out")


def _read_metrics(texts: Sequence[str] | None, *, weighted: bool) -> tuple[str, ...]:
    """The metrics to print, checked against those there are; weighted F by default only where it is computed."""
    presets = {**PAPER_COLUMNS, "all": listed_names()}
    given = names(texts) or [m for m in DEFAULT_METRICS if m != "wf" or weighted]
    metrics = [metric for name in given for metric in presets.get(name, (name,))]
    known, faults = [], []
    for name in dict.fromkeys(metrics):
        try:
            known.append(parse_metric(name).name)
        except ValueError as error:
            faults.append(str(error))
    if faults:
        raise SodbenchError(
            f"--metrics: {'; '.join(faults)}; 'sodbench eval --metrics help' lists them all"
        )
    return tuple(dict.fromkeys(known))


def _quote_unknown(name: str, known: Sequence[str]) -> str:
    """An unknown name and the one that was probably meant."""
    meant = suggest(name, known)
    return f"{name!r} (did you mean {meant}?)" if meant else repr(name)


def _plan(arguments: argparse.Namespace, metrics: Sequence[str]) -> "EvaluationPlan":
    """The plan that PREDS and GT, or --pairs, describe."""
    from sodbench.runners.evaluation.plan import plan_evaluation, plan_pair_list

    policy = replace(read_policy(arguments, metrics), channel=arguments.channel)
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
        return plan_pair_list(arguments.pairs, arguments.name, arguments.dataset_name, policy)
    if not arguments.predictions or not arguments.truth:
        raise SodbenchError("eval needs PREDS and GT: sodbench eval preds/ gt/")
    truths, others = read_truths(arguments)
    return plan_evaluation(
        arguments.predictions,
        truths,
        methods=names(arguments.methods),
        name=arguments.name,
        others=others if arguments.datasets else None,
        policy=policy,
    )


def read_truths(arguments: argparse.Namespace) -> "tuple[list[Dataset], list[Dataset]]":
    """Return the datasets that GT and the options select, and those that --datasets leaves out.

    Parameters
    ----------
    arguments : argparse.Namespace
        The parsed arguments.

    Returns
    -------
    tuple of two lists of Dataset
    """
    from sodbench.datasets import apply_limits, find_grouped_masks, find_masks
    from sodbench.runners.evaluation.plan import select_truths

    truth, name, root = arguments.truth, arguments.dataset_name, read_truth_root(arguments)
    if arguments.group_by == "parent":
        datasets = find_grouped_masks(truth, name, root)
    else:
        datasets = find_masks(truth, name, root, arguments.predictions)
    truths = select_truths(datasets, names(arguments.datasets))
    others = [dataset for dataset in datasets if dataset not in truths]
    return apply_limits(truths, arguments.items, arguments.limit), others


def _print_scores(
    arguments: argparse.Namespace,
    evaluation: "Evaluation",
    metrics: Sequence[str],
    grouped: "Sequence[GroupedResult]" = (),
) -> None:
    from sodbench.console import logger, show
    from sodbench.reports.text import (
        find_worst_images,
        format_groups,
        format_scores,
        format_scores_csv,
        format_scores_json,
    )

    results = [one.result for one in grouped] or list(evaluation.results)
    groups = [one.groups for one in grouped]
    worst: list[WorstImages] = []
    if arguments.show_worst:
        sort_by = arguments.sort_by or "mae"
        # images are listed by the first protocol only
        for result in results[:: len(read_protocols(arguments))]:
            worst.append(find_worst_images(result, sort_by, arguments.show_worst))
    markdown = arguments.format == "markdown"
    if arguments.format == "json":
        # a program gets every usual metric, a reader a table that fits the screen
        json_metrics = metrics if arguments.metrics else None
        show(format_scores_json(results, evaluation.problems, worst, json_metrics, groups))
    elif arguments.format == "csv":
        show(format_scores_csv(results, metrics, groups))
        # a second table would spoil the CSV
        for images in worst:
            for line in images.to_lines():
                logger.warning(line)
    elif results:
        show(format_scores(results, metrics, markdown=markdown))
        if groups:
            show("\n" + format_groups(results, groups, metrics, markdown=markdown))
        for images in worst:
            show("\n".join(["", *images.to_lines(markdown=markdown)]))
