"""``sodbench merge``: join what ``sodbench eval --shard`` scored on several machines."""

import argparse
from typing import Any

from sodbench.cli.options import add_exit_zero, add_output
from sodbench.cli.values import path


def add_parser(commands: Any) -> None:
    """Add ``merge`` to the command line."""
    parser = commands.add_parser(
        "merge",
        help="join the shards of an evaluation",
        description="Join the parts that 'sodbench eval --shard I/N -o DIR' wrote into exactly what one run "
        "would have written. Overlaps, gaps and parts that were scored in different ways are named and refused.",
        epilog="example:\n  sodbench merge part1 part2 part3 part4 -o results",
    )
    parser.add_argument(
        "parts", nargs="+", type=path, metavar="DIR", help="the shards' output folders"
    )
    add_output(parser, "DIR", "folder for the complete results", required=True)
    add_exit_zero(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Merge and print the table; returns 1 if the complete results have problems, as one run would."""
    from sodbench.cli.problems import report_problems
    from sodbench.console import show
    from sodbench.metrics.catalogue import DEFAULT_METRICS
    from sodbench.reports.text import format_scores
    from sodbench.runners.evaluation.merge import merge

    results = merge(arguments.parts, arguments.output)
    show(format_scores(results, DEFAULT_METRICS))
    problems = dict.fromkeys(problem for result in results for problem in result.problems)
    return report_problems(list(problems), per_kind=5)
