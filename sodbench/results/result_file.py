"""Write and read ``result.json``: its format number, its digest and its fields.

A file carries a digest of its own content, so that an edit is noticed before a number is used, and is checked against
``result.schema.json``. The fields are described in docs/results.md.
"""

import hashlib
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from sodbench.errors import Problem, SodbenchError, StoredFileError
from sodbench.files import atomic_write, checksum, open_atomic, open_regular
from sodbench.plugins import load_plugins
from sodbench.results.policy import AppliedPolicy
from sodbench.results.result import COUNTS_FILE, RESULT_FILE, SCORES_FILE, Result
from sodbench.results.schema import SchemaError, check_result
from sodbench.results.scores_file import encode_scores
from sodbench.results.signature import Signature

# Raised whenever a field changes its meaning: older results are then scored again.
FORMAT = 4
# A result of 100,000 images with a problem each has about 20 MB.
MAX_BYTES = 2**28


def save_result(result: Result, folder: Path, counts_hash: str) -> Result:
    """Write ``scores.csv`` and then ``result.json``, whose presence means that the result is complete.

    Parameters
    ----------
    result : Result
        A result that holds its table.
    folder : Path
        The result's folder, whose lock the caller holds; files that a killed run left incomplete are replaced.
    counts_hash : str
        Hash of the ``counts.npz`` that was written there before, not of what is there now.

    Returns
    -------
    Result
        The result as it is read back from the folder.
    """
    table = encode_scores(result)
    with atomic_write(folder / SCORES_FILE) as temporary:
        temporary.write_bytes(table)
    content = {
        "method": result.method,
        "dataset": result.dataset,
        "protocol": result.protocol,
        "n": result.n,
        "signature": str(result.signature),
        "metrics": result.metrics,
        "policy": result.policy.as_dict(),
        "folders": dict(result.folders),
        "problems": [vars(problem) for problem in result.problems],
        "provenance": dict(result.provenance),
        "hashes": {SCORES_FILE: f"{checksum(table):016x}", COUNTS_FILE: counts_hash},
        "curves": {name: curve.tolist() for name, curve in result.curves.items()},
    }
    with open_atomic(folder / RESULT_FILE) as file:
        file.write(encode_result(content))
    return load_result(folder)


def load_result(folder: Path | str) -> Result:
    """Read a stored result; its table and counts are read when they are asked for.

    Parameters
    ----------
    folder : path
        The folder of one method on one dataset.

    Returns
    -------
    Result

    Raises
    ------
    SodbenchError
        If there is none; as `StoredFileError` if ``result.json`` was modified, is damaged or is of another format.
    """
    # a plug-in's protocols and metrics are known before its results are checked
    load_plugins("sodbench.metrics", "sodbench.protocols")
    folder = Path(folder)
    path = folder / RESULT_FILE
    try:
        content = decode_result(path)
    except (FileNotFoundError, NotADirectoryError):
        raise SodbenchError(f"{folder}: no result there (no {RESULT_FILE})") from None
    try:
        return Result(
            method=content["method"],
            dataset=content["dataset"],
            protocol=content["protocol"],
            n=content["n"],
            signature=Signature.parse(content["signature"]),
            metrics={name: _to_float(value) for name, value in content["metrics"].items()},
            curves={name: np.array(v, np.float64) for name, v in content["curves"].items()},
            policy=AppliedPolicy.from_dict(content["policy"]),
            problems=tuple(Problem(**problem) for problem in content["problems"]),
            folders=content["folders"],
            provenance=content["provenance"],
            hashes=content["hashes"],
            folder=folder,
            digest=content["digest"],
        )
    except (SodbenchError, ValueError) as error:
        raise StoredFileError(path, f"not a readable result of this version ({error})") from error


def _to_float(value: float | None) -> float:
    return math.nan if value is None else float(value)


def encode_result(content: Mapping[str, Any]) -> str:
    """Return the text of ``result.json``, with its format number and digest; NaN and infinities become null.

    Parameters
    ----------
    content : mapping
        The fields of a result, see docs/results.md.

    Returns
    -------
    str
        JSON with a final line break.
    """
    plain = nan_to_none({"format": FORMAT, **content})
    whole = {"digest": _digest(plain), **plain}
    text = json.dumps(whole, indent=1, ensure_ascii=False) + "\n"
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        # lone surrogates come from another program's manifest
        text = json.dumps(whole, indent=1) + "\n"
    return text


def decode_result(path: Path) -> dict[str, Any]:
    """Return the content of ``result.json``.

    Raises
    ------
    FileNotFoundError
        If there is none.
    StoredFileError
        If it cannot be read, was written by another version, was modified, or is not a result; the message names the
        file and the field.
    """
    try:
        with open_regular(path) as file:
            data = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise StoredFileError(path, f"cannot be read ({error.strerror or error})") from error
    try:
        content = _parse(data)
        if content["format"] != FORMAT:
            raise StoredFileError(path, "written by another version of sodbench")
        digest = content.pop("digest", None)
        if digest != _digest(content):
            raise StoredFileError.modified(path)
        check_result({"digest": digest, **content})
    except (ValueError, RecursionError, SchemaError) as error:
        what = "it is nested too deeply" if isinstance(error, RecursionError) else error
        raise StoredFileError(path, f"not a readable result of this version ({what})") from error
    return {"digest": digest, **content}


def nan_to_none(value: Any) -> Any:
    """Return the same plain value with NaN and infinities as None, because JSON has neither.

    Parameters
    ----------
    value : dict, list, number, text or None
        A plain value.

    Returns
    -------
    object
        A copy.
    """
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: nan_to_none(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [nan_to_none(item) for item in value]
    return value


def _parse(data: bytes) -> dict[str, Any]:
    if len(data) > MAX_BYTES:
        raise SchemaError(f"it has more than {MAX_BYTES} bytes")
    content = json.loads(
        data.decode("utf-8"), parse_constant=_refuse_constant, object_pairs_hook=_refuse_repeats
    )
    if not isinstance(content, dict) or "format" not in content:
        raise SchemaError("it is JSON, but not that of a result")
    return content


def _digest(content: Any) -> str:
    text = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return hashlib.blake2b(text.encode("ascii"), digest_size=16).hexdigest()


def _refuse_constant(name: str) -> None:
    raise SchemaError(f"it holds {name}, which is not JSON")


def _refuse_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    content = dict(pairs)
    if len(content) < len(pairs):
        names = [name for name, _ in pairs]
        repeated = next(name for name in names if names.count(name) > 1)
        raise SchemaError(f"{repeated!r} is there twice")
    return content
