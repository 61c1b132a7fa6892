"""Images of different sizes in one batch: which go together, and that every map is the one of the image alone."""

from concurrent.futures import Executor, Future, ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from reference import model_rule
from torch import nn

from sodbench.errors import SodbenchError
from sodbench.images import read_grey, read_rgb, write_image
from sodbench.models import InputSize
from sodbench.models.inference import InferenceNetwork
from sodbench.models.presets import parse_changes
from sodbench.models.source import ModelSource
from sodbench.runners.prediction import planning
from sodbench.runners.prediction.batching import decode_batches
from sodbench.runners.prediction.inputs import find_images
from sodbench.runners.prediction.planning import BatchLimits, ShapeCosts, make_batches
from sodbench.runners.prediction.predict import predict
from sodbench.runners.prediction.predictors import NetworkPredictor, load_predictor

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


COSTS = ShapeCosts(10_000)


def plan(sizes, limits, monkeypatch, costs=COSTS, may_pad=lambda size: True):
    """The batches of images of these sizes, each once."""
    monkeypatch.setattr(planning, "image_size", lambda path: sizes[int(path.name)])
    images = [(str(i), Path(str(i))) for i in range(len(sizes))]
    with ThreadPoolExecutor(1) as pool:
        batches = make_batches(images, limits, pool, lambda problem: None, costs, may_pad)
    placed = {
        stem: size for b in batches for (stem, _), size in zip(b.images, b.sizes, strict=True)
    }
    assert placed == {str(i): size for i, size in enumerate(sizes)}
    assert sum(len(b.images) for b in batches) == len(sizes)
    for batch in batches:
        assert len(batch.images) <= batch.shape[0] <= limits.images
        assert np.less_equal(batch.sizes, batch.shape[1:]).all()
    return batches


def alone(images, out):
    predict(predictor(Padded(), padding=False)[0], find_images([images]), out, batch_size=1)
    return read_maps(out)


def test_padded_maps_are_those_of_each_image_alone(images, tmp_path, monkeypatch):
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
    assert difference.max() <= 1
    # 1.14e-4 with the convolutions of PyTorch 2.6
    share = 1.2e-4 if torch.__version__.startswith("2.6.") else 1e-4
    assert (difference > 0).mean() <= share
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


def shapes(batches):
    return [batch.shape for batch in batches]


def test_near_sizes_share_a_canvas_and_batches_that_fill_it_come_first(monkeypatch):
    sizes = [(298, 400)] * 2 + [(300, 400)] * 7 + [(300, 398)] + [(100, 100)] * 4
    batches = plan(sizes, BatchLimits(4, 2**22), monkeypatch, ShapeCosts(300_000))
    assert shapes(batches) == [(4, 300, 400)] * 3 + [(4, 100, 100)]
    assert [len(set(batch.sizes)) for batch in batches] == [1, 2, 2, 1]


def test_a_canvas_has_one_number_of_places_and_few_stay_empty(monkeypatch):
    batches = plan([(300, 400)] * 7, BatchLimits(4, 2**22), monkeypatch)
    assert shapes(batches) == [(4, 300, 400)] * 2
    batches = plan([(300, 400)] * 5, BatchLimits(4, 2**22), monkeypatch)
    assert [len(batch.images) for batch in batches] == [3, 2]
    assert shapes(batches) == [(3, 300, 400)] * 2
    free = plan([(300, 400)] * 5, BatchLimits(4, 2**22), monkeypatch, ShapeCosts())
    assert shapes(free) == [(4, 300, 400), (1, 300, 400)]


def test_dear_shapes_are_fewer_and_free_ones_are_exact(monkeypatch):
    rng = np.random.default_rng(2)
    sizes = [tuple(map(int, rng.integers(100, 500, 2))) for _ in range(300)]
    limits = BatchLimits(8, 2**20)
    numbers, pixels = [], []
    for cost in (0, 10_000, 1_000_000, 10**9):
        batches = plan(sizes, limits, monkeypatch, ShapeCosts(cost))
        assert all(batch.n_pixels <= 2**20 for batch in batches)
        numbers.append(len(set(shapes(batches))))
        pixels.append(sum(batch.n_pixels for batch in batches))
    assert numbers[0] == len(set(sizes)) and numbers[-1] == 1
    assert numbers == sorted(numbers, reverse=True) and pixels == sorted(pixels)
    assert pixels[0] == sum(h * w for h, w in sizes)


def test_shapes_that_are_known_are_used_again(monkeypatch):
    limits, sizes = BatchLimits(4, 2**22), [(290, 390)] * 3 + [(299, 400)]
    assert shapes(plan(sizes, limits, monkeypatch, ShapeCosts(50_000))) == [(4, 299, 400)]
    known = ShapeCosts(50_000, {(4, 300, 400), (2, 280, 400), (9, 299, 400)})
    assert shapes(plan(sizes, limits, monkeypatch, known)) == [(4, 300, 400)]
    # not where it wastes more than a new shape costs
    assert shapes(plan([(30, 40)] * 4, limits, monkeypatch, known)) == [(4, 30, 40)]


def test_a_small_known_shape_is_not_used_for_many_images(monkeypatch):
    sizes, limits = [(300, 400)] * 64, BatchLimits(32, 2**22)
    known = {(2, 300, 400)}
    free = ShapeCosts(planning.SHAPE_PIXELS, known)
    assert set(shapes(plan(sizes, limits, monkeypatch, free))) == known
    costs = ShapeCosts(planning.SHAPE_PIXELS, known, planning.START_PIXELS)
    assert set(shapes(plan(sizes, limits, monkeypatch, costs))) == {(32, 300, 400)}
    few = plan(sizes[:2], limits, monkeypatch, costs)
    assert shapes(few) == [(2, 300, 400)]


def test_the_canvases_of_duts_te_are_few(monkeypatch):
    """Sizes as in DUTS-TE: one side of 400, half of the images of 300x400."""
    rng = np.random.default_rng(0)
    short = np.where(rng.random(2000) < 0.5, 300, rng.integers(200, 400, 2000)).tolist()
    sizes = [(400, s) if i % 5 == 0 else (s, 400) for i, s in enumerate(short)]
    costs = ShapeCosts(planning.SHAPE_PIXELS)
    batches = plan(sizes, BatchLimits(128, 2**22), monkeypatch, costs)
    assert len(set(shapes(batches))) <= 8
    assert sum(b.n_pixels for b in batches) < 1.15 * sum(h * w for h, w in sizes)


def test_a_network_without_padding_has_one_number_of_places_for_a_size(images, tmp_path):
    seen = []

    class Counting(nn.Conv2d):
        def forward(self, x):
            seen.append(tuple(x.shape))
            return super().forward(x)

    counting = NetworkPredictor(Counting(3, 1, 1), "counting", device="cpu")
    counting.shape_pixels = 100
    for i in range(2):
        write_image(images / f"x{i}.png", np.full((20, 30, 3), 90 * i, np.uint8))
    predict(counting, find_images([images]), tmp_path / "maps", batch_size=3)
    assert sorted(seen) == [
        (1, 3, 1, 1),
        (1, 3, 7, 31),
        (1, 3, 21, 31),
        (1, 3, 30, 20),
        (2, 3, 20, 30),
        (2, 3, 20, 30),
    ]
    assert set(read_maps(tmp_path / "maps")) == {*SIZES, "x0", "x1"}


def test_images_that_are_shrunk_are_not_padded(images, tmp_path, monkeypatch):
    padding, batches = predictor(Padded(), padding=True)
    summary = predict(padding, find_images([images]), tmp_path / "maps", batch_size=8, max_side=30)
    assert summary.written == len(SIZES)
    # the two of 31 pixels are shrunk, the others are padded
    assert sorted(shape[2:] for shape, sizes in batches if sizes is None) == [(7, 30), (20, 30)]
    assert sorted(len(sizes) for _, sizes in batches if sizes) == [4]
    assert {m.shape for m in read_maps(tmp_path / "maps").values()} == set(SIZES.values())


@pytest.mark.parametrize("before", [False, True])
def test_images_that_are_shrunk_have_the_same_maps_in_any_batch(images, tmp_path, before):
    """Neither an empty place nor a canvas shared with smaller images may keep one at its full size."""
    for i in range(3):
        write_image(images / f"x{i}.png", read_rgb(images / "a.png")[:, ::-1])
    padding, _ = predictor(Padded(), padding=True)
    if before:
        # their canvas is known from an earlier dataset, at full size
        predict(padding, find_images([images]), tmp_path / "before", batch_size=3)
    maps = {}
    for made, size in ((padding, 3), (predictor(Padded(), padding=False)[0], 1)):
        out = tmp_path / f"maps{size}"
        predict(made, find_images([images]), out, batch_size=size, max_side=12)
        maps[size] = read_maps(out)
    assert maps[3].keys() == maps[1].keys() == {*SIZES, "x0", "x1", "x2"}
    for stem, map_ in maps[3].items():
        assert np.abs(map_.astype(int) - maps[1][stem]).max() <= 1


def test_a_damaged_image_leaves_the_others_of_its_batch(images, tmp_path, monkeypatch):
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


def test_the_next_image_is_decoded_ahead_however_large_it_is(images):
    made, _ = predictor(Padded())
    decoded = []

    class Inline(Executor):
        def submit(self, function, path, place):
            decoded.append(path.stem)
            result = Future()
            result.set_result(function(path, place))
            return result

    with ThreadPoolExecutor(1) as pool:
        limits = BatchLimits(1, 1)
        batches = make_batches(find_images([images]), limits, pool, lambda problem: None)
    coming = decode_batches(batches, made, Inline(), limits, lambda problem: None)
    numbers = [len(decoded) for _ in coming]
    assert numbers == [2, 3, 4, 5, 6, 6]


@pytest.mark.parametrize("error", [torch.OutOfMemoryError("out of memory"), RuntimeError("no")])
def test_a_padded_batch_that_fails_is_divided(images, tmp_path, monkeypatch, error):
    class Hungry(Padded):
        def forward(self, x, sizes=None):
            if len(x) > 1:
                raise error
            return super().forward(x, sizes)

    divided, batches = predictor(Hungry(), padding=True)
    summary = predict(divided, find_images([images]), tmp_path / "maps", batch_size=8)
    assert summary.written == len(SIZES) and not summary.problems
    # single images run at their own size
    assert sorted(shape[2:] for shape, _ in batches) == sorted(SIZES.values())
    assert all(sizes is None for _, sizes in batches)


def test_a_network_of_one_size_gets_images_of_different_sizes_together(images, tmp_path):
    """Each image is resized for it, so padding changes nothing, and it needs to know nothing of it."""
    seen = []

    class Fixed(nn.Module):
        input_size = InputSize(fixed=(24, 32))

        def __init__(self):
            super().__init__()
            torch.manual_seed(0)
            self.conv = nn.Conv2d(3, 1, 3, stride=2, padding=1)
            nn.init.normal_(self.conv.weight)

        def forward(self, x):
            seen.append(tuple(x.shape))
            return self.conv(x)

    (images / "c.png").write_bytes((images / "c.png").read_bytes()[:-30])
    for padding, size in ((True, 4), (False, 1)):
        fixed = NetworkPredictor(Fixed(), "fixed", device="cpu", padding=padding)
        predict(fixed, find_images([images]), tmp_path / str(padding), batch_size=size)
    assert seen[:2] == [(3, 3, 24, 32)] * 2 and set(seen[2:]) == {(1, 3, 24, 32)}
    maps, expected = read_maps(tmp_path / "True"), read_maps(tmp_path / "False")
    assert set(maps) == set(SIZES) - {"c"}
    for stem, map_ in maps.items():
        assert map_.shape == SIZES[stem]
        assert np.abs(map_.astype(int) - expected[stem]).max() <= 1


def test_padding_needs_a_network_that_handles_it():
    class Resized(Padded):
        input_size = InputSize(multiple=8)

    for network in (nn.Conv2d(3, 1, 1), Resized()):
        with pytest.raises(SodbenchError, match=r"need a network that declares handles_padding"):
            InferenceNetwork(network, "cpu", padding=True)
        assert not InferenceNetwork(network, "cpu").pads


def test_padding_is_judged_by_the_processing_that_was_chosen(tmp_path):
    """It may be possible with that alone, or no longer; what is not possible is refused, not ignored."""
    (tmp_path / "net.py").write_text(
        "import torch\n"
        "class Plain(torch.nn.Conv2d):\n    pass\n"
        "class Padded(Plain):\n    handles_padding = True\n"
        "def plain():\n    return Plain(3, 1, 1)\n"
        "def padded():\n    return Padded(3, 1, 1)\n"
    )

    def load(factory, *changes, **execution):
        source = ModelSource(f"{tmp_path}/net.py:{factory}", changes=parse_changes(changes))
        return load_predictor(source, device="cpu", **execution)

    assert load("plain", "input.fixed=[8,8]", padding=True).describe()["padding"] is True
    with pytest.raises(SodbenchError, match="need a network that declares handles_padding"):
        load("padded", "input.multiple=8", padding=True)
    with pytest.raises(SodbenchError, match="--padding is not possible with its processing"):
        load("padded", "input.scale=none", padding=True)
    with pytest.raises(SodbenchError, match="--cuda-graphs is not possible with its processing"):
        load("padded", "input.scale=none", graphs=True)


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
