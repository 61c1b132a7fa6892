"""One family of errors; every message says what was found, where, and what to do.

Anything a user can cause ends in a :class:`SodbenchError`, which the command line prints as one
message with exit status 2.  Problems with files are collected as :class:`Problem` values, so that one
run shows all of them together.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from sodbench.quoting import printable


class SodbenchError(Exception):
    """Something the user can fix; the message says how.

    Parameters
    ----------
    *lines : str
        The message, one argument for each line. A line break or control character within a line comes from
        quoted content, such as a file name, and is shown escaped: content cannot begin a line of its own.

    Attributes
    ----------
    lines : tuple of str
        The lines as they are printed.
    """

    def __init__(self, *lines: str):
        super().__init__(*lines)
        self.lines = tuple(map(printable, lines))

    def __str__(self) -> str:
        return "\n".join(self.lines)

    def __reduce__(self) -> tuple[Any, ...]:
        # pickling calls a class with its args otherwise, and subclasses are called with others
        return _unpickled, (type(self), self.args, vars(self))


def _unpickled(
    kind: type[SodbenchError], args: tuple[Any, ...], state: dict[str, Any]
) -> SodbenchError:
    error = kind.__new__(kind, *args)
    vars(error).update(state)
    return error


@dataclass(frozen=True)
class Problem:
    """One thing wrong with one file.

    kind: a short stable word, e.g. ``missing``, ``extra``, ``unreadable``, ``size``.
    file: the path or name concerned, as the user would look for it.
    detail: what was found there.
    """

    kind: str
    file: str
    detail: str

    def __str__(self) -> str:
        return printable(f"{self.kind}: {self.file}: {self.detail}")


class ImageError(SodbenchError):
    """A picture that cannot be read or written."""

    def __init__(self, file: str, detail: str, kind: str = "unreadable"):
        super().__init__(f"{file}: {detail}")
        self.problem = Problem(kind, file, detail)


class StoredFileError(SodbenchError):
    """A file of a stored result that cannot be used; ``fault`` is the message without the remedy."""

    def __init__(self, path: object, reason: str, remedy: str = "score again with --force"):
        self.fault = f"{path}: {reason}"
        super().__init__(f"{self.fault}; {remedy}")


class ProblemsError(SodbenchError):
    """A run refused because of its files; carries every problem found, and the way out."""

    def __init__(self, summary: str, problems: Iterable[Problem], *way_out: str):
        self.problems = tuple(problems)
        super().__init__(summary, *listing(self.problems), *way_out)


def listing(problems: Iterable[Problem], per_kind: int = 10) -> list[str]:
    """Printable lines that show problems grouped by kind, at most ``per_kind`` of each, with the counts."""
    groups: dict[str, list[Problem]] = {}
    for problem in problems:
        groups.setdefault(problem.kind, []).append(problem)
    lines = []
    for kind, group in groups.items():
        lines.append(printable(f"  {kind} ({len(group)}):"))
        lines += [printable(f"    {p.file}: {p.detail}") for p in group[:per_kind]]
        if len(group) > per_kind:
            lines.append(f"    ... and {len(group) - per_kind} more")
    return lines
