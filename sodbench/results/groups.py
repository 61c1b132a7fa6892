"""Results by group (``--group-by``): the mean over sequences or classes of the means of their images."""

import csv
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from sodbench.datasets.list_files import image_stem, read_lines
from sodbench.errors import SodbenchError
from sodbench.metrics import Counts, Scores
from sodbench.metrics.groups import score_groups
from sodbench.results.result import Result

# The first cell of a header row of a file of groups
_HEADERS = frozenset({"item", "image", "name", "stem", "file", "map", "mask"})
PARENT = "parent"


@dataclass(frozen=True)
class Grouping:
    """Which group an image belongs to.

    Attributes
    ----------
    label : str
        As the signature states it: ``parent``, or ``list-`` and a hash of the file's rows.
    groups : mapping of str to str, optional
        Stem -> group; None: the folder that the stem begins with.
    file : Path, optional
        Where ``groups`` was read.
    """

    label: str
    groups: Mapping[str, str] | None = None
    file: Path | None = None

    def applies_to(self, stems: Sequence[str]) -> bool:
        """Whether images are in groups: all are in folders, or the file names any of them.

        Parameters
        ----------
        stems : sequence of str

        Returns
        -------
        bool
        """
        if self.groups is None:
            return all("/" in stem for stem in stems)
        return any(stem in self.groups for stem in stems)

    def find_groups(self, stems: Sequence[str], title: str) -> list[str]:
        """Return the group of each image.

        Parameters
        ----------
        stems : sequence of str
        title : str
            What is grouped, for the message.

        Returns
        -------
        list of str

        Raises
        ------
        SodbenchError
            If an image has no group.
        """
        if self.groups is None:
            groups = [stem.rpartition("/")[0] for stem in stems]
        else:
            groups = [self.groups.get(stem, "") for stem in stems]
        if without := [stem for stem, group in zip(stems, groups, strict=True) if not group]:
            names = ", ".join(without[:5]) + ", ..." * (len(without) > 5)
            where = f"{self.file} names no group for" if self.file else "there is no folder of"
            raise SodbenchError(
                f"--group-by: {title}: {where} {len(without)} of {len(stems)} images: {names}"
            )
        return groups


# By the folders of the masks, which the names of the images begin with
BY_FOLDER = Grouping(PARENT)


@dataclass(frozen=True)
class GroupedResult:
    """A result whose numbers are means over groups, and the scores of each group.

    Attributes
    ----------
    result : Result
        Its signature names the grouping.
    groups : dict of str to Scores
        By the name of the group.
    """

    result: Result
    groups: dict[str, Scores]


def read_grouping(text: str) -> Grouping:
    """Read what ``--group-by`` names.

    Parameters
    ----------
    text : str
        ``parent``, or a CSV file with an item and its group on each line; a header row is recognised.

    Returns
    -------
    Grouping

    Raises
    ------
    SodbenchError
        If the file cannot be read, has another form, or puts an item into two groups.
    """
    if text == PARENT:
        return BY_FOLDER
    file = Path(text)
    groups: dict[str, str] = {}
    for number, row in enumerate(csv.reader(read_lines(file))):
        cells = [cell.strip() for cell in row]
        if number == 0 and cells[0].lower() in _HEADERS:
            continue
        if len(cells) != 2 or not all(cells):
            raise SodbenchError(
                f"{file}: expected 'item,group' on each line, found {','.join(row)!r} "
                "(--group-by takes such a file, or 'parent' for the folders of the masks)"
            )
        stem, group = image_stem(cells[0]), cells[1]
        if groups.setdefault(stem, group) != group:
            raise SodbenchError(f"{file}: {stem} is in two groups, {groups[stem]} and {group}")
    if not groups:
        raise SodbenchError(f"{file}: names no groups")
    rows = "\n".join(f"{stem}\t{group}" for stem, group in sorted(groups.items()))
    digest = hashlib.sha256(rows.encode("utf-8", "surrogateescape")).hexdigest()
    return Grouping(f"list-{digest[:8]}", groups, file)


def group_results(results: Sequence[Result], grouping: Grouping) -> list[GroupedResult]:
    """Score results by group, from their counts.

    Parameters
    ----------
    results : sequence of Result
        Those of one method on one dataset under several protocols follow one another.
    grouping : Grouping

    Returns
    -------
    list of GroupedResult
        In the same order.

    Raises
    ------
    SodbenchError
        If an image has no group, or stored counts cannot be read.
    """
    grouped = []
    counts: dict[tuple[str, str], Counts] = {}
    for result in results:
        key = (result.method, result.dataset)
        if key not in counts:
            # only the first protocol's result is stored with its counts
            counts[key] = result.counts
        stems = result.pair_table.stems
        names = grouping.find_groups(stems, f"{result.method} on {result.dataset}")
        scores = score_groups(
            counts[key],
            result.protocol,
            stems,
            names,
            undefined_s=result.policy.undefined,
            requested=result.policy.metrics,
        )
        label = f"{grouping.label}({len(scores.groups)})"
        signature = replace(result.signature, groups=label)
        grouped.append(
            GroupedResult(
                replace(result, metrics=scores.metrics, curves=scores.curves, signature=signature),
                scores.groups,
            )
        )
    return grouped
