"""Images of different sizes in one batch of CSF: the same mathematics as one by one."""

import copy

import pytest
import torch
import torch.nn.functional as F
from reference import model_rule
from torch import nn

from sodbench.errors import SodbenchError
from sodbench.models.declarations import handles_padding
from sodbench.models.padding import (
    Padding,
    cache_constants,
    normalise_groups,
    relu_inside,
)

# even and odd at every scale, one pixel, an empty place
SIZES = ((37, 66), (64, 33), (1, 1), (0, 0))


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


def test_batch_statistics_of_a_padded_batch_are_refused(ruled_csf):
    network = copy.deepcopy(ruled_csf).train()
    assert handles_padding(network)
    assert handles_padding(torch.compile(network))
    with pytest.raises(SodbenchError, match="batch normalisation in training mode"):
        network(torch.zeros(1, 3, 8, 8), torch.tensor([[8, 8]]))


@pytest.mark.parametrize("attribute", [None, False, nn.Linear(1, 1)])
def test_padding_is_handled_only_where_it_is_declared(attribute):
    network = nn.Module()
    network.handles_padding = attribute
    assert not handles_padding(network)
    assert not handles_padding(nn.Module())


def features(sizes, dtype, mean=0.0, channels=8):
    """Drawn features of each image, and all of them on a canvas, in an order of memory with channels last."""
    generator = torch.Generator().manual_seed(0)
    images = [
        torch.randn(1, channels, h, w, generator=generator, dtype=torch.float64) + mean
        for h, w in sizes
    ]
    canvas = [max(size[k] for size in sizes) for k in (0, 1)]
    batch = torch.cat([pad(image.to(dtype), canvas) for image in images])
    return batch.to(memory_format=torch.channels_last), [image.to(dtype) for image in images]


def affine_norm(channels=8, groups=2):
    norm = nn.GroupNorm(groups, channels)
    with torch.no_grad():
        norm.weight.copy_(torch.linspace(-1, 2, channels))
        norm.bias.copy_(torch.linspace(-0.5, 0.5, channels))
    return norm


def region_of(sizes, batch):
    return Padding(torch.tensor(sizes), batch, 1, ((0, 0),)).regions[0]


# The error of the variance is 1e-7 (1 + p mean^2 / variance), p the share of padding: here up to 0.97.
@pytest.mark.parametrize(("mean", "tolerance"), [(0, 2e-6), (3, 1e-5), (100, 5e-3)])
@pytest.mark.parametrize("gradient", [True, False])
def test_normalisation_counts_the_pixels_of_each_image(mean, tolerance, gradient):
    sizes = ((9, 13), (17, 5), (17, 13), (3, 2))
    batch, images = features(sizes, torch.float32, mean)
    norm = affine_norm()
    with torch.set_grad_enabled(gradient):
        y = normalise_groups(batch, norm, region_of(sizes, batch), slice(None))
    exact = copy.deepcopy(norm).double()
    for result, image, (h, w) in zip(y, images, sizes, strict=True):
        expected = exact(image.double())[0]
        assert (result[:, :h, :w] - expected).abs().max() <= tolerance


def test_a_batch_without_padding_is_normalised_as_torch_does():
    x, norm = torch.randn(2, 8, 9, 13, dtype=torch.float64), affine_norm().double()
    with torch.no_grad():
        assert torch.allclose(normalise_groups(x, norm, None, slice(None)), norm(x), atol=1e-12)


def test_a_normalisation_of_some_channels_is_that_part_of_the_whole():
    sizes = ((9, 13), (17, 5))
    batch, _ = features(sizes, torch.float64)
    norm, region = affine_norm().double(), region_of(sizes, batch)
    whole = normalise_groups(batch, norm, region, slice(None))
    part = normalise_groups(batch[:, 4:], norm, region, slice(4, 8))
    assert torch.equal(part, whole[:, 4:])


def test_narrow_features_are_normalised_with_float32_statistics():
    sizes = ((9, 13), (17, 5))
    batch, images = features(sizes, torch.bfloat16, mean=5)
    norm = affine_norm()
    with torch.no_grad():
        y = normalise_groups(batch, norm, region_of(sizes, batch), slice(None))
    assert y.dtype == torch.bfloat16
    exact = copy.deepcopy(norm).double()
    for result, image, (h, w) in zip(y, images, sizes, strict=True):
        expected = exact(image.double())[0]
        # one rounding of the result, of 8 bits
        error = (result[:, :h, :w].double() - expected).abs()
        assert (error <= 2**-8 * expected.abs() + 1e-5).all()


def test_regions_have_the_type_of_the_features():
    x = torch.zeros(1, 3, 4, 4)
    with torch.autocast("cpu", torch.bfloat16):
        region = region_of(((3, 2),), x)
        y = relu_inside(torch.ones(1, 1, 4, 4, dtype=torch.bfloat16), region)
    assert region.pixels.dtype == torch.float32
    assert y.dtype == torch.bfloat16
    assert region_of(((3, 2),), x).mask.dtype == torch.float32


def test_gradients_of_the_parts_are_those_of_finite_differences():
    sizes = ((3, 2), (2, 4), (0, 0))
    batch, _ = features(sizes, torch.float64, channels=4)
    norm, region = affine_norm(4).double(), region_of(sizes, batch)

    def normalise(x):
        return normalise_groups(x * region.mask, norm, region, slice(None)) * region.mask

    x = batch.requires_grad_()
    assert torch.autograd.gradcheck(normalise, x)
    assert torch.autograd.gradcheck(lambda x: relu_inside(x, region), x)


def test_relu_has_no_gradient_at_zero_and_outside():
    x = torch.tensor([[[[0.0, 2.0, -1.0, 3.0]]]], requires_grad=True)
    region = region_of(((1, 3),), x)
    y = relu_inside(x, region)
    y.backward(torch.ones_like(y))
    assert y.tolist() == [[[[0, 2, 0, 0]]]]
    assert x.grad.tolist() == [[[[0, 1, 0, 0]]]]
    with torch.no_grad():
        assert relu_inside(x.clone(), region).tolist() == y.tolist()


def test_resizing_is_that_of_each_image_alone():
    sizes = ((37, 66), (64, 33), (1, 1), (20, 42))
    resizes = ((0, 2), (2, 0), (1, 3), (3, 1), (2, 1))
    padding = Padding(torch.tensor(sizes), torch.zeros(4, 1, 64, 66).double(), 4, resizes)
    for source, target in resizes:
        scaled = [[-(-side // 2**k) for side in size] for size in sizes for k in (source, target)]
        before, after = scaled[::2], scaled[1::2]
        batch, images = features(before, torch.float64)
        # whatever is outside is not read
        outside = padding.regions[source].mask == 0
        result = padding.resize(batch.masked_fill(outside, 1e9), source, target)
        for y, image, (h, w) in zip(result, images, after, strict=True):
            expected = F.interpolate(image, size=(h, w), mode="bilinear")
            assert (y - pad(expected, y.shape[1:])[0]).abs().max() <= 1e-12


def test_parts_compile_as_one_graph_for_any_size():
    from torch._dynamo.exc import Unsupported
    from torch._dynamo.testing import CompileCounter

    norm, counter = affine_norm(), CompileCounter()

    def run(x, sizes):
        padding = Padding(sizes, x, 2, ((0, 1), (1, 0)))
        y = relu_inside(padding.resize(x, 0, 1), padding.regions[1])
        y = normalise_groups(y, norm, padding.regions[1], slice(None))
        return padding.resize(y, 1, 0)

    compiled = torch.compile(run, dynamic=True, fullgraph=True, backend=counter)
    for sizes in (((9, 13), (17, 5), (3, 2)), ((8, 6), (20, 21), (0, 0), (16, 30))):
        batch, _ = features(sizes, torch.float32)
        with torch.autocast("cpu", torch.bfloat16):
            try:
                result, expected = (f(batch, torch.tensor(sizes)) for f in (compiled, run))
            except Unsupported as error:
                if "_is_autocast_available" in str(error):
                    pytest.skip("this PyTorch does not compile autocast")
                raise
        assert torch.equal(result, expected)
    assert counter.frame_count == 1


@pytest.mark.parametrize(
    "sizes", [torch.ones(1, 2).long(), torch.ones(2, 3).long(), torch.ones(2, 2)]
)
def test_sizes_of_other_batches_are_refused(sizes):
    with pytest.raises(SodbenchError, match=r"must be integers \[2, 2\]"):
        Padding(sizes, torch.zeros(2, 3, 8, 8), 1, ((0, 0),))


def test_constants_are_made_once_but_not_for_a_cuda_graph(monkeypatch):
    made = []

    @cache_constants
    def constant(n):
        made.append(n)
        return torch.ones(n)

    with torch.inference_mode():
        assert constant(3) is constant(3)
    assert made == [3]
    # though made in inference mode, it can be used where gradients are computed
    weight = torch.ones(3, requires_grad=True)
    (constant(3) * weight).sum().backward()
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_current_stream_capturing", lambda: True)
    assert constant(3) is not constant(3)
