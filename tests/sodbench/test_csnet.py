"""CSNet against the authors' program with the authors' trained weights, which may not be distributed."""

import numpy as np
import pytest
import torch
from reference import model_rule

from sodbench.models import create_model, load_checkpoint


@pytest.fixture(scope="module")
def weights(shared):
    folder = shared / "weights"
    if not (folder / "csnet_logits.npz").is_file():
        pytest.skip(f"no trained weights of CSNet in {folder}")
    return folder


@pytest.mark.real
@pytest.mark.parametrize("name", ["csnet-L-x1", "csnet-L-x2"])
def test_logits_equal_those_of_the_authors_program(weights, name):
    model = create_model(name).eval()
    load_checkpoint(model, weights / f"{name}.pth")
    with np.load(weights / "csnet_logits.npz") as stored:
        expected = {size: stored[f"{name}_s0_1x3x{size}"] for size in ("224x224", "96x128")}
    for size, logits in expected.items():
        height, width = map(int, size.split("x"))
        with torch.inference_mode():
            y = model(torch.from_numpy(model_rule.network_input(1, height, width, 0)))
        assert np.abs(y.numpy() - logits).max() < 2e-5


# The authors' files hold 739 and 737 tensors with 98,027 and 146,418 values.
@pytest.mark.parametrize(
    ("name", "tensors", "values"), [("csnet-L-x1", 739, 98027), ("csnet-L-x2", 737, 146418)]
)
def test_the_network_has_the_tensors_of_the_authors_files(name, tensors, values):
    state = create_model(name).state_dict()
    assert len(state) == tensors
    assert sum(v.numel() for v in state.values()) == values


def test_random_weights_give_finite_logits_of_the_images_size():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = create_model("csnet-L-x1").eval()
    with torch.inference_mode():
        y = model(torch.from_numpy(model_rule.network_input(2, 32, 48, 0)))
    assert y.shape == (2, 1, 32, 48)
    assert y.isfinite().all()
