"""``sodbench compare``: the paired comparison of two results."""

import argparse
from pathlib import Path
from typing import Any

from sodbench.cli.conditions import (
    add_conditions,
    check_outcome_files,
    read_conditions,
    refuse_other_datasets,
    report_outcomes,
)
from sodbench.cli.options import (
    add_format,
    add_output,
    add_resampling,
    add_selection,
    read_results,
    select_datasets,
)
from sodbench.cli.values import names, path
from sodbench.metrics.catalogue import REPORT_METRICS


def add_parser(commands: Any) -> None:
    """Add ``compare`` to the command line."""
    parser = commands.add_parser(
        "compare",
        help="compare two results image by image: differences, intervals, tests",
        description="Print the paired comparison of two stored results on the datasets that both "
        "have: differences with 95 % intervals, paired bootstrap and Wilcoxon tests, wins and losses. "
        "Nothing is scored again.",
        epilog="Exit status: 0 compared, 1 a --fail-if condition is met, 2 refused.\n\n"
        "examples:\n"
        "  sodbench compare results/DSS results/CSF --metrics mae f_max\n"
        "  sodbench compare results/new results/old --fail-if 'f_max<-0.005' 'mae>0.002'",
    )
    parser.add_argument(
        "first", type=path, metavar="RESULT_A", help="folder of results of one method"
    )
    parser.add_argument(
        "second", type=path, metavar="RESULT_B", help="folder of results of another method"
    )
    add_selection(parser)
    add_format(parser, ("table", "markdown", "csv", "json"))
    add_resampling(parser, 10_000, "bootstrap resamples")
    add_output(
        parser,
        "FILE.html|.md|.tex",
        "also write the comparison, with the images that gained and lost most, to this file",
    )
    add_conditions(
        parser,
        "--fail-if",
        'conditions on RESULT_A minus RESULT_B that must not be met, such as "f_max<-0.005" or "SOD:mae>0.002"',
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Print the comparison on standard output; the status is 1 where a condition of --fail-if is met."""
    from sodbench.console import logger, show
    from sodbench.errors import SodbenchError
    from sodbench.quoting import printable
    from sodbench.reports.compare import compare, format_comparison
    from sodbench.reports.comparison_files import COMPARISON_FORMATS, write_comparison
    from sodbench.reports.requirements import check_comparison

    conditions = read_conditions(arguments, "--fail-if")
    if arguments.output and arguments.output.suffix.lower() not in COMPARISON_FORMATS:
        raise SodbenchError(
            f"{arguments.output}: the format follows from the name; it must end in .html, .md or .tex"
        )
    first, second = read_results(arguments.first), read_results(arguments.second)
    check_outcome_files(
        arguments, {Path(f) for r in (*first, *second) for f in r.folders.values() if f}
    )
    metrics = names(arguments.metrics)
    if conditions:
        # those of the conditions have to be compared too
        usual = metrics or [m for m in REPORT_METRICS if m in first[0].metrics]
        metrics = tuple(dict.fromkeys([*usual, *(c.metric for c in conditions)]))
    comparison = compare(
        first,
        second,
        metrics=metrics or None,
        datasets=select_datasets(arguments.datasets, [*first, *second]),
        resamples=arguments.resamples,
        seed=arguments.seed,
    )
    refuse_other_datasets(
        conditions, list({c.dataset: 0 for c in comparison.comparisons}), "--fail-if"
    )
    show(format_comparison(comparison, arguments.format))
    if arguments.output:
        write_comparison(comparison, first, second, arguments.output)
        logger.info("%s", printable(arguments.output))
    outcomes = check_comparison(comparison, conditions, arguments.certainty)
    table = format_comparison(comparison, "markdown") if arguments.summary else ""
    return report_outcomes(arguments, outcomes, "--fail-if", "sodbench compare", table)
