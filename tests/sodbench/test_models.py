"""Models by name and by file, the error for a wrong checkpoint, and the baselines."""

import argparse
import subprocess
import sys
import zipfile

import numpy as np
import pytest
import torch
from torch import nn

from sodbench.errors import SodbenchError
from sodbench.files import file_hash
from sodbench.models import (
    BASELINES,
    InputSize,
    create_model,
    get_input_size,
    load_backbone,
    load_checkpoint,
    model_names,
    register_model,
)
from sodbench.models import registry as registry_module

TINY = """
from torch import nn
from sodbench.models import InputSize

class Tiny(nn.Sequential):
    input_size = InputSize(multiple=8)

def factory(width=4):
    return Tiny(nn.Conv2d(3, width, 3, padding=1), nn.ReLU(), nn.Conv2d(width, 1, 1))

def no_module():
    return 3
"""


@pytest.fixture
def tiny_file(tmp_path):
    path = tmp_path / "my_net.py"
    path.write_text(TINY)
    return path


def test_unknown_name_suggests_the_nearest():
    with pytest.raises(SodbenchError, match="did you mean 'csf-res2net50'"):
        create_model("csf-resnet50")
    # not far from csnet, but another network
    with pytest.raises(SodbenchError, match=r"'u2net'\n.*\n.*\n.*--model FILE --preset u2net$"):
        create_model("u2net")


def test_baseline_is_no_network():
    with pytest.raises(SodbenchError, match="without a network"):
        create_model("centre-prior")


def test_factory_of_a_file(tiny_file):
    model = create_model(f"{tiny_file}:factory", width=2)
    assert model(torch.zeros(1, 3, 5, 7)).shape == (1, 1, 5, 7)
    assert get_input_size(model) == InputSize(multiple=8)


def test_file_may_import_its_neighbours(tmp_path):
    (tmp_path / "neighbour_of_the_net.py").write_text("WIDTH = 3\n")
    path = tmp_path / "net.py"
    path.write_text(
        "from neighbour_of_the_net import WIDTH\nfrom torch import nn\n"
        "def make():\n    return nn.Conv2d(3, 1, WIDTH, padding=1)\n"
    )
    before = list(sys.path)
    assert create_model(f"{path}:make")(torch.zeros(1, 3, 4, 4)).shape == (1, 1, 4, 4)
    assert sys.path == before


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("nowhere.py:factory", "nowhere.py: no such file"),
        ("{file}", "which factory in the file"),
        ("{file}:other", "no callable 'other' in it; it defines Tiny, factory, no_module"),
        ("{file}:no_module", "returned <class 'int'>, not a torch.nn.Module"),
    ],
)
def test_wrong_file_or_factory(tiny_file, spec, message):
    with pytest.raises(SodbenchError, match=message):
        create_model(spec.format(file=tiny_file))


def test_a_broken_file_is_refused_with_the_reason(tmp_path):
    path = tmp_path / "broken.py"
    path.write_text("import surely_not_installed\n")
    with pytest.raises(SodbenchError, match=r"broken.py: cannot be imported: ModuleNotFoundError"):
        create_model(f"{path}:factory")


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("x = 1\nimport surely_not_installed\n", r"ModuleNotFoundError: No module .* \(net\.py:2\)"),
        ("def f(:\n", r"SyntaxError: .*net\.py, line 1\)"),
        ("def f():\n    return 1 / 0\n\nf()\n", r"ZeroDivisionError: division by zero \(net\.py:2\)"),
        ("import argparse\nargparse.ArgumentParser().error('bad')\n", r"SystemExit: 2 \(net\.py:2\)"),
        ("raise ValueError('two\\nlines')\n", r"ValueError: two lines \(net\.py:1\)"),
        ("from sodbench.models import InputSize\nInputSize(multiple=0)\n",
         r"InputSize\(multiple=0\): write a whole number .*\(net\.py:2\)"),
        ("from sodbench.models import InputSize\nInputSize(fixed=352)\n",
         r"InputSize\(fixed=352\): write \(height, width\).*\(net\.py:2\)"),
    ],
)  # fmt: skip
def test_an_error_while_importing_names_the_line(tmp_path, source, message):
    path = tmp_path / "net.py"
    path.write_text(source)
    with pytest.raises(SodbenchError, match=rf"net\.py: cannot be imported: {message}") as caught:
        create_model(f"{path}:factory")
    assert len(str(caught.value).splitlines()) == 1


def test_an_error_of_the_factory_names_the_innermost_line_of_the_users_code(tmp_path):
    (tmp_path / "net_parts.py").write_text(
        "from torch import nn\n\ndef block():\n    return nn.Conv2d(3, -1, 1)\n"
    )
    path = tmp_path / "net.py"
    path.write_text("def make():\n    from net_parts import block\n    return block()\n")
    with pytest.raises(
        SodbenchError, match=r"net\.py:make: its factory failed: .*\(net_parts\.py:4\)$"
    ):
        create_model(f"{path}:make")


def test_wrong_option_is_named():
    with pytest.raises(SodbenchError, match="unexpected keyword argument 'depth'"):
        create_model("csf-res2net50", depth=101)


def test_registering(monkeypatch):
    monkeypatch.setattr(registry_module, "_factories", dict(registry_module._factories))

    @register_model("one-by-one")
    def one_by_one(bias=True):
        return nn.Conv2d(3, 1, 1, bias=bias)

    assert "one-by-one" in model_names()
    assert create_model("one-by-one", bias=False).bias is None
    with pytest.raises(ValueError, match="registered already"):
        register_model("one-by-one")(one_by_one)


def test_second_network_gives_a_logit_a_pixel():
    model = create_model("lraspp-mobilenet-v3").eval()
    with torch.inference_mode():
        assert model(torch.zeros(2, 3, 50, 70)).shape == (2, 1, 50, 70)


def test_input_sizes():
    assert InputSize().for_image(97, 131) == (97, 131)
    assert InputSize(multiple=32).for_image(97, 15) == (96, 32)
    assert InputSize(multiple=32).for_image(112, 113) == (128, 128)
    assert InputSize(fixed=(352, 320)).for_image(1, 1) == (352, 320)
    model = nn.Conv2d(3, 1, 1)
    assert get_input_size(model) == InputSize()
    model.input_size = 352
    with pytest.raises(SodbenchError, match="input_size is 352; it must be"):
        get_input_size(model)


# ---- checkpoints


class Small(nn.Module):
    """Named as CSF is: a backbone with batch normalisation, and a classifier."""

    def __init__(self):
        super().__init__()
        self.base = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))
        self.cls_layer = nn.Conv2d(4, 1, 1)


@pytest.fixture
def small():
    return Small()


@pytest.fixture
def state():
    return Small().state_dict()


def test_csf_loads_its_checkpoint_and_its_backbone(ruled_csf, tmp_path):
    state = ruled_csf.state_dict()
    file, model = tmp_path / "backbone.pth", create_model("csf-res2net50")
    torch.save(backbone(state), file)
    assert len(torch.load(file)) == 522 + 2
    assert load_backbone(model, file) == file_hash(file)
    loaded = model.state_dict()
    assert all(torch.equal(loaded[k], v) for k, v in state.items() if k.startswith("base."))
    assert not torch.equal(loaded["cls_layer.weight"], state["cls_layer.weight"])

    torch.save(state, tmp_path / "final.pth")
    assert load_checkpoint(model, tmp_path / "final.pth") == file_hash(tmp_path / "final.pth")
    assert all(torch.equal(v, state[k]) for k, v in model.state_dict().items())


def test_old_checkpoint_without_counters_loads(small, state, tmp_path):
    path = tmp_path / "old.pth"
    old = {k: v for k, v in state.items() if "num_batches_tracked" not in k}
    assert len(old) == len(state) - 1
    torch.save(old, path)
    load_checkpoint(small, path)
    assert all(torch.equal(v, state[k]) for k, v in small.state_dict().items())


def backbone(state):
    """As the ImageNet file is: without the prefix, with a classifier."""
    base = {k.removeprefix("base."): v for k, v in state.items() if k.startswith("base.")}
    return {**base, "fc.weight": torch.zeros(1000, 2048), "fc.bias": torch.zeros(1000)}


class Trainer:
    """Something that a checkpoint should not hold."""


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (lambda s: backbone(s), "this is an ImageNet backbone, not a checkpoint"),
        (
            lambda s: {"model": s, "ema": {"model": s}},
            "several sets of weights, under 'model', 'ema.model'; choose one with --checkpoint-key",
        ),
        (
            lambda s: {f"net.{k}": v for k, v in s.items() if k != "cls_layer.bias"},
            "1 tensors missing",
        ),
        (lambda s: {"trainer": Trainer()}, "holds Python objects other than tensors"),
        (lambda s: [1, 2], "not a checkpoint: it holds a value of type list"),
        (lambda s: {"lr": 0.1}, "no dictionary from names to tensors ({'lr': float})"),
        (lambda s: {}, "no dictionary from names to tensors"),
        (lambda s: {**s, "cls_layer.bias": torch.zeros(2)}, r"cls_layer.bias [2] instead of [1]"),
        (
            lambda s: {k: v for k, v in s.items() if k != "cls_layer.bias"},
            "1 tensors missing: cls_layer.bias",
        ),
        (lambda s: {**s, "more": torch.zeros(2)}, "1 tensors not in the network: more"),
    ],
    ids=lambda v: "" if callable(v) else v.split()[-1],
)
def test_the_message_identifies_a_wrong_checkpoint(small, state, tmp_path, content, message):
    path = tmp_path / "wrong.pth"
    torch.save(content(state), path)
    before = small.cls_layer.weight.clone()
    with pytest.raises(SodbenchError) as caught:
        load_checkpoint(small, path)
    assert message in str(caught.value)
    assert str(path) in str(caught.value)
    assert torch.equal(small.cls_layer.weight, before)


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        (lambda w: (100 * w).to(torch.int8), "int8 instead of float32"),
        (lambda w: w > 0, "bool instead of float32"),
        (lambda w: w.long(), "int64 instead of float32"),
        (lambda w: w.to(torch.complex64), "complex64 instead of float32"),
        (lambda w: w.to_sparse(), "sparse"),
        (lambda w: torch.quantize_per_tensor(w, 0.1, 0, torch.qint8), "quantised"),
        (lambda w: w.to("meta"), "without values (on the meta device)"),
    ],
    ids=["int8", "bool", "int64", "complex", "sparse", "quantised", "meta"],
)
@pytest.mark.filterwarnings("ignore")
def test_weights_that_are_no_plain_numbers_are_refused(small, state, tmp_path, change, kind):
    """Cast to float, whole numbers and truth values would be weights of 0."""
    torch.save({**state, "cls_layer.weight": change(state["cls_layer.weight"])}, tmp_path / "w.pth")
    before = small.cls_layer.weight.clone()
    with pytest.raises(SodbenchError) as caught:
        load_checkpoint(small, tmp_path / "w.pth")
    assert f"1 tensors of another kind: cls_layer.weight {kind}" in str(caught.value)
    assert "torch:" not in str(caught.value)
    assert torch.equal(small.cls_layer.weight, before)


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16, torch.float64])
def test_weights_of_another_precision_load(small, state, tmp_path, kind):
    torch.save(
        {k: v.to(kind) if v.is_floating_point() else v for k, v in state.items()},
        tmp_path / "w.pth",
    )
    load_checkpoint(small, tmp_path / "w.pth")
    assert torch.equal(small.cls_layer.weight, state["cls_layer.weight"].to(kind).float())


def wrapped(prefix):
    return lambda s: {f"{prefix}{k}": v for k, v in s.items()}


@pytest.mark.parametrize(
    "wrap",
    [
        wrapped("module."),
        wrapped("_orig_mod.module."),
        wrapped("model.net._orig_mod."),
        lambda s: {k.replace("cls_layer.", "cls_layer._orig_mod."): v for k, v in s.items()},
        lambda s: {"epoch": 3, "state_dict": s, "optimizer": {"state": {}, "param_groups": []}},
        lambda s: {"net": {"params_ema": wrapped("module.")(s)}},
        lambda s: {"state_dict": s, "best": np.float64(0.5), "args": argparse.Namespace(lr=1)},
        lambda s: {**s, "total_ops": torch.zeros(1), "cls_layer.total_params": torch.zeros(1)},
    ],
)
def test_checkpoints_load_as_people_have_them(small, state, tmp_path, wrap):
    torch.save(wrap(state), tmp_path / "w.pth")
    load_checkpoint(small, tmp_path / "w.pth")
    assert all(torch.equal(v, state[k]) for k, v in small.state_dict().items())


@pytest.mark.parametrize("module", ["numpy.core.multiarray", "numpy._core.multiarray"])
def test_numbers_of_numpy_1_and_2_may_be_next_to_the_weights(small, state, tmp_path, module):
    torch.save({"state_dict": state, "best": np.float64(0.5)}, tmp_path / "mine.pth")
    own = np.float64(0).__reduce__()[0].__module__.encode()
    with (
        zipfile.ZipFile(tmp_path / "mine.pth") as mine,
        zipfile.ZipFile(tmp_path / "w.pth", "w") as theirs,
    ):
        for name in mine.namelist():
            theirs.writestr(name, mine.read(name).replace(own, module.encode()))
    load_checkpoint(small, tmp_path / "w.pth")
    assert torch.equal(small.cls_layer.weight, state["cls_layer.weight"])


def test_an_adapter_may_wrap_a_network(small, state, tmp_path):
    """Its attribute renames every tensor, and so the published file would no longer fit."""
    adapter = nn.Module()
    adapter.net = small
    without_counters = {k: v for k, v in state.items() if "num_batches_tracked" not in k}
    torch.save(wrapped("module.")(without_counters), tmp_path / "w.pth")
    load_checkpoint(adapter, tmp_path / "w.pth")
    assert torch.equal(small.cls_layer.weight, state["cls_layer.weight"])


def test_a_key_chooses_among_several_sets_of_weights(small, state, tmp_path):
    other = {k: torch.zeros_like(v) for k, v in state.items()}
    torch.save({"model": other, "ema": {"shadow": state}}, tmp_path / "w.pth")
    load_checkpoint(small, tmp_path / "w.pth", "ema.shadow")
    assert torch.equal(small.cls_layer.weight, state["cls_layer.weight"])
    with pytest.raises(
        SodbenchError, match=r"no weights there; they are under 'model', 'ema\.shadow'"
    ):
        load_checkpoint(small, tmp_path / "w.pth", "ema")


def test_safetensors(small, state, tmp_path):
    from safetensors.torch import save_file

    save_file(wrapped("model.")(state), tmp_path / "w.safetensors")
    load_checkpoint(small, tmp_path / "w.safetensors")
    assert torch.equal(small.cls_layer.weight, state["cls_layer.weight"])
    content = (tmp_path / "w.safetensors").read_bytes()
    (tmp_path / "w.safetensors").write_bytes(content[:-3])
    with pytest.raises(SodbenchError, match=r"w.safetensors: damaged or truncated"):
        load_checkpoint(small, tmp_path / "w.safetensors")


def test_a_flipped_bit_in_the_weights_is_noticed(small, state, tmp_path):
    path = tmp_path / "w.pth"
    torch.save(state, path)
    content = bytearray(path.read_bytes())
    place = content.index(state["cls_layer.weight"].numpy().tobytes())
    content[place + 1] ^= 4
    path.write_bytes(content)
    with pytest.raises(SodbenchError, match=r"w\.pth: damaged: .* checksum"):
        load_checkpoint(small, path)


def test_files_of_other_kinds_are_recognised(small, tmp_path):
    np.savez(tmp_path / "w.npz", weight=np.zeros(3))
    script = torch.jit.trace(nn.Conv2d(3, 1, 1), torch.zeros(1, 3, 4, 4))
    script.save(tmp_path / "script.pt")
    for name, kind in (
        ("w.npz", "a NumPy archive"),
        ("script.pt", "a TorchScript program"),
    ):
        with pytest.raises(SodbenchError, match=rf"{name}: {kind}, not a checkpoint"):
            load_checkpoint(small, tmp_path / name)


def test_checkpoint_is_no_backbone(small, state, tmp_path):
    torch.save(state, tmp_path / "final.pth")
    with pytest.raises(SodbenchError, match="a checkpoint of a whole network"):
        load_backbone(small, tmp_path / "final.pth")


def test_network_without_backbone(tmp_path):
    torch.save({"weight": torch.zeros(1)}, tmp_path / "b.pth")
    with pytest.raises(SodbenchError, match="Conv2d has no backbone 'base'"):
        load_backbone(nn.Conv2d(1, 1, 1), tmp_path / "b.pth")


@pytest.mark.parametrize("legacy", [False, True])
def test_truncated_file(tmp_path, legacy):
    path = tmp_path / "whole.pth"
    model = nn.Conv2d(3, 8, 3)
    torch.save(model.state_dict(), path, _use_new_zipfile_serialization=not legacy)
    content = path.read_bytes()
    for size in (len(content) // 2, len(content) - 100, 40):
        (tmp_path / "cut.pth").write_bytes(content[:size])
        with pytest.raises(SodbenchError, match=r"cut\.pth: .*truncated"):
            load_checkpoint(model, tmp_path / "cut.pth")


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"", "the file is empty"), (b"<!DOCTYPE html><html>", "not a torch file .*<!DOCTYPE html>")],
)
def test_file_that_torch_did_not_write(tmp_path, content, message):
    path = tmp_path / "page.pth"
    path.write_bytes(content)
    with pytest.raises(SodbenchError, match=message):
        load_checkpoint(nn.Conv2d(1, 1, 1), path)


def test_no_such_checkpoint(tmp_path):
    with pytest.raises(SodbenchError, match="no such file"):
        load_checkpoint(nn.Conv2d(1, 1, 1), tmp_path / "none.pth")
    with pytest.raises(SodbenchError, match="a folder"):
        load_checkpoint(nn.Conv2d(1, 1, 1), tmp_path)


# ---- baselines


def test_baselines_need_no_torch():
    code = (
        "import sys, numpy as np; from sodbench.models import BASELINES\n"
        "for f in BASELINES.values(): assert f(np.zeros((5, 7, 3), np.uint8)).shape == (5, 7)\n"
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("name", BASELINES)
@pytest.mark.parametrize("size", [(1, 1), (1, 9), (30, 41)])
def test_baselines_give_a_map_of_the_images_size(name, size):
    image = np.random.default_rng(0).integers(0, 256, (*size, 3), np.uint8)
    result = BASELINES[name](image)
    assert result.shape == size
    assert result.dtype == np.uint8


def test_centre_prior_is_a_bell_in_the_middle():
    result = BASELINES["centre-prior"](np.zeros((41, 61, 3), np.uint8)).astype(int)
    assert np.unravel_index(result.argmax(), result.shape) == (20, 30)
    assert result.max() == 255
    assert (result == result[::-1, ::-1]).all()
    # one standard deviation is a quarter of the width: at the border exp(-2), in the corner exp(-4)
    assert result[20, 0] == pytest.approx(255 * np.exp(-0.5 * (30 / 61 / 0.25) ** 2), abs=0.5)


def test_frequency_tuned_finds_the_odd_colour():
    image = np.full((40, 50, 3), (60, 120, 60), np.uint8)
    image[10:20, 30:40] = (200, 40, 40)
    result = BASELINES["frequency-tuned"](image)
    assert (result[12:18, 32:38] == 255).all()
    assert result[:8].max() < 20  # the blurred edge, mixed, is nearest to the mean colour
    assert (BASELINES["frequency-tuned"](np.full((9, 9, 3), 77, np.uint8)) == 0).all()


def test_lab_of_known_colours():
    from sodbench.models.baselines import _lab

    colours = np.array([[[255, 255, 255], [0, 0, 0], [255, 0, 0], [0, 0, 255]]], np.uint8)
    # Lindbloom's calculator, sRGB, D65
    expected = [(100, 0, 0), (0, 0, 0), (53.24, 80.09, 67.20), (32.30, 79.19, -107.86)]
    assert np.abs(_lab(colours)[0] - expected).max() < 0.02
