"""``sodbench.predict_image``: one image, one network in memory."""

import numpy as np
import pytest
import torch
from torch import nn

import sodbench
from sodbench.errors import SodbenchError
from sodbench.images import read_grey, read_rgb
from sodbench.runners.prediction import one_image
from sodbench.runners.prediction.inputs import find_images
from sodbench.runners.prediction.predict import predict
from sodbench.runners.prediction.predictors import NetworkPredictor, load_predictor

SIZES = {"a": (30, 41), "b": (17, 64)}


class Bright(nn.Module):
    """Logits at half the image's size."""

    def __init__(self, scale=3.0):
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(scale))

    def forward(self, x):
        return self.scale * nn.functional.avg_pool2d(x.mean(1, keepdim=True), 2)


class Sigmoid(Bright):
    def forward(self, x):
        return super().forward(x).sigmoid()


class Refuses(Bright):
    def forward(self, x):
        raise ValueError("not this one")


@pytest.mark.parametrize("max_side", [None, 20])
def test_the_map_is_the_one_that_predict_writes(images, tmp_path, max_side):
    model = Bright()
    predictor = NetworkPredictor(model, "bright", device="cpu")
    predict(predictor, find_images([images]), tmp_path / "maps", max_side=max_side)
    for stem, size in SIZES.items():
        written = read_grey(tmp_path / "maps" / f"{stem}.png").pixels
        file = images / f"{stem}.png"
        assert written.shape == size and written.std() > 1
        for image in (file, str(file), read_rgb(file), read_rgb(file)[:, ::-1][:, ::-1]):
            saliency = sodbench.predict_image(model, image, device="cpu", max_side=max_side)
            assert saliency.dtype == np.uint8 and np.array_equal(saliency, written)
    assert model.training and model.scale.requires_grad  # the caller's network is unchanged


@pytest.mark.parametrize(
    ("model", "image", "options", "reason"),
    [
        ("csf-res2net50", np.zeros((4, 4, 3), np.uint8), {}, "create_model"),
        (Bright(), np.zeros((4, 4), np.uint8), {}, r"array of uint8 with shape \(4, 4\); it must be RGB"),
        (Bright(), np.zeros((4, 4, 3)), {}, "array of float64"),
        (Bright(), np.zeros((0, 4, 3), np.uint8), {}, r"shape \(0, 4, 3\)"),
        (Bright(), torch.zeros(3, 4, 4), {}, "of type Tensor; give a path"),
        (Bright(), "none.jpg", {}, "none.jpg"),
        (Bright(), np.zeros((4, 4, 3), np.uint8), {"max_side": 0}, "longest side 0"),
        (Bright(), np.zeros((4, 4, 3), np.uint8), {"precision": "fp8"}, "fp8"),
        (Bright(float("nan")), np.zeros((4, 4, 3), np.uint8), {}, "NaN or infinity"),
        (Refuses(), np.zeros((4, 6, 3), np.uint8), {}, "failed on an image of 6x4: ValueError: not this"),
        (nn.Flatten(), np.zeros((4, 4, 3), np.uint8), {}, "must return one logit map per image"),
    ],
)  # fmt: skip
def test_what_cannot_be_predicted_is_one_clear_error(model, image, options, reason):
    with pytest.raises(SodbenchError, match=reason):
        sodbench.predict_image(model, image, device="cpu", **options)


def test_a_sigmoid_that_is_applied_twice_is_reported(images, caplog):
    sodbench.predict_image(Sigmoid(), images / "a.png", device="cpu")
    assert "Sigmoid: its values for 1 image(s) are all in 0..1" in caplog.text


def test_image_and_model_may_be_given_in_either_order(images):
    from PIL import Image

    model, file = Bright(), images / "a.png"
    expected = sodbench.predict_image(model, file, device="cpu")
    with Image.open(file) as image:
        for given in (str(file), image):
            saliency = sodbench.predict_image(given, model=model, device="cpu")
            assert np.array_equal(saliency, expected)
    assert sodbench.predict_image(file, "centre-prior").shape == SIZES["a"]
    with pytest.raises(SodbenchError, match=r"load final\.pth into it"):
        sodbench.predict_image(file, model, checkpoint="final.pth", device="cpu")


def test_images_in_memory_run_in_batches_of_bounded_size(monkeypatch):
    monkeypatch.setattr(one_image, "DEFAULT_BATCH_PIXELS", 2 * 30 * 41)
    network = NetworkPredictor(Bright(), "bright", device="cpu")
    network.default_batch_size, seen, start = 128, [], network.start
    monkeypatch.setattr(
        network, "start", lambda *given: seen.append(len(given[0])) or start(*given)
    )
    shapes = [(30, 41)] * 5 + [(90, 90)]
    maps = network([np.full((*shape, 3), 90, np.uint8) for shape in shapes])
    assert seen == [2, 2, 1, 1] and [m.shape for m in maps] == shapes


def test_a_predictor_is_called_with_one_image_or_several(images):
    predictor = load_predictor("centre-prior")
    files = [images / f"{stem}.png" for stem in ("a", "b", "a")]
    maps = predictor(files)
    assert [m.shape for m in maps] == [SIZES[stem] for stem in ("a", "b", "a")]
    assert np.array_equal(predictor(files[1]), maps[1])
    network = NetworkPredictor(Bright(), "bright", device="cpu")
    assert np.array_equal(
        network(files[0]), sodbench.predict_image(files[0], Bright(), device="cpu")
    )
    assert network([]) == []
