"""Prediction: the reference's pixels, resuming, refusing to mix, problems."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from reference import model_rule
from torch import nn

from sodbench.cli import main
from sodbench.errors import ProblemsError, SodbenchError
from sodbench.images import read_grey, write_grey, write_image
from sodbench.models import InputSize
from sodbench.models.devices import choose_device, choose_precision
from sodbench.models.inference import InferenceNetwork, normalise, quantise
from sodbench.output_folder import MAPS_MANIFEST
from sodbench.runners.prediction.inputs import find_images
from sodbench.runners.prediction.predict import predict
from sodbench.runners.prediction.predictors import (
    BaselinePredictor,
    NetworkPredictor,
    load_predictor,
)

pytestmark = pytest.mark.usefixtures("one_thread")

SIZES = {"a": (20, 30), "b": (30, 20), "c": (20, 30), "d": (1, 1), "e": (20, 30), "f": (7, 31)}


class Tiny(nn.Module):
    """Sees its whole input through a group normalisation, as CSF does."""

    def __init__(self, seed=0):
        super().__init__()
        torch.manual_seed(seed)
        self.conv = nn.Conv2d(3, 4, 3, padding=1)
        self.norm = nn.GroupNorm(2, 4)
        self.out = nn.Conv2d(4, 1, 1)
        nn.init.normal_(self.out.weight, std=2)
        self.sizes = []

    def forward(self, x):
        return self.out(self.norm(self.conv(x)))


def tiny(seed=0, **options):
    return NetworkPredictor(Tiny(seed), "tiny", device="cpu", **options)


def plain_loop(model, images, size=None):
    """What the reference does, an image at a time."""
    maps = {}
    for path in sorted(images.iterdir()):
        pixels = np.asarray(Image.open(path).convert("RGB"))
        x = pixels.astype(np.float32) / 255
        x -= np.array((0.485, 0.456, 0.406))
        x /= np.array((0.229, 0.224, 0.225))
        with torch.no_grad():
            p = torch.sigmoid(model.eval()(torch.from_numpy(x.transpose(2, 0, 1)[None])))
        maps[path.stem] = np.rint(255 * p[0, 0].numpy()).astype(np.uint8)
    return maps


def read_maps(folder):
    return {p.stem: read_grey(p).pixels for p in sorted(folder.glob("*.png"))}


def test_maps_are_the_plain_loops(images, tmp_path):
    summary = predict(tiny(), find_images([images]), tmp_path / "maps", batch_size=3)
    maps, expected = read_maps(tmp_path / "maps"), plain_loop(Tiny(), images)
    assert summary.written == len(SIZES) and not summary.problems
    assert {stem: m.shape for stem, m in maps.items()} == SIZES
    for stem, map_ in maps.items():
        assert np.abs(map_.astype(int) - expected[stem]).max() <= 1
        assert map_.size < 100 or map_.std() > 5


def test_csf_maps_are_the_plain_loops(ruled_csf, tmp_path):
    folder = tmp_path / "images"
    image = np.clip(model_rule.network_input(2, 70, 90, 1)[:, 0, :, :, None] * 60 + 120, 0, 255)
    for i in range(2):
        write_image(folder / f"{i}.png", np.repeat(image[i].astype(np.uint8), 3, 2))
    predictor = NetworkPredictor(ruled_csf, "csf", device="cpu")
    predict(predictor, find_images([folder]), tmp_path / "maps", batch_size=2)
    expected = plain_loop(ruled_csf, folder)
    for stem, map_ in read_maps(tmp_path / "maps").items():
        assert np.abs(map_.astype(int) - expected[stem]).max() <= 1
        assert (map_ != expected[stem]).mean() <= 1e-3
        assert map_.std() > 5


def test_normalisation_is_the_references_to_the_bit():
    levels = np.arange(256, dtype=np.uint8).repeat(3).reshape(1, 16, 16, 3)
    expected = levels.astype(np.float32) / 255
    expected -= np.array((0.485, 0.456, 0.406))
    expected /= np.array((0.229, 0.224, 0.225))
    actual = normalise(torch.from_numpy(levels))
    assert actual.dtype == torch.float32
    assert actual.is_contiguous(memory_format=torch.channels_last)
    assert np.array_equal(actual.numpy(), expected.transpose(0, 3, 1, 2))


def test_rounding_is_to_nearest_halves_to_even():
    halves = torch.tensor([0.5, 1.5, 2.5, 254.5, 0.49, 254.51, 0, 255], dtype=torch.float64)
    assert quantise(halves / 255).tolist() == [0, 2, 2, 254, 0, 255, 0, 255]


def test_batches_hold_one_size_and_no_more_than_asked(images, tmp_path):
    seen = []

    class Spy(BaselinePredictor):
        def start(self, pixels, max_side):
            seen.append(pixels.shape)
            return super().start(pixels, max_side)

    predict(Spy("centre-prior"), find_images([images]), tmp_path / "maps", batch_size=2)
    assert sorted(seen) == [
        (1, 1, 1, 3),
        (1, 7, 31, 3),
        (1, 20, 30, 3),
        (1, 30, 20, 3),
        (2, 20, 30, 3),
    ]


@pytest.mark.parametrize("policy", [InputSize(multiple=16), InputSize(fixed=(24, 40))])
def test_input_size_is_the_networks_and_output_the_images(images, tmp_path, policy):
    seen = []

    class Choosy(Tiny):
        input_size = policy

        def forward(self, x):
            seen.append(tuple(x.shape[-2:]))
            return super().forward(x)

    predict(
        NetworkPredictor(Choosy(), "choosy", device="cpu"), find_images([images]), tmp_path / "m"
    )
    assert {m.shape for m in read_maps(tmp_path / "m").values()} == set(SIZES.values())
    assert set(seen) == {policy.for_image(*size) for size in SIZES.values()}


def test_max_side_shrinks_for_the_network_alone(images, tmp_path):
    network = InferenceNetwork(Tiny(), "cpu")
    inner = []
    forward = network.network
    network.network = lambda x: inner.append(tuple(x.shape[-2:])) or forward(x)
    pixels = np.zeros((2, 40, 90, 3), np.uint8)
    maps = network.start(pixels, max_side=30)()
    assert inner == [(13, 30)]
    assert [m.shape for m in maps] == [(40, 90)] * 2
    network.start(pixels, max_side=90)()
    assert inner[-1] == (40, 90)


def test_a_rerun_predicts_only_what_is_missing(images, tmp_path):
    out, samples = tmp_path / "maps", find_images([images])
    predict(tiny(), samples, out)
    first = {p.name: (p.stat().st_mtime_ns, p.read_bytes()) for p in out.glob("*.png")}
    (out / "c.png").unlink()
    summary = predict(tiny(), samples, out)
    assert (summary.written, summary.finished_before) == (1, len(SIZES) - 1)
    second = {p.name: (p.stat().st_mtime_ns, p.read_bytes()) for p in out.glob("*.png")}
    assert {n for n in first if first[n][0] != second[n][0]} == {"c.png"}
    assert {n: b for n, (_, b) in first.items()} == {n: b for n, (_, b) in second.items()}
    assert not list(out.glob(".*"))


def test_maps_of_changed_images_are_predicted_again(images, tmp_path, capsys):
    out, samples = tmp_path / "maps", find_images([images])
    predict(tiny(), samples, out)
    before = {p.name: p.stat().st_mtime_ns for p in out.glob("*.png")}
    time = (images / "a.png").stat().st_mtime_ns
    for stem, value in (("a", 7), ("e", 99)):  # of the old size, the one even of the old time
        pixels = np.full((20, 30, 3), value, np.uint8)
        pixels[5:9, 5:9] = 200
        write_image(images / f"{stem}.png", pixels)
    os.utime(images / "a.png", ns=(time, time))
    manifest = (out / MAPS_MANIFEST).read_bytes()
    summary = predict(tiny(), samples, out)
    assert "2 images have changed since; predicted again" in capsys.readouterr().err
    assert (summary.written, summary.finished_before) == (2, 4)
    after = {p.name: p.stat().st_mtime_ns for p in out.glob("*.png")}
    assert {n for n in after if after[n] != before[n]} == {"a.png", "e.png"}
    expected = plain_loop(Tiny(), images)
    for stem, map_ in read_maps(out).items():
        assert np.abs(map_.astype(int) - expected[stem]).max() <= 1
    assert (out / MAPS_MANIFEST).read_bytes() == manifest
    assert predict(tiny(), samples, out).finished_before == 6


def test_another_set_of_the_same_stems_gets_its_own_maps(images, tmp_path):
    other = tmp_path / "other" / "images"
    for stem, size in SIZES.items():
        rng = np.random.default_rng(len(stem) + size[1])
        write_image(other / f"{stem}.png", rng.integers(0, 256, (*size, 3), np.uint8))
    predict(tiny(), find_images([images]), tmp_path / "maps")
    summary = predict(tiny(), find_images([other]), tmp_path / "maps")
    predict(tiny(), find_images([other]), tmp_path / "alone")
    assert summary.written == 6
    for path in (tmp_path / "alone").iterdir():
        assert path.read_bytes() == (tmp_path / "maps" / path.name).read_bytes()


def test_damaged_maps_and_maps_of_changed_images_are_predicted_again(images, tmp_path, capsys):
    out, samples = tmp_path / "maps", find_images([images])
    predict(tiny(), samples, out)
    whole = {p.name: p.read_bytes() for p in out.iterdir()}
    (out / "a.png").write_bytes(whole["a.png"][:150])
    (out / "b.png").write_bytes(whole["b.png"][:-9])
    (images / "c.png").write_bytes(b"no image any more")
    summary = predict(tiny(), samples, out)
    error = capsys.readouterr().err
    assert "2 maps are damaged" in error and "1 images have changed since" in error
    assert (summary.written, summary.finished_before) == (2, 3)
    assert [Path(p.file).name for p in summary.problems] == ["c.png"]
    del whole["c.png"]  # a map of what is no longer there would be a wrong one
    assert {p.name: p.read_bytes() for p in out.iterdir()} == whole


@pytest.mark.parametrize("content", ["[]", "null", "3", '{"earlier_runs": [3]}', '{"model": ', ""])
@pytest.mark.parametrize("maps", [0, 1])
def test_a_damaged_manifest_is_one_error(images, tmp_path, content, maps):
    out = tmp_path / "maps"
    out.mkdir()
    (out / MAPS_MANIFEST).write_text(content)
    if maps:
        write_grey(out / "a.png", np.zeros((20, 30), np.uint8))
    for force in (False, True):
        with pytest.raises(
            SodbenchError, match=r"prediction\.json: damaged, or not the record of maps"
        ):
            predict(tiny(), find_images([images]), out, force=force)
    assert (out / MAPS_MANIFEST).read_text() == content and len(list(out.iterdir())) == 1 + maps


def test_one_file_named_in_two_ways_is_one_model(images, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("net.py").write_text("from torch import nn\ndef small():\n    return nn.Conv2d(3, 1, 1)\n")
    names = ("net.py:small", "images/../net.py:small", f"{tmp_path}/net.py:small")
    described = [load_predictor(name, device="cpu").describe() for name in names]
    assert [d["model"] for d in described] == ["net.py:small"] * 3
    for name in names:
        summary = predict(load_predictor(name, device="cpu"), find_images([images]), "maps")
    assert summary.finished_before == 6
    with Path("net.py").open("a") as file:
        file.write("# changed\n")
    with pytest.raises(SodbenchError, match="holds maps made with other settings: source_sha256"):
        predict(load_predictor(names[0], device="cpu"), find_images([images]), "maps")


def test_maps_of_two_networks_are_never_mixed(images, tmp_path):
    out, samples = tmp_path / "maps", find_images([images])
    predict(tiny(0), samples, out)
    before = read_maps(out)
    for other in (tiny(1), BaselinePredictor("centre-prior")):
        with pytest.raises(SodbenchError, match=r"holds maps made with other settings.*--force"):
            predict(other, samples, out)
    with pytest.raises(SodbenchError, match="max_side was none, is 9 now"):
        predict(tiny(0), samples, out, max_side=9)
    with pytest.raises(
        SodbenchError, match=r"5 maps made with other settings .* would not replace"
    ):
        predict(tiny(1), samples[:1], out, force=True)
    assert all((read_maps(out)[k] == v).all() for k, v in before.items())
    predict(tiny(1), samples, out, force=True)
    assert any((read_maps(out)[k] != v).any() for k, v in before.items())


def test_images_that_sodbench_did_not_write_are_never_touched(images, tmp_path):
    samples = find_images([images])
    masks = tmp_path / "masks"
    for stem in SIZES:
        write_image(masks / f"{stem}.png", np.zeros((2, 2), np.uint8))
    for force in (False, True):
        with pytest.raises(SodbenchError, match=r"holds other files than maps \(a\.png, "):
            predict(tiny(), samples, masks, force=force)
        with pytest.raises(SodbenchError, match="this is the images' folder"):
            predict(tiny(), samples, images, force=force)
    assert len(list(images.iterdir())) == len(list(masks.iterdir())) == 6


def test_all_problems_are_reported_after_the_other_maps_are_written(images, tmp_path, capsys):
    (images / "b.png").write_bytes(b"this is no image")
    whole = (images / "e.png").read_bytes()
    (images / "e.png").write_bytes(whole[: len(whole) // 2])
    out = tmp_path / "maps"
    arguments = ["predict", str(images), "-o", str(out), "--model", "centre-prior"]
    assert main([*arguments, "--quiet"]) == 1
    error = capsys.readouterr().err
    assert "2 of 6 images have no map" in error
    assert "b.png" in error and "e.png" in error
    assert set(read_maps(out)) == set(SIZES) - {"b", "e"}
    (images / "e.png").write_bytes(whole)
    (images / "b.png").write_bytes(whole)
    assert main(arguments) == 0
    assert set(read_maps(out)) == set(SIZES)


def test_output_that_is_not_finite_is_a_problem_of_the_image(images, tmp_path):
    class Broken(Tiny):
        def forward(self, x):
            y = super().forward(x)
            return y / (x.shape[-1] != 31)

    summary = predict(
        NetworkPredictor(Broken(), "broken", device="cpu"), find_images([images]), tmp_path / "maps"
    )
    assert [(p.kind, p.file) for p in summary.problems] == [("not-finite", "f")]
    assert summary.written == 5 and not (tmp_path / "maps" / "f.png").exists()


def test_memory_running_out_halves_the_batch(images, tmp_path, capsys):
    class Hungry(Tiny):
        def forward(self, x):
            if len(x) > 1 or x.shape[-1] == 31:
                raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")
            return super().forward(x)

    predictor = NetworkPredictor(Hungry(), "hungry", device="cpu")
    summary = predict(predictor, find_images([images]), tmp_path / "maps", batch_size=3)
    assert "3 images of 30x20 do not fit in memory: continuing with 1" in capsys.readouterr().err
    assert [(p.kind, p.file) for p in summary.problems] == [("memory", "f")]
    assert "--max-side" in summary.problems[0].detail
    expected = plain_loop(Tiny(), images)
    for stem, map_ in read_maps(tmp_path / "maps").items():
        assert np.abs(map_.astype(int) - expected[stem]).max() <= 1


def test_output_of_another_shape_is_refused(images, tmp_path):
    with pytest.raises(SodbenchError, match=r"returned \[1, 2, 30, 20\].*one logit map per image"):
        predictor = NetworkPredictor(nn.Conv2d(3, 2, 1), "two", device="cpu")
        predict(predictor, [("b", images / "b.png")], tmp_path / "maps")


def test_the_manifest_records_what_made_the_maps(images, tmp_path):
    from sodbench.files import file_hash

    source, checkpoint = tmp_path / "net.py", tmp_path / "net.pth"
    source.write_text("from torch import nn\ndef make():\n    return nn.Conv2d(3, 1, 1)\n")
    torch.save(nn.Conv2d(3, 1, 1).state_dict(), checkpoint)
    command = ["predict", str(images), "-o", str(tmp_path / "m"), "--model", f"{source}:make"]
    assert main([*command, "--checkpoint", str(checkpoint), "--device", "cpu"]) == 0
    manifest = json.loads((tmp_path / "m" / MAPS_MANIFEST).read_text())
    assert manifest["weights"] == "checkpoint"
    assert manifest["weights_sha256"] == file_hash(checkpoint)
    assert manifest["source_sha256"] == file_hash(source)
    assert manifest["precision"] == "fp32" and manifest["device"] == "cpu"


def test_the_manifest_records_each_run_whose_maps_are_kept(images, tmp_path):
    out, samples = tmp_path / "maps", find_images([images])
    old, new = tiny(), tiny()
    describe = new.describe
    new.describe = lambda: describe() | {"memory_format": "contiguous", "torch": "of tomorrow"}
    predict(old, samples, out)
    first = json.loads((out / MAPS_MANIFEST).read_text())
    # nothing to do: no map is the new one's
    assert predict(new, samples, out).written == 0
    assert json.loads((out / MAPS_MANIFEST).read_text()) == first
    for stem in "ab":
        (out / f"{stem}.png").unlink()
        predict(new, samples, out)
        manifest = json.loads((out / MAPS_MANIFEST).read_text())
        assert (manifest["memory_format"], manifest["torch"]) == ("contiguous", "of tomorrow")
        (earlier,) = manifest["earlier_runs"]
        assert earlier.items() <= first.items()
        assert earlier["memory_format"] == "channels_last"
    predict(new, samples, out, force=True)
    assert "earlier_runs" not in json.loads((out / MAPS_MANIFEST).read_text())


def test_images_by_folder_file_and_list(images, tmp_path):
    assert [s for s, _ in find_images([images])] == list("abcdef")
    assert find_images([images / "b.png"]) == [("b", images / "b.png")]
    (tmp_path / "test.lst").write_text("images/a.png\n\nimages/f.png\n")
    assert [s for s, _ in find_images([tmp_path / "test.lst", images / "a.png"])] == ["a", "f"]
    (images / "Imgs").mkdir()
    (images / "a.png").rename(images / "Imgs" / "a.png")
    (images / "test.txt").write_text("a.png\nb.png\n")
    assert [p.parent.name for _, p in find_images([images / "test.txt"])] == ["Imgs", "images"]


def test_masks_next_to_jpegs_are_left_out(tmp_path, capsys):
    for name in ("x.jpg", "x.png", "y.png"):
        write_image(tmp_path / name, np.zeros((2, 2), np.uint8))
    assert [p.name for _, p in find_images([tmp_path])] == ["x.jpg", "y.png"]
    assert "1 masks next to the images are left out" in capsys.readouterr().err


def test_missing_and_ambiguous_images_are_reported_together(images, tmp_path):
    write_image(tmp_path / "other" / "a.png", np.zeros((2, 2), np.uint8))
    with pytest.raises(ProblemsError) as caught:
        find_images([images, tmp_path / "other" / "a.png", tmp_path / "none.jpg"])
    assert [p.kind for p in caught.value.problems] == ["ambiguous", "missing"]
    (tmp_path / "empty").mkdir()
    with pytest.raises(SodbenchError, match="holds no images"):
        find_images([tmp_path / "empty"])


def test_unknown_devices_and_precisions_are_refused():
    for name in ("gpu", "meta", "xla", "vulkan:0", "cpu:3", "", "cuda:x"):
        with pytest.raises(SodbenchError, match=f"unknown device '{name}'; one of auto, cpu"):
            choose_device(name)
    with pytest.raises(SodbenchError, match="tf32 exists on CUDA devices only"):
        choose_precision("tf32", torch.device("cpu"))
    with pytest.raises(SodbenchError, match="unknown precision 'int8'"):
        choose_precision("int8", torch.device("cpu"))
    assert choose_precision(None, torch.device("cpu")) == "fp32"


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has CUDA")
def test_no_cuda_is_one_error(images, tmp_path, capsys):
    status = main(["predict", str(images), "-o", str(tmp_path / "m"), "--device", "cuda"])
    assert status == 2
    error = capsys.readouterr().err
    assert "no CUDA device is usable" in error and "--device cpu" in error
    assert not (tmp_path / "m").exists()


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_half_precisions_stay_near(precision):
    pixels = np.random.default_rng(0).integers(0, 256, (1, 24, 32, 3), np.uint8)
    full = InferenceNetwork(Tiny(), "cpu", "fp32").logits(pixels)
    half = InferenceNetwork(Tiny(), "cpu", precision).logits(pixels)
    assert half.dtype == torch.float32
    difference = (full - half).abs().max().item()
    assert 0 < difference < 0.1 * full.abs().max().item()
