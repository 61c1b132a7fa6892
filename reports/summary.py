"""The first lines of a report: one sentence with the result and its uncertainty, then everything that qualifies it."""

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np

from sodbench.errors import ProblemKind
from sodbench.metrics.catalogue import find_metric
from sodbench.reports.analysis import Analysis
from sodbench.reports.compare import Comparison
from sodbench.reports.document import Alert
from sodbench.reports.image_counts import MIN_IMAGES_FOR_WIDTH
from sodbench.reports.tables import format_difference, format_p_value, format_score

# What an alert of a kind of problem counts, and what it says of them; other kinds are shown under their own names
_PROBLEM_TEXTS = {
    "grey-mask": ("mask", "with grey levels, binarised by the protocol"),
    "size": ("map", "resized to the size of the mask"),
    "missing": ("missing map", ""),
    "unreadable": ("unreadable map", ""),
    "extra": ("map", "without a mask"),
    "empty-mask": ("mask", "without foreground"),
    "black-map": ("map", "without any foreground"),
    "undefined-s": ("image", "with an undefined S-measure"),
}
_MASK_PROBLEMS = (ProblemKind.GREY_MASK, ProblemKind.EMPTY_MASK, ProblemKind.UNREADABLE_MASK)
# More exceptions, or groups of datasets, than this make the headline unreadable
_MAX_EXCEPTIONS = 3
_MAX_METHOD_SETS = 3


def write_headline(analysis: Analysis) -> str:
    """Return the result of a report in one or two sentences.

    Parameters
    ----------
    analysis : Analysis

    Returns
    -------
    str
        Which method leads, by how much in the primary metric, with interval and p; datasets that compare other methods
        are described by themselves. Where nothing can be compared, the scores of the only method, or that fact.
    """
    groups: dict[frozenset[str], list[str]] = {}
    for dataset in analysis.datasets:
        methods = frozenset(analysis.ranked.get(dataset, ()))
        if len(methods) > 1:
            groups.setdefault(methods, []).append(dataset)
    texts = [_describe_group(analysis, d, len(groups) == 1) for d in groups.values()]
    texts = [text for text in texts if text]
    if not texts:
        return _describe_single(analysis)
    if len(texts) > _MAX_METHOD_SETS:
        return "The datasets have results of different methods; the table of scores marks the best on each."
    return " ".join(texts)


def _describe_group(analysis: Analysis, datasets: Sequence[str], with_exceptions: bool) -> str:
    """The result on datasets that compare the same methods; empty if no metric has a best method there."""
    metrics = [m for m in analysis.metrics if m.sign]
    orders = {(d, m.name): analysis.best_first(d, m) for d in datasets for m in metrics}
    winners = {key: order[0] for key, order in orders.items() if len(order) > 1}
    if not winners:
        return ""
    times = Counter(winners.values())
    count = max(times.values())
    leaders = [method for method in times if times[method] == count]
    tied = len(leaders) > 1
    if len(datasets) == 1:
        verb = "each lead" if tied else "leads"
        where = f"in {count} of {len(winners)} metrics on {datasets[0]}"
    else:
        verb = "are each best" if tied else "is best"
        where = f"in {count} of {len(winners)} columns ({len(datasets)} datasets, {len(metrics)} metrics)"
    parts = [
        f"{' and '.join(leaders)} {verb} {where}.",
        _describe_lead(analysis, datasets, orders),
    ]
    others = [(key, m) for key, m in winners.items() if m not in leaders]
    if with_exceptions and len(datasets) == 1 and not tied and 0 < len(others) <= _MAX_EXCEPTIONS:
        parts += [_describe_exception(analysis, leaders[0], *key, method) for key, method in others]
    return " ".join(part for part in parts if part)


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
    analysis: Analysis, ranked: Sequence[str], orders: Mapping[tuple[str, str], Sequence[str]]
) -> str:
    """How far the best method is ahead of the second in the primary metric, or on how many datasets significantly."""
    metric = analysis.primary_metric
    leads = []
    for dataset in ranked:
        order = orders.get((dataset, metric.name), ())
        if len(order) > 1:
            comparison = _find_comparison(analysis, dataset, metric.name, order[0], order[1])
            leads += [(order[0], comparison)] if comparison else []
    if not leads:
        return ""
    if len(leads) == 1:
        best, comparison = leads[0]
        return f"{metric.title}: {_describe_difference(best, comparison)}."
    times = Counter(best for best, _ in leads)
    most = max(times.values())
    clauses = []
    for method in (m for m in times if times[m] == most):
        significant = sum(c.winner == method for best, c in leads if best == method)
        clauses.append(
            f"{method} is first on {most} of {len(leads)} datasets, on {significant} of them significantly better "
            "than the second"
        )
    return f"{metric.title}: {'; '.join(clauses)}."


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
    smallest = analysis.fewest_images
    undecided = sum(c.undecided for c in analysis.comparisons)
    image_counts = len(analysis.check_image_counts())
    alerts = [
        Alert(
            "not compared",
            len(excluded),
            _word_count(len(excluded), "result", "made in another way or from other images"),
            "uncertainty",
        ),
        Alert(
            "number of images",
            image_counts,
            _word_count(image_counts, "result", "with other images than the official ones"),
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
            _word_count(
                undecided, "test", "within the Monte Carlo error of the significance level"
            ),
            "uncertainty",
        ),
        Alert(
            "inputs",
            len(input_problems),
            _word_count(len(input_problems), "remark", "on the inputs of this report"),
            "problems",
        ),
    ]
    for kind, count in _count_problems(analysis).most_common():
        noun, rest = _PROBLEM_TEXTS.get(kind, ("file", f"with the problem {kind}"))
        alerts.append(Alert(kind, count, _word_count(count, noun, rest), "problems"))
    return [alert for alert in alerts if alert.count]


def _word_count(count: int, noun: str, rest: str) -> str:
    return f"{noun}{'' if count == 1 else 's'} {rest}".rstrip()


def _count_problems(analysis: Analysis) -> Counter[str]:
    """How many files have problems of each kind; a mask counts once, although every method meets it."""
    files = {
        (str(p.kind), dataset, "" if p.kind in _MASK_PROBLEMS else method, p.file, p.detail)
        for (method, dataset), result in analysis.results.items()
        for p in result.problems
    }
    return Counter(kind for kind, *_ in files)
