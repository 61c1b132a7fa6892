"""A result: what one method reaches on one dataset, how that number was made, and which problems were met.

On disk a result is a folder, ``results/<method>/<dataset>/``, with ``result.json`` (aggregates, signature,
provenance, problems), ``scores.csv`` (one row a pair) and ``counts.npz`` (from which every other protocol, curve
or bootstrap is computed without reading an image).

Nothing that is stored is believed: ``result.json`` carries a digest of itself and the hashes of the other two, and
whoever opens the counts also checks that the stored numbers follow from them.
"""

import csv
import io
import math
import os
import shlex
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sodbench.console import warn
from sodbench.errors import Problem, SodbenchError, StoredFileError
from sodbench.files import (
    CHECKSUM,
    atomic_write,
    checksum,
    file_hash,
    open_atomic,
    open_regular,
    walk,
)
from sodbench.results.result_file import decode_result, encode_result, finite
from sodbench.results.signature import Signature
from sodbench.version import __version__

if TYPE_CHECKING:
    import pandas as pd

    from sodbench.metrics import Counts, Scores
    from sodbench.metrics.scores import CountsSource
    from sodbench.results.pairs import CountsFile, Records, StoredPairs

FILE = "result.json"
TABLE = "scores.csv"
COUNTS = "counts.npz"
JOURNAL = "unfinished.pairs"
_NAMES = ("map", "mask", "image")


@dataclass(frozen=True)
class Result:
    """One scored (method, dataset).

    Attributes
    ----------
    metrics, curves : dict
        The aggregates (see metrics.Scores), float and float64 [256].
    signature : str
        One line, see :class:`Signature`; ``policy`` is the same as keys and values.
    problems : tuple of Problem
        Everything noticed; the kinds are listed in docs/evaluation.md.
    folders : mapping
        ``maps``, ``masks``, ``images`` -> folder, or None; the file names of a pair are in ``table``.
    provenance : mapping
        Versions, the command that scores it again, and the manifest of the maps where they have one.
    hashes : mapping
        The hashes of ``scores.csv`` and ``counts.npz`` as they were stored, by name (files.file_hash with CHECKSUM).
    folder : Path or None
        Where it is stored.
    """

    method: str
    dataset: str
    protocol: str
    n: int
    signature: str
    metrics: dict[str, float]
    curves: dict[str, NDArray[np.float64]]
    policy: Mapping[str, Any]
    problems: tuple[Problem, ...]
    folders: Mapping[str, str | None]
    provenance: Mapping[str, Any]
    hashes: Mapping[str, str] = field(default_factory=dict)
    folder: Path | None = None
    in_memory: "tuple[pd.DataFrame, Counts | StoredPairs | None] | None" = field(
        default=None, repr=False, compare=False
    )

    @cached_property
    def table(self) -> "pd.DataFrame":
        """One row a pair, index ``stem``: file names below the folders, height, width, and every per-image metric.

        Raises
        ------
        SodbenchError
            Where the stored table was modified or cannot be read.
        """
        if self.in_memory:
            return self.in_memory[0]
        return _read_table(self._file(TABLE), self.hashes.get(TABLE, ""))

    @cached_property
    def counts(self) -> "Counts":
        """The counts of every pair, in the order of ``table``.

        Raises
        ------
        SodbenchError
            Where the stored counts cannot be read or were modified, and where anything else of the stored result does
            not follow from them.
        """
        from sodbench.results.pairs import StoredPairs

        held = self.in_memory[1] if self.in_memory else None
        if held is None:
            held = self.stored_pairs()
        return held.counts if isinstance(held, StoredPairs) else held

    def stored_pairs(self) -> "StoredPairs":
        """The counted pairs with what is known of their files.  Raises as :attr:`counts`."""
        from sodbench.results.pairs import read_counts

        stored = read_counts(self._file(COUNTS), self.hashes.get(COUNTS, ""))
        if wrong := self.contradictions(stored):
            more = f"; {len(wrong) - 1} more" * (len(wrong) > 1)
            raise StoredFileError(
                self._file(FILE),
                "contradicts the counts it is stored with, so at least one of them was modified "
                f"({wrong[0]}{more})",
                "run the same evaluation again with --force",
            )
        return stored

    def contradictions(self, source: "StoredPairs | CountsFile") -> list[str]:
        """Every stored number, name and note that does not follow from the counted pairs, in words."""
        from sodbench.metrics import PROTOCOLS

        if self.protocol not in PROTOCOLS:
            return [f"protocol is {self.protocol!r}, which this version does not know"]
        if list(self.table.index) != list(source.stems):
            return ["scores.csv and counts.npz are of different pairs"]
        return self._policy_contradictions() + differences(
            self, self._derive(source, self.protocol)
        )

    def _policy_contradictions(self) -> list[str]:
        """What the policy and the provenance state that the rest of the result does not bear out."""
        policy = self.policy
        absent = sum(problem.kind in ("missing", "unreadable") for problem in self.problems)
        divided = policy["shard"] is not None
        in_shard = self._pairs_of_the_shard()
        statements = {
            f"policy.n_missing is {policy['n_missing']}, but {absent} are listed as problems": (
                policy["n_missing"] == absent
            ),
            f"policy.missing is '{policy['missing']}', under which no map can be missing": (
                policy["missing"] != "error" or not policy["n_missing"]
            ),
            f"policy.resize is '{policy['resize']}', under which no map can be resized": (
                policy["resize"] != "error" or not policy["n_resized"]
            ),
            f"policy.weighted is {policy['weighted']}, but weighted F says otherwise": (
                policy["weighted"] == bool(self.table["wf"].notna().any())
            ),
            f"policy.n_divided is {policy['n_divided']}, but shard is {policy['shard']}": (
                divided == (policy["n_divided"] is not None)
            ),
            f"n is {self.n}, but shard {policy['shard']} of {policy['n_divided']} pairs holds {in_shard}": (
                in_shard in (None, self.n)
            ),
            "provenance.pairs is not the digest of the names in scores.csv": (
                self.provenance["pairs"] == digest_names(self.table[list(_NAMES)])
            ),
            f"provenance.scored_by does not give protocol {self.protocol}": (
                f"--protocol {self.protocol} " in self.provenance["scored_by"] + " "
            ),
        }
        return [text for text, holds in statements.items() if not holds]

    def _pairs_of_the_shard(self) -> int | None:
        """How many pairs the division into shards leaves for this one; None where nothing was divided."""
        shard, divided = self.policy["shard"], self.policy["n_divided"]
        if shard is None or divided is None:
            return None
        index, number = map(int, shard.split("/"))
        left_out = bool(self.policy["missing"] == "skip")
        unreadable = len([p for p in self.problems if p.kind == "unreadable"])
        return len(range(index - 1, divided, number)) - unreadable * left_out

    def _derive(
        self,
        source: "StoredPairs | CountsFile",
        protocol: str,
        counts: "StoredPairs | None" = None,
    ) -> "Result":
        """The result that counts give under a protocol, with the names, policy and provenance of this one."""
        facts = source.facts()
        provenance = dict(self.provenance)
        if protocol != self.protocol:
            provenance["scored_by"] = self._command_for(protocol)
        return derive_result(
            source,
            facts=facts,
            stems=source.stems,
            protocol=protocol,
            method=self.method,
            dataset=self.dataset,
            names=self.table[list(_NAMES)],
            policy={**self.policy, "n_resized": n_resized(facts)},
            problems=self.problems,
            folders=self.folders,
            provenance=provenance,
            counts=counts,
        )

    def modified_files(self, names: Sequence[str] = (TABLE, COUNTS)) -> list[Path]:
        """Which of the stored files cannot be read or are not what was stored."""
        changed = []
        for path in map(self._file, names):
            try:
                same = file_hash(path, CHECKSUM) == self.hashes.get(path.name)
            except OSError:
                same = False
            if not same:
                changed.append(path)
        return changed

    def _file(self, name: str) -> Path:
        if self.folder is None:
            raise SodbenchError(
                f"the result of {self.method} on {self.dataset} was not saved: score it with an output folder"
            )
        return self.folder / name

    def files(self, stem: str) -> dict[str, Path | None]:
        """The pair's ``map``, ``mask`` and ``image`` files; None where there is none. They may have moved since."""
        row = self.table.loc[stem]
        paths: dict[str, Path | None] = {}
        for kind in _NAMES:
            base, name = self.folders.get(f"{kind}s"), str(row[kind])
            paths[kind] = Path(base) / name if base and name else None
        return paths

    def rescored(self, protocol: str) -> "Result":
        """The same pairs under another protocol; computed from the counts, no image is read."""
        if protocol == self.protocol:
            return self
        from sodbench.metrics import score
        from sodbench.results.pairs import StoredPairs

        held = self.in_memory[1] if self.in_memory else None
        source = self.stored_pairs() if held is None else held
        if isinstance(source, StoredPairs):
            return self._derive(source, protocol, counts=source)
        rule = self.policy.get("undefined")
        return build_result(
            scores=score(source, protocol, list(self.table.index), undefined_s=rule),
            counts=source,
            method=self.method,
            dataset=self.dataset,
            files=self.table[[*_NAMES, "height", "width"]],
            policy=self.policy,
            problems=self.problems,
            folders=self.folders,
            provenance=self.provenance,
        )

    def _command_for(self, protocol: str) -> str:
        """The command that scores the same pairs under another protocol."""
        try:
            words = shlex.split(str(self.provenance.get("scored_by", "")))
            words[words.index("--protocol") + 1] = protocol
        except (ValueError, IndexError):  # another program's words
            return ""
        return shlex.join(words)


def derive_result(
    source: "CountsSource",
    *,
    facts: "Records",
    stems: Sequence[str],
    protocol: str,
    method: str,
    dataset: str,
    names: "pd.DataFrame",
    policy: Mapping[str, Any],
    problems: Iterable[Problem],
    folders: Mapping[str, str | None],
    provenance: Mapping[str, Any],
    counts: "StoredPairs | None" = None,
) -> Result:
    """A result from counted pairs alone: scores, table, signature, and what was noticed about single pairs.

    Parameters
    ----------
    source : CountsSource
        Counts of the pairs ``stems``; ``facts`` are their records without counts.
    names : DataFrame
        Index ``stems``, columns ``map``, ``mask``, ``image``: file names below ``folders``.
    problems : iterable of Problem
        Those of the folders; those of single pairs are derived again, for this protocol.
    counts : StoredPairs, optional
        Held by the result, for results that are not stored.
    """
    from sodbench.metrics import protocol as get_protocol
    from sodbench.metrics import score
    from sodbench.results.pair_problems import (
        PAIR_PROBLEMS,
        find_pair_problems,
        foreground_pixels,
        sorted_unique,
    )

    rules = get_protocol(protocol)
    foreground = foreground_pixels(source, facts, rules)
    own = find_pair_problems(facts, foreground, names, folders, rules)
    return build_result(
        scores=score(source, protocol, stems, undefined_s=policy["undefined"]),
        counts=counts,
        method=method,
        dataset=dataset,
        files=names.assign(height=facts["size"][:, 0], width=facts["size"][:, 1]),
        policy=policy,
        problems=[*sorted_unique(p for p in problems if p.kind not in PAIR_PROBLEMS), *own],
        folders=folders,
        provenance=provenance,
    )


def digest_names(names: "pd.DataFrame") -> str:
    """A hash of all pairs' names and files, so that a stored result is known to be of the same pairs."""
    columns = (names.index.tolist(), *(names[kind].tolist() for kind in names))
    lines = "\n".join("\t".join(row) for row in zip(*columns, strict=True))
    return _hash(lines.encode("utf-8", "surrogateescape"))


def n_resized(facts: "Records") -> int:
    """How many maps were resized to their masks."""
    from sodbench.results.pairs import BILINEAR, NEAREST

    return int(np.isin(facts["fitted"], (BILINEAR, NEAREST)).sum())


def build_result(
    *,
    scores: "Scores",
    counts: "Counts | StoredPairs | None",
    method: str,
    dataset: str,
    files: "pd.DataFrame",
    policy: Mapping[str, Any],
    problems: Sequence[Problem],
    folders: Mapping[str, str | None],
    provenance: Mapping[str, Any],
) -> Result:
    """A result from the scores of one (method, dataset).

    policy: ``missing``, ``resize``, ``undefined`` as asked for, and ``n_missing``, ``n_resized``, the pairs they affected.
    """
    import pandas as pd

    from sodbench.metrics import protocol as get_protocol

    rules = get_protocol(scores.protocol)
    undefined = [
        Problem(
            "undefined-s",
            stem,
            "S-measure is undefined: the mask's centroid is in its last row or column",
        )
        for stem in scores.undefined
    ]
    left_out = [
        Problem("left-out", stem, f"has no {name} under {rules.name}, left out of the mean: {why}")
        for name, why in _WHY_LEFT_OUT.items()
        for stem in scores.left_out.get(name, ())
    ]
    rule = policy.get("undefined") or rules.undefined_s
    signature = Signature(
        protocol=rules.name,
        n=scores.n,
        missing=_touched(policy["missing"], policy["n_missing"], "error"),
        resize=_touched(policy["resize"], policy["n_resized"], "none"),
        gt=rules.mask_signature,
        undefined=f"{rule}({len(undefined)})" if undefined else "",
        subset=dataset.partition("/")[2],
        shard=policy.get("shard") or "",
        version=provenance.get("versions", {}).get("sodbench", __version__),
    )
    known = [p for p in problems if p.kind not in ("undefined-s", "left-out")]
    return Result(
        method=method,
        dataset=dataset,
        protocol=rules.name,
        n=scores.n,
        signature=str(signature),
        metrics=scores.metrics,
        curves=scores.curves,
        policy=policy,
        problems=(*known, *undefined, *left_out),
        folders=folders,
        provenance=provenance,
        in_memory=(pd.concat([files, scores.per_image], axis=1), counts),
    )


_WHY_LEFT_OUT = {
    "mae": "the map is constant",
    "f_max": "the mask has no foreground",
    "auc_roc": "the mask has no foreground or no background (nor has it ap)",
}
"""By the keys of metrics.Scores.left_out."""


def _touched(policy: str, number: int, untouched: str) -> str:
    return f"{policy}({number})" if number else untouched


def differences(stored: Result, expected: Result) -> list[str]:
    """Every field in which two results differ, in words; the table of single images cell by cell.

    Numbers are equal when they agree to 1e-12: a stored weighted F is repeated exactly, sums may round otherwise on
    another processor.
    """
    found = [
        f"{name} is {_shown(getattr(stored, name))}, expected {_shown(getattr(expected, name))}"
        for name in ("method", "dataset", "protocol", "n", "signature")
        if getattr(stored, name) != getattr(expected, name)
    ]
    for name in ("policy", "folders", "provenance"):
        theirs, ours = finite(getattr(stored, name)), finite(getattr(expected, name))
        found += [
            f"{name}.{key} is {_shown(theirs.get(key))}, expected {_shown(ours.get(key))}"
            for key in sorted(theirs.keys() | ours.keys())
            if theirs.get(key) != ours.get(key)
        ]
    found += _differing("metrics", stored.metrics, expected.metrics)
    for name in sorted(stored.curves.keys() | expected.curves.keys()):
        one, other = stored.curves.get(name), expected.curves.get(name)
        if one is None or other is None:
            found.append(f"curves.{name} is {'missing' if one is None else 'not a curve'}")
            continue
        wrong = np.flatnonzero(~_equal(one, other))
        if len(wrong):
            at = int(wrong[0])
            found.append(f"curves.{name}[{at}] is {one[at]:.12g}, expected {other[at]:.12g}")
    listed, real = Counter(stored.problems), Counter(expected.problems)
    found += [f"problems holds '{p}', which is not one" for p in listed if p not in real]
    found += [f"problems lacks '{p}'" for p in real if p not in listed]
    found += [
        f"problems holds '{p}' {listed[p]} times, expected {real[p]}"
        for p in listed
        if p in real and listed[p] != real[p]
    ]
    return found + _differing_cells(stored.table, expected.table)


def _differing(name: str, stored: Mapping[str, float], expected: Mapping[str, float]) -> list[str]:
    found = []
    for key in sorted(stored.keys() | expected.keys()):
        if key not in stored or key not in expected:
            found.append(f"{name}.{key} is {'missing' if key not in stored else 'not a metric'}")
        elif not _equal(stored[key], expected[key]):
            found.append(f"{name}.{key} is {stored[key]:.12g}, expected {expected[key]:.12g}")
    return found


def _differing_cells(stored: "pd.DataFrame", expected: "pd.DataFrame") -> list[str]:
    if list(stored.columns) != list(expected.columns):
        odd = sorted(set(stored.columns) ^ set(expected.columns))
        return [f"scores.csv has other columns ({', '.join(odd) or 'in another order'})"]
    if list(stored.index) != list(expected.index):
        return ["scores.csv has other rows"]
    found = []
    for name in stored.columns:
        one, other = stored[name].to_numpy(), expected[name].to_numpy()
        wrong = one != other if name in _NAMES else ~_equal(one, other)
        for row in np.flatnonzero(wrong)[:3]:
            found.append(
                f"scores.csv {stored.index[row]}: {name} is {_shown(one[row])}, expected {_shown(other[row])}"
            )
    return found


def _equal(one: Any, other: Any) -> Any:
    """Elementwise: equal to 1e-12, absolute and relative, or both undefined."""
    one, other = np.asarray(one, np.float64), np.asarray(other, np.float64)
    if one.shape != other.shape:
        return np.zeros(other.shape, bool)
    return np.isclose(one, other, rtol=1e-12, atol=1e-12, equal_nan=True)


def _shown(value: Any) -> str:
    text = f"{value:.12g}" if isinstance(value, float) else repr(value)
    return text if len(text) <= 120 else f"{text[:117]}..."


def save_result(result: Result, folder: Path, counts_hash: str) -> Result:
    """Write ``scores.csv`` and then ``result.json``, whose presence says that the result is complete.

    ``counts.npz`` is there already; ``counts_hash`` is the hash of what was written, not of what is there now.
    The caller holds the folder's lock.  What a killed run left half written is replaced.
    """
    text = io.StringIO(newline="")
    strings = result.table.loc[:, list(_NAMES)].to_numpy().ravel()
    # the csv module quotes a line feed, but a carriage return only if it quotes all text
    returns = any("\r" in name for name in (*strings, *result.table.index))
    result.table.to_csv(
        text,
        index_label="stem",
        lineterminator="\n",
        quoting=csv.QUOTE_NONNUMERIC if returns else csv.QUOTE_MINIMAL,
    )
    table = text.getvalue().encode("utf-8")
    with atomic_write(folder / TABLE, locked=True) as temporary:
        temporary.write_bytes(table)
    content = {
        "method": result.method,
        "dataset": result.dataset,
        "protocol": result.protocol,
        "n": result.n,
        "signature": result.signature,
        "metrics": result.metrics,
        "policy": dict(result.policy),
        "folders": dict(result.folders),
        "problems": [vars(problem) for problem in result.problems],
        "provenance": dict(result.provenance),
        "hashes": {TABLE: _hash(table), COUNTS: counts_hash},
        "curves": {name: curve.tolist() for name, curve in result.curves.items()},
    }
    with open_atomic(folder / FILE, locked=True) as file:
        file.write(encode_result(content))
    return load_result(folder)


def _hash(data: bytes) -> str:
    return f"{checksum(data):016x}"


def _read_table(path: Path, stored_hash: str) -> "pd.DataFrame":
    """Read ``scores.csv``, which must be what was stored."""
    import pandas as pd

    from sodbench.results.pairs import modified

    try:
        with open_regular(path) as file:
            data = file.read()
    except OSError as error:
        raise StoredFileError(path, f"cannot be read ({error.strerror or error})") from error
    if _hash(data) != stored_hash:
        raise modified(path)
    try:
        # as text: pandas' own float parsers change the last bit of some values, by version
        table = pd.read_csv(io.BytesIO(data), dtype=str, keep_default_na=False, encoding="utf-8")
        for name in table.columns.difference(["stem", *_NAMES], sort=False):
            number = int if name in ("height", "width") else float
            cells = table[name].tolist()
            table[name] = [number(cell) if cell else math.nan for cell in cells]
        table = table.set_index("stem")
        table[list(_NAMES)]  # KeyError where a column is missing
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise StoredFileError(path, f"not a readable table of scores ({error})") from error
    if "wf" not in table:
        raise StoredFileError(path, "not a table of scores (it has no column wf)")
    if not table.index.is_unique:
        raise StoredFileError(path, "names a pair twice")
    return table


def load_result(folder: Path | str) -> Result:
    """Read a stored result; its table and counts are read when they are asked for.

    Raises
    ------
    SodbenchError
        Where there is none, and where ``result.json`` was modified, is damaged or of another version.
    """
    folder = Path(folder)
    try:
        content = decode_result(folder / FILE)
    except (FileNotFoundError, NotADirectoryError):
        raise SodbenchError(f"{folder}: no result there (no {FILE})") from None
    return Result(
        method=content["method"],
        dataset=content["dataset"],
        protocol=content["protocol"],
        n=content["n"],
        signature=content["signature"],
        metrics=_numbers(content["metrics"]),
        curves={name: np.array(v, np.float64) for name, v in content["curves"].items()},
        policy=content["policy"],
        problems=tuple(Problem(**problem) for problem in content["problems"]),
        folders=content["folders"],
        provenance=content["provenance"],
        hashes=content["hashes"],
        folder=folder,
    )


def _numbers(values: Mapping[str, float | None]) -> dict[str, float]:
    return {name: math.nan if value is None else float(value) for name, value in values.items()}


def result_folders(path: Path) -> list[Path]:
    """The folders at or below a folder that hold a result, in the order of their names; links are followed."""
    return [f for f, obstacle in walk(path) if not obstacle and (f / FILE).is_file()]


def unfinished_folders(path: Path) -> list[Path]:
    """The folders at or below a folder in which a run has begun that left no result yet."""
    return [
        f
        for f, obstacle in walk(path)
        if not obstacle and os.path.lexists(f / JOURNAL) and not (f / FILE).is_file()
    ]


def find_results(paths: Iterable[Path | str]) -> list[Result]:
    """Every result at or below the paths, in the order of the paths and of the folders' names.

    Links are followed; a result that is reached in two ways is given once; an unfinished run is reported.
    Raises :class:`SodbenchError` for a path that holds none.
    """
    found: dict[Path, Path] = {}
    for path in map(Path, paths):
        if path.is_file():
            path = path.parent
        if not path.is_dir():
            raise SodbenchError(
                f"{path}: no such folder of results; 'sodbench eval PREDS GT -o DIR' makes one"
            )
        folders = result_folders(path)
        if not folders:
            raise SodbenchError(
                f"{path}: no results below it (no {FILE}); 'sodbench eval PREDS GT -o DIR' makes them"
            )
        for folder in folders:
            found.setdefault(folder.resolve(), folder)
        for folder in unfinished_folders(path):
            warn(
                f"{folder}: has no result yet, because its run was not finished ({JOURNAL}); it is left out. Give the "
                "command of that run again"
            )
    return [load_result(folder) for folder in found.values()]


def warn_of_shards(results: Iterable[Result]) -> None:
    """Report the results that hold a part of a dataset's pairs only, where whole results are expected."""
    for result in results:
        if shard := result.policy.get("shard"):
            warn(
                f"{result.folder}: is shard {shard} of {result.method} on {result.dataset}, whose numbers are of a part of "
                "the images; join all shards first (sodbench merge)"
            )
