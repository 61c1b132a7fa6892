"""``sodbench models``: the table of models against what is registered."""

import json

import pytest

from sodbench.cli import main
from sodbench.datasets import WEIGHTS
from sodbench.models import BASELINES, create_model, model_names
from sodbench.models.known import KNOWN_MODELS
from sodbench.models.presets import PRESETS, get_processing


def test_the_listing_has_every_model_of_sodbench_with_its_preset(capsys):
    pytest.importorskip("torch")
    assert main(["models", "--format", "json"]) == 0
    listed = json.loads(capsys.readouterr().out)
    presets = {row["name"]: row["preset"] for row in listed["models"]}
    own = {n for n in model_names() if create_model(n).__module__.startswith("sodbench.")}
    files = {name for name in presets if name.endswith(".onnx")}
    assert presets.keys() - files == own | set(BASELINES)
    assert files <= {file.url.rpartition("/")[2] for file in WEIGHTS}
    for name in own:
        declared = get_processing(create_model(name))
        assert declared.to_dict()["input"] == PRESETS[presets[name]].processing.to_dict()["input"]
    assert [row["preset"] for row in listed["presets"]] == list(PRESETS)


def test_the_listing_as_a_table(capsys):
    assert main(["models"]) == 0
    text = capsys.readouterr().out
    assert all(model.name in text for model in KNOWN_MODELS)
    assert all(name in text for name in PRESETS)
