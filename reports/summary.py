"""The first lines of a report: one sentence with the result and its uncertainty, then everything that qualifies it."""

from collections import Counter
from collections.abc import Sequence

import numpy as np

from sodbench.errors import ProblemKind
from sodbench.metrics.catalogue import Metric, find_metric
from sodbench.reports.analysis import Analysis
from sodbench.reports.compare import Comparison
from sodbench.reports.document import Alert
from sodbench.reports.image_counts import MIN_IMAGES_FOR_WIDTH
from sodbench.reports.tables import format_difference, format_p_value, format_score

# What an alert of a kind of problem says; other kinds are shown under their own names
_PROBLEM_TEXTS = {
    "grey-mask": "masks with grey levels, which are binarised by the protocol",
    "size": "maps of another size than their mask, which were resized",
    "missing": "maps that are missing",
    "unreadable": "maps that cannot be read",
    "extra": "maps without a mask",
    "empty-mask": "masks without foreground",
    "black-map": "maps without any foreground",
    "undefined-s": "images whose S-measure is undefined",
}
_MASK_PROBLEMS = (ProblemKind.GREY_MASK, ProblemKind.EMPTY_MASK, ProblemKind.UNREADABLE_MASK)
# More exceptions than this make the headline unreadable
_MAX_EXCEPTIONS = 3


def write_headline(analysis: Analysis) -> str:
    """Return the result of a report in one or two sentences.

    Parameters
    ----------
    analysis : Analysis

    Returns
    -------
    str
        Which method leads, by how much in the primary metric, with interval and p; where nothing can be compared, the
        scores of the only method, or that fact.
    """
    ranked = [d for d in analysis.datasets if len(analysis.ranked.get(d, ())) > 1]
    metrics = [m for m in analysis.metrics if m.sign]
    winners = {(d, m.name): _best(analysis, d, m) for d in ranked for m in metrics}
    winners = {key: method for key, method in winners.items() if method}
    if not winners:
        return _describe_single(analysis)
    leader, count = Counter(winners.values()).most_common(1)[0]
    if len(ranked) == 1:
        verb = f"leads in {count} of {len(winners)} metrics on {ranked[0]}"
    else:
        verb = f"is best in {count} of {len(winners)} columns ({len(ranked)} datasets, {len(metrics)} metrics)"
    parts = [f"{leader} {verb}.", _describe_lead(analysis, ranked, winners)]
    others = [(key, m) for key, m in winners.items() if m != leader]
    if len(ranked) == 1 and 0 < len(others) <= _MAX_EXCEPTIONS:
        parts += [_describe_exception(analysis, leader, *key, method) for key, method in others]
    return " ".join(part for part in parts if part)


def _best(analysis: Analysis, dataset: str, metric: Metric) -> str:
    scores = analysis.values[(dataset, metric.name)].dropna()
    scores = scores[scores.index.isin(analysis.ranked[dataset])]
    if len(scores) < 2:
        return ""
    return str(scores.idxmax() if metric.higher_is_better else scores.idxmin())


def _describe_single(analysis: Analysis) -> str:
    metric = analysis.primary_metric
    if len(analysis.results) > 1 and len(analysis.methods) > 1:
        return "No two results here can be compared; the section on uncertainty lists why."
    texts = []
    for method, dataset in analysis.results:
        interval = analysis.intervals[method, dataset, metric.name]
        text = f"{method} on {dataset}: {metric.label} {format_score(interval.value)}"
        if np.isfinite(interval.low):
            text += f" [{format_score(interval.low)}, {format_score(interval.high)}]"
        texts.append(text)
    return "; ".join(texts) + "."


def _describe_lead(
    analysis: Analysis, ranked: Sequence[str], winners: dict[tuple[str, str], str]
) -> str:
    """How far the best method is ahead of the second in the primary metric, or on how many datasets significantly."""
    metric = analysis.primary_metric
    leads = []
    for dataset in ranked:
        best = winners.get((dataset, metric.name))
        if best and (comparison := _against_second(analysis, dataset, metric, best)):
            leads.append((best, comparison))
    if not leads:
        return ""
    if len(leads) == 1:
        best, comparison = leads[0]
        return f"{metric.title}: {_describe_difference(best, comparison)}."
    times = Counter(best for best, _ in leads)
    best, count = times.most_common(1)[0]
    significant = sum(c.winner == best for method, c in leads if method == best)
    return (
        f"{metric.title}: {best} is first on {count} of {len(leads)} datasets, on {significant} of them significantly "
        "better than the second."
    )


def _against_second(
    analysis: Analysis, dataset: str, metric: Metric, best: str
) -> Comparison | None:
    scores = analysis.values[(dataset, metric.name)].dropna()
    scores = scores[scores.index.isin(analysis.ranked[dataset]) & (scores.index != best)]
    second = str(scores.idxmax() if metric.higher_is_better else scores.idxmin())
    return _find_comparison(analysis, dataset, metric.name, best, second)


def _find_comparison(
    analysis: Analysis, dataset: str, metric: str, one: str, two: str
) -> Comparison | None:
    for c in analysis.comparisons:
        if (c.dataset, c.metric) == (dataset, metric) and {c.first, c.second} == {one, two}:
            return c if c.tested else None
    return None


def _describe_difference(best: str, c: Comparison) -> str:
    """``A over B by 0.023 [0.011, 0.039], p = 0.005``, as a gain of ``best``."""
    other = c.second if c.first == best else c.first
    sign = (1 if c.first == best else -1) * (1 if c.higher_is_better else -1)
    low, high = sorted((sign * c.low, sign * c.high))
    limits = ", ".join(format_difference(x).removeprefix("+") for x in (low, high))
    size = format_difference(sign * c.difference).removeprefix("+")
    p = format_p_value(c.p_holm)
    verdict = "" if c.winner else ", not significantly"
    p_text = f"p {p}" if p.startswith("<") else f"p = {p}"
    return f"{best} over {other} by {size} [{limits}], {p_text}{verdict}"


def _describe_exception(
    analysis: Analysis, leader: str, dataset: str, metric: str, method: str
) -> str:
    comparison = _find_comparison(analysis, dataset, metric, method, leader)
    label = find_metric(metric).title
    if comparison is None:
        return f"{label}: {method}."
    return f"{label}: {_describe_difference(method, comparison)}."


def find_alerts(analysis: Analysis, input_problems: Sequence[str]) -> list[Alert]:
    """Return what qualifies the numbers of a report, counted, the most serious first.

    Parameters
    ----------
    analysis : Analysis
    input_problems : sequence of str
        A line for each input that could not be used.

    Returns
    -------
    list of Alert
    """
    reasons = analysis.comparable.reasons
    excluded = [key for key in reasons if len(analysis.methods) > 1]
    smallest = {
        d: min(r.n for (_, e), r in analysis.results.items() if e == d) for d in analysis.datasets
    }
    undecided = sum(c.undecided for c in analysis.comparisons)
    alerts = [
        Alert(
            "not compared",
            len(excluded),
            "result" + "s" * (len(excluded) != 1) + " made in another way or from other images",
            "uncertainty",
        ),
        Alert(
            "number of images",
            len(analysis.check_image_counts()),
            "results with other images than the official ones",
            "problems",
        ),
        Alert(
            "few images",
            sum(n < MIN_IMAGES_FOR_WIDTH for n in smallest.values()),
            f"of {len(smallest)} datasets with fewer than {MIN_IMAGES_FOR_WIDTH} images",
            "uncertainty",
        ),
        Alert(
            "undecided",
            undecided,
            "tests within the Monte Carlo error of the significance level",
            "uncertainty",
        ),
        Alert("inputs", len(input_problems), "remarks on the inputs of this report", "problems"),
    ]
    kinds = _count_problems(analysis)
    alerts += [
        Alert(kind, count, _PROBLEM_TEXTS.get(kind, f"files with the problem {kind}"), "problems")
        for kind, count in kinds.most_common()
    ]
    return [alert for alert in alerts if alert.count]


def _count_problems(analysis: Analysis) -> Counter[str]:
    """How many files have problems of each kind; a mask counts once, although every method meets it."""
    files = {
        (str(p.kind), dataset, "" if p.kind in _MASK_PROBLEMS else method, p.file, p.detail)
        for (method, dataset), result in analysis.results.items()
        for p in result.problems
    }
    return Counter(kind for kind, *_ in files)
