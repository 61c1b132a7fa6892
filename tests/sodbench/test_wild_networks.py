"""Small stand-ins for what public networks do; each runs, or fails in one line that names the file."""

import numpy as np
import pytest
import torch
from PIL import Image

from sodbench.cli import main
from sodbench.images import read_grey

HEAD = """
import sys
import torch
from torch import nn

class Net(nn.Conv2d):
    def __init__(self, *arguments):
        super().__init__(3, 1, 1)
        nn.init.ones_(self.weight)
        nn.init.zeros_(self.bias)
"""

RUN = {
    "returns a tuple": (
        "    def forward(self, x): y = super().forward(x); return -y, y",
        ["output.select=1"],
    ),
    "returns nested lists": (
        "    def forward(self, x): y = super().forward(x); return [[-y, -y], (y,)]",
        ["output.select=-1"],
    ),
    "returns a dictionary": (
        "    def forward(self, x): y = super().forward(x); return {'aux': [-y], 'out': y}",
        ["output.select=out"],
    ),
    "returns several channels": (
        "    def forward(self, x): y = super().forward(x); return torch.cat((-y, y), 1)",
        ["output.channel=1"],
    ),
    "ends in a sigmoid": (
        "    def forward(self, x): return super().forward(x).sigmoid()",
        ['output.steps=["resize","round"]'],
    ),
    "prints": (
        "    def forward(self, x): print('layer 1'); return super().forward(x)",
        [],
    ),
    "views feature maps": (
        "    def forward(self, x): y = super().forward(x.view(len(x), 3, -1, x.shape[3])); return y",
        [],
    ),
    "takes single images": (
        "    def forward(self, x): assert len(x) == 1; return super().forward(x)",
        [],
    ),
    "changes the seed and the default type": (
        "    pass\ntorch.manual_seed(3); torch.set_default_dtype(torch.float64)",
        [],
    ),
    "imports its repository": (
        "    def forward(self, x): return SIGN * super().forward(x)\nfrom neighbour import SIGN",
        [],
    ),
}


@pytest.fixture
def predict(tmp_path):
    (tmp_path / "images").mkdir()
    rng = np.random.default_rng(0)
    for i in range(2):
        image = rng.integers(0, 256, (12, 16, 3), np.uint8)
        Image.fromarray(image).save(tmp_path / f"images/{i}.png")
    (tmp_path / "neighbour.py").write_text("SIGN = 1\n")

    def run(code, changes=(), name="net"):
        file = tmp_path / f"{name}.py"
        file.write_text(HEAD + code + "\n")
        maps = tmp_path / name
        options = [word for change in changes for word in ("--processing", change)]
        chosen = ["--model", f"{file}:Net", "--device", "cpu", "--batch-size", "2", *options]
        status = main(["predict", str(tmp_path / "images"), "-o", str(maps), *chosen])
        return status, [read_grey(path).pixels for path in sorted(maps.glob("*.png"))]

    return run


@pytest.mark.parametrize("kind", RUN)
def test_networks_run_whatever_they_do(predict, kind):
    code, changes = RUN[kind]
    before = torch.get_default_dtype(), torch.random.get_rng_state()
    try:
        status, maps = predict(code, changes)
        assert torch.get_default_dtype() == before[0]
        assert torch.equal(torch.random.get_rng_state(), before[1])
    finally:
        torch.set_default_dtype(before[0])
    assert status == 0
    _, expected = predict("    pass", name="plain")
    assert len(maps) == 2
    for ours, theirs in zip(maps, expected, strict=True):
        assert np.abs(ours.astype(int) - theirs).max() <= 1


def test_the_declared_output_is_exported_alone(predict, tmp_path):
    pytest.importorskip("onnxscript")
    code = (
        "    def forward(self, x): y = super().forward(x); return [[-y], (torch.cat((-y, y), 1),)]"
    )
    changes = ["output.select=-1", "output.channel=1"]
    _, expected = predict(code, changes)
    options = [word for change in changes for word in ("--processing", change)]
    exported = str(tmp_path / "net.onnx")
    chosen = ["--model", f"{tmp_path / 'net.py'}:Net", *options]
    assert main(["export", *chosen, "-o", exported]) == 0
    images, maps = str(tmp_path / "images"), tmp_path / "onnx"
    assert main(["predict", images, "-o", str(maps), "--model", exported, "--device", "cpu"]) == 0
    for path, theirs in zip(sorted(maps.glob("*.png")), expected, strict=True):
        assert np.abs(read_grey(path).pixels.astype(int) - theirs).max() <= 1


def test_an_output_that_does_not_exist_is_not_exported(predict, tmp_path, capsys):
    pytest.importorskip("onnxscript")
    (tmp_path / "net.py").write_text(HEAD + RUN["returns a tuple"][0] + "\n")
    chosen = ["--model", f"{tmp_path / 'net.py'}:Net", "--processing", "output.select=2"]
    assert main(["export", *chosen, "-o", str(tmp_path / "net.onnx")]) == 2
    assert "the network has 2 outputs, and output 2 was declared" in capsys.readouterr().err


def test_programs_of_torch_run_through_a_factory(predict, tmp_path, capsys):
    network = torch.nn.Conv2d(3, 1, 1).eval()
    torch.nn.init.ones_(network.weight)
    torch.nn.init.zeros_(network.bias)
    torch.jit.script(network).save(tmp_path / "net.pt")
    batch = (torch.zeros(1, 3, 12, 16),)
    torch.export.save(torch.export.export(network, batch), tmp_path / "net.pt2")
    _, expected = predict("    pass", name="plain")
    for call in ("torch.jit.load({!r})", "torch.export.load({!r}).module()"):
        file = str(tmp_path / ("net.pt" if "jit" in call else "net.pt2"))
        status, maps = predict(f"    pass\ndef Net(): return {call.format(file)}", name=call[6:12])
        assert status == 0
        for ours, theirs in zip(maps, expected, strict=True):
            assert np.abs(ours.astype(int) - theirs).max() <= 1
        assert main(["predict", str(tmp_path / "images"), "-o", "maps", "--model", file]) == 2
        error = capsys.readouterr().err
        assert f"weights: --model NAME --checkpoint {file}" in error and "torch.jit.load" in error


FAIL = {
    "a missing file of weights": (
        "    def __init__(self): super().__init__(3, 1, 1); torch.load('backbone.pth')",
        "its factory failed: FileNotFoundError",
    ),
    "a missing module": ("import timm_of_another_age", "cannot be imported: ModuleNotFoundError"),
    "the command line": (
        "import argparse; argparse.ArgumentParser().parse_args(['--width'])",
        "cannot be imported: SystemExit",
    ),
    "a tuple": (
        "    def forward(self, x): return (super().forward(x),) * 7",
        "output.select",
    ),
    "small images": (
        "    def forward(self, x): return super().forward(nn.functional.max_pool2d(x, 20))",
        "12x16",
    ),
    "statistics of one value": (
        "    def forward(self, x): return nn.BatchNorm1d(3)(x[:1].mean((2, 3)))",
        "Expected more than 1 value per channel",
    ),
}


@pytest.mark.parametrize("kind", FAIL)
def test_networks_that_fail_are_one_line(predict, capsys, kind):
    code, message = FAIL[kind]
    status, maps = predict(code)
    error = capsys.readouterr().err
    assert status == 2 and not maps
    assert message in error and "Traceback" not in error
