"""A result: what one method scores on one dataset, how the numbers were made, and which problems were noticed.

On disk a result is a folder, ``results/<method>/<dataset>/``, with ``result.json`` (aggregates, signature,
provenance, problems), ``scores.csv`` (one row for each pair) and ``counts.npz`` (from which every other protocol,
curve or bootstrap is computed without reading an image). docs/results.md describes the files.

Stored files are not trusted: ``result.json`` carries a digest of itself and the hashes of the other two, and whoever
opens the counts also checks that the stored numbers follow from them.
"""

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sodbench.errors import Problem, SodbenchError, StoredFileError
from sodbench.files import CHECKSUM, file_hash
from sodbench.metrics.catalogue import DEFAULT_METRICS
from sodbench.quoting import html_text
from sodbench.results.pair_table import PairTable
from sodbench.results.policy import AppliedPolicy
from sodbench.results.scores_file import read_scores
from sodbench.results.signature import Signature

if TYPE_CHECKING:
    import pandas as pd

    from sodbench.metrics import Counts
    from sodbench.results.counts_file import CountsFile
    from sodbench.results.stored_pairs import StoredPairs

RESULT_FILE = "result.json"
SCORES_FILE = "scores.csv"
COUNTS_FILE = "counts.npz"
# The folder of counted pairs while a run is not finished, see store.py
PARTS_FOLDER = "parts"


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
    in_memory: "tuple[PairTable, StoredPairs | None] | None" = field(default=None, compare=False)

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
        return self.stored_pairs().counts

    def stored_pairs(self) -> "StoredPairs":
        """Return the counted pairs with what is known of their files; raises as `counts`."""
        held = self.in_memory[1] if self.in_memory else None
        if held is not None:
            return held
        from sodbench.results.counts_file import CountsFile

        pairs = CountsFile(self._file(COUNTS_FILE), self.hashes.get(COUNTS_FILE, "")).read_all()
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

        if is_verified(self) and not self.is_table_modified():
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
        from sodbench.results.derivation import ResultInfo, count_resized, derive_result

        provenance = dict(self.provenance)
        if protocol != self.protocol:
            provenance["scored_by"] = self._command_for(protocol)
        info = ResultInfo(
            method=self.method,
            dataset=self.dataset,
            files=replace(self.pair_table, columns={}),
            policy=replace(self.policy, n_resized=count_resized(source.records)),
            problems=self.problems,
            folders=self.folders,
            provenance=provenance,
        )
        return derive_result(source, protocol, info, counts)

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
        pairs = self.stored_pairs()
        return self.derived_from(pairs, protocol, counts=pairs)

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

    def is_table_modified(self) -> bool:
        """Whether the stored ``scores.csv`` cannot be read or is no longer what was stored.

        Raises
        ------
        SodbenchError
            If the result is not stored.
        """
        try:
            return file_hash(self._file(SCORES_FILE), CHECKSUM) != self.hashes.get(SCORES_FILE)
        except OSError:
            return True

    def _file(self, name: str) -> Path:
        if self.folder is None:
            raise SodbenchError(
                f"the result of {self.method} on {self.dataset} was not saved: score it with an output folder"
            )
        return self.folder / name
