"""Networks that declare how images enter them and which output is the map: trained and validated as they predict."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from sodbench.cli import main
from sodbench.datasets import Dataset
from sodbench.images import read_grey
from sodbench.metrics import Evaluator
from sodbench.models import InputSize, create_model
from sodbench.models.processing import Output, Preprocessing, Processing
from sodbench.runners.distributed import ProcessGroup
from sodbench.runners.prediction.predict import predict
from sodbench.runners.prediction.predictors import load_predictor
from sodbench.runners.training.data import load_augmented
from sodbench.runners.training.log import read_log
from sodbench.runners.training.options import Training
from sodbench.runners.training.recipe import Recipe, change_recipe
from sodbench.runners.training.train import train
from sodbench.runners.training.update import Updater

pytestmark = pytest.mark.usefixtures("one_thread")

NETWORK = """
from torch import nn

from sodbench.models.declarations import InputSize
from sodbench.models.processing import Output, Preprocessing, Processing


class Declared(nn.Module):
    processing = Processing(
        Preprocessing(
            InputSize(fixed=(24, 24)),
            resampling="opencv-bicubic",
            scale="maximum",
            mean=(0.5, 0.4, 0.3),
            deviation=(1.0, 0.5, 0.25),
            channels="bgr",
        ),
        Output(select=1, channel=1),
    )

    def __init__(self):
        super().__init__()
        self.convolution = nn.Conv2d(3, 2, 3, 2, 1)

    def forward(self, x):
        return [x, self.convolution(x)]


def declared():
    return Declared()
"""


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A network that declares everything otherwise than CSF."""
    path = tmp_path_factory.mktemp("declared") / "declared.py"
    path.write_text(NETWORK)
    return f"{path}:declared"


def test_images_enter_training_as_declared(model: str, twelve: Dataset) -> None:
    samples = twelve.samples[:4]
    pairs = [load_augmented(s, i, 0, 1.0, Recipe()) for i, s in enumerate(samples)]
    network = create_model(model)
    cpu = torch.device("cpu")
    updater = Updater(
        network, change_recipe(Recipe(), {"accumulate": 4}), cpu, ProcessGroup(cpu), "n"
    )
    losses = []
    for pair in pairs:
        x = torch.from_numpy(network.processing.input.apply(pair.pixels))[None]
        y = torch.from_numpy(pair.mask.copy())[None, None].float() / 255
        with torch.no_grad():
            logits = F.interpolate(network(x)[1][:, 1:], size=y.shape[-2:], mode="bilinear")
        entropy = F.binary_cross_entropy_with_logits(logits, y, reduction="sum")
        losses.append(entropy.item())

    preprocessing = updater.host_preprocessing
    assert preprocessing == network.processing.input
    pairs = [load_augmented(s, i, 0, 1.0, Recipe(), preprocessing) for i, s in enumerate(samples)]
    result = updater.start_update(updater.load(pairs), 1e-3)()

    assert result.loss == pytest.approx(np.mean(losses), rel=1e-5)


def test_validation_gives_the_numbers_of_eval_for_declared_processing(
    model: str, twelve: Dataset, tmp_path: Path, no_curve: None
) -> None:
    recipe = change_recipe(Recipe(), {"epochs": 1, "accumulate": 6})
    train(Training(twelve, tmp_path / "run", recipe, model, device="cpu", validation=twelve))
    (validation,) = [r["validation"] for r in read_log(tmp_path / "run") if "validation" in r]

    predictor = load_predictor(model, tmp_path / "run" / "final.pth", device="cpu")
    images = [(s.stem, s.image) for s in twelve.samples if s.image]
    predict(predictor, images, tmp_path / "maps")
    evaluator = Evaluator()
    for pair in twelve.samples:
        assert pair.mask
        map_ = read_grey(tmp_path / "maps" / f"{pair.stem}.png").pixels
        evaluator.update(map_, read_grey(pair.mask).pixels, pair.stem)
    metrics = evaluator.compute().metrics
    assert {k: metrics[k] for k in validation} == validation


PROBABILITIES = """
from torch import nn


class Net(nn.Module):
    def __init__(self, width=2, sigmoid=True):
        super().__init__()
        self.convolutions = nn.Sequential(nn.Conv2d(3, width, 3, 2, 1), nn.Conv2d(width, 1, 1))
        self.sigmoid = sigmoid

    def forward(self, x):
        y = self.convolutions(x)
        return [y.sigmoid() if self.sigmoid else y]
"""


def test_probabilities_are_trained_as_their_logits(twelve: Dataset, tmp_path: Path) -> None:
    file = tmp_path / "net.py"
    file.write_text(PROBABILITIES)
    pairs = [load_augmented(s, i, 0, 1.0, Recipe()) for i, s in enumerate(twelve.samples[:4])]
    cpu, recipe = torch.device("cpu"), change_recipe(Recipe(), {"accumulate": 4, "size": 16})
    size = InputSize(fixed=(32, 32))
    gradients = []
    for sigmoid, values in ((True, "probabilities"), (False, "logits")):
        torch.manual_seed(0)
        network = create_model(f"{file}:Net", sigmoid=sigmoid)
        output = replace(Output.for_values(values), select=0)
        processing = Processing(Preprocessing(size), output)
        updater = Updater(network, recipe, cpu, ProcessGroup(cpu), "net", processing)
        # masks of the size of the map, so that resizing probabilities and logits does not differ
        halves = [replace(p, pixels=p.pixels[:32, :32], mask=p.mask[:16, :16]) for p in pairs]
        updater.start_update(updater.load(halves), 0.0)()
        gradients.append(network.convolutions[0].weight.grad)
    assert gradients[0].abs().max() > 0
    torch.testing.assert_close(*gradients, rtol=1e-4, atol=1e-4)


def test_declared_probabilities_beyond_0_and_1_are_refused(twelve: Dataset, tmp_path: Path) -> None:
    file = tmp_path / "net.py"
    file.write_text(PROBABILITIES.replace("[y.sigmoid() if self.sigmoid else y]", "[9 * y]"))
    out = str(tmp_path / "run")
    command = ["train", "--train", str(twelve.root), "-o", out, "--device", "cpu", "--quiet"]
    command += ["--model", f"{file}:Net", "--set", "accumulate=6", "--set", "epochs=1"]
    steps = 'output.steps=["resize","round"]'
    chosen = ["--processing", "output.select=0", "--processing", steps]
    assert main([*command, *chosen]) == 2


def test_a_model_is_chosen_as_for_predict(
    twelve: Dataset, tmp_path: Path, capsys: pytest.CaptureFixture[str], no_curve: None
) -> None:
    file, weights, out = tmp_path / "net.py", tmp_path / "net.pth", tmp_path / "run"
    file.write_text(PROBABILITIES)
    state = create_model(f"{file}:Net", width=3).state_dict()
    torch.save({"ema": state, "model": state}, weights)
    command = ["train", "--train", str(twelve.root), "-o", str(out), "--device", "cpu", "--quiet"]
    command += ["--model", f"{file}:Net", "--model-arg", "width=3", "--preset", "u2net"]
    command += ["--processing", "input.fixed=[24,24]"]
    command += ["--set", "accumulate=6", "--set", "epochs=1"]
    start = ["--checkpoint", str(weights), "--checkpoint-key", "ema"]
    assert main([*command, *start]) == 0
    run = json.loads((out / "run.json").read_text())
    assert run["model_arguments"] == {"width": 3}
    assert run["processing"]["preset"] == "u2net"
    assert run["processing"]["input"]["fixed"] == [24, 24]

    assert main([*command, *start, "--processing", "input.scale=none", "--resume"]) == 2
    assert "processing" in capsys.readouterr().err
    config = tmp_path / "net.toml"
    config.write_text('preset = "u2net"\n')
    assert main([*command, "--model-config", str(config)]) == 2
    assert "give either --preset or --model-config, not both" in capsys.readouterr().err
