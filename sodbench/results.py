"""A result: what one method reaches on one data set, how that number was made, and what was found on the way.

On disk a result is a folder, ``results/<method>/<dataset>/``, with ``result.json`` (aggregates, signature,
provenance, problems), ``scores.csv`` (one row a pair) and ``counts.npz`` (from which every other protocol, curve
or bootstrap is computed without reading an image).
"""

import json
import math
import platform
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import numpy as np
from numpy.typing import NDArray

from sodbench import __version__
from sodbench.errors import Problem, SodbenchError
from sodbench.folders import replacing, walk

if TYPE_CHECKING:
    import pandas as pd

    from sodbench.metrics import Counts

FORMAT = 2
FILE = "result.json"
TABLE = "scores.csv"
COUNTS = "counts.npz"


@dataclass(frozen=True)
class Signature:
    """The one line that says how a number was made; numbers of different signatures are not the same quantity.

    missing, resize: the policy and the number of pairs it touched, e.g. ``skip(2)``; ``error`` and ``none`` when there
    were none.  undefined: likewise for undefined S-measures.  subset: of the data set, e.g. ``test`` for HKU-IS/test.
    """

    protocol: str
    n: int
    missing: str = "error"
    resize: str = "none"
    gt: str = ">128"
    undefined: str = ""
    subset: str = ""
    version: str = __version__

    def __str__(self) -> str:
        parts = [
            f"sodbench:{self.version}",
            f"protocol:{self.protocol}",
            *[f"subset:{self.subset}"] * bool(self.subset),
            f"n:{self.n}",
            f"missing:{self.missing}",
            f"resize:{self.resize}",
            f"gt:{self.gt}",
        ]
        return "|".join(parts + [f"undefined:{self.undefined}"] * bool(self.undefined))


@dataclass(frozen=True)
class Result:
    """One scored (method, data set).

    metrics, curves: the aggregates (see metrics.Scores), float and float64 [256].
    signature: one line, see :class:`Signature`; policy: the same as key and value.
    problems: everything found on the way; problems[i].kind is one of the audit's words.
    folders: ``maps``, ``masks``, ``images`` -> folder, or None; the file names of a pair are in ``table``.
    provenance: versions, how to score again, and the manifest of the maps where they have one.
    hashes: what ``scores.csv`` and ``counts.npz`` were when they were stored, by name (pairs.file_hash).
    folder: where it is stored, or None.
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
    in_memory: "tuple[pd.DataFrame, Counts | None] | None" = field(
        default=None, repr=False, compare=False
    )

    @cached_property
    def table(self) -> "pd.DataFrame":
        """One row a pair, index ``stem``: file names below the folders, height, width, and every per-image measure."""
        if self.in_memory:
            return self.in_memory[0]
        import pandas as pd

        path = self._file(TABLE)
        if self.altered([TABLE]):
            raise SodbenchError(
                f"{path}: is not what was stored; score again into the same folder, which writes it anew"
            )
        try:
            table: pd.DataFrame = pd.read_csv(
                path,
                dtype={"stem": str, "map": str, "mask": str, "image": str},
                keep_default_na=False,
                na_values={},
                **exact_floats(),
            )
            for name in table.columns.difference(["stem", "map", "mask", "image"], sort=False):
                if not pd.api.types.is_numeric_dtype(table[name]):  # it has empty cells
                    table[name] = table[name].replace("", "nan").astype(float)
            return table.set_index("stem")
        except (OSError, ValueError, KeyError) as error:
            raise SodbenchError(
                f"{path}: damaged per-image table ({error}); score again with --force"
            ) from error

    @cached_property
    def counts(self) -> "Counts":
        """The counts of every pair, in the order of ``table``."""
        if self.in_memory and self.in_memory[1] is not None:
            return self.in_memory[1]
        from sodbench.pairs import read_counts

        return read_counts(self._file(COUNTS)).counts

    def altered(self, names: Sequence[str] = (TABLE, COUNTS)) -> list[Path]:
        """Which of the stored files cannot be read or are not what was stored."""
        from sodbench.pairs import file_hash

        found = []
        for path in map(self._file, names):
            try:
                same = file_hash(path) == self.hashes.get(path.name)
            except OSError:
                same = False
            if not same:
                found.append(path)
        return found

    def _file(self, name: str) -> Path:
        if self.folder is None:
            raise SodbenchError(
                f"the result of {self.method} on {self.dataset} was not saved: score it with an output folder"
            )
        return self.folder / name

    def files(self, stem: str) -> dict[str, Path | None]:
        """The pair's ``map``, ``mask`` and ``image`` files; None where there is none. They may have moved since."""
        row = self.table.loc[stem]
        found: dict[str, Path | None] = {}
        for kind in ("map", "mask", "image"):
            base, name = self.folders.get(f"{kind}s"), str(row[kind])
            found[kind] = Path(base) / name if base and name else None
        return found

    def rescored(self, protocol: str) -> "Result":
        """The same pairs under another protocol; computed from the counts, no image is read."""
        if protocol == self.protocol:
            return self
        from sodbench.metrics import score

        rule = self.policy.get("undefined")
        scores = score(self.counts, protocol, list(self.table.index), undefined_s=rule)
        return build_result(
            scores=scores,
            counts=self.counts,
            method=self.method,
            dataset=self.dataset,
            files=self.table[["map", "mask", "image", "height", "width"]],
            policy=self.policy,
            problems=self.problems,
            folders=self.folders,
            provenance=self.provenance,
        )


def build_result(
    *,
    scores: Any,
    counts: "Counts | None",
    method: str,
    dataset: str,
    files: "pd.DataFrame",
    policy: Mapping[str, Any],
    problems: Sequence[Problem],
    folders: Mapping[str, str | None],
    provenance: Mapping[str, Any],
) -> Result:
    """A result from the scores of one (method, data set).

    policy: ``missing``, ``resize``, ``undefined`` as asked for, and ``n_missing``, ``n_resized``, the pairs they touched.
    """
    import pandas as pd

    from sodbench.metrics import protocol

    rules = protocol(scores.protocol)
    undefined = [
        Problem(
            "undefined-s",
            stem,
            "S-measure is undefined: the mask's centroid lies in its last row or column",
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


def exact_floats() -> dict[str, Any]:
    """The option of ``pandas.read_csv`` that reads each float as it was written, where that is not the default."""
    import pandas as pd

    # before pandas 3 the default parser misses the last bit of many numbers; pandas 3.1 deprecates the option
    return {"float_precision": "round_trip"} if int(pd.__version__.split(".")[0]) < 3 else {}


_WHY_LEFT_OUT = {
    "mae": "the map is constant",
    "f_max": "the mask has no foreground",
    "auc_roc": "the mask has no foreground or no background (nor has it ap)",
}
"""By the keys of metrics.Scores.left_out."""


def _touched(policy: str, number: int, untouched: str) -> str:
    return f"{policy}({number})" if number else untouched


def versions() -> dict[str, str]:
    """What the numbers may depend on: sodbench, Python and the packages that decode and count."""
    import numba
    import PIL

    return {
        "sodbench": __version__,
        "python": platform.python_version(),
        "numpy": np.__version__,
        "numba": numba.__version__,
        "pillow": PIL.__version__,
        "machine": f"{platform.system()} {platform.machine()}",
    }


def save_result(result: Result, folder: Path) -> Result:
    """Write ``scores.csv`` and then ``result.json``, whose presence says that the result is complete.

    ``counts.npz`` is there already.  The caller sees to it that nobody else writes to the folder: what a killed run left half written is written over.
    """
    from sodbench.pairs import file_hash

    with writing(folder / TABLE, locked=True) as file:
        result.table.to_csv(file, index_label="stem", lineterminator="\n")
    content = {
        "format": FORMAT,
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
        "hashes": {name: file_hash(folder / name) for name in (TABLE, COUNTS)},
        "curves": {name: curve.tolist() for name, curve in result.curves.items()},
    }
    with writing(folder / FILE, locked=True) as file:
        file.write(json.dumps(finite(content), indent=1, ensure_ascii=False) + "\n")
    return load_result(folder)


def finite(value: Any) -> Any:
    """The same value with NaN and infinities as None, which JSON can say."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [finite(item) for item in value]
    return value


def write_text(path: Path, text: str) -> None:
    """Write a text file as :func:`writing` does."""
    with writing(path) as file:
        file.write(text)


@contextmanager
def writing(path: Path, *, locked: bool = False) -> Iterator[TextIO]:
    """A text file to write, put in place by :func:`sodbench.folders.replacing`, where ``locked`` is explained."""
    with (
        replacing(path, locked=locked) as temporary,
        temporary.open("w", encoding="utf-8") as file,
    ):
        yield file


def load_result(folder: Path | str) -> Result:
    """Read a stored result; its table and counts are read when they are asked for."""
    folder = Path(folder)
    file = folder / FILE
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        if content["format"] != FORMAT:
            raise SodbenchError(
                f"{file}: written by another version of sodbench; score again with --force"
            )
        return Result(
            method=content["method"],
            dataset=content["dataset"],
            protocol=content["protocol"],
            n=content["n"],
            signature=content["signature"],
            metrics={k: math.nan if v is None else float(v) for k, v in content["metrics"].items()},
            curves={k: np.array(v, np.float64) for k, v in content["curves"].items()},
            policy=content["policy"],
            problems=tuple(Problem(**problem) for problem in content["problems"]),
            folders=content["folders"],
            provenance=content["provenance"],
            hashes=content["hashes"],
            folder=folder,
        )
    except FileNotFoundError:
        raise SodbenchError(f"{folder}: no result there (no {FILE})") from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise SodbenchError(
            f"{file}: not a readable result ({error!r}); score again with --force"
        ) from error


def result_folders(path: Path) -> list[Path]:
    """The folders at or below a folder that hold a result, in the order of their names; links are followed."""
    return [f for f, obstacle in walk(path) if not obstacle and (f / FILE).is_file()]


def find_results(paths: Iterable[Path | str]) -> list[Result]:
    """Every result at or below the paths, in the order of the paths and of the folders' names.

    Links are followed; a result that is reached in two ways is given once.
    Raises :class:`SodbenchError` for a path that holds none.
    """
    found: dict[Path, Path] = {}
    for path in map(Path, paths):
        if path.is_file():
            path = path.parent
        if not path.is_dir():
            raise SodbenchError(
                f"{path}: no such folder of results; 'sodbench eval PREDS GT -o {path}' makes one"
            )
        folders = result_folders(path)
        if not folders:
            raise SodbenchError(
                f"{path}: no results below it (no {FILE}); 'sodbench eval PREDS GT -o {path}' makes them"
            )
        for folder in folders:
            found.setdefault(folder.resolve(), folder)
    return [load_result(folder) for folder in found.values()]


def folder_name(name: str) -> str:
    """A method's or data set's name as the name of a folder, e.g. ``HKU-IS/test`` -> ``HKU-IS@test``.

    Two names never share a folder: what a folder cannot be called is written as its code.
    """
    coded = re.sub(r"[\\:*?\"<>|\0#%=@]|^\.|[. ]$", lambda m: f"={ord(m[0]):02X}", name)
    return coded.replace("/", "@") or "="
