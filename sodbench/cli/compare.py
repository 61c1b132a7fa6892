"""``sodbench compare``: the paired comparison of two results."""

import argparse
from typing import Any

from sodbench.cli.options import (
    add_format,
    add_resampling,
    add_selection,
    names,
    path,
    select_datasets,
)


def add_parser(commands: Any) -> None:
    """Add ``compare`` to the command line."""
    parser = commands.add_parser(
        "compare",
        help="compare two results image by image: differences, intervals, tests",
        description="Print the paired comparison of two stored results on the datasets that both "
        "have: differences with 95 % intervals, paired bootstrap and Wilcoxon tests, wins and losses. "
        "Nothing is scored again.",
        epilog="example:\n  sodbench compare results/DSS results/CSF --metrics mae f_max",
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
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Print the comparison on standard output."""
    from sodbench.console import show
    from sodbench.reports.compare import compare, format_comparison
    from sodbench.results import load_results, warn_of_shards

    first, second = load_results(arguments.first), load_results(arguments.second)
    warn_of_shards([*first, *second])
    comparison = compare(
        first,
        second,
        metrics=names(arguments.metrics) or None,
        datasets=select_datasets(arguments.datasets, [*first, *second]),
        resamples=arguments.resamples,
        seed=arguments.seed,
    )
    show(format_comparison(comparison, arguments.format))
    return 0
