"""Networks that declare how images enter them and which output is the map: trained and validated as they predict."""

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from sodbench.datasets import Dataset
from sodbench.images import read_grey
from sodbench.metrics import Evaluator
from sodbench.models import create_model
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
    pairs = [load_augmented(s, i, 0, 1.0, Recipe()) for i, s in enumerate(twelve.samples[:4])]
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
