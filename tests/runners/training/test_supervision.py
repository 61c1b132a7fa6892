"""Deep supervision: several outputs in training, each with its loss."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sodbench.datasets import Dataset
from sodbench.errors import SodbenchError
from sodbench.runners.distributed import ProcessGroup
from sodbench.runners.training.data import AugmentedPair, load_augmented
from sodbench.runners.training.log import read_log
from sodbench.runners.training.optimizer import set_training_mode
from sodbench.runners.training.options import Training
from sodbench.runners.training.recipe import Recipe, change_recipe
from sodbench.runners.training.supervision import get_supervision
from sodbench.runners.training.train import train
from sodbench.runners.training.update import Updater

CPU = torch.device("cpu")

pytestmark = pytest.mark.usefixtures("one_thread")

NETWORK = """
import torch
from torch import nn


class Sided(nn.Module):
    training_outputs = (1.0, 0.5)

    def __init__(self):
        super().__init__()
        self.main = nn.Conv2d(3, 1, 3, 1, 1)
        self.side = nn.Conv2d(3, 1, 3, 2, 1)

    def forward(self, x):
        return (self.main(x), self.side(x)) if self.training else self.main(x)


def sided():
    return Sided()
"""


class Returning(nn.Module):
    """Returns what it is told to, made of two maps."""

    def __init__(self, arrange: Any, declared: Any = None):
        super().__init__()
        self.main, self.side = nn.Conv2d(3, 1, 3, 1, 1), nn.Conv2d(3, 1, 3, 2, 1)
        self.arrange = arrange
        if declared is not None:
            self.training_outputs = declared

    def forward(self, x: Tensor) -> Any:
        return self.arrange(self.main(x), self.side(x))


@pytest.fixture(scope="module")
def pair(twelve: Dataset) -> AugmentedPair:
    """One pair."""
    return load_augmented(twelve.samples[0], 0, 0, 1.0, Recipe())


def first_loss(network: nn.Module, pair: AugmentedPair) -> float:
    recipe = change_recipe(Recipe(), {"accumulate": 1})
    updater = Updater(network, recipe, CPU, ProcessGroup(CPU), "net")
    set_training_mode(network, recipe)
    return updater.start_update(updater.load([pair]), 0.1)().loss


@pytest.mark.parametrize(
    ("arrange", "declared"),
    [
        (lambda a, b: (a, b), (2.0, 0.5)),
        (lambda a, b: [a, b], [2, 0.5]),
        (lambda a, b: {"map": a, "side": [b, a]}, {"map": 2.0, ("side", 0): 0.5}),
        (lambda a, b: ("text", [b], a), {2: 2.0, (1, 0): 0.5}),
    ],
)
def test_the_loss_is_the_weighted_sum_of_the_declared_outputs(
    pair: AugmentedPair, arrange: Any, declared: Any
) -> None:
    torch.manual_seed(0)
    network = Returning(arrange, declared)
    loss, before = 0.0, {k: v.clone() for k, v in network.state_dict().items()}
    pixels = torch.from_numpy(pair.pixels.copy()).permute(2, 0, 1)[None].double() / 255
    x = (pixels - torch.tensor([0.485, 0.456, 0.406])[:, None, None]) / torch.tensor(
        [0.229, 0.224, 0.225]
    )[:, None, None]
    y = torch.from_numpy(pair.mask.copy())[None, None].double() / 255
    for layer, weight in ((network.main, 2.0), (network.side, 0.5)):
        logits = F.conv2d(x, layer.weight.double(), layer.bias.double(), layer.stride, 1)
        logits = F.interpolate(logits, size=y.shape[-2:], mode="bilinear")
        entropy = F.binary_cross_entropy_with_logits(logits, y, reduction="sum")
        loss += weight * entropy.item()

    assert first_loss(network, pair) == pytest.approx(loss, rel=1e-5)
    # every output trains what leads to it
    after = network.state_dict()
    assert not any(torch.equal(before[k], after[k]) for k in before)


def test_a_network_that_differs_in_training_is_trained_and_validated(
    twelve: Dataset, tmp_path: Path, no_curve: None
) -> None:
    (tmp_path / "sided.py").write_text(NETWORK)
    recipe = change_recipe(Recipe(), {"epochs": 1, "accumulate": 6})
    training = Training(
        twelve,
        tmp_path / "run",
        recipe,
        model=f"{tmp_path / 'sided.py'}:sided",
        device="cpu",
        validation=twelve,
        monitor="mae",
    )
    assert train(training).best is not None
    assert [np.isfinite(r["loss"]) for r in read_log(training.out) if "loss" in r] == [True, True]


@pytest.mark.parametrize(
    ("arrange", "declared", "message"),
    [
        (lambda a, b: (a, b), None, r"a tuple of 2 outputs .* training_outputs = \(1\.0, 1\.0\)"),
        (lambda a, b: [a], None, r"a list of 1 outputs .* training_outputs = \(1\.0,\)"),
        (lambda a, b: {"m": a}, None, r"a dictionary of 'm' .* training_outputs = \{'m': 1\.0\}"),
        (lambda a, b: (a, b, b), (1, 1), r"2 weights, but returned a tuple of 3 outputs"),
        (lambda a, b: a, (1, 1), r"2 weights, but returned a single output"),
        (lambda a, b: {"m": a}, {"map": 1}, r"at 'map', but returned a dictionary of 'm'"),
        (lambda a, b: (a, [b]), {(1, 3): 1}, r"at \(1, 3\), but returned a tuple of 2 outputs"),
        (
            lambda a, b: (a, None),
            (1, 1),
            r"the network returned NoneType .*one logit map per image",
        ),
    ],
)
def test_outputs_that_are_not_as_declared_are_one_error(
    pair: AugmentedPair, arrange: Any, declared: Any, message: str
) -> None:
    with pytest.raises(SodbenchError, match=message):
        first_loss(Returning(arrange, declared), pair)


@pytest.mark.parametrize(
    "declared", [(), (1, 0), (1, -1), ("a",), (True,), 2, {}, {"m": float("nan")}]
)
def test_declarations_are_checked(declared: Any) -> None:
    with pytest.raises(SodbenchError, match=r"Returning\.training_outputs is .*one weight above 0"):
        get_supervision(Returning(None, declared))


def test_a_layer_of_that_name_is_no_declaration() -> None:
    assert get_supervision(Returning(None, nn.Conv2d(1, 1, 1))).weights == ()
