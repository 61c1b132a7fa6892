"""Scores of images in groups, such as the sequences of videos: the mean over groups of the means of their images.

As PySODEvalToolkit computes them: curves are averaged over the images of a group, then over the groups, and only then the
maximum or mean over thresholds is taken.  A large group counts as much as a small one.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sodbench.metrics.arrays import Floats
from sodbench.metrics.protocols import Protocol, get_protocol
from sodbench.metrics.scores import (
    CountsSource,
    Scores,
    combine_curves,
    score,
    without_intermediates,
)
from sodbench.metrics.set_metrics import aggregate

_S_MEASURES = ("s", "s_object", "s_region")


@dataclass(frozen=True)
class ScoresByGroup:
    """The mean over groups, and the scores of each group.

    Attributes
    ----------
    metrics : dict of str to float
        As `Scores.metrics`; a group without a value is left out of the mean, except for an undefined S-measure under a
        protocol that keeps it.
    curves : dict of str to float64 [256]
        As `Scores.curves`.
    groups : dict of str to Scores
        By the name of the group, ascending.
    """

    metrics: dict[str, float]
    curves: dict[str, Floats]
    groups: dict[str, Scores]


def score_groups(
    counts: CountsSource,
    protocol: str | Protocol,
    stems: Sequence[str],
    groups: Sequence[str],
    *,
    undefined_s: str | None = None,
    requested: Sequence[str] = (),
) -> ScoresByGroup:
    """Score N counted pairs by group.

    Parameters
    ----------
    counts : CountsSource
    protocol : str or Protocol
    stems, groups : sequence of str
        The name of each pair, and of its group.
    undefined_s : {"keep", "skip"}, optional
    requested : sequence of str
        As for `score`.

    Returns
    -------
    ScoresByGroup

    Raises
    ------
    ValueError
        As `score`, and where the number of groups is not that of the pairs.
    """
    protocol = get_protocol(protocol)
    if not len(groups) == len(stems) == len(counts):
        raise ValueError(f"{len(stems)} names and {len(groups)} groups for {len(counts)} pairs")
    rows: dict[str, list[int]] = {}
    for row, group in enumerate(groups):
        rows.setdefault(group, []).append(row)
    scores = {
        group: score(
            counts[np.array(members, np.intp)],
            protocol,
            [stems[row] for row in members],
            undefined_s=undefined_s,
            requested=requested,
        )
        for group, members in sorted(rows.items())
    }
    keeps_undefined = (undefined_s or protocol.undefined_s) == "keep"
    metrics, curves = _average(list(scores.values()), protocol, keeps_undefined)
    return ScoresByGroup(metrics, curves, scores)


def _average(
    scores: Sequence[Scores], protocol: Protocol, keeps_undefined: bool
) -> tuple[dict[str, float], dict[str, Floats]]:
    """The metrics and curves of the mean over groups."""
    means = {}
    for name in scores[0].image_values:
        # the mean over images of a maximum over thresholds has a name of its own, or is no metric
        own = "f_max_best" if name == "f_max" else name
        if own in scores[0].metrics and not (own == name and name.endswith(("_max", "_mean"))):
            keep = keeps_undefined and name in _S_MEASURES
            means[name] = _mean_over_groups(np.array([s.metrics[own] for s in scores]), keep)
    curves = {
        name: _mean_over_groups(np.stack([s.curve_means[name] for s in scores]), False)
        for name in scores[0].curve_means
    }
    metrics = {name: float(v) for name, v in aggregate(means, curves, protocol).items()}
    return without_intermediates(metrics, tuple(scores[0].metrics)), combine_curves(
        curves, protocol
    )


def _mean_over_groups(values: Floats, keep_undefined: bool) -> Floats:
    """The mean over groups, [G, ...] to [...], without groups that have no value."""
    if not keep_undefined:
        values = values[~np.isnan(values.reshape(len(values), -1)).any(axis=1)]
    mean: Floats = (
        values.mean(axis=0) if len(values) else np.full(values.shape[1:], np.nan, np.float64)
    )
    return np.asarray(mean)
