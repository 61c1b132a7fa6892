"""Images of different sizes in one batch of CSF: the same mathematics as one by one."""

import copy

import pytest
import torch
import torch.nn.functional as F
from reference import model_rule
from torch import nn

from sodbench.errors import SodbenchError
from sodbench.models import create_model
from sodbench.models.declarations import handles_padding

# even and odd at every scale, one pixel, an empty place
SIZES = ((37, 66), (64, 33), (1, 1), (0, 0), (20, 42))


def padded_batch(sizes, dtype, seed=0):
    """A batch of the images, zero elsewhere, and their sizes; and the images, [1, 3, h, w]."""
    images = [
        torch.from_numpy(model_rule.network_input(1, max(h, 1), max(w, 1), seed + i))[:, :, :h, :w]
        for i, (h, w) in enumerate(sizes)
    ]
    canvas = [max(size[k] for size in sizes) for k in (0, 1)]
    batch = torch.cat([pad(image, canvas) for image in images])
    return batch.to(dtype), torch.tensor(sizes), [image.to(dtype) for image in images]


def pad(x, canvas):
    return F.pad(x, (0, canvas[1] - x.shape[3], 0, canvas[0] - x.shape[2]))


def run_one_by_one(network, batch, images):
    """The logits of each image alone, on the canvas."""
    maps = [network(x) if x.numel() else x[:, :1] for x in images]
    return torch.cat([pad(y, batch.shape[2:]) for y in maps])


@pytest.fixture(scope="module")
def precise(ruled_csf):
    return copy.deepcopy(ruled_csf).double()


def test_logits_and_gradients_are_those_of_one_by_one(precise):
    batch, sizes, images = padded_batch(SIZES, torch.float64)
    weights = torch.rand(
        batch[:, :1].shape, dtype=torch.float64
    )  # of a loss that is not 0 outside, either
    found = []
    for run in (lambda: precise(batch, sizes), lambda: run_one_by_one(precise, batch, images)):
        precise.zero_grad()
        logits = run()
        (logits * weights).sum().backward()
        found.append(
            (logits.detach(), [p.grad for p in precise.parameters() if p.grad is not None])
        )
    (logits, slopes), (expected, expected_slopes) = found
    assert (logits - expected).abs().max() <= 1e-12
    assert len(slopes) == len(expected_slopes) == 146
    for slope, alone in zip(slopes, expected_slopes, strict=True):
        assert (slope - alone).abs().max() <= 1e-12 * alone.abs().max()


def test_inference_form_is_the_same_function(ruled_csf):
    fast = copy.deepcopy(ruled_csf).for_inference().to(memory_format=torch.channels_last)
    batch, sizes, images = padded_batch(SIZES, torch.float32)
    with torch.inference_mode():
        logits = fast(batch.to(memory_format=torch.channels_last), sizes)
        expected = run_one_by_one(ruled_csf, batch, images)
    assert logits.dtype == torch.float32
    assert (logits - expected).abs().max() <= 2e-5
    for y, (h, w) in zip(logits, SIZES, strict=True):
        assert not y[:, h:].any() and not y[:, :, w:].any()


def test_batch_statistics_of_a_padded_batch_are_refused():
    network = create_model("csf-res2net50")
    assert handles_padding(network)
    with pytest.raises(SodbenchError, match="batch normalisation in training mode"):
        network(torch.zeros(1, 3, 8, 8), torch.tensor([[8, 8]]))


@pytest.mark.parametrize("attribute", [None, False, nn.Linear(1, 1)])
def test_only_a_declaration_says_that_padding_is_handled(attribute):
    network = nn.Module()
    network.handles_padding = attribute
    assert not handles_padding(network)
    assert not handles_padding(nn.Module())
