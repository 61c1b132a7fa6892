"""``result.json`` as text: what it must hold, and how it is written and read.

A file is read through one schema: the type and range of every field.  It also carries a digest of its own content, so
that an edit is noticed before a number is believed.
"""

import hashlib
import json
import math
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from sodbench.errors import ProblemKind, StoredFileError
from sodbench.files import open_regular
from sodbench.results.pairs import modified

FORMAT = 2
"""Raised whenever a field changes its meaning: older results are then scored again."""
MAX_BYTES = 2**28
"""A result of 100,000 images with a problem each has some 20 MB."""

Check = Callable[[Any, str], None]


class _Wrong(Exception):
    """A field that is not what the schema asks for."""


def encode_result(content: Mapping[str, Any]) -> str:
    """The text of ``result.json``, with its format number and digest; NaN and infinities become null."""
    plain = finite({"format": FORMAT, **content})
    whole = {"digest": _digest(plain), **plain}
    text = json.dumps(whole, indent=1, ensure_ascii=False) + "\n"
    if any(
        "\ud800" <= letter <= "\udfff" for letter in text
    ):  # from the manifest of another program
        text = json.dumps(whole, indent=1) + "\n"
    return text


def decode_result(path: Path) -> dict[str, Any]:
    """The content of ``result.json``.

    Raises
    ------
    FileNotFoundError
        Where there is none.
    StoredFileError
        Where it cannot be read, was written by another version, was modified, or is not a result; the message names
        the file and the field.
    """
    try:
        with open_regular(path) as file:
            data = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise StoredFileError(path, f"cannot be read ({error.strerror or error})") from error
    try:
        if len(data) > MAX_BYTES:
            raise _Wrong(f"it has more than {MAX_BYTES} bytes")
        content = json.loads(
            data.decode("utf-8"), parse_constant=_refuse_constant, object_pairs_hook=_distinct
        )
        if not isinstance(content, dict) or "format" not in content:
            raise _Wrong("it is JSON, but not that of a result")
        if content["format"] != FORMAT:
            raise StoredFileError(path, "written by another version of sodbench")
        if content.pop("digest", None) != _digest(content):
            raise modified(path)
        _RESULT(content, "")
    except (ValueError, RecursionError, _Wrong) as error:
        what = "it is nested too deeply" if isinstance(error, RecursionError) else error
        raise StoredFileError(path, f"not a readable result of this version ({what})") from error
    return content


def finite(value: Any) -> Any:
    """The same value with NaN and infinities as None, which JSON can hold."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [finite(item) for item in value]
    return value


def _digest(content: Any) -> str:
    text = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return hashlib.blake2b(text.encode("ascii"), digest_size=16).hexdigest()


def _refuse_constant(name: str) -> None:
    raise _Wrong(f"it holds {name}, which is not JSON")


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    content = dict(pairs)
    if len(content) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise _Wrong(f"{twice!r} is there twice")
    return content


# -- the schema -------------------------------------------------------------------------------------


def _record(**fields: Check) -> Check:
    """An object with exactly these fields."""

    def check(value: Any, where: str) -> None:
        _require(isinstance(value, dict), where, "an object", value)
        for name in value.keys() - fields.keys():
            raise _Wrong(f"{where}{name} is not a field of a result")
        for name, check_field in fields.items():
            if name not in value:
                raise _Wrong(f"{where}{name} is missing")
            check_field(value[name], f"{where}{name}.")

    return check


def _mapping(check_item: Check) -> Check:
    """An object with names of any kind."""

    def check(value: Any, where: str) -> None:
        _require(isinstance(value, dict), where, "an object", value)
        for name, item in value.items():
            check_item(item, f"{where}{name}.")

    return check


def _list(check_item: Check, length: int | None = None) -> Check:
    def check(value: Any, where: str) -> None:
        _require(isinstance(value, list), where, "a list", value)
        if length is not None:
            _require(len(value) == length, where, f"a list of {length}", f"of {len(value)}")
        for i, item in enumerate(value):
            check_item(item, f"{where}{i}.")

    return check


def _text(pattern: str = "") -> Check:
    def check(value: Any, where: str) -> None:
        _require(isinstance(value, str), where, "text", value)
        if any("\ud800" <= letter <= "\udfff" for letter in value):
            raise _Wrong(f"{where.rstrip('.')} holds half a character")
        if pattern:
            _require(
                re.fullmatch(pattern, value) is not None, where, f"of the form {pattern}", value
            )

    return check


def _number(value: Any, where: str) -> None:
    """A number, or null for an undefined one."""
    plain = type(value) in (int, float) and math.isfinite(value)
    _require(value is None or plain, where, "a number or null", value)


def _count(least: int) -> Check:
    def check(value: Any, where: str) -> None:
        fits = type(value) is int and least <= value < 2**53
        _require(fits, where, f"a whole number from {least} on", value)

    return check


def _one_of(*allowed: Any) -> Check:
    def check(value: Any, where: str) -> None:
        fits = any(type(value) is type(item) and value == item for item in allowed)
        _require(fits, where, "one of " + ", ".join(map(json.dumps, allowed)), value)

    return check


def _optional(inner: Check) -> Check:
    def check(value: Any, where: str) -> None:
        if value is not None:
            inner(value, where)

    return check


def _anything(value: Any, where: str) -> None:
    """Any JSON: what another program left beside the maps."""


def _require(fulfilled: bool, where: str, expected: str, found: Any) -> None:
    if not fulfilled:
        shown = repr(found)
        raise _Wrong(
            f"{where.rstrip('.') or 'it'} is {shown if len(shown) < 60 else shown[:57] + '...'}, not {expected}"
        )


_NAME = _text(r"(?s).+")
_HASH = _text("[0-9a-f]{16}")
_PATH = _optional(_NAME)
_RESULT = _record(
    format=_one_of(FORMAT),
    method=_NAME,
    dataset=_NAME,
    protocol=_NAME,
    n=_count(1),
    signature=_NAME,
    metrics=_mapping(_number),
    policy=_record(
        missing=_one_of("error", "skip", "zero"),
        resize=_one_of("error", "bilinear", "nearest"),
        undefined=_one_of(None, "keep", "skip"),
        weighted=_one_of(True, False),
        shard=_optional(_text(r"[1-9]\d{0,8}/[1-9]\d{0,8}")),
        n_divided=_optional(_count(1)),
        n_missing=_count(0),
        n_resized=_count(0),
    ),
    folders=_record(maps=_PATH, masks=_PATH, images=_PATH),
    problems=_list(_record(kind=_text("|".join(ProblemKind)), file=_text(), detail=_text())),
    provenance=_record(
        scored_by=_text(),
        versions=_record(
            sodbench=_NAME,
            python=_text(),
            numpy=_text(),
            numba=_text(),
            pillow=_text(),
            machine=_text(),
        ),
        maps=_anything,
        suffix=_text(),
        sample=_one_of(True, False),
        pairs=_HASH,
    ),
    hashes=_record(**{"scores.csv": _HASH, "counts.npz": _HASH}),
    curves=_mapping(_list(_number, 256)),
)
