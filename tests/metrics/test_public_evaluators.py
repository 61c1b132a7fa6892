"""The protocols against the output of public evaluators on 40 real pairs."""

import json

import numpy as np
import pytest

from sodbench.images import read_grey
from sodbench.metrics import Evaluator

pytestmark = pytest.mark.real


@pytest.fixture(scope="module")
def printed(shared):
    return json.loads((shared / "fixtures/evaluators_csnet40.json").read_text())


@pytest.fixture(scope="module")
def scores_under(shared, printed):
    def score(protocol):
        evaluator = Evaluator(protocol)
        for stem in printed["stems"]:
            map_ = read_grey(shared / f"real/preds/CSNet-L-x2/SOD/{stem}.png").pixels
            evaluator.update(map_, read_grey(shared / f"real/SOD/GT/{stem}.png").pixels, name=stem)
        return evaluator.compute()

    return score


def test_codtoolbox_has_the_toolbox_numbers(scores_under, printed):
    scores, program = scores_under("codtoolbox"), printed["codtoolbox (Octave)"]
    names = {"mae": "mae", "s": "Sm", "f_adp": "adpFm", "f_mean": "meanFm", "f_max": "maxFm"}
    names |= {"e_adp": "adpEm", "e_mean": "meanEm", "e_max": "maxEm"}
    for name, theirs in names.items():
        assert scores.metrics[name] == pytest.approx(program[theirs], abs=1e-12), name
    # MATLAB's distance transform chooses another one of equally near pixels
    assert scores.metrics["wf"] == pytest.approx(program["wFm"], abs=5e-6)
    for name, theirs in {"e": "column_E", "f": "column_F", "precision": "column_Pr"}.items():
        assert scores.curves[name][::-1] == pytest.approx(program[theirs], abs=1e-12), name
    rows = scores.per_image.loc[printed["stems"]]
    for name, theirs in {"s": "Smeasure", "e_adp": "adpEmeasure", "mae": "MAE"}.items():
        assert np.abs(rows[name].to_numpy() - program[theirs]).max() < 1e-11, name


def test_torch_has_the_numbers_of_sod_evaluation_metrics(scores_under, printed):
    scores = scores_under("torch")
    # the program computes in single precision
    for name, value in printed["aggregates"]["zyjwuyan"].items():
        assert scores.metrics[name] == pytest.approx(value, abs=5e-7), name


def test_pysodmetrics_has_the_numbers_of_birefnet(scores_under, printed):
    scores = scores_under("pysodmetrics")
    for name in ("mae", "mse", "s", "wf", "f_max", "f_mean", "f_adp", "e_max", "e_mean", "e_adp"):
        expected = printed["aggregates"]["birefnet"][name]
        assert scores.metrics[name] == pytest.approx(expected, abs=1e-12), name


def test_salmetric_has_max_f_of_the_basnet_tool_and_mae_of_vst(scores_under, printed):
    aggregates = printed["aggregates"]
    assert scores_under("matlab").metrics["f_max"] == pytest.approx(
        aggregates["basnet_tool"]["f_max"], abs=2e-8
    )
    assert scores_under("salmetric").metrics["mae"] == pytest.approx(
        aggregates["vst"]["mae"], abs=2e-8
    )
