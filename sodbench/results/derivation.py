"""Results from counted pairs alone: scores, table, signature, and the problems of single pairs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from sodbench.errors import Problem, ProblemKind
from sodbench.files import checksum
from sodbench.metrics.protocols import get_protocol
from sodbench.results.pair_problems import PAIR_PROBLEMS, find_pair_problems, sorted_unique
from sodbench.results.pair_table import PairTable
from sodbench.results.policy import AppliedPolicy
from sodbench.results.result import Result
from sodbench.results.signature import Signature
from sodbench.results.stored_pairs import RESIZED
from sodbench.version import __version__

if TYPE_CHECKING:
    from sodbench.metrics import Scores
    from sodbench.metrics.scores import BlockScores
    from sodbench.results.counts_file import CountsFile
    from sodbench.results.stored_pairs import PairSelection, Records, StoredPairs

# The contours and polylines of human correction effort depend on the version of OpenCV
HCE_POLYLINES = "opencv-4.12"

# By the keys of metrics.Scores.left_out.
_WHY_LEFT_OUT = {
    "mae": "the map is constant",
    "mba": "the mask has no contour",
    "relaxed_f": "the mask has no contour",
    "f_max": "the mask has no foreground",
    "auc_roc": "the mask has no foreground or no background (nor has it ap)",
}


@dataclass(frozen=True)
class ResultInfo:
    """Everything that a result states besides its numbers.

    Parameters
    ----------
    method, dataset : str
        Their names; a subset follows the dataset's name after a slash.
    files : PairTable
        The names and files of the pairs, and from `derive_result` on ``height`` and ``width``.
    policy : AppliedPolicy
        How problem files were treated, and how many there were.
    problems : sequence of Problem
        Problems of the folders; those of single pairs are found again for each protocol.
    folders : mapping
        ``maps``, ``masks``, ``images`` -> folder, or None.
    provenance : mapping
        As `Result.provenance`.
    """

    method: str
    dataset: str
    files: PairTable
    policy: AppliedPolicy
    problems: Sequence[Problem]
    folders: Mapping[str, str | None]
    provenance: Mapping[str, Any]


def derive_result(
    source: "StoredPairs | CountsFile | PairSelection",
    protocol: str,
    info: ResultInfo,
    counts: "StoredPairs | None" = None,
    scored: "Mapping[str, BlockScores] | None" = None,
) -> Result:
    """Compute a result from counted pairs alone: scores, table, signature, and the problems of single pairs.

    Parameters
    ----------
    source : StoredPairs, CountsFile or PairSelection
        The pairs of ``info.files``, in its order.
    protocol : str
        Name of the protocol.
    info : ResultInfo
        What the result states besides its numbers.
    counts : StoredPairs, optional
        Kept by the result, for results that are not stored.
    scored : mapping of str to BlockScores, optional
        What was scored before under this protocol, see `sodbench.metrics.score`.

    Returns
    -------
    Result
    """
    # compiled code, which a result that is up to date does not need
    from sodbench.metrics import score

    rules, facts = get_protocol(protocol), source.records
    stems = info.files.stems
    scores = score(
        source,
        protocol,
        stems,
        undefined_s=info.policy.undefined,
        requested=info.policy.metrics,
        scored=scored,
    )
    empty = np.isin(np.array(stems, dtype=object), scores.empty_masks)
    own = find_pair_problems(facts, empty, info.files, info.folders, rules)
    others = sorted_unique(p for p in info.problems if p.kind not in PAIR_PROBLEMS)
    height, width = facts["size"].astype(np.int64).T
    files = replace(info.files, columns={"height": height, "width": width})
    return build_result(scores, replace(info, files=files, problems=[*others, *own]), counts)


def build_result(scores: "Scores", info: ResultInfo, counts: "StoredPairs | None" = None) -> Result:
    """Make a result of scores; S-measures that are undefined and images left out of means become problems.

    Parameters
    ----------
    scores : Scores
        The scores of the pairs of ``info.files``, in its order.
    info : ResultInfo
        What the result states besides its numbers; ``files`` has ``height`` and ``width``.
    counts : StoredPairs, optional
        Kept by the result, for results that are not stored.

    Returns
    -------
    Result
    """
    rules = get_protocol(scores.protocol)
    derived = (ProblemKind.UNDEFINED_S, ProblemKind.LEFT_OUT)
    problems = [p for p in info.problems if p.kind not in derived]
    detail = "S-measure is undefined: the mask's centroid is in its last row or column"
    problems += [Problem(ProblemKind.UNDEFINED_S, stem, detail) for stem in scores.undefined]
    for name, why in _WHY_LEFT_OUT.items():
        detail = f"has no {name} under {rules.name}, left out of the mean: {why}"
        stems = scores.left_out.get(name, ())
        problems += [Problem(ProblemKind.LEFT_OUT, stem, detail) for stem in stems]
    policy = info.policy
    undefined = f"{policy.undefined or rules.undefined_s}({len(scores.undefined)})"
    signature = Signature(
        protocol=rules.name,
        n=scores.n,
        missing=f"{policy.missing}({policy.n_missing})" if policy.n_missing else "error",
        resize=f"{policy.resize}({policy.n_resized})" if policy.n_resized else "none",
        gt=rules.mask_signature,
        undefined=undefined if scores.undefined else "",
        subset=info.dataset.partition("/")[2],
        shard=policy.shard_text,
        channel="" if policy.channel == "grey" else policy.channel,
        hce=HCE_POLYLINES if {"hce", "hce_raw"} & set(policy.metrics) else "",
        version=info.provenance.get("versions", {}).get("sodbench", __version__),
    )
    columns = {**info.files.columns, **scores.image_values}
    table = replace(info.files, columns=columns)
    return Result(
        method=info.method,
        dataset=info.dataset,
        protocol=rules.name,
        n=scores.n,
        signature=signature,
        metrics=scores.metrics,
        curves=scores.curves,
        policy=policy,
        problems=tuple(problems),
        folders=info.folders,
        provenance=info.provenance,
        in_memory=(table, counts),
    )


def digest_names(files: PairTable) -> str:
    """Return a hash of all pairs' names and files, which shows that a stored result is of the same pairs.

    Parameters
    ----------
    files : PairTable

    Returns
    -------
    str
        16 hexadecimal digits.
    """
    rows = zip(files.stems, *files.files.values(), strict=True)
    lines = "\n".join(map("\t".join, rows))
    return f"{checksum(lines.encode('utf-8', 'surrogateescape')):016x}"


def count_resized(facts: "Records") -> int:
    """Return how many maps were resized to their masks.

    Parameters
    ----------
    facts : records of dtype PAIR_RECORD

    Returns
    -------
    int
    """
    return int(np.isin(facts["fitted"], RESIZED).sum())
