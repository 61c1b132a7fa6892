"""Print the problems with files that a command noticed."""

from collections.abc import Sequence

from sodbench.console import logger
from sodbench.errors import Problem, Severity, listing


def report_problems(problems: Sequence[Problem], per_kind: int) -> int:
    """Print problems on standard error and return the exit status that follows from them.

    Problems, which lead to status 1, are printed even when quiet; what a documented rule settles is a note.

    Parameters
    ----------
    problems : sequence of Problem
    per_kind : int
        Number of problems of each kind that are listed.

    Returns
    -------
    int
        1 if there is a problem, 0 if there are only notes.
    """
    notes = [problem for problem in problems if problem.severity is Severity.NOTE]
    faults = [problem for problem in problems if problem.severity is not Severity.NOTE]
    if faults:
        for line in (f"{len(faults)} problem(s) with the files:", *listing(faults, per_kind)):
            logger.warning(line)
    if notes:
        for line in (f"{len(notes)} note(s) with the files:", *listing(notes, per_kind)):
            logger.info(line)
    return 1 if faults else 0
