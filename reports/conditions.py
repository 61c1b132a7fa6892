"""Conditions on scores and differences that decide an exit status, such as ``f_max>=0.85`` or ``SOD:f_max<-0.005``.

A condition is checked against a value, or against its 95 % interval: see `Certainty`. The outcome of all conditions is
text, JUnit XML for a CI server, or Markdown for the page of a CI job.
"""

import math
import operator
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal
from xml.etree import ElementTree

from sodbench.errors import SodbenchError
from sodbench.metrics.catalogue import parse_metric
from sodbench.metrics.statistics.bootstrap import CONFIDENCE_TEXT, Interval
from sodbench.quoting import markdown_text, printable
from sodbench.reports.text import format_table

# How a condition treats uncertainty: by the value alone; failed only if the whole interval fails; failed if any part does
Certainty = Literal["value", "certain", "possible"]

_OPERATORS: dict[str, Callable[[float, float], bool]] = {
    "<=": operator.le,
    ">=": operator.ge,
    "<": operator.lt,
    ">": operator.gt,
}
_FORM = re.compile(
    r"\s*(?:(.+):)?\s*([\w@.()= ]+?)\s*(<=|>=|<|>)\s*([-+]?[\d.]+(?:[eE][-+]?\d+)?)\s*"
)


@dataclass(frozen=True)
class Condition:
    """A comparison of a metric with a number.

    Attributes
    ----------
    metric : str
    sign : {"<", "<=", ">", ">="}
    limit : float
    dataset : str
        Only this dataset; empty for all.
    """

    metric: str
    sign: str
    limit: float
    dataset: str = ""

    def __str__(self) -> str:
        return f"{self.dataset}:" * bool(self.dataset) + f"{self.metric} {self.sign} {self.limit:g}"

    def holds(self, value: float) -> bool:
        """Whether a value fulfils the condition.

        Parameters
        ----------
        value : float

        Returns
        -------
        bool
            False for NaN.
        """
        return _OPERATORS[self.sign](value, self.limit)


def parse_condition(text: str, option: str) -> Condition:
    """Read a condition.

    Parameters
    ----------
    text : str
        ``METRIC<NUMBER`` or ``DATASET:METRIC<NUMBER``, also with ``<=``, ``>`` and ``>=``.
    option : str
        Where it was given, for messages.

    Returns
    -------
    Condition

    Raises
    ------
    SodbenchError
        For another form and an unknown metric.
    """
    match = _FORM.fullmatch(text)
    if match is None:
        raise SodbenchError(
            f'{option} {text!r}: not of the form "METRIC>=NUMBER" or "DATASET:METRIC>=NUMBER" '
            "(with <, <=, > or >=; quote it, or the shell redirects output)"
        )
    dataset, metric, sign, number = match.groups()
    try:
        metric = parse_metric(metric).name
    except ValueError as error:
        raise SodbenchError(
            f"{option} {text!r}: {error}; 'sodbench eval --metrics help' lists them all"
        ) from None
    try:
        limit = float(number)
    except ValueError:
        raise SodbenchError(f"{option} {text!r}: {number!r} is not a number") from None
    return Condition(metric, sign, limit, (dataset or "").strip())


@dataclass(frozen=True)
class Decision:
    """A condition after it was checked.

    Attributes
    ----------
    subject : str
        What was checked, for example ``DSS on SOD``.
    condition : Condition
    failed : bool
    reason : str
        The value and why it failed or passed.
    """

    subject: str
    condition: Condition
    failed: bool
    reason: str


def check_condition(
    subject: str,
    condition: Condition,
    interval: Interval,
    certainty: Certainty = "value",
    *,
    required: bool,
) -> Decision:
    """Check a condition against a value and its interval.

    Parameters
    ----------
    subject : str
    condition : Condition
    interval : Interval
        Only its value is needed for the certainty ``value``.
    certainty : {"value", "certain", "possible"}
    required : bool
        Whether the condition must hold, as with ``--require``, or must not, as with ``--fail-if``.

    Returns
    -------
    Decision
        Failed as well where the value is undefined or has no interval although one is needed.
    """

    def fails(value: float) -> bool:
        return condition.holds(value) != required

    description = f"{condition.metric} = {interval.value:.4f}"
    if math.isnan(interval.value):
        return Decision(
            subject, condition, True, f"{condition.metric} is undefined or was not computed"
        )
    if certainty == "value":
        return Decision(subject, condition, fails(interval.value), description)
    if math.isnan(interval.low):
        return Decision(
            subject,
            condition,
            True,
            f"{description} has no interval: too few images for --certainty",
        )
    description += f", {CONFIDENCE_TEXT} interval [{interval.low:.4f}, {interval.high:.4f}]"
    # a condition has one limit, so that the ends of the interval decide
    ends = fails(interval.low), fails(interval.high)
    return Decision(
        subject, condition, all(ends) if certainty == "certain" else any(ends), description
    )


# ---- as text ----------------------------------------------------------------------------------


def describe_outcomes(outcomes: Sequence[Decision], option: str) -> list[str]:
    """Return a line for each failed condition, below one that counts them.

    Parameters
    ----------
    outcomes : sequence of Decision
    option : str
        ``--require`` or ``--fail-if``.

    Returns
    -------
    list of str
        Empty if none failed.
    """
    failed = [outcome for outcome in outcomes if outcome.failed]
    if not failed:
        return []
    lines = [f"  {o.subject}: {o.reason} ({option} {o.condition})" for o in failed]
    return [f"{len(failed)} of {len(outcomes)} condition(s) failed:", *lines]


def format_summary(title: str, outcomes: Sequence[Decision], table: str) -> str:
    """Return the outcome as Markdown for the page of a CI job.

    Parameters
    ----------
    title : str
    outcomes : sequence of Decision
    table : str
        Scores or differences in Markdown.

    Returns
    -------
    str
    """
    failed = sum(outcome.failed for outcome in outcomes)
    verdict = f"{failed} of {len(outcomes)} conditions failed" if failed else "all conditions hold"
    rows = [
        ("failed" if o.failed else "passed", o.subject, str(o.condition), o.reason)
        for o in outcomes
    ]
    parts = [f"### {markdown_text(title)}" + f": {verdict}" * bool(outcomes)]
    if rows:
        headers = ("", "result", "condition", "value")
        parts.append(format_table(headers, rows, align="llll", markdown=True))
    return "\n\n".join([*parts, table]) + "\n"


# The first characters of every JUnit file written
JUNIT_START = '<testsuites name="sodbench '


def format_junit(command: str, outcomes: Sequence[Decision]) -> str:
    """Return the outcome as JUnit XML, a test case for each condition and result.

    Parameters
    ----------
    command : str
        ``eval`` or ``compare``.
    outcomes : sequence of Decision

    Returns
    -------
    str
    """
    counts = {"tests": str(len(outcomes)), "failures": str(sum(o.failed for o in outcomes))}
    name = {"name": f"sodbench {command}"}
    root = ElementTree.Element("testsuites", name | counts)
    suite = ElementTree.SubElement(root, "testsuite", name | counts)
    for outcome in outcomes:
        facts = {"classname": printable(outcome.subject), "name": printable(outcome.condition)}
        case = ElementTree.SubElement(suite, "testcase", facts)
        if outcome.failed:
            ElementTree.SubElement(case, "failure", message=printable(outcome.reason))
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding="unicode") + "\n"
