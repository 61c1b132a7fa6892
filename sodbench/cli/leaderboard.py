"""``sodbench leaderboard``: one page with a row for each method, and how scores changed."""

import argparse
from typing import Any

from sodbench.cli.options import add_names, add_output, add_results, read_results
from sodbench.cli.values import filled, names
from sodbench.metrics.catalogue import REPORT_METRICS


def add_parser(commands: Any) -> None:
    """Add ``leaderboard`` to the command line."""
    parser = commands.add_parser(
        "leaderboard",
        help="keep a page with the scores of all methods and their changes",
        description="Enter stored results into a leaderboard: DIR/history.csv keeps every score with its date, and "
        "DIR/index.html shows the last score of each method and how it changed. Run it again after each evaluation.",
        epilog="examples:\n  sodbench leaderboard results -o board\n"
        "  sodbench leaderboard results other/results -o board --since 2026-01-31",
    )
    add_results(parser)
    add_output(parser, "DIR", "the folder of the leaderboard", required=True)
    add_names(parser, "--metrics", f"metrics to enter (default: {','.join(REPORT_METRICS)})")
    parser.add_argument(
        "--date",
        type=filled,
        metavar="YYYY-MM-DD",
        help="date of the entries (default: today)",
    )
    parser.add_argument(
        "--since",
        type=filled,
        metavar="YYYY-MM-DD",
        help="show the changes since this date (default: since the entries before the last ones)",
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Enter the results and print where the page is."""
    from sodbench.console import show
    from sodbench.quoting import printable
    from sodbench.reports.leaderboard import update_leaderboard
    from sodbench.reports.selection import select_metrics

    results = read_results(arguments.results)
    available = list(dict.fromkeys(name for r in results for name in r.metrics))
    metrics = select_metrics(available, names(arguments.metrics) or None)
    page = update_leaderboard(
        results,
        arguments.output,
        [metric.name for metric in metrics],
        date=arguments.date or "",
        since=arguments.since or "",
    )
    show(printable(page))
    return 0
