"""The numbers that are computed from one stored result: statistics to resample, scores of groups of images, max F.

Everything here comes from stored counts and per-image tables; no image is opened.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from sodbench.datasets.attributes import LARGE, SIZE_GROUPS, SMALL
from sodbench.errors import SodbenchError
from sodbench.metrics import PROTOCOLS, Counts, aggregate, get_protocol, per_image_curves
from sodbench.metrics.arrays import Floats
from sodbench.metrics.catalogue import Metric
from sodbench.metrics.protocols import STANDARD_RULE
from sodbench.metrics.scores import BLOCK
from sodbench.metrics.statistics.aggregates import ImageStatistics, needed_columns
from sodbench.metrics.statistics.bootstrap import (
    Interval,
    ResampleCounts,
    percentile_interval,
)
from sodbench.metrics.statistics.significance import MIN_IMAGES
from sodbench.results import Result

# The attribute that is known from the counts alone
SIZE = "object size"


@dataclass(frozen=True)
class GroupStatistics:
    """The metrics of a group of images.

    Attributes
    ----------
    stems : tuple of str
        The names of its images.
    intervals : tuple of Interval
        M of them, without limits (NaN) for fewer than ``MIN_IMAGES`` images; empty without images.
    distribution : float64 [resamples, M]
        The bootstrap distribution; NaN for fewer than ``MIN_IMAGES`` images.
    """

    stems: tuple[str, ...]
    intervals: tuple[Interval, ...]
    distribution: Floats


@dataclass(frozen=True)
class ResultStatistics:
    """What a report computes from one result, and what comparing it with others needs.

    Attributes
    ----------
    intervals : dict of str to Interval
        By metric name; without limits (NaN) for fewer than ``MIN_IMAGES`` images.
    groups : dict of str to dict of str to GroupStatistics
        By attribute and group; object size is the first attribute.
    f_max_by_protocol : dict of str to float
    observed : float64 [M]
        The metrics of the images as they are.
    distribution : float64 [resamples, M]
        Their bootstrap distribution, images in the order of their names.
    fingerprint : str
        Equal for two results that were scored on the same images and masks.
    """

    intervals: dict[str, Interval]
    groups: dict[str, dict[str, GroupStatistics]]
    f_max_by_protocol: dict[str, float]
    observed: Floats
    distribution: Floats
    fingerprint: str


def compute_statistics(
    result: Result,
    metrics: Sequence[Metric],
    draws: Sequence[ResampleCounts],
    attributes: pd.DataFrame | None = None,
) -> ResultStatistics:
    """Compute the statistics of one result.

    Parameters
    ----------
    result : Result
    metrics : sequence of Metric
    draws : sequence of uint8 [resamples, images]
        Batches of resamples of as many images as the result has.
    attributes : DataFrame, optional
        Index ``stem``, and a categorical column for each attribute of the images.

    Returns
    -------
    ResultStatistics

    Raises
    ------
    SodbenchError
        Where the stored files do not belong together.
    """
    # a copy: the counts of a dataset are large, and the result itself would keep them
    counts = load_counts(replace(result))
    order = np.argsort(np.array(result.table.index, dtype=object), kind="stable")
    table = result.table.iloc[order]
    share = foreground_share(counts)[order]
    statistics = image_statistics(result, counts, [m.name for m in metrics], order)
    stems = np.array(table.index, dtype=object)
    scored = {
        attribute: _score_groups(statistics, draws, members, stems)
        for attribute, members in _find_members(table, share, attributes).items()
    }
    distribution = scored[SIZE][1]
    limits = distribution if len(order) >= MIN_IMAGES else np.full_like(distribution, np.nan)
    return ResultStatistics(
        intervals={
            m.name: percentile_interval(result.metrics.get(m.name, np.nan), limits[:, i])
            for i, m in enumerate(metrics)
        },
        groups={attribute: groups for attribute, (groups, _) in scored.items()},
        f_max_by_protocol=f_max_under_each_protocol(result, counts),
        observed=statistics.observed(),
        distribution=distribution,
        fingerprint=_digest_images(table, share),
    )


def _find_members(
    table: pd.DataFrame, share: Floats, attributes: pd.DataFrame | None
) -> dict[str, dict[str, NDArray[np.intp]]]:
    """The images of each group, by attribute; object size is the first."""
    members = {SIZE: _find_sizes(share)}
    if attributes is not None:
        own = attributes.reindex(table.index)
        for attribute in own.columns.drop(SIZE, errors="ignore"):
            codes = own[attribute].cat.codes.to_numpy()
            names = own[attribute].cat.categories
            members[str(attribute)] = {
                str(name): np.flatnonzero(codes == i) for i, name in enumerate(names)
            }
    return members


def _find_sizes(share: Floats) -> dict[str, NDArray[np.intp]]:
    """The images of each group by object size; images without foreground are in none."""
    group = np.where(share > 0, np.searchsorted([SMALL, LARGE], share, side="left"), -1)
    return {name: np.flatnonzero(group == i) for i, name in enumerate(SIZE_GROUPS)}


def _score_groups(
    statistics: ImageStatistics,
    draws: Sequence[ResampleCounts],
    members: Mapping[str, NDArray[np.intp]],
    stems: NDArray[np.object_],
) -> tuple[dict[str, GroupStatistics], Floats]:
    """The metrics of groups of images, and the bootstrap distribution [resamples, M] of all images."""
    # A resample of the dataset is one of each group, in number too. The sums of the groups and of
    # the images in none of them add up to those of all images, whose distribution therefore costs
    # nothing more.
    groups: dict[str, GroupStatistics] = {}
    parts = []
    for name, images in members.items():
        if not len(images):
            groups[name] = GroupStatistics((), (), np.empty((0, len(statistics.names))))
            continue
        group = statistics.select(images)
        sums = [group.sums(batch[:, images]) for batch in draws]
        parts.append(sums)
        distribution = np.concatenate([group.aggregate(s.means) for s in sums])
        if len(images) < MIN_IMAGES:
            distribution = np.full_like(distribution, np.nan)
        intervals = map(percentile_interval, group.observed().tolist(), distribution.T)
        groups[name] = GroupStatistics(tuple(stems[images]), tuple(intervals), distribution)
    others = np.setdiff1d(np.arange(len(statistics.columns)), np.concatenate([*members.values()]))
    if len(others):
        rest = statistics.select(others)
        parts.append([rest.sums(batch[:, others]) for batch in draws])
    totals = [sum(batch[1:], batch[0]) for batch in zip(*parts, strict=True)]
    return groups, np.concatenate([statistics.aggregate(total.means) for total in totals])


def _digest_images(table: pd.DataFrame, share: Floats) -> str:
    """A digest of the images' names and sizes and of how much of each its mask covers."""
    digest = hashlib.sha256(share.tobytes())
    for stem, height, width in zip(table.index, table["height"], table["width"], strict=True):
        digest.update(f"{stem}\0{height:g}x{width:g}\0".encode("utf-8", "surrogatepass"))
    return digest.hexdigest()


# ---- from stored counts -----------------------------------------------------------------------


def load_counts(result: Result) -> Counts:
    """Load the counts of a result, one for each row of its table.

    Parameters
    ----------
    result : Result

    Returns
    -------
    Counts

    Raises
    ------
    SodbenchError
        Where the two stored files do not belong together.
    """
    counts = result.counts
    if not len(counts) == len(result.table) == result.n:
        place = result.folder or f"{result.method} on {result.dataset}"
        raise SodbenchError(
            f"{place}: scores.csv has {len(result.table)} rows, counts.npz has {len(counts)} pairs and result.json "
            f"names {result.n} images; score again into the same folder with --force"
        )
    return counts


def image_statistics(
    result: Result, counts: Counts, names: Sequence[str], rows: NDArray[np.intp]
) -> ImageStatistics:
    """Return the per-image statistics behind metrics of a result.

    Parameters
    ----------
    result : Result
    counts : Counts
        Those of the result, in the order of its table.
    names : sequence of str
        Metrics of a set of images.
    rows : int [n]
        The images wanted, in this order.

    Returns
    -------
    ImageStatistics
    """
    protocol = get_protocol(result.protocol)
    scores, curves = needed_columns(names, protocol)
    columns = np.empty((len(rows), len(scores) + 256 * len(curves)))
    for i, name in enumerate(scores):
        # of single images, the mean of the best F is stored as what it is the mean of
        source = "f_max" if name == "f_max_best" else name
        columns[:, i] = result.table[source].to_numpy(float)[rows]
    for start in range(0, len(rows) if curves else 0, BLOCK):
        block = slice(start, start + BLOCK)
        values = per_image_curves(counts[rows[block]], protocol, curves).curves
        for i, curve in enumerate(curves):
            column = len(scores) + 256 * i
            columns[block, column : column + 256] = values[curve]
    return ImageStatistics(columns, tuple(names), scores, curves, protocol)


def image_scores(result: Result, name: str, stems: Sequence[str]) -> Floats:
    """Return a metric of single images; NaN where single images do not have it.

    Parameters
    ----------
    result : Result
    name : str
        The metric.
    stems : sequence of str
        The images, all of them in the result.

    Returns
    -------
    float64 [images]
    """
    if name not in result.table:
        return np.full(len(stems), np.nan)
    return result.table[name].loc[list(stems)].to_numpy(float)


def foreground_share(counts: Counts) -> Floats:
    """Return the share of each image that its mask calls foreground (above 128).

    Parameters
    ----------
    counts : Counts

    Returns
    -------
    float64 [images]
    """
    foreground = counts.foreground(STANDARD_RULE)
    return np.asarray(foreground / counts.size.astype(np.int64).prod(axis=1), float)


def f_max_under_each_protocol(result: Result, counts: Counts) -> dict[str, float]:
    """Return max F of the same maps as each evaluator would print it.

    Parameters
    ----------
    result : Result
    counts : Counts
        Those of the result.

    Returns
    -------
    dict of str to float
        By protocol; without those for which no image has a defined F.
    """
    needed = ("precision", "recall", "f")
    f_max = {}
    for name in result.protocols:
        protocol = PROTOCOLS[name]
        if name == result.protocol:
            f_max[name] = result.metrics["f_max"]
            continue
        sums, images = np.zeros((3, 256)), 0
        for start in range(0, len(counts), BLOCK):
            curves = per_image_curves(counts[start : start + BLOCK], protocol, needed).curves
            defined = ~np.isnan(curves["f"][:, 0])
            sums += [curves[curve][defined].sum(axis=0) for curve in needed]
            images += int(defined.sum())
        if images:
            means = dict(zip(needed, sums / images, strict=True))
            f_max[name] = float(aggregate({}, means, protocol)["f_max"])
    return f_max
