"""Networks with a processing of their own, whose images are prepared on the CPU: batches of images of all sizes."""

import numpy as np
import pytest
import torch
from torch import nn

from sodbench.images import read_grey, write_image
from sodbench.models import InputSize
from sodbench.models.processing import Output, Preprocessing, Processing
from sodbench.runners.prediction import processed
from sodbench.runners.prediction.inputs import find_images
from sodbench.runners.prediction.planning import limit_batch_size
from sodbench.runners.prediction.predict import predict
from sodbench.runners.prediction.predictors import make_predictor
from sodbench.runners.prediction.processed import ProcessedPredictor

pytestmark = pytest.mark.usefixtures("one_thread")

SIZES = {"a": (20, 30), "b": (30, 20), "c": (21, 31), "d": (1, 1), "e": (20, 30)}
PROCESSING = Processing(
    Preprocessing(InputSize(fixed=(16, 24)), "opencv-bilinear", "maximum"),
    Output(
        select=1, steps=("sigmoid", "min-max", "truncate", "resize"), resampling="pillow-bilinear"
    ),
)


class Net(nn.Module):
    """Returns two maps, and counts what it is given."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.conv = nn.Conv2d(3, 1, 3, padding=1)
        self.batches = []

    def forward(self, x):
        self.batches.append(tuple(x.shape))
        y = self.conv(x)
        return [-y, y]


@pytest.fixture
def images(tmp_path):
    for stem, size in SIZES.items():
        pixels = np.random.default_rng(ord(stem)).integers(0, 256, (*size, 3), np.uint8)
        write_image(tmp_path / "images" / f"{stem}.png", pixels)
    return find_images([tmp_path / "images"])


def make(**options):
    made = make_predictor(Net(), "net", PROCESSING, device="cpu", **options)
    assert isinstance(made, ProcessedPredictor)
    return made


def make_for_batches(monkeypatch, limit, **options):
    """A predictor as on a GPU, which takes batches of this many images."""
    monkeypatch.setattr(processed, "limit_batch_size", lambda default, size: limit)
    return make(**options)


def predicted(predictor, images, folder):
    summary = predict(predictor, images, folder)
    maps = {p.stem: read_grey(p).pixels for p in sorted(folder.glob("*.png"))}
    return summary, maps, predictor.network.network.network.batches


def test_images_of_all_sizes_share_batches_and_their_maps_are_those_of_each_alone(
    images, tmp_path, monkeypatch
):
    _, alone, batches = predicted(make(), images, tmp_path / "alone")
    assert batches == [(1, 3, 16, 24)] * 5
    predictor = make_for_batches(monkeypatch, 3)
    assert predictor.pads
    _, together, batches = predicted(predictor, images, tmp_path / "together")
    assert batches == [(3, 3, 16, 24)] * 2
    assert {k: m.shape for k, m in together.items()} == SIZES
    for stem, expected in alone.items():
        assert np.abs(together[stem].astype(int) - expected).max() <= 1


def test_an_image_that_cannot_be_decoded_leaves_an_empty_place(images, tmp_path, monkeypatch):
    path = dict(images)["c"]
    path.write_bytes(path.read_bytes()[:-200])
    summary, maps, _ = predicted(make_for_batches(monkeypatch, 5), images, tmp_path / "maps")
    assert [problem.kind for problem in summary.problems] == ["unreadable"]
    assert set(maps) == set(SIZES) - {"c"}


def test_without_padding_a_batch_holds_one_size(images, tmp_path, monkeypatch):
    predictor = make_for_batches(monkeypatch, 5, padding=False)
    assert not predictor.pads
    _, maps, batches = predicted(predictor, images, tmp_path / "maps")
    assert sorted(n for n, *_ in batches) == [1, 1, 1, 2]
    assert set(maps) == set(SIZES)


def test_large_networks_get_fewer_images_at_a_time():
    assert limit_batch_size(128, InputSize()) == 128
    assert limit_batch_size(128, InputSize(fixed=(320, 320))) == 40
    assert limit_batch_size(128, InputSize(fixed=(4096, 4096))) == 1
