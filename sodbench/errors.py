"""The errors of sodbench; every message states what is wrong, where, and what to do.

Everything that a user can cause ends in a `SodbenchError`, which the command line prints as one message with exit
status 2. Problems with files are collected as `Problem` values, so that one run reports all of them together.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Self

from sodbench.quoting import printable


class SodbenchError(Exception):
    """Something the user can fix; the message explains how.

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


class Severity(StrEnum):
    """What a kind of problem does to a run."""

    # A documented rule settles it; exit status 0.
    NOTE = "note"
    # Everything else is done; exit status 1.
    WARNING = "warning"
    # Refused with exit status 2, unless an option such as --missing skip allows it: then a warning.
    ERROR = "error"


class ProblemKind(StrEnum):
    """Every kind of problem with a file: a stable word, what it means, how severe it is and the fix.

    A member equals its word, so ``Problem("missing", ...)`` and comparisons with plain text work.

    Attributes
    ----------
    meaning : str
        What is wrong with the file.
    severity : Severity
    advice : str
        What to do about it, printed once after a list of problems; empty where ``detail`` contains it.
    """

    meaning: str
    severity: Severity
    advice: str

    def __new__(
        cls,
        word: str,
        severity: Severity = Severity.ERROR,
        meaning: str = "",
        advice: str = "",
    ) -> Self:
        """Create a member from its word; the rest becomes attributes."""
        member = str.__new__(cls, word)
        member._value_ = word
        member.meaning, member.severity, member.advice = meaning, severity, advice
        return member

    # masks, maps and their names
    MISSING = (
        "missing",
        Severity.ERROR,
        "a mask without a map, or an item of a list without a file",
        "missing maps: add them, or choose --missing skip (leave them out) or --missing zero (score them as black)",
    )
    UNREADABLE = (
        "unreadable",
        Severity.ERROR,
        "an image that cannot be decoded to its end, or is of a kind that is not read",
        "unreadable maps: write them again, or treat them as missing with --missing skip or zero",
    )
    UNREADABLE_MASK = (
        "unreadable-mask",
        Severity.ERROR,
        "a mask that cannot be read",
        "unreadable masks: replace them ('sodbench data check' lists all of them)",
    )
    AMBIGUOUS = (
        "ambiguous",
        Severity.ERROR,
        "two files claim one name",
        "names claimed twice: keep one file of each name in the folder",
    )
    SAME_FILE = (
        "same-file",
        Severity.ERROR,
        "a map that is its own mask, by path or link",
        "maps that are their masks: give the folder or list of the saliency maps themselves",
    )
    NO_ITEM = ("no-item", Severity.ERROR, "a list or subset names an item that has no mask")
    NAME = ("name", Severity.ERROR, "a name that is not UTF-8, which results cannot store")
    HINT = ("hint", Severity.ERROR, "a likely reason why no map, or only few, match a mask")
    SIZE = (
        "size",
        Severity.WARNING,
        "image, map or mask differ in size",
        "sizes: predict at the image's own size, or choose --resize bilinear",
    )
    EXTRA = ("extra", Severity.WARNING, "a map without a mask, or an item that no list names")
    NO_MASK = ("no-mask", Severity.WARNING, "an image without a mask")
    NO_IMAGE = ("no-image", Severity.WARNING, "a mask without an image")
    UNSCORED_MAPS = (
        "unscored-maps",
        Severity.WARNING,
        "a folder of maps without ground truth, or a dataset's folder without maps",
    )
    BROKEN_LINK = ("broken-link", Severity.WARNING, "a link that leads nowhere")
    NOT_READ = ("not-read", Severity.WARNING, "an image or mask of a type that is not read")
    MASK_CODING = (
        "mask-coding",
        Severity.WARNING,
        "a mask of other values than 0, none of which is foreground",
    )
    MAP_CODING = ("map-coding", Severity.WARNING, "a map that holds only 0 and small values")
    # notes: a documented rule settles them
    GREY_MASK = ("grey-mask", Severity.NOTE, "a mask with levels other than 0 and 255")
    EMPTY_MASK = ("empty-mask", Severity.NOTE, "a mask without foreground")
    BLACK_MAP = ("black-map", Severity.NOTE, "a map whose every pixel is 0")
    CONVERTED = ("converted", Severity.NOTE, "a file that was converted to 8-bit grey")
    UNDEFINED_S = ("undefined-s", Severity.NOTE, "an S-measure that is undefined")
    LEFT_OUT = ("left-out", Severity.NOTE, "an image that a metric's mean leaves out")
    # only found by 'data check'
    FULL_MASK = ("full-mask", Severity.WARNING, "a mask without any background")
    DUPLICATE = ("duplicate", Severity.WARNING, "the same image twice within a dataset")
    LEAK = ("leak", Severity.WARNING, "an image of the training set in a test set")
    SHARED = ("shared", Severity.NOTE, "an image that another dataset holds, too")
    KNOWN = ("known", Severity.NOTE, "a fault that the published dataset is known to have")
    NOT_LISTED = ("not-listed", Severity.NOTE, "a file that the official list does not name")
    OTHER_FILES = ("other-files", Severity.NOTE, "files that are neither images nor masks")
    # prediction
    NOT_THIS_PREDICTION = (
        "not-this-prediction",
        Severity.ERROR,
        "a file has the name of a map, but this prediction did not write it, or it was modified",
    )
    NETWORK = ("network", Severity.WARNING, "the network fails on this image")
    MEMORY = ("memory", Severity.WARNING, "the image does not fit in memory alone")
    NOT_FINITE = ("not-finite", Severity.WARNING, "the network returns NaN or infinity")
    UNWRITABLE = ("unwritable", Severity.WARNING, "this one map cannot be written")
    OUTPUT_RANGE = ("output-range", Severity.WARNING, "the network seems to end in a sigmoid")
    TRAINING_MODE = (
        "training-mode",
        Severity.WARNING,
        "batch normalisation or dropout works as in training",
    )


@dataclass(frozen=True)
class Problem:
    """One thing wrong with one file.

    Attributes
    ----------
    kind : ProblemKind
        A plain word is converted; an unknown one raises ValueError.
    file : str
        The path or name concerned, as the user would look for it.
    detail : str
        What was found there.
    """

    kind: str
    file: str
    detail: str

    def __post_init__(self) -> None:
        object.__setattr__(self, "kind", ProblemKind(self.kind))

    @property
    def severity(self) -> Severity:
        """How severe problems of this kind are."""
        return ProblemKind(self.kind).severity

    def __str__(self) -> str:
        return printable(f"{self.kind}: {self.file}: {self.detail}")


class ImageError(SodbenchError):
    """An image that cannot be read or written.

    Parameters
    ----------
    file : str
        The image.
    detail : str
        What is wrong with it.
    kind : ProblemKind
    """

    def __init__(self, file: str, detail: str, kind: str = ProblemKind.UNREADABLE):
        super().__init__(f"{file}: {detail}")
        self.problem = Problem(kind, file, detail)


class StoredFileError(SodbenchError):
    """A file of a stored result that cannot be used.

    Parameters
    ----------
    path : path
        The file.
    reason : str
        What is wrong with it.
    remedy : str
        What to do.

    Attributes
    ----------
    fault : str
        The message without the remedy.
    """

    def __init__(self, path: object, reason: str, remedy: str = "score again with --force"):
        self.fault = f"{path}: {reason}"
        super().__init__(f"{self.fault}; {remedy}")

    @classmethod
    def modified(cls, path: object) -> Self:
        """Return the error for a file that is not the one that was stored.

        Parameters
        ----------
        path : path
            The file.

        Returns
        -------
        StoredFileError
        """
        return cls(
            path,
            "was modified after it was written",
            "run the same evaluation again with the same output folder, which restores it",
        )


class ProblemsError(SodbenchError):
    """A run that is refused because of its files.

    Parameters
    ----------
    summary : str
        The first line of the message.
    problems : iterable of Problem
        Every problem, all of them listed.
    *advice : str
        Lines about what to do.

    Attributes
    ----------
    problems : tuple of Problem
    """

    def __init__(self, summary: str, problems: Iterable[Problem], *advice: str):
        self.problems = tuple(problems)
        super().__init__(summary, *listing(self.problems), *advice)


def listing(problems: Iterable[Problem], per_kind: int = 10) -> list[str]:
    """Return printable lines that list problems by kind.

    Parameters
    ----------
    problems : iterable of Problem
    per_kind : int
        Number of problems of each kind that are listed; the rest is counted.

    Returns
    -------
    list of str
    """
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
