"""The options that turn scores into an exit status, for ``eval`` and ``compare``."""

import argparse
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from sodbench.cli.values import filled, path, refuse_without_effect
from sodbench.errors import SodbenchError

if TYPE_CHECKING:
    from sodbench.reports.conditions import Condition, Decision


def add_conditions(parser: argparse.ArgumentParser, option: str, help: str) -> None:
    """Add an option for conditions, and those for their outcome.

    Parameters
    ----------
    parser : argparse.ArgumentParser
        Where the options are added.
    option : str
        ``--require`` or ``--fail-if``.
    help : str
        What the option means.
    """
    group = parser.add_argument_group("decisions for machines (exit status 1)")
    group.add_argument(
        option,
        dest="conditions",
        nargs="+",
        type=filled,
        default=[],
        metavar="CONDITION",
        help=help,
    )
    group.add_argument(
        "--certainty",
        choices=("value", "certain", "possible"),
        default="value",
        help="a condition fails by the value alone; only if the whole 95 %% interval fails; or if any part of it does "
        "(default: %(default)s)",
    )
    group.add_argument(
        "--junit", type=path, metavar="FILE.xml", help="write the conditions as JUnit XML"
    )
    group.add_argument(
        "--summary",
        type=path,
        metavar="FILE.md",
        help="append scores and conditions in Markdown, for example to $GITHUB_STEP_SUMMARY",
    )


def read_conditions(arguments: argparse.Namespace, option: str) -> "list[Condition]":
    """Return the conditions, and check the files for their outcome before anything is computed.

    Parameters
    ----------
    arguments : argparse.Namespace
        The parsed arguments.
    option : str
        ``--require`` or ``--fail-if``.

    Returns
    -------
    list of Condition

    Raises
    ------
    SodbenchError
        For a condition that cannot be read, and a file that is something else.
    """
    if not arguments.conditions:
        refuse_without_effect(arguments, ("junit",), f"without {option}")
        if arguments.certainty != "value":
            raise SodbenchError(f"--certainty has no effect without {option}")
        return []
    # imported where it is needed, because it takes a tenth of a second
    from sodbench.output_folder import check_own_file
    from sodbench.reports.conditions import JUNIT_START, parse_condition

    if arguments.junit:
        check_own_file(arguments.junit, JUNIT_START)
    return [parse_condition(text, option) for text in arguments.conditions]


def check_outcome_files(arguments: argparse.Namespace, data: Iterable[Path]) -> None:
    """Refuse files for the outcome among maps or data, and a summary that would be added to something else than text.

    Parameters
    ----------
    arguments : argparse.Namespace
        The parsed arguments.
    data : iterable of Path
        The folders of maps, masks and images.

    Raises
    ------
    SodbenchError
        Naming the file.
    """
    files = [file for file in (arguments.junit, arguments.summary) if file]
    if not files:
        return
    from sodbench.output_folder import check_outside

    folders = list(data)
    for file in files:
        check_outside(file, folders)
    summary = arguments.summary
    if summary and summary.is_file():
        with summary.open("rb") as content:
            if b"\0" in content.read(4096):
                raise SodbenchError(
                    f"--summary {summary}: exists and is not a text file; choose another name"
                )


def refuse_other_datasets(
    conditions: "Sequence[Condition]", datasets: Sequence[str], option: str
) -> None:
    """Refuse a condition on a dataset that there is no score of.

    Parameters
    ----------
    conditions : sequence of Condition
    datasets : sequence of str
    option : str

    Raises
    ------
    SodbenchError
        If there is one.
    """
    for condition in conditions:
        if condition.dataset and condition.dataset not in datasets:
            raise SodbenchError(
                f"{option} {condition}: there is no score on {condition.dataset}; there are: {', '.join(datasets)}"
            )


def report_outcomes(
    arguments: argparse.Namespace,
    outcomes: "Sequence[Decision]",
    option: str,
    title: str,
    table: str,
) -> int:
    """Print the conditions that failed, write the files that were asked for, and return the exit status.

    Parameters
    ----------
    arguments : argparse.Namespace
        The parsed arguments.
    outcomes : sequence of Decision
    option : str
        ``--require`` or ``--fail-if``.
    title, table : str
        The heading of the summary, and scores or differences in Markdown.

    Returns
    -------
    int
        1 if a condition failed.
    """
    from sodbench.console import logger
    from sodbench.files import report_write_errors, write_text
    from sodbench.reports.conditions import describe_outcomes, format_junit, format_summary

    for line in describe_outcomes(outcomes, option):
        logger.warning(line)
    if arguments.junit:
        write_text(arguments.junit, format_junit(title.split()[-1], outcomes))
    if arguments.summary:
        text = format_summary(title, outcomes, table)
        # a CI server collects the summaries of several commands in one file
        with (
            report_write_errors(arguments.summary),
            arguments.summary.open("a", encoding="utf-8") as file,
        ):
            file.write(text + "\n")
    return 1 if any(outcome.failed for outcome in outcomes) else 0
