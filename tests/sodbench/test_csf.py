"""CSF against the reference: names, shapes, freezing, features, logits, one training step."""

import copy
import json
import zlib

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from reference import model_rule
from torch import nn

from sodbench.models import create_model, csf, res2net


@pytest.fixture(scope="module")
def keys(data):
    return json.loads((data / "csf_state_dict.json").read_text())["keys"]


@pytest.fixture(scope="module")
def training_step(data):
    return json.loads((data / "train_step_seed0.json").read_text())


@torch.inference_mode()
def logits(model, n, h, w, seed=0):
    return model(torch.from_numpy(model_rule.network_input(n, h, w, seed)))


def test_state_dictionary_is_the_references_in_order(ruled_csf, keys):
    state = ruled_csf.state_dict()
    assert [(k, list(v.shape), str(v.dtype)) for k, v in state.items()] == [
        (k["key"], k["shape"], f"torch.{k['dtype']}") for k in keys
    ]


def test_requires_grad_is_the_references(ruled_csf, keys):
    expected = {k["key"]: k["requires_grad"] for k in keys if k["kind"] == "parameter"}
    assert {k: p.requires_grad for k, p in ruled_csf.named_parameters()} == expected
    assert sum(p.numel() for p in ruled_csf.parameters()) == 36_528_489
    free = create_model("csf-res2net50", frozen=False)
    assert all(p.requires_grad for p in free.parameters())


def test_rule_gives_the_weights_of_the_fixtures(ruled_csf, data):
    crc = 0
    for value in ruled_csf.state_dict().values():
        crc = zlib.crc32(value.numpy().tobytes(), crc)
    meta = json.loads((data / "model_parity_meta.json").read_text())
    assert crc == meta["weights_crc32_chained_over_ordered_keys"]["0"]


@pytest.mark.parametrize("size", [(97, 131), (224, 224), (300, 400)])
def test_logits_are_the_references(ruled_csf, data, size):
    with np.load(data / "model_parity_public.npz") as arrays:
        expected = arrays[f"s0_1x3x{size[0]}x{size[1]}"]
    actual = logits(ruled_csf, 1, *size).numpy()
    assert actual.shape == expected.shape
    assert np.abs(actual - expected).max() <= 2e-5


def test_features_are_the_references(ruled_csf, data):
    expected = json.loads((data / "features_seed0_224.json").read_text())["features"]
    seen = {}

    def keep(name):
        def hook(module, inputs, output):
            for i, tensor in enumerate(output if isinstance(output, list) else [output]):
                seen[f"{name}[{i}]" if isinstance(output, list) else name] = tensor.clone()

        return hook

    modules = dict(ruled_csf.named_modules())
    names = {key.split("[")[0] for key in expected} - {"output"}
    hooks = [modules[name].register_forward_hook(keep(name)) for name in names]
    try:
        seen["output"] = logits(ruled_csf, 1, 224, 224)
    finally:
        for hook in hooks:
            hook.remove()
    for name, want in expected.items():
        got = seen[name]
        assert list(got.shape) == want["shape"], name
        sampled = got.flatten()[want["sample_index"]].numpy()
        scale = max(abs(want["min"]), abs(want["max"]))
        assert np.abs(sampled - want["sample"]).max() <= 2e-6 * scale + 2e-6, name
        assert got.double().norm().item() == pytest.approx(want["l2"], rel=1e-6), name


def test_training_step_is_the_references(ruled_csf, training_step):
    model = copy.deepcopy(ruled_csf)
    image = torch.from_numpy(model_rule.network_input(1, 97, 131, 0))
    label = torch.from_numpy(model_rule.label(1, 97, 131, 0))
    loss = F.binary_cross_entropy_with_logits(model(image), label, reduction="sum") / 10
    assert loss.item() == pytest.approx(training_step["loss"], rel=1e-6)
    loss.backward()
    norms = {
        k: p.grad.double().norm().item() for k, p in model.named_parameters() if p.grad is not None
    }
    assert norms == pytest.approx(training_step["grad_norm_per_parameter"], rel=1e-5)
    assert len(norms) == training_step["n_params_with_grad"]


def test_batch_of_two_is_two_singles(ruled_csf):
    pair = model_rule.network_input(2, 64, 80, 3)
    with torch.inference_mode():
        together = ruled_csf(torch.from_numpy(pair))
        apart = torch.cat([ruled_csf(torch.from_numpy(pair[i : i + 1])) for i in range(2)])
    assert (together - apart).abs().max() <= 1e-5


@pytest.fixture(scope="module")
def fast(ruled_csf):
    return copy.deepcopy(ruled_csf).for_inference().to(memory_format=torch.channels_last)


# groups of channels at a time: one, some (several only in the largest image), all
@pytest.mark.parametrize(
    ("shape", "settings"),
    [
        ((1, 97, 131), (700_000,)),
        ((2, 64, 80), (1, 2**40)),
        ((1, 33, 50), (700_000,)),
        ((1, 5, 3), (1, 2**40)),
    ],
)
def test_inference_form_is_the_same_function(ruled_csf, fast, shape, settings, monkeypatch):
    assert not any(isinstance(m, nn.BatchNorm2d) for m in fast.modules())
    expected = logits(ruled_csf, *shape)
    for elements in settings:
        monkeypatch.setattr(csf, "MAX_ELEMENTS_CPU", elements)
        assert (logits(fast, *shape) - expected).abs().max() <= 2e-5


def test_the_fused_convolutions_of_a_gpu_compute_the_same(fast, monkeypatch):
    x = torch.from_numpy(model_rule.network_input(2, 40, 56, 3))
    sizes = torch.tensor([[40, 56], [33, 41]])
    x[1, :, 33:] = 0
    x[1, :, :, 41:] = 0
    with torch.inference_mode():
        expected = fast(x), fast(x, sizes)
    calls = []

    # what cuDNN computes, by its documentation
    def convolution_relu(x, weight, bias, *options):
        calls.append("relu")
        return F.relu(F.conv2d(x, weight, bias, *options))

    def convolution_add_relu(x, weight, added, alpha, bias, *options):
        calls.append("add")
        return F.relu(F.conv2d(x, weight, bias, *options) + alpha * added)

    monkeypatch.setattr(res2net, "_has_fused_convolution", lambda x: True)
    monkeypatch.setattr(torch, "cudnn_convolution_relu", convolution_relu)
    monkeypatch.setattr(torch, "cudnn_convolution_add_relu", convolution_add_relu)
    with torch.inference_mode():
        fused = fast(x), fast(x, sizes)
    for a, b in zip(fused, expected, strict=True):
        assert (a - b).abs().max() <= 1e-6
    # the stem; in each of 16 blocks the first and three inner convolutions, and the last one with its shortcut
    assert calls.count("relu") == 2 * (3 + 16 * 4)
    assert calls.count("add") == 2 * 16


@pytest.mark.parametrize("size", [(1, 1), (2, 3), (8, 8), (15, 17), (31, 33), (33, 200)])
def test_any_size_goes_through(ruled_csf, size):
    result = logits(ruled_csf, 1, *size)
    assert result.shape == (1, 1, *size)
    assert result.isfinite().all()


def test_initial_weights_are_drawn_as_the_reference_draws_them():
    torch.manual_seed(0)
    model = create_model("csf-res2net50")
    convs = [m for m in model.modules() if isinstance(m, nn.Conv2d)]
    assert len(convs) == 108
    drawn = torch.cat([m.weight.detach().flatten() for m in convs])
    assert drawn.std().item() == pytest.approx(0.01, rel=1e-3)
    assert abs(drawn.mean().item()) < 1e-5
    assert model.cls_layer.bias.item() == 0
    for fusion, bound in ((model.fuse, 3840**-0.5), (model.fuse1x1, 1408**-0.5)):
        weights = fusion.conv.weights.detach()
        assert weights.abs().max().item() == pytest.approx(bound, rel=1e-3)
        assert weights.std().item() == pytest.approx(bound / 3**0.5, rel=1e-2)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d | nn.GroupNorm):
            assert (module.weight == 1).all() and (module.bias == 0).all()
        if isinstance(module, nn.PReLU):
            assert (module.weight == 0.25).all()
