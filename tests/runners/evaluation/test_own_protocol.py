"""Protocols of a user's own: their pairs are counted under their rule, stored and scored again."""

from dataclasses import replace

import numpy as np
import pytest
from synthetic import draw_pair, save_image

from sodbench import evaluate
from sodbench.metrics import PROTOCOLS, CountingRule, Evaluator, register_protocol


@pytest.fixture
def own():
    protocol = replace(PROTOCOLS["salmetric"], name="own", rule=CountingRule(60, "half-up"))
    register_protocol(protocol)
    yield protocol
    del PROTOCOLS["own"]


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_protocol_of_ones_own_is_counted_under_its_own_rule(tmp_path, own, jobs):
    evaluator = Evaluator(own)
    for seed in range(6):
        map_, mask = draw_pair(seed)
        mask = np.where(mask, 100, 40).astype(np.uint8)  # foreground only above 60
        save_image(tmp_path / f"maps/{seed}.png", map_)
        save_image(tmp_path / f"gt/{seed}.png", mask)
        evaluator.update(map_, mask, name=str(seed))
    folders = tmp_path / "maps", tmp_path / "gt"
    evaluate(*folders, output=tmp_path / "out")
    result = evaluate(*folders, "own", output=tmp_path / "out", jobs=jobs)
    assert result.metrics == evaluator.compute().metrics and ">60" in str(result.signature)
    matlab = evaluate(*folders, "matlab").metrics
    assert result.rescored("matlab").metrics == pytest.approx(matlab, rel=0, abs=0, nan_ok=True)
