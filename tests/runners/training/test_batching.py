"""Batches of an update: which images run together, and that padding changes nothing but rounding."""

import json
import os
import signal
from dataclasses import astuple, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from interrupted import stop_after
from torch import Tensor

from sodbench.datasets import Dataset
from sodbench.errors import SodbenchError
from sodbench.models import InputSize, create_model
from sodbench.models.processing import Preprocessing
from sodbench.runners.distributed import ProcessGroup
from sodbench.runners.training.batching import (
    choose_batching,
    group_by_size,
    pad_to_canvas,
    round_up_side,
)
from sodbench.runners.training.data import AugmentedPair, load_augmented
from sodbench.runners.training.losses import LOSSES
from sodbench.runners.training.optimizer import set_training_mode
from sodbench.runners.training.options import Training
from sodbench.runners.training.recipe import Recipe, change_recipe
from sodbench.runners.training.train import train
from sodbench.runners.training.update import Updater

CPU, CUDA = torch.device("cpu"), torch.device("cuda")

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def items(twelve: Dataset) -> list[AugmentedPair]:
    """Twelve pairs of three sizes, in the order of their names."""
    return [load_augmented(s, i, 0, 1.0, Recipe()) for i, s in enumerate(twelve.samples)]


def test_exact_batches_hold_one_size_each(items: list[AugmentedPair]) -> None:
    batches = group_by_size(items, 3)
    assert sorted(len(b.stems) for b in batches) == [1, 1, 1, 3, 3, 3]
    assert sorted(stem for b in batches for stem in b.stems) == [i.stem for i in items]
    for batch in batches:
        assert batch.sizes is None and batch.pixels.shape == (*batch.masks.shape, 3)
    assert all(len(b.stems) == 1 for b in group_by_size(items, 1))


def test_padded_batches_hold_each_image_in_the_top_left(items: list[AugmentedPair]) -> None:
    (batch,) = pad_to_canvas(items, 12)
    assert batch.stems == tuple(i.stem for i in items)
    assert batch.pixels.shape == (12, 48, 48, 3) and batch.masks.shape == (12, 48, 48)
    assert batch.sizes is not None
    for item, pixels, mask, (h, w) in zip(
        items, batch.pixels, batch.masks, batch.sizes, strict=True
    ):
        assert np.array_equal(pixels[:h, :w], item.pixels) and pixels.sum() == item.pixels.sum()
        assert np.array_equal(mask[:h, :w], item.mask) and mask.sum() == item.mask.sum()


def test_padded_batches_keep_portrait_apart_where_there_are_several(
    items: list[AugmentedPair],
) -> None:
    landscape, _, portrait = pad_to_canvas(items, 4)
    # an image of the batch's only size is not padded
    assert landscape.sizes is None and landscape.masks.shape[1:] == (32, 40)
    assert portrait.sizes is None and portrait.masks.shape[1:] == (40, 32)


def test_canvases_are_few_and_hardly_larger() -> None:
    assert [round_up_side(n) for n in (1, 16, 17, 300, 400)] == [16, 16, 32, 304, 400]
    rounded = {round_up_side(n) for n in range(256, 4097)}
    assert len(rounded) == 4 * 16 + 1
    assert all(n <= round_up_side(n) < n * 17 / 16 for n in range(256, 5000))


@pytest.mark.parametrize("name", LOSSES)
def test_losses_ignore_what_is_around_an_image(name: str) -> None:
    rng = np.random.default_rng(0)
    logits = torch.tensor(rng.normal(0, 3, (3, 1, 40, 44)), requires_grad=True)
    masks, inside = torch.zeros(3, 1, 40, 44).double(), torch.zeros(3, 1, 40, 44).double()
    sizes = ((40, 20), (33, 44), (7, 9))
    for n, (h, w) in enumerate(sizes):
        masks[n, :, :h, :w] = torch.from_numpy(rng.random((h, w)))
        inside[n, :, :h, :w] = 1

    losses = LOSSES[name](logits, masks, inside)
    losses.sum().backward()

    assert logits.grad is not None
    assert not (logits.grad * (1 - inside)).any()
    for n, (h, w) in enumerate(sizes):
        alone = logits.detach()[n : n + 1, :, :h, :w].clone().requires_grad_(True)
        expected = LOSSES[name](alone, masks[n : n + 1, :, :h, :w], None)
        expected.backward()
        assert losses[n].item() == pytest.approx(expected.item(), rel=1e-12)
        torch.testing.assert_close(logits.grad[n, :, :h, :w], alone.grad[0], rtol=1e-11, atol=1e-14)


def run_updates(
    networks: Path, items: list[AugmentedPair], changes: dict[str, Any]
) -> tuple[list[tuple[float, ...]], dict[str, Tensor]]:
    """Three updates of the network that handles padding; their losses and norms, and the weights."""
    recipe = change_recipe(Recipe(), {"accumulate": 4, "learning_rate": 1e-3, **changes})
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = create_model(f"{networks}:padding")
    updater = Updater(network, recipe, CPU, ProcessGroup(CPU), "padding")
    set_training_mode(network, recipe)
    results = []
    for start in (0, 4, 8):
        finish = updater.start_update(updater.load(items[start : start + 4]), 1e-3)
        results.append(astuple(finish()))
    return results, updater.weights()


@pytest.mark.parametrize("loss", LOSSES)
def test_padded_updates_equal_one_by_one(
    networks: Path, items: list[AugmentedPair], loss: str
) -> None:
    one, weights_of_one = run_updates(networks, items, {"sub_batch": 1, "loss": loss})
    padded, weights = run_updates(networks, items, {"batching": "pad", "loss": loss})
    np.testing.assert_allclose(padded, one, rtol=2e-5)
    for name, value in weights_of_one.items():
        torch.testing.assert_close(weights[name], value, rtol=1e-4, atol=1e-5, msg=name)


def test_a_padded_training_records_it_and_resumes_to_the_same_bits(
    networks: Path, twelve: Dataset, tmp_path: Path, no_curve: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = change_recipe(Recipe(), {"epochs": 2, "accumulate": 5, "batching": "pad"})
    model = f"{networks}:padding"
    whole = Training(twelve, tmp_path / "whole", recipe, model=model, device="cpu", workers=1)
    broken = replace(whole, out=tmp_path / "broken")
    train(whole)
    run = json.loads((whole.out / "run.json").read_text())
    assert run["batching"] == "pad" and run["precision"] == "fp32"

    with monkeypatch.context() as patch:
        stop_after(3, patch, lambda: os.kill(os.getpid(), signal.SIGTERM))
        assert train(broken).updates == 3
    train(replace(broken, resume=True))
    first, second = (t.out / "final.pth" for t in (whole, broken))
    weights = torch.load(first, weights_only=True)
    resumed = torch.load(second, weights_only=True)
    assert all(torch.equal(weights[name], resumed[name]) for name in weights)


def test_batching_is_chosen_by_device_network_and_recipe(networks: Path) -> None:
    padding, small = (create_model(f"{networks}:{name}") for name in ("padding", "small"))
    free = change_recipe(Recipe(), {"frozen": False})
    assert choose_batching(padding, Recipe(), CUDA, "n", Preprocessing()) == "pad"
    assert choose_batching(padding, free, CUDA, "n", Preprocessing()) == "pad"
    assert choose_batching(padding, Recipe(), CPU, "n", Preprocessing()) == "exact"
    assert choose_batching(small, Recipe(), CUDA, "n", Preprocessing()) == "exact"
    fixed = Preprocessing(InputSize(fixed=(32, 32)))
    assert choose_batching(padding, Recipe(), CUDA, "n", fixed) == "exact"
    assert (
        choose_batching(
            padding, change_recipe(Recipe(), {"batching": "exact"}), CUDA, "n", Preprocessing()
        )
        == "exact"
    )


def test_padding_that_is_not_possible_is_refused(networks: Path) -> None:
    pad = change_recipe(Recipe(), {"batching": "pad"})
    small = create_model(f"{networks}:small")
    with pytest.raises(
        SodbenchError, match="batching = pad is not possible, because its network does not declare"
    ):
        choose_batching(small, pad, CPU, "small", Preprocessing())
    small.handles_padding = True
    choose_batching(small, pad, CPU, "small", Preprocessing())
    with pytest.raises(SodbenchError, match=r"it trains batch normalisation \(frozen = false\)"):
        choose_batching(small, change_recipe(pad, {"frozen": False}), CPU, "small", Preprocessing())


def test_compiled_networks_do_not_compile_every_size_again(
    networks: Path, items: list[AugmentedPair], monkeypatch: pytest.MonkeyPatch
) -> None:
    from torch._dynamo.testing import CompileCounter

    counter = CompileCounter()
    compile_network = torch.compile
    monkeypatch.setattr(
        torch,
        "compile",
        lambda network, **options: compile_network(network, backend=counter, **options),
    )
    changes = {"compiled": True, "sub_batch": 1}
    one, _ = run_updates(networks, items, {"sub_batch": 1})
    compiled, _ = run_updates(networks, items, changes)
    np.testing.assert_allclose(compiled, one, rtol=1e-5)
    # PyTorch 2.6 compiles three times
    assert counter.frame_count == (3 if torch.__version__.startswith("2.6.") else 1)


@pytest.mark.parametrize("batching", ["exact", "pad"])
def test_updates_that_do_not_fit_in_memory_run_in_parts(
    networks: Path,
    items: list[AugmentedPair],
    batching: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The images of the failed attempt count once, and later updates do not fail first."""
    changes = {"batching": batching}
    together, weights_together = run_updates(networks, items[:4] * 3, changes)
    losses, attempts = Updater._losses, []

    def of_little_memory(self: Updater, images: Any) -> Tensor:
        attempts.append(len(images.x))
        if len(images.x) > 1:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB.")
        return losses(self, images)

    monkeypatch.setattr(Updater, "_losses", of_little_memory)
    parts, weights = run_updates(networks, items[:4] * 3, changes)
    np.testing.assert_allclose(parts, together, rtol=2e-5)
    for name, value in weights_together.items():
        torch.testing.assert_close(weights[name], value, rtol=1e-4, atol=1e-5, msg=name)
    assert attempts[-8:] == [1] * 8 and max(attempts) > 1
    assert "images of an update do not fit in memory: running 1" in capsys.readouterr().err
