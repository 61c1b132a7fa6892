"""Images of different sizes in one batch: which go together, and that every map is the one of the image alone."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from reference import model_rule
from torch import nn

from sodbench.errors import SodbenchError
from sodbench.images import read_grey, write_image
from sodbench.models import InputSize
from sodbench.models.inference import InferenceNetwork
from sodbench.runners.prediction import planning
from sodbench.runners.prediction.inputs import find_images
from sodbench.runners.prediction.planning import BatchLimits, make_batches
from sodbench.runners.prediction.predict import predict
from sodbench.runners.prediction.predictors import NetworkPredictor

pytestmark = pytest.mark.usefixtures("one_thread")

SIZES = {"a": (20, 30), "b": (30, 20), "c": (21, 31), "d": (1, 1), "e": (20, 30), "f": (7, 31)}


class Padded(nn.Module):
    """Normalises over each image, as CSF does, and counts what it is given."""

    handles_padding = True

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.conv, self.out = nn.Conv2d(3, 4, 3, padding=1, bias=False), nn.Conv2d(4, 1, 1)
        nn.init.normal_(self.out.weight, std=2)
        self.batches = []

    def forward(self, x, sizes=None):
        self.batches.append((tuple(x.shape), None if sizes is None else sizes.tolist()))
        if sizes is None:
            sizes = torch.tensor([x.shape[-2:]] * len(x))
        rows = torch.arange(x.shape[-2]) < sizes[:, :1]
        columns = torch.arange(x.shape[-1]) < sizes[:, 1:]
        inside = (rows[:, :, None] & columns[:, None]).unsqueeze(1)
        assert not (x * ~inside).any()
        y = self.conv(x) * inside
        count = inside.sum((2, 3), keepdim=True).clamp(min=1)
        y = (y - y.sum((2, 3), keepdim=True) / count) * inside
        y = y / ((y * y).sum((2, 3), keepdim=True) / count + 1e-5).sqrt()
        return self.out(y) * inside


def predictor(network, **options):
    made = NetworkPredictor(network, "padded", device="cpu", **options)
    return made, made.network.network.batches


def read_maps(folder):
    return {p.stem: read_grey(p).pixels for p in sorted(folder.glob("*.png"))}


def plan(sizes, limits, monkeypatch, may_pad=lambda size: True):
    """The batches of images of these sizes."""
    monkeypatch.setattr(planning, "image_size", lambda path: sizes[int(path.name)])
    images = [(str(i), Path(str(i))) for i in range(len(sizes))]
    with ThreadPoolExecutor(1) as pool:
        return make_batches(images, limits, pool, lambda problem: None, may_pad)


def alone(images, out):
    predict(predictor(Padded(), padding=False)[0], find_images([images]), out, batch_size=1)
    return read_maps(out)


def test_padded_maps_are_those_of_each_image_alone(images, tmp_path, monkeypatch):
    monkeypatch.setattr(planning, "_MAX_PADDING", 9.0)
    padding, batches = predictor(Padded(), padding=True)
    summary = predict(padding, find_images([images]), tmp_path / "maps", batch_size=4)
    assert summary.written == len(SIZES) and not summary.problems
    assert any(sizes and len(sizes) > 1 for _, sizes in batches)
    maps, expected = read_maps(tmp_path / "maps"), alone(images, tmp_path / "alone")
    assert {stem: m.shape for stem, m in maps.items()} == SIZES
    for stem, map_ in maps.items():
        assert np.abs(map_.astype(int) - expected[stem]).max() <= 1
        assert map_.size < 100 or map_.std() > 5


def test_csf_maps_of_a_padded_batch_are_those_of_each_image_alone(ruled_csf, tmp_path, monkeypatch):
    monkeypatch.setattr(planning, "_MAX_PADDING", 9.0)
    monkeypatch.setattr(planning, "CANVAS_STEP", 8)
    for size in ((70, 90), (64, 96), (61, 83)):
        image = model_rule.network_input(1, *size, 1)[0].transpose(1, 2, 0) * 60 + 120
        pixels = np.clip(image, 0, 255).astype(np.uint8)
        write_image(tmp_path / f"images/{size[0]}.png", pixels)
    maps = {}
    for padding in (True, False):
        csf = NetworkPredictor(ruled_csf, "csf", device="cpu", padding=padding)
        assert csf.describe()["padding"] == padding
        out = tmp_path / str(padding)
        predict(csf, find_images([tmp_path / "images"]), out, batch_size=3 if padding else 1)
        maps[padding] = np.concatenate([m.ravel() for m in read_maps(out).values()]).astype(int)
    difference = np.abs(maps[True] - maps[False])
    assert difference.max() <= 1 and (difference > 0).mean() <= 1e-4
    assert maps[True].std() > 5


def test_an_empty_place_and_old_pixels_around_an_image_change_nothing():
    network = InferenceNetwork(Padded(), "cpu", padding=True)
    rng = np.random.default_rng(1)
    pixels = rng.integers(0, 256, (3, 32, 48, 3), np.uint8)
    sizes = np.array([(20, 30), (0, 0), (32, 48)])
    first, empty, last = network.start(pixels, None, sizes)()
    assert empty.shape == (0, 0)
    np.testing.assert_array_equal(first, network.start(pixels[:1, :20, :30])()[0])
    np.testing.assert_array_equal(last, network.start(pixels[2:])()[0])


def test_batches_of_one_size_are_not_padded(tmp_path, monkeypatch):
    sizes = [(300, 400)] * 7 + [(301, 400)] * 2 + [(300, 398)]
    batches = plan(sizes, BatchLimits(3, 2**22), monkeypatch)
    # the larger canvas first, and full batches before others
    assert [(len(b.images), b.canvas, len(set(b.sizes))) for b in batches] == [
        (3, (304, 400), 2),
        (3, (300, 400), 1),
        (3, (300, 400), 1),
        (1, (300, 398), 1),
    ]
    assert sorted(int(stem) for b in batches for stem, _ in b.images) == list(range(10))
    for batch in batches:
        for (stem, _), size in zip(batch.images, batch.sizes, strict=True):
            assert size == sizes[int(stem)]


def test_batches_keep_to_their_limits_and_hold_few_pixels_more_than_their_images(monkeypatch):
    rng = np.random.default_rng(2)
    sizes = [tuple(map(int, rng.integers(100, 500, 2))) for _ in range(300)]
    limits = BatchLimits(8, 2**20)
    batches = plan(sizes, limits, monkeypatch)
    assert sorted(int(stem) for b in batches for stem, _ in b.images) == list(range(300))
    assert len(batches) < 200
    for batch in batches:
        assert len(batch.images) <= 8 and batch.n_pixels <= 2**20
        own = sum(h * w for h, w in batch.sizes)
        assert len(batch.images) == 1 or batch.n_pixels <= planning._MAX_PADDING * own
        assert len(set(batch.sizes)) == 1 or all(side % 16 == 0 for side in batch.canvas)


def test_images_that_are_shrunk_are_not_padded(images, tmp_path, monkeypatch):
    monkeypatch.setattr(planning, "_MAX_PADDING", 9.0)
    padding, batches = predictor(Padded(), padding=True)
    summary = predict(padding, find_images([images]), tmp_path / "maps", batch_size=8, max_side=30)
    assert summary.written == len(SIZES)
    assert max(side for shape, _ in batches for side in shape[2:]) == 32
    assert sorted(len(sizes) for _, sizes in batches if sizes) == [4]
    assert {m.shape for m in read_maps(tmp_path / "maps").values()} == set(SIZES.values())


def test_a_damaged_image_leaves_the_others_of_its_batch(images, tmp_path, monkeypatch):
    monkeypatch.setattr(planning, "_MAX_PADDING", 9.0)
    whole = (images / "c.png").read_bytes()
    (images / "c.png").write_bytes(whole[:-30])
    expected = alone(images, tmp_path / "alone")
    summary = predict(
        predictor(Padded(), padding=True)[0], find_images([images]), tmp_path / "maps", batch_size=8
    )
    assert [Path(p.file).name for p in summary.problems] == ["c.png"]
    maps = read_maps(tmp_path / "maps")
    assert set(maps) == set(SIZES) - {"c"}
    for stem, map_ in maps.items():
        assert np.abs(map_.astype(int) - expected[stem]).max() <= 1


@pytest.mark.parametrize("error", [torch.OutOfMemoryError("out of memory"), RuntimeError("no")])
def test_a_padded_batch_that_fails_is_divided(images, tmp_path, monkeypatch, error):
    class Hungry(Padded):
        def forward(self, x, sizes=None):
            if len(x) > 1:
                raise error
            return super().forward(x, sizes)

    monkeypatch.setattr(planning, "_MAX_PADDING", 9.0)
    divided, batches = predictor(Hungry(), padding=True)
    summary = predict(divided, find_images([images]), tmp_path / "maps", batch_size=8)
    assert summary.written == len(SIZES) and not summary.problems
    # single images run at their own size
    assert sorted(shape[2:] for shape, _ in batches) == sorted(SIZES.values())
    assert all(sizes is None for _, sizes in batches)


def test_padding_needs_a_network_that_handles_it():
    class Resized(Padded):
        input_size = InputSize(multiple=8)

    for network in (nn.Conv2d(3, 1, 1), Resized()):
        with pytest.raises(SodbenchError, match=r"need a network that declares handles_padding"):
            InferenceNetwork(network, "cpu", padding=True)
        assert not InferenceNetwork(network, "cpu").pads


def test_padded_output_of_another_size_is_refused():
    class Half(Padded):
        def forward(self, x, sizes=None):
            return super().forward(x, sizes)[..., ::2, ::2]

    network = InferenceNetwork(Half(), "cpu", padding=True)
    with pytest.raises(SodbenchError, match="must return logits at the size of the batch"):
        network.start(np.zeros((1, 16, 16, 3), np.uint8), None, np.array([(9, 9)]))


def test_the_next_run_of_a_folder_may_pad_or_not(images, tmp_path):
    for padding, kept in ((True, 0), (False, 6)):
        summary = predict(
            predictor(Padded(), padding=padding)[0], find_images([images]), tmp_path / "maps"
        )
        assert summary.finished_before == kept


def test_pixels_of_images_that_are_not_finite_are_reported_alone():
    class Broken(Padded):
        def forward(self, x, sizes=None):
            y = super().forward(x, sizes)
            return y / (sizes[:, 0] != 9).view(-1, 1, 1, 1)

    network = InferenceNetwork(Broken(), "cpu", padding=True)
    pixels = np.random.default_rng(0).integers(0, 256, (2, 16, 16, 3), np.uint8)
    good, bad = network.start(pixels, None, np.array([(12, 15), (9, 16)]))()
    assert bad is None and good.shape == (12, 15)
