"""``sodbench compare``: the paired comparison of two results."""

import argparse
from pathlib import Path
from typing import Any

from sodbench.cli.eval import names
from sodbench.cli.report import chosen_datasets, seed


def add_parser(commands: Any) -> None:
    """Declare the command."""
    parser = commands.add_parser(
        "compare",
        help="compare two results image by image: differences, intervals, tests",
        description="Print the paired comparison of two stored results on the data sets that both "
        "have: differences with 95 % intervals, permutation and Wilcoxon tests, wins and losses. "
        "Nothing is scored again.",
    )
    parser.add_argument(
        "first", type=Path, metavar="RESULT_A", help="folder of results of one method"
    )
    parser.add_argument("second", type=Path, metavar="RESULT_B", help="likewise, of another")
    parser.add_argument(
        "--metrics", nargs="+", metavar="NAME", help="these measures, in this order"
    )
    parser.add_argument("--datasets", nargs="+", metavar="NAME", help="these sets, in this order")
    parser.add_argument("--format", choices=["table", "markdown", "csv", "json"], default="table")
    parser.add_argument(
        "--resamples", type=int, default=10_000, help="of bootstrap and permutation (10000)"
    )
    parser.add_argument("--seed", type=seed, default=0)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Print the comparison on standard output."""
    from sodbench.errors import SodbenchError
    from sodbench.reports.compare import compare, render
    from sodbench.results import find_results

    if arguments.resamples < 100:
        raise SodbenchError("--resamples: at least 100, or the tests mean nothing")
    first, second = find_results([arguments.first]), find_results([arguments.second])
    found = compare(
        first,
        second,
        measures=names(arguments.metrics) or None,
        datasets=chosen_datasets(arguments.datasets, [*first, *second]),
        resamples=arguments.resamples,
        seed=arguments.seed,
    )
    print(render(found, arguments.format))
    return 0
