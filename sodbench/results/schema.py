"""Check plain values against ``result.schema.json``, the published description of a stored result.

The checker knows the few keywords of JSON Schema (draft 2020-12) that the file uses; reading a result should not need
a library of schemas. A test compares it with one.
"""

import json
import math
import re
from collections.abc import Mapping
from functools import cache
from importlib import resources
from typing import Any

Schema = Mapping[str, Any]

_TYPES = {
    "object": "an object",
    "array": "a list",
    "string": "text",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "null": "null",
}
_MAX_VALUE_LENGTH = 60


class SchemaError(Exception):
    """A field that is not what the schema asks for; the message names it."""


@cache
def result_schema() -> dict[str, Any]:
    """Return the JSON Schema of ``result.json``.

    Returns
    -------
    dict
        The parsed schema; do not modify it.
    """
    text = resources.files("sodbench.results").joinpath("result.schema.json").read_text("utf-8")
    schema: dict[str, Any] = json.loads(text)
    return schema


def check_result(content: Any) -> None:
    """Check the parsed content of a ``result.json``.

    Raises
    ------
    SchemaError
        For the first field that is missing, unknown, or of another type or range.
    """
    _check(content, result_schema(), "it")


def _check(value: Any, schema: Schema, where: str) -> None:
    if "$ref" in schema:
        name = schema["$ref"].removeprefix("#/$defs/")
        schema = {**result_schema()["$defs"][name], **schema}
    if not _matches(value, schema):
        text = repr(value)
        quoted = text if len(text) < _MAX_VALUE_LENGTH else text[: _MAX_VALUE_LENGTH - 3] + "..."
        raise SchemaError(f"{where} is {quoted}, not {_describe_schema(schema)}")
    if isinstance(value, str) and any("\ud800" <= letter <= "\udfff" for letter in value):
        raise SchemaError(f"{where} holds half a character")
    if isinstance(value, dict):
        _check_object(value, schema, "" if where == "it" else f"{where}.")
    elif isinstance(value, list) and "items" in schema:
        # the curves are most of a result, and their numbers are quickly seen to be plain
        quick = schema["items"] == {"$ref": "#/$defs/number"}
        for i, item in enumerate(value):
            if not (quick and type(item) is float and math.isfinite(item)):
                _check(item, schema["items"], f"{where}.{i}")


def _check_object(value: dict[str, Any], schema: Schema, prefix: str) -> None:
    for name in schema.get("required", ()):
        if name not in value:
            raise SchemaError(f"{prefix}{name} is missing")
    known, others = schema.get("properties", {}), schema.get("additionalProperties", {})
    for name, item in value.items():
        if name not in known and others is False:
            raise SchemaError(f"{prefix}{name} is not a field of a result")
        _check(item, known.get(name, others), f"{prefix}{name}")


def _matches(value: Any, schema: Schema) -> bool:
    """Whether a value has the type and range of a schema, apart from what it contains."""
    choices = [schema["const"]] if "const" in schema else schema.get("enum")
    if choices is not None:
        # True equals 1 in Python, but not in JSON
        return any(type(value) is type(choice) and value == choice for choice in choices)
    types = schema.get("type")
    if types is not None and _type_of(value) not in _accepted(types):
        return False
    if isinstance(value, (str, list)):
        low, high = (
            ("minLength", "maxLength") if isinstance(value, str) else ("minItems", "maxItems")
        )
        if not schema.get(low, 0) <= len(value) <= schema.get(high, math.inf):
            return False
    if isinstance(value, str):
        return re.search(schema.get("pattern", ""), value) is not None
    if isinstance(value, (int, float)):
        return bool(schema.get("minimum", -math.inf) <= value <= schema.get("maximum", math.inf))
    return True


def _type_of(value: Any) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "boolean"
        case int():
            return "integer"
        case float():
            # JSON allows 1e999, which Python reads as infinite
            return "number" if math.isfinite(value) else "infinite"
        case str():
            return "string"
        case list():
            return "array"
        case _:
            return "object"


def _accepted(types: str | list[str]) -> set[str]:
    accepted = {types} if isinstance(types, str) else set(types)
    return accepted | {"integer"} if "number" in accepted else accepted


def _describe_schema(schema: Schema) -> str:
    """What a schema asks for, in words."""
    if "const" in schema or "enum" in schema:
        choices = [schema["const"]] if "const" in schema else schema["enum"]
        return "one of " + ", ".join(map(json.dumps, choices))
    types = schema["type"]
    words = " or ".join(_TYPES[name] for name in ([types] if isinstance(types, str) else types))
    for keyword, text in (
        ("pattern", "of the form {}"),
        ("minimum", "of at least {}"),
        ("maxItems", "of {} items"),
        ("minLength", "of at least {} character(s)"),
    ):
        if keyword in schema:
            words += " " + text.format(schema[keyword])
    return words
