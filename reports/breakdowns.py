"""Scores by groups of images, and which methods differ on the images of a group."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from sodbench.metrics.catalogue import Metric
from sodbench.metrics.statistics.bootstrap import Interval
from sodbench.metrics.statistics.significance import ALPHA, MIN_IMAGES, correct_ranges, p_ranges
from sodbench.reports.comparability import Comparable, Key
from sodbench.reports.result_statistics import GroupStatistics, ResultStatistics
from sodbench.reports.selection import primary_name

# By (method, dataset, group), the methods that are beaten
_Wins = dict[tuple[str, str, str], tuple[str, ...]]


@dataclass(frozen=True)
class Breakdown:
    """One metric by the groups of images that an attribute makes.

    Attributes
    ----------
    attribute : str
    metric : Metric
    key : str
        The stem of the names of its files, unlike those of all other tables and figures.
    groups : tuple of str
        The names of the groups, in order.
    images : mapping of str to tuple of int
        By dataset, how many images each group has.
    values : mapping of (str, str) to tuple of Interval or None
        By (method, dataset), the score of each group; None where a group has no image, without limits (NaN) where it has
        fewer than ``MIN_IMAGES``.
    wins : mapping of (str, str, str) to tuple of str
        By (method, dataset, group), the methods that it is significantly better than on these images. Holm's correction
        is over all pairs of methods, groups and metrics of the attribute on a dataset.
    """

    attribute: str
    metric: Metric
    key: str
    groups: tuple[str, ...]
    images: Mapping[str, tuple[int, ...]]
    values: Mapping[Key, tuple[Interval | None, ...]]
    wins: Mapping[tuple[str, str, str], tuple[str, ...]]


def collect_breakdowns(
    statistics: Mapping[Key, ResultStatistics],
    comparable: Comparable,
    metrics: Sequence[Metric],
) -> tuple[Breakdown, ...]:
    """Arrange the groups of all results by attribute and metric, and test the methods on each group.

    Parameters
    ----------
    statistics : mapping of (str, str) to ResultStatistics
        By (method, dataset).
    comparable : Comparable
    metrics : sequence of Metric
        Those of the statistics; the names of files leave out the primary one.

    Returns
    -------
    tuple of Breakdown
        For every attribute each metric, in order.
    """
    breakdowns = []
    primary = primary_name([m.name for m in metrics])
    keys: set[str] = set()
    for attribute in dict.fromkeys(name for one in statistics.values() for name in one.groups):
        groups = {
            key: one.groups[attribute] for key, one in statistics.items() if attribute in one.groups
        }
        images: dict[str, tuple[int, ...]] = {}
        for (_, dataset), own in groups.items():
            numbers = [len(group.stems) for group in own.values()]
            largest = zip(images.get(dataset, numbers), numbers, strict=True)
            images[dataset] = tuple(max(pair) for pair in largest)
        names = tuple(next(iter(groups.values())))
        wins = _compare_groups(groups, comparable, metrics)
        for i, metric in enumerate(metrics):
            values = {
                key: tuple(group.intervals[i] if group.stems else None for group in own.values())
                for key, own in groups.items()
            }
            key = _make_key(f"by_{attribute}" + f"_{metric.name}" * (metric.name != primary), keys)
            own_wins = wins[metric.name]
            breakdowns.append(Breakdown(attribute, metric, key, names, images, values, own_wins))
    return tuple(breakdowns)


def _make_key(text: str, others: set[str]) -> str:
    """A stem of file names for any text, as in ``by_object_size``; a number makes it differ from those taken."""
    stem = key = re.sub(r"\W+", "_", text).strip("_")
    number = 2
    # some file systems do not distinguish capitals
    while key.lower() in others:
        key = f"{stem}_{number}"
        number += 1
    others.add(key.lower())
    return key


def _compare_groups(
    groups: Mapping[Key, Mapping[str, GroupStatistics]],
    comparable: Comparable,
    metrics: Sequence[Metric],
) -> dict[str, _Wins]:
    """Whom each method beats significantly on the images of each group, by metric name."""
    wins: dict[str, _Wins] = {metric.name: {} for metric in metrics}
    for dataset, methods in comparable.compared.items():
        if len(methods) < 2 or any((m, dataset) not in groups for m in methods):
            continue
        own = [groups[m, dataset] for m in methods]
        first, second = np.array(list(combinations(range(len(methods)), 2))).T
        tests = []
        for i, metric in enumerate(metrics):
            for group in own[0]:
                images = len(own[0][group].stems)
                # without a direction, as for a threshold, no method is better
                if images < MIN_IMAGES or not metric.sign:
                    continue
                observed = np.array([one[group].intervals[i].value for one in own])
                drawn = np.stack([one[group].distribution[:, i] for one in own])
                differences = observed[first] - observed[second]
                ranges = p_ranges(differences, drawn[first] - drawn[second], images)
                tests.append((metric, group, differences, ranges))
        if not tests:
            continue
        # an attribute is looked at as a whole: one family for all its groups and metrics
        p, undecided = correct_ranges(np.concatenate([ranges for *_, ranges in tests], axis=1))
        significant = np.split((p < ALPHA) & ~undecided, len(tests))
        for (metric, group, differences, _), found in zip(tests, significant, strict=True):
            for k in np.flatnonzero(found & (differences != 0)):
                is_gain = (differences[k] > 0) == metric.higher_is_better
                pair = (first[k], second[k]) if is_gain else (second[k], first[k])
                winner, loser = (methods[i] for i in pair)
                key = winner, dataset, group
                wins[metric.name][key] = (*wins[metric.name].get(key, ()), loser)
    return wins
