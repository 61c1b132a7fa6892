"""A result: what one method scores on one dataset, how the numbers were made, and which problems were noticed.

On disk a result is a folder, ``results/<method>/<dataset>/``, with ``result.json`` (aggregates, signature,
provenance, problems), ``scores.csv`` (one row for each pair) and ``counts.npz`` (from which every other protocol,
curve or bootstrap is computed without reading an image). docs/results.md describes the files.

Stored files are not trusted: ``result.json`` carries a digest of itself and the hashes of the other two, and whoever
opens the counts also checks that the stored numbers follow from them.
"""

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sodbench.errors import Problem, ProblemKind, SodbenchError, StoredFileError
from sodbench.files import CHECKSUM, checksum, file_hash
from sodbench.metrics.catalogue import DEFAULT_METRICS
from sodbench.quoting import html_text
from sodbench.results.pair_table import PairTable
from sodbench.results.policy import AppliedPolicy
from sodbench.results.scores_file import read_scores
from sodbench.results.signature import Signature
from sodbench.version import __version__

if TYPE_CHECKING:
    import pandas as pd

    from sodbench.metrics import Counts, Scores
    from sodbench.metrics.scores import BlockScores
    from sodbench.results.counts_file import CountsFile
    from sodbench.results.stored_pairs import PairSelection, Records, StoredPairs

RESULT_FILE = "result.json"
SCORES_FILE = "scores.csv"
COUNTS_FILE = "counts.npz"
# The folder of counted pairs while a run is not finished, see store.py
PARTS_FOLDER = "parts"

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


@dataclass(frozen=True, repr=False)
class Result:
    """The scores of one method on one dataset under one protocol.

    Attributes
    ----------
    method, dataset, protocol : str
        Their names.
    n : int
        Number of pairs of map and mask.
    signature : Signature
        How the numbers were made; ``str(result.signature)`` is the line to publish.
    metrics : dict of str to float
        Aggregates by the names of docs/protocols.md; NaN where undefined.
    curves : dict of str to float64 [256]
        Mean curves over the thresholds 0..255.
    policy : AppliedPolicy
        How problem files were treated, and how many there were.
    problems : tuple of Problem
        Everything noticed about the files; the kinds are listed in docs/evaluation.md.
    folders : mapping
        ``maps``, ``masks``, ``images`` -> folder, or None; the file names of a pair are in ``table``.
    provenance : mapping
        Versions, the command that scores it again, and the manifest of the maps if they have one.
    hashes : mapping
        Hashes of ``scores.csv`` and ``counts.npz`` as they were stored, by name.
    folder : Path or None
        Where it is stored.
    digest : str
        Of everything that ``result.json`` holds; empty for a result that was not loaded.
    """

    method: str
    dataset: str
    protocol: str
    n: int
    signature: Signature
    metrics: dict[str, float]
    curves: dict[str, NDArray[np.float64]]
    policy: AppliedPolicy
    problems: tuple[Problem, ...]
    folders: Mapping[str, str | None]
    provenance: Mapping[str, Any]
    hashes: Mapping[str, str] = field(default_factory=dict)
    folder: Path | None = None
    digest: str = field(default="", compare=False)
    # the table and the counts of a result that is not stored
    in_memory: "tuple[PairTable, Counts | StoredPairs | None] | None" = field(
        default=None, compare=False
    )

    def __repr__(self) -> str:
        names = [name for name in DEFAULT_METRICS if name in self.metrics]
        scores = ", ".join(f"{name}={self.metrics[name]:.4f}" for name in names)
        return f"<Result: {self.method} on {self.dataset}, {self.protocol}, n={self.n}: {scores}>"

    def to_dict(self) -> dict[str, Any]:
        """Return the numbers and how they were made, as ``sodbench eval --format json`` prints them.

        Returns
        -------
        dict
            ``method``, ``dataset``, ``protocol``, ``n``, ``signature`` and ``metrics``, which has NaN where undefined.
        """
        return {
            "method": self.method,
            "dataset": self.dataset,
            "protocol": self.protocol,
            "n": self.n,
            "signature": str(self.signature),
            "metrics": dict(self.metrics),
        }

    def to_frame(self) -> "pd.DataFrame":
        """Return the numbers as a table of one row, see `sodbench.to_frame`.

        Returns
        -------
        DataFrame
        """
        from sodbench.results.frame import to_frame

        return to_frame([self])

    def _repr_html_(self) -> str:
        """How a notebook shows it."""
        from sodbench.results.frame import to_frame

        names = [name for name in DEFAULT_METRICS if name in self.metrics]
        table = to_frame([self], names).drop(columns="signature").round(4)
        return f"{table.to_html(index=False)}<p><code>{html_text(str(self.signature))}</code></p>"

    @cached_property
    def table(self) -> "pd.DataFrame":
        """One row for each pair, index ``stem``: file names below the folders, height, width, every per-image metric.

        Raises
        ------
        SodbenchError
            If the stored table was modified or cannot be read.
        """
        return self.pair_table.to_frame()

    @cached_property
    def pair_table(self) -> PairTable:
        """The same as columns of arrays; raises as `table`."""
        if self.in_memory:
            return self.in_memory[0]
        return read_scores(self._file(SCORES_FILE), self, self.hashes.get(SCORES_FILE, ""))

    @cached_property
    def counts(self) -> "Counts":
        """The counts of every pair, in the order of ``table``.

        Raises
        ------
        SodbenchError
            If the stored counts cannot be read or were modified, or anything else of the stored result does not follow
            from them.
        """
        from sodbench.results.stored_pairs import StoredPairs

        held = self.in_memory[1] if self.in_memory else None
        if held is None:
            held = self.stored_pairs()
        return held.counts if isinstance(held, StoredPairs) else held

    def stored_pairs(self) -> "StoredPairs":
        """Read the counted pairs with what is known of their files; raises as `counts`."""
        from sodbench.results.counts_file import read_counts

        pairs = read_counts(self._file(COUNTS_FILE), self.hashes.get(COUNTS_FILE, ""))
        self._check_against(pairs)
        return pairs

    def open_counts(self) -> "CountsFile":
        """Open the counted pairs, whose histograms are read as they are needed; raises as `counts`."""
        from sodbench.results.counts_file import CountsFile

        pairs = CountsFile(self._file(COUNTS_FILE), self.hashes.get(COUNTS_FILE, ""))
        self._check_against(pairs)
        return pairs

    def _check_against(self, pairs: "StoredPairs | CountsFile") -> None:
        """Raise StoredFileError where anything that is stored does not follow from the counts, which have their hash."""
        from sodbench.metrics import PROTOCOLS
        from sodbench.results.consistency import find_contradictions
        from sodbench.results.verified import is_verified, note_verified

        if is_verified(self) and not self.modified_files([SCORES_FILE]):
            return
        if self.protocol not in PROTOCOLS:
            raise StoredFileError(
                self._file(RESULT_FILE),
                f"was scored under the protocol {self.protocol!r}, which is not known here",
                "install or import what registers it, or score again under another protocol",
            )
        if contradictions := find_contradictions(self, pairs):
            more = f"; {len(contradictions) - 1} more" * (len(contradictions) > 1)
            raise StoredFileError(
                self._file(RESULT_FILE),
                "contradicts the counts it is stored with, so at least one of them was modified "
                f"({contradictions[0]}{more})",
                "run the same evaluation again with --force",
            )
        note_verified(self)

    def derived_from(
        self,
        source: "StoredPairs | CountsFile",
        protocol: str,
        counts: "StoredPairs | None" = None,
    ) -> "Result":
        """Return the result that counts give under a protocol, with the names and policy of this one.

        Parameters
        ----------
        source : StoredPairs or CountsFile
            The counted pairs, in the order of ``table``.
        protocol : str
            Name of the protocol.
        counts : StoredPairs, optional
            Kept by the new result.

        Returns
        -------
        Result
            It is not stored.
        """
        info = self._info(protocol)
        policy = replace(info.policy, n_resized=n_resized(source.records))
        return derive_result(source, protocol, replace(info, policy=policy), counts)

    def _info(self, protocol: str) -> ResultInfo:
        provenance = dict(self.provenance)
        if protocol != self.protocol:
            provenance["scored_by"] = self._command_for(protocol)
        return ResultInfo(
            method=self.method,
            dataset=self.dataset,
            files=replace(self.pair_table, columns={}),
            policy=self.policy,
            problems=self.problems,
            folders=self.folders,
            provenance=provenance,
        )

    def _command_for(self, protocol: str) -> str:
        """The command that scores the same pairs under another protocol."""
        try:
            words = shlex.split(str(self.provenance.get("scored_by", "")))
            words[words.index("--protocol") + 1] = protocol
        except (ValueError, IndexError):
            # another program's words
            return ""
        return shlex.join(words)

    @property
    def protocols(self) -> tuple[str, ...]:
        """The protocols that the pairs were counted for: all that are known, but those on request only where asked for.

        Returns
        -------
        tuple of str
        """
        from sodbench.metrics import PROTOCOLS

        counted = (self.protocol, *self.policy.protocols)
        return tuple(name for name, p in PROTOCOLS.items() if not p.on_request or name in counted)

    def rescored(self, protocol: str) -> "Result":
        """Score the same pairs under another protocol, from their counts: no image is read.

        Parameters
        ----------
        protocol : str
            Name of the protocol.

        Returns
        -------
        Result
            It is not stored.

        Raises
        ------
        SodbenchError
            If the result has no counts, its stored files were modified, or the pairs were not counted for the protocol.
        """
        if protocol == self.protocol:
            return self
        if protocol not in self.protocols:
            raise SodbenchError(
                f"{self.method} on {self.dataset}: its pairs were not counted for {protocol}; "
                "score it again with 'sodbench eval' and that --protocol"
            )
        from sodbench.metrics import score
        from sodbench.results.stored_pairs import StoredPairs

        held = self.in_memory[1] if self.in_memory else None
        source = self.stored_pairs() if held is None else held
        if isinstance(source, StoredPairs):
            return self.derived_from(source, protocol, counts=source)
        table = self.pair_table
        scores = score(
            source,
            protocol,
            table.stems,
            undefined_s=self.policy.undefined,
            requested=self.policy.metrics,
        )
        size = {name: table.columns[name] for name in ("height", "width")}
        files = replace(table, columns=size)
        return build_result(scores, replace(self._info(protocol), files=files), source)

    def files(self, stem: str) -> dict[str, Path | None]:
        """Return the ``map``, ``mask`` and ``image`` files of a pair, None where there is none; they may have moved since.

        Parameters
        ----------
        stem : str
            Name of the pair, as in ``table``.

        Returns
        -------
        dict of str to Path or None

        Raises
        ------
        KeyError
            For an unknown stem.
        """
        paths: dict[str, Path | None] = {}
        for kind, name in self.pair_table.files_of(stem).items():
            base = self.folders.get(f"{kind}s")
            paths[kind] = Path(base) / name if base and name else None
        return paths

    def modified_files(self, names: Sequence[str] = (SCORES_FILE, COUNTS_FILE)) -> list[Path]:
        """Return the stored files that cannot be read or are no longer what was stored.

        Parameters
        ----------
        names : sequence of str
            The files to check.

        Returns
        -------
        list of Path

        Raises
        ------
        SodbenchError
            If the result is not stored.
        """
        modified = []
        for path in map(self._file, names):
            try:
                unchanged = file_hash(path, CHECKSUM) == self.hashes.get(path.name)
            except OSError:
                unchanged = False
            if not unchanged:
                modified.append(path)
        return modified

    def _file(self, name: str) -> Path:
        if self.folder is None:
            raise SodbenchError(
                f"the result of {self.method} on {self.dataset} was not saved: score it with an output folder"
            )
        return self.folder / name


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
    from sodbench.metrics import get_protocol, score
    from sodbench.results.pair_problems import (
        PAIR_PROBLEMS,
        find_pair_problems,
        sorted_unique,
    )

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


def build_result(
    scores: "Scores", info: ResultInfo, counts: "Counts | StoredPairs | None" = None
) -> Result:
    """Make a result of scores; S-measures that are undefined and images left out of means become problems.

    Parameters
    ----------
    scores : Scores
        The scores of the pairs of ``info.files``, in its order.
    info : ResultInfo
        What the result states besides its numbers; ``files`` has ``height`` and ``width``.
    counts : Counts or StoredPairs, optional
        Kept by the result, for results that are not stored.

    Returns
    -------
    Result
    """
    from sodbench.metrics import get_protocol

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


def n_resized(facts: "Records") -> int:
    """Return how many maps were resized to their masks.

    Parameters
    ----------
    facts : records of dtype PAIR_RECORD

    Returns
    -------
    int
    """
    from sodbench.results.stored_pairs import RESIZED

    return int(np.isin(facts["fitted"], RESIZED).sum())
