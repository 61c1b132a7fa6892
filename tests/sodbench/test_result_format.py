"""The published format of stored results: its schema, its documentation and the files agree."""

import copy
import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from synthetic import draw_pair, save_image

from sodbench import evaluate, load_results
from sodbench.results.result_file import FORMAT
from sodbench.results.schema import SchemaError, check_result, result_schema

jsonschema = pytest.importorskip("jsonschema")
PAGE = (Path(__file__).resolve().parents[2] / "docs/results.md").read_text("utf-8")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A stored result with a problem, a resized map and a grey mask."""
    root = tmp_path_factory.mktemp("format")
    for seed, stem in enumerate("abcd"):
        map_, mask = draw_pair(seed, 30, 40)
        save_image(root / f"maps/{stem}.png", map_ if stem != "b" else map_[::2, ::2])
        save_image(root / f"masks/{stem}.png", mask if stem != "c" else mask // 2 + 100)
    (root / "maps/d.png").unlink()
    result = evaluate(root / "maps", root / "masks", output=root / "out", missing="skip")
    return result.folder


@pytest.fixture
def content(folder):
    return json.loads((folder / "result.json").read_text("utf-8"))


def test_a_real_result_satisfies_the_schema(content):
    schema = result_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.Draft202012Validator(schema).validate(content)
    check_result(content)
    assert content["format"] == FORMAT == schema["properties"]["format"]["const"]


def places(value, path=()):
    yield path
    items = value.items() if isinstance(value, dict) else enumerate(value[:2])
    for name, item in items if isinstance(value, (dict, list)) else ():
        if isinstance(item, (dict, list)):
            yield from places(item, (*path, name))
        else:
            yield (*path, name)


ODD = [None, True, 0, -1, 2.5, "", "x", "1/8", "é" * 40, [], [1], {}, {"a": 1}]


def test_the_reader_and_a_library_of_schemas_refuse_the_same(content):
    """Every field with every odd value, left out, and with an unknown field next to it."""
    validator = jsonschema.Draft202012Validator(result_schema())
    content["curves"] = {"precision": content["curves"]["precision"]}
    content["metrics"] = {"mae": content["metrics"]["mae"]}
    refused = accepted = 0
    for path in list(places(content))[1:]:
        for odd in [*ODD, "left out", "unknown field"]:
            other = copy.deepcopy(content)
            *above, last = path
            inner = other
            for name in above:
                inner = inner[name]
            if odd == "left out":
                del inner[last]
            elif odd == "unknown field" and isinstance(inner, dict):
                inner["unknown"] = 1
            else:
                inner[last] = odd
            try:
                check_result(other)
                accepted += 1
                assert validator.is_valid(other), (path, odd)
            except SchemaError as error:
                refused += 1
                assert not validator.is_valid(other), (path, odd, error)
    assert refused > 300 and accepted > 50


def test_the_guide_names_every_field_of_the_schema():
    def names(schema):
        for name, inner in schema.get("properties", {}).items():
            yield name
            yield from names(inner)

    section = PAGE.split("## result.json")[1].split("## scores.csv")[0]
    assert [name for name in names(result_schema()) if f"`{name}`" not in section] == []
    assert f"now {FORMAT} |" in section


def test_the_guide_names_the_first_columns_of_the_scores(folder):
    table = pd.read_csv(folder / "scores.csv", dtype=str)
    section = PAGE.split("## scores.csv")[1].split("## counts.npz")[0]
    columns = re.findall(r"`([a-z]+)`", section)
    assert columns == list(table.columns[: len(columns)])
    assert (table["method"] == "maps").all() and (table["protocol"] == "salmetric").all()


def test_the_guide_names_every_array_of_the_counts(folder):
    section = PAGE.split("## counts.npz")[1].split("## What changes")[0]
    rows = [row.split("|")[1] for row in section.splitlines() if row.startswith("| `")]
    documented = {name for row in rows for name in re.findall(r"`(\w+)`", row)}
    with np.load(folder / "counts.npz") as archive:
        arrays = set(archive.files)
    metrics = {name for name in arrays if name.startswith("metric_")}
    assert "metric_wf_raw_128" in metrics
    assert arrays - metrics == documented - {"metric_NAME_MAP_THRESHOLD"}


def test_tables_of_several_results_can_be_joined(folder):
    (result,) = load_results(folder)
    joined = pd.concat([pd.read_csv(folder / "scores.csv")] * 2)
    assert set(zip(joined["method"], joined["dataset"], strict=True)) == {
        (result.method, result.dataset)
    }
