"""Conditions on stored scores and on differences of two methods."""

from collections.abc import Sequence

from sodbench.metrics.statistics.bootstrap import Interval
from sodbench.reports.analysis import analyse
from sodbench.reports.compare import PairedComparison
from sodbench.reports.conditions import Certainty, Condition, Decision, check_condition
from sodbench.results import Result


def check_results(
    results: Sequence[Result], conditions: Sequence[Condition], certainty: Certainty = "value"
) -> list[Decision]:
    """Check conditions that every score must fulfil, as ``sodbench eval --require`` does.

    Parameters
    ----------
    results : sequence of Result
    conditions : sequence of Condition
    certainty : {"value", "certain", "possible"}
        See `sodbench.reports.conditions.Certainty`; intervals need the results' counts.

    Returns
    -------
    list of Decision
        One for each result and each condition on its dataset.
    """
    outcomes = []
    several = len({result.protocol for result in results}) > 1
    for result in results:
        own = [c for c in conditions if c.dataset in ("", result.dataset)]
        available = [c.metric for c in own if c.metric in result.metrics]
        intervals = {}
        if certainty != "value" and available:
            metrics = list(dict.fromkeys(available))
            analysis = analyse([result], metrics=metrics)
            intervals = {
                metric: interval for (_, _, metric), interval in analysis.intervals.items()
            }
        subject = f"{result.method} on {result.dataset}" + f" ({result.protocol})" * several
        nan = float("nan")
        for condition in own:
            value = result.metrics.get(condition.metric, nan)
            interval = intervals.get(condition.metric, Interval(value, nan, nan))
            outcomes.append(check_condition(subject, condition, interval, certainty, required=True))
    return outcomes


def check_comparison(
    comparison: PairedComparison, conditions: Sequence[Condition], certainty: Certainty = "value"
) -> list[Decision]:
    """Check conditions that no difference may fulfil, as ``sodbench compare --fail-if`` does.

    Parameters
    ----------
    comparison : PairedComparison
    conditions : sequence of Condition
        On the first method's score minus the second's.
    certainty : {"value", "certain", "possible"}
        See `sodbench.reports.conditions.Certainty`.

    Returns
    -------
    list of Decision
        One for each compared dataset and each condition on it.
    """
    outcomes = []
    for c in comparison.comparisons:
        subject = f"{comparison.first} - {comparison.second} on {c.dataset}"
        interval = Interval(c.difference, c.low, c.high)
        outcomes += [
            check_condition(subject, condition, interval, certainty, required=False)
            for condition in conditions
            if condition.metric == c.metric and condition.dataset in ("", c.dataset)
        ]
    return outcomes
