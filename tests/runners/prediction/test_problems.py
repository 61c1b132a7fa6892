"""Prediction that meets a wrong network, a wrong folder or a full disk: nothing silent, nothing lost."""

import json
import os
import pickle
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from torch import nn

from sodbench.cli import main
from sodbench.errors import ImageError, Problem, ProblemsError, SodbenchError
from sodbench.files import temporary_name
from sodbench.images import read_comment, read_grey, write_grey, write_image
from sodbench.models.inference import InferenceNetwork
from sodbench.output_folder import MAPS_MANIFEST
from sodbench.runners.prediction.inputs import find_images
from sodbench.runners.prediction.predict import predict
from sodbench.runners.prediction.predictors import (
    BaselinePredictor,
    NetworkPredictor,
    load_predictor,
)

pytestmark = pytest.mark.usefixtures("one_thread")

SIZES = {"a": (20, 30), "b": (30, 20), "c": (20, 30), "d": (20, 30), "e": (9, 31)}

NETWORKS = """
import torch
from torch import nn

class Base(nn.Module):
    def __init__(self):
        super().__init__()
        self.c = nn.Conv2d(3, 1, 1)
        nn.init.normal_(self.c.weight, std=2)

class Logits(Base):
    def forward(self, x):
        return self.c(x)

class Squashed(Logits):
    def forward(self, x):
        return super().forward(x).sigmoid()

class Declared(Squashed):
    output = "probabilities"

class Insisting(Squashed):
    output = "logits"

class Lying(Logits):
    output = "probabilities"

class Constant(Logits):
    def forward(self, x):
        return 0 * super().forward(x)

class Layer(Logits):
    def __init__(self):
        super().__init__()
        self.output = nn.Identity()

class Misspelt(Logits):
    output = "sigmoid"

class Viewing(Logits):
    def forward(self, x):
        return self.c(x.view(len(x), -1).view(x.shape))

class Choosy(Logits):
    def forward(self, x):
        if x.shape[-1] == 31:
            raise ValueError("31 columns\\nare too many")
        return super().forward(x)

class Alone(Logits):
    def forward(self, x):
        assert len(x) == 1, "one image at a time"
        return super().forward(x)

class Uncopied(Logits):
    def __deepcopy__(self, memo):
        raise TypeError("cannot pickle 'Session' object")

class Prepared(Logits):
    def for_inference(self):
        raise KeyError("missing")

class Unprepared(Logits):
    def eval(self):
        raise TypeError("no evaluation")

class Secret(Logits):
    def state_dict(self, *args, **options):
        raise RuntimeError("no weights")

class Whole(Logits):
    def forward(self, x):
        return (super().forward(x) > 0).long()

class Complex(Logits):
    def forward(self, x):
        return super().forward(x) * 1j

class Empty(Logits):
    def forward(self, x):
        return super().forward(x)[:, :, :0]

class Sparse(Logits):
    def __init__(self):
        super().__init__()
        self.register_buffer("graph", torch.eye(3).to_sparse())

class Training(Logits):
    def __init__(self):
        super().__init__()
        self.norm, self.drop = nn.BatchNorm2d(3), nn.Dropout(0.1)
    def eval(self):
        return self
    def forward(self, x):
        return super().forward(self.drop(self.norm(x)))

class Batchwise(Training):
    def __init__(self):
        super().__init__()
        self.norm, self.drop = nn.BatchNorm2d(3, track_running_stats=False), nn.Dropout(0)

class Evaluated(Training):
    def eval(self):
        return nn.Module.eval(self)

class Unprintable(Exception):
    def __str__(self):
        raise ValueError("no text")

class Wordless(Choosy):
    def forward(self, x):
        if x.shape[-1] == 31:
            raise Unprintable
        return Logits.forward(self, x)

class Closing(Choosy):
    def forward(self, x):
        if x.shape[-1] == 31:
            raise GeneratorExit("closed")
        return Logits.forward(self, x)

def pretrained():
    network = Logits()
    nn.init.constant_(network.c.weight, 0.25)
    return network

def failing():
    raise OSError("cannot open weights.bin")

def leaving():
    raise SystemExit("usage: net.py")
"""


@pytest.fixture
def net(tmp_path):
    path = tmp_path / "net.py"
    path.write_text(NETWORKS)
    return path


@pytest.fixture
def command(images, net, tmp_path):
    """``command(model, *options)``: the exit status of ``sodbench predict`` with this model of the file."""
    return lambda model, *options: main(
        ["predict", str(images), "-o", str(tmp_path / "maps"), "--device", "cpu", "--quiet",
         "--model", f"{net}:{model}", *options]
    )  # fmt: skip


def manifest_of(tmp_path):
    return json.loads((tmp_path / "maps" / MAPS_MANIFEST).read_text())


def expected_map(net, model, path):
    """What the network gives for an image, computed here."""
    network = load_predictor(f"{net}:{model}", device="cpu").network.network
    pixels = np.asarray(Image.open(path)).astype(np.float64) / 255
    x = (pixels - (0.485, 0.456, 0.406)) / (0.229, 0.224, 0.225)
    with torch.no_grad():
        y = network(torch.from_numpy(x.transpose(2, 0, 1)[None].copy()).float())
    return y[0, 0].numpy()


# --- logits or probabilities -------------------------------------------------------------------------


def test_a_network_that_ends_in_a_sigmoid_is_reported(command, tmp_path, capsys):
    assert command("Squashed") == 1
    error = capsys.readouterr().err
    assert error.count("output-range: net.py:Squashed") == 1
    assert re.search(r"5 image\(s\) are all in 0\.\.1 \(\S+ to \S+\), as after a sigmoid", error)
    assert 'output = "probabilities"' in error
    (problem,) = manifest_of(tmp_path)["problems"]
    assert problem["kind"] == "output-range" and problem["file"] == "net.py:Squashed"
    # the maps are kept, and so is the problem
    assert command("Squashed") == 1
    assert capsys.readouterr().err.count("output-range") == 1
    assert manifest_of(tmp_path)["problems"] == [problem]


def test_declared_probabilities_are_the_map(command, net, images, tmp_path, capsys):
    assert command("Declared") == 0
    assert not capsys.readouterr().err
    for stem in SIZES:
        expected = np.rint(255 * expected_map(net, "Declared", images / f"{stem}.png"))
        actual = read_grey(tmp_path / "maps" / f"{stem}.png").pixels
        assert np.abs(actual - expected).max() <= 1
        assert actual.min() < 60 and actual.max() > 190
    manifest = manifest_of(tmp_path)
    assert manifest["output"] == "probabilities" and "problems" not in manifest
    with pytest.raises(SodbenchError, match="output was probabilities, is logits now"):
        predict(
            load_predictor(f"{net}:Insisting", device="cpu"),
            find_images([images]),
            tmp_path / "maps",
        )


@pytest.mark.parametrize("model", ["Logits", "Insisting", "Constant", "Layer"])
def test_no_false_alarm_about_logits(command, tmp_path, capsys, model):
    """Values beyond 0..1, a declaration, one value everywhere, or a layer called ``output``."""
    assert command(model) == 0
    assert not capsys.readouterr().err and "problems" not in manifest_of(tmp_path)
    assert manifest_of(tmp_path)["output"] == "logits"


def test_wrong_declarations_are_refused(command, tmp_path, capsys):
    assert command("Lying") == 2
    assert (
        "the network is declared to return probabilities but returns values from -"
        in capsys.readouterr().err
    )
    assert command("Misspelt") == 2
    assert "Misspelt.output is 'sigmoid'; it must be 'logits', or" in capsys.readouterr().err


def test_the_range_is_judged_after_the_first_images(images, tmp_path, capsys):
    class Late(nn.Conv2d):
        seen = 0

        def forward(self, x):
            self.seen += len(x)
            return super().forward(x) if self.seen > 16 else super().forward(x).sigmoid()

    for number in range(20):
        write_image(images / f"m{number}.png", np.full((4, 4, 3), 9 * number, np.uint8))
    summary = predict(
        NetworkPredictor(Late(3, 1, 1), "late", device="cpu"),
        find_images([images]),
        tmp_path / "m",
        batch_size=1,
    )
    assert [p.kind for p in summary.warnings] == ["output-range"]
    assert "for 16 image(s)" in summary.warnings[0].detail


# --- a network that cannot run as it is called ---------------------------------------------------------


def test_view_on_feature_maps_works(command, net, images, tmp_path):
    assert command("Viewing", "--batch-size", "2") == 0
    for stem in SIZES:
        logits = expected_map(net, "Logits", images / f"{stem}.png")
        actual = read_grey(tmp_path / "maps" / f"{stem}.png").pixels
        assert np.abs(actual - 255 / (1 + np.exp(-logits))).max() <= 1
    assert manifest_of(tmp_path)["memory_format"] == "contiguous"
    assert command("Viewing") == 0
    assert manifest_of(tmp_path)["memory_format"] == "contiguous"


def test_other_networks_stay_channels_last():
    network = InferenceNetwork(nn.Conv2d(3, 1, 1), "cpu")
    network.start(np.zeros((1, 4, 5, 3), np.uint8))()
    assert network.channels_last


def test_an_image_that_the_network_refuses_costs_no_other_its_map(command, net, tmp_path, capsys):
    assert command("Choosy", "--batch-size", "2") == 1
    error = capsys.readouterr().err
    assert "1 of 5 images have no map" in error
    line = NETWORKS[: NETWORKS.index("raise ValueError")].count("\n") + 1
    refused = (
        f"e: 31x9 is refused by the network (ValueError: 31 columns are too many (net.py:{line}))"
    )
    assert refused in error
    assert {p.stem for p in (tmp_path / "maps").glob("*.png")} == set(SIZES) - {"e"}
    net.write_text(NETWORKS.replace("== 31", "== 32"))
    assert command("Choosy") == 2  # another network now
    net.write_text(NETWORKS)
    assert command("Choosy") == 1
    assert "1 of 5 images have no map" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("model", "reason"), [("Wordless", "Unprintable"), ("Closing", "GeneratorExit: closed")]
)
def test_errors_that_are_no_usual_exceptions_cost_no_other_image_its_map(
    command, tmp_path, capsys, model, reason
):
    assert command(model) == 1
    error = capsys.readouterr().err
    assert f"e: 31x9 is refused by the network ({reason} (net.py:" in error
    assert {p.stem for p in (tmp_path / "maps").glob("*.png")} == SIZES.keys() - {"e"}


@pytest.mark.parametrize(
    ("model", "layers"), [("Training", "BatchNorm2d, Dropout"), ("Batchwise", "BatchNorm2d")]
)
def test_a_network_that_works_as_in_training_is_reported(command, tmp_path, capsys, model, layers):
    assert command(model) == 1
    assert capsys.readouterr().err.count(f"net.py:{model}: {layers} in it work as in training") == 1
    assert manifest_of(tmp_path)["problems"][0]["kind"] == "training-mode"


def test_no_false_alarm_about_layers_in_evaluation_mode(command, tmp_path):
    assert command("Evaluated") == 0
    assert "problems" not in manifest_of(tmp_path)


def test_a_network_that_refuses_every_image_is_refused(images, tmp_path):
    class Wrong(nn.Conv2d):
        def forward(self, x):
            raise RuntimeError("a mistake in the network")

    predictor = NetworkPredictor(Wrong(3, 1, 1), "wrong", device="cpu")
    summary = predict(predictor, find_images([images]), tmp_path / "maps", batch_size=4)
    assert summary.written == 0 and sorted(p.file for p in summary.problems) == sorted(SIZES)
    assert all("a mistake in the network" in p.detail for p in summary.problems)


def test_every_image_refused_is_status_2(command, images, capsys):
    for stem in set(SIZES) - {"e"}:
        (images / f"{stem}.png").unlink()
    assert command("Choosy") == 2
    assert "1 of 1 images have no map" in capsys.readouterr().err


def test_a_network_for_single_images_gets_single_images(images, tmp_path, capsys):
    sizes = []

    class Alone(nn.Conv2d):
        def forward(self, x):
            sizes.append(len(x))
            assert len(x) == 1, "one image at a time"
            return super().forward(x)

    for number in range(4):
        write_image(images / f"m{number}.png", np.full((4, 4, 3), 60 * number, np.uint8))
    predictor = NetworkPredictor(Alone(3, 1, 1), "alone", device="cpu")
    summary = predict(predictor, find_images([images]), tmp_path / "maps", batch_size=4)
    assert summary.written == 9 and not summary.problems
    assert [size for size in sizes if size > 1] == [3]  # tried once
    assert "continuing with one image at a time" in capsys.readouterr().err


def test_a_batch_that_did_not_fit_is_not_tried_again(images, tmp_path, capsys):
    sizes = []

    class Hungry(nn.Conv2d):
        def forward(self, x):
            sizes.append(len(x))
            if x.shape[0] * x.shape[2] * x.shape[3] > 1200:
                raise torch.OutOfMemoryError("CUDA out of memory")
            return super().forward(x)

    for number in range(5):
        write_image(images / f"m{number}.png", np.full((20, 30, 3), number, np.uint8))
    predictor = NetworkPredictor(Hungry(3, 1, 1), "hungry", device="cpu")
    summary = predict(predictor, find_images([images]), tmp_path / "maps", batch_size=4)
    assert summary.written == 10 and not summary.problems
    assert sizes == [4, 2, 2, 2, 2, 1, 1]
    assert capsys.readouterr().err.count("do not fit in memory") == 1


def test_a_network_that_cannot_be_compiled_is_one_line(command, net, monkeypatch, capsys):
    import torch._inductor.config as inductor

    monkeypatch.setattr(inductor.cpp, "cxx", (None, "/no/compiler"))
    monkeypatch.setattr(inductor, "force_disable_caches", True)
    net.write_text(
        NETWORKS.replace("return self.c(x)\n", "return self.c(x).tan() - x.sum(1, True)\n", 1)
    )
    assert command("Logits", "--compile") == 2
    error = capsys.readouterr().err
    assert re.search(
        r"the network cannot be compiled \(.*compiler.*\); leave out --compile\n$", error
    )
    assert "TORCHDYNAMO" not in error


# --- errors in the user's file -------------------------------------------------------------------------


def line_of(text):
    return NETWORKS[: NETWORKS.index(text)].count("\n") + 1


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ("failing", "its factory failed: OSError: cannot open weights.bin (net.py:{line})"),
        ("leaving", "its factory failed: SystemExit: usage: net.py (net.py:{line})"),
        ("Prepared", "Prepared.for_inference failed: KeyError: 'missing' (net.py:{line})"),
        (
            "Unprepared",
            "cannot be set to evaluation mode: TypeError: no evaluation (net.py:{line})",
        ),
        ("Secret", "does not give its weights: RuntimeError: no weights (net.py:{line})"),
        ("Uncopied", "cannot be copied: TypeError: cannot pickle 'Session' object (net.py:{line})"),
    ],
)
def test_errors_of_the_users_code_are_one_line(command, tmp_path, capsys, model, message):
    raising = {"failing": "raise OSError", "leaving": "raise SystemExit",
               "Prepared": "raise KeyError", "Uncopied": "raise TypeError",
               "Unprepared": 'raise TypeError("no ev', "Secret": "raise RuntimeError"}  # fmt: skip
    assert command(model) == 2
    error = capsys.readouterr().err
    assert message.format(line=line_of(raising[model])) in error
    assert len(error.strip().splitlines()) == 1
    assert not (tmp_path / "maps").exists()


@pytest.mark.parametrize(
    ("model", "found"),
    [
        ("Whole", "[1, 1, 20, 30] of torch.int64"),
        ("Complex", "[1, 1, 20, 30] of torch.complex64"),
        ("Empty", "[1, 1, 0, 30] of torch.float32"),
    ],
)
def test_outputs_that_are_no_logits_are_refused(command, capsys, model, found):
    assert command(model) == 2
    assert f"the network returned {found} for a batch" in capsys.readouterr().err


def test_a_network_with_a_sparse_buffer_predicts(command):
    assert command("Sparse") == 0


def test_weights_without_values_are_one_line(images, tmp_path):
    with pytest.raises(SodbenchError, match=r"tensor weight is without values"):
        with torch.device("meta"):
            network = nn.Conv2d(3, 1, 1)
        network.to = lambda *_, **__: network
        NetworkPredictor(network, "meta", device="cpu")


# --- whose weights they are ----------------------------------------------------------------------------


def test_random_weights_are_claimed_only_where_that_is_known(net, capsys):
    described = load_predictor(f"{net}:pretrained", device="cpu").describe()
    note = capsys.readouterr().err
    assert "RANDOM" not in note and "keeps the weights that its factory gives it" in note
    assert described["weights"] == "as made by net.py:pretrained"
    assert load_predictor(f"{net}:pretrained", device="cpu").describe() == described
    capsys.readouterr()
    built_in = load_predictor("lraspp-mobilenet-v3", device="cpu").describe()
    assert "RANDOM, UNTRAINED" in capsys.readouterr().err
    assert built_in["weights"] == "random (untrained)"


# --- files that sodbench did not write -----------------------------------------------------------------


def tiny(seed=0):
    torch.manual_seed(seed)
    return NetworkPredictor(nn.Conv2d(3, 1, 1), "tiny", device="cpu")


def foreign(path):
    """A map of another program under the same name."""
    write_grey(path, np.full((20, 30), 77, np.uint8))


def processed(path):
    """Post-processed in place by a program that drops comments."""
    Image.fromarray(255 - np.asarray(Image.open(path))).save(path)


def processed_with_its_comment(path):
    """Post-processed in place by a program that keeps comments."""
    info = PngInfo()
    info.add_text("Comment", read_comment(path)[0])
    Image.fromarray(255 - np.asarray(Image.open(path))).save(path, pnginfo=info)


def of_another_network(path):
    predict(tiny(1), find_images([path.parents[1] / "images"]), path.parents[1] / "other")
    path.write_bytes((path.parents[1] / "other" / path.name).read_bytes())


def of_another_image(path):
    path.write_bytes((path.parent / "c.png").read_bytes())
    path.with_name("c.png").unlink()


def another_kind_of_file(path):
    path.write_text("my notes")


def empty(path):
    path.write_bytes(b"")


def a_folder(path):
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (foreign, "does not state that sodbench wrote it"),
        (processed, "does not state that sodbench wrote it"),
        (processed_with_its_comment, "was modified after sodbench wrote it"),
        (of_another_network, "another network, or other settings, made it"),
        (another_kind_of_file, "does not state that sodbench wrote it"),
        (empty, ""),
        (a_folder, "folder"),
    ],
)
def test_files_that_this_prediction_did_not_write_are_never_replaced(
    images, tmp_path, change, reason
):
    out, samples = tmp_path / "maps", find_images([images])
    predict(tiny(), samples, out)
    (out / "e.png").unlink()
    change(out / "a.png")
    before = {p.name: p.is_file() and p.read_bytes() for p in out.iterdir()}
    with pytest.raises(ProblemsError, match="1 files have the name of a map") as caught:
        predict(tiny(), samples, out)
    assert [Path(p.file).name for p in caught.value.problems] == ["a.png"]
    assert reason in caught.value.problems[0].detail and "--force" in str(caught.value)
    assert {p.name: p.is_file() and p.read_bytes() for p in out.iterdir()} == before
    if change is not a_folder:
        assert predict(tiny(), samples, out, force=True).written == len(SIZES)
        predict(tiny(), samples, tmp_path / "fresh")
        for path in (tmp_path / "fresh").iterdir():
            assert path.read_bytes() == (out / path.name).read_bytes()


def test_a_map_of_another_image_is_predicted_again(images, tmp_path, capsys):
    """A copy of one of the folder's own maps under another name: sodbench wrote it, of another image."""
    out, samples = tmp_path / "maps", find_images([images])
    predict(tiny(), samples, out)
    expected = {p.name: p.read_bytes() for p in out.iterdir()}
    of_another_image(out / "a.png")
    assert predict(tiny(), samples, out).written == 2
    assert {p.name: p.read_bytes() for p in out.iterdir()} == expected


def test_a_changed_manifest_does_not_make_foreign_maps_fit(images, tmp_path):
    out, samples = tmp_path / "maps", find_images([images])
    predict(BaselinePredictor("centre-prior"), samples, out)
    made = json.loads((out / MAPS_MANIFEST).read_text())
    wanted = BaselinePredictor("frequency-tuned").describe()
    (out / MAPS_MANIFEST).write_text(json.dumps(made | wanted))
    with pytest.raises(ProblemsError, match="5 files have the name of a map"):
        predict(BaselinePredictor("frequency-tuned"), samples, out)


def test_an_unreadable_image_keeps_its_old_map(images, tmp_path):
    """Nothing is deleted for an image that cannot be looked at now."""
    out, samples = tmp_path / "maps", find_images([images])
    predict(tiny(), samples, out)
    (images / "a.png").rename(images / "hidden")
    summary = predict(tiny(), samples, out)
    assert [p.kind for p in summary.problems] == ["missing"]
    assert (out / "a.png").exists()
    (images / "hidden").rename(images / "a.png")
    assert predict(tiny(), samples, out).finished_before == len(SIZES)


@pytest.mark.parametrize(
    "problems", [3, [3], [{"kind": "x"}], [{"kind": 1, "file": 2, "detail": 3}]]
)
def test_a_manifest_with_other_problems_is_one_error(images, tmp_path, problems):
    out, samples = tmp_path / "maps", find_images([images])
    predict(tiny(), samples, out)
    manifest = json.loads((out / MAPS_MANIFEST).read_text())
    (out / MAPS_MANIFEST).write_text(json.dumps(manifest | {"problems": problems}))
    with pytest.raises(
        SodbenchError, match=r"prediction\.json: damaged, or not the record of maps"
    ):
        predict(tiny(), samples, out)


# --- killed runs and full disks ------------------------------------------------------------------------


def test_temporaries_of_killed_runs_are_removed(images, tmp_path):
    out = tmp_path / "maps"
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    write_image(out / "x.png", np.zeros((2, 2), np.uint8))
    (out / "x.png").rename(out / temporary_name(ended.pid))
    running = out / temporary_name(os.getppid())
    running.write_text("")
    predict(tiny(), find_images([images]), out)
    assert {p.name for p in out.iterdir() if p.name.startswith(".")} == {running.name}


def test_a_full_disk_ends_the_prediction_at_once(images, tmp_path, no_file_beyond):
    started = []

    class Counting(BaselinePredictor):
        def start(self, pixels, max_side):
            started.append(len(pixels))
            return super().start(pixels, max_side)

    for number in range(60):
        write_image(images / f"m{number}.png", np.full((4, 4, 3), number, np.uint8))
    write_image(images / "large.png", np.zeros((300, 400, 3), np.uint8))
    out, samples = tmp_path / "maps", find_images([images])
    with no_file_beyond(1000), pytest.raises(SodbenchError) as caught:
        predict(Counting("centre-prior"), samples, out, workers=1)
    assert re.search(
        r"large\.png: cannot be written \(.*\); make room and give the same", str(caught.value)
    )
    assert sum(started) < 20
    assert not list(out.glob(".*"))
    kept = len(list(out.glob("*.png")))
    summary = predict(BaselinePredictor("centre-prior"), samples, out)
    assert summary.finished_before == kept and summary.written == len(samples) - kept


def test_errors_pass_between_processes():
    """torchrun's processes exchange them, pickled."""
    problems = [Problem("size", "a.png", "3x4")]
    for error in (
        SodbenchError("one"),
        ImageError("a.png", "no image", "missing"),
        ProblemsError("some:", problems, "fix them"),
    ):
        copy = pickle.loads(pickle.dumps(error))
        assert type(copy) is type(error) and str(copy) == str(error) and vars(copy) == vars(error)


# --- without torch -------------------------------------------------------------------------------------


def test_baselines_predict_without_torch(images, tmp_path):
    code = (
        "import sys; from sodbench.cli import main\n"
        "assert main(sys.argv[1:]) == 0 and 'torch' not in sys.modules"
    )
    command = ["predict", str(images), "-o", str(tmp_path / "m"), "--model", "frequency-tuned"]
    subprocess.run([sys.executable, "-c", code, *command], check=True, timeout=120)
    assert len(list((tmp_path / "m").glob("*.png"))) == len(SIZES)


@pytest.mark.parametrize(
    ("variable", "value"), [("WORLD_SIZE", "many"), ("WORLD_SIZE", "-1"), ("RANK", "x")]
)
def test_a_wrong_environment_is_one_line(images, tmp_path, monkeypatch, variable, value):
    monkeypatch.setenv(variable, value)
    with pytest.raises(SodbenchError, match=f"environment variable {variable} is '{value}'"):
        predict(BaselinePredictor("centre-prior"), find_images([images]), tmp_path / "maps")


def test_processes_that_cannot_be_joined_are_one_line(images, tmp_path, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    for name in ("MASTER_ADDR", "MASTER_PORT", "RANK"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(SodbenchError, match=r"WORLD_SIZE=2, but .* start with torchrun, or unset"):
        predict(BaselinePredictor("centre-prior"), find_images([images]), tmp_path / "maps")


def test_files_of_types_that_are_not_read_are_named(tmp_path, capsys):
    photos = tmp_path / "photos"
    write_image(photos / "a.jpg", np.zeros((8, 8, 3), np.uint8))
    for name in ("b.heic", "c.SVG", "a.npy", "notes.txt"):
        (photos / name).write_bytes(b"x")
    command = ["predict", str(photos), "-o", str(tmp_path / "maps"), "--model", "centre-prior"]
    assert main(command) == 1
    error = capsys.readouterr().err
    assert "not-read (2)" in error and "b.heic" in error and "c.SVG" in error
    assert "a.npy" not in error and "notes.txt" not in error
    assert (tmp_path / "maps" / "a.png").exists()
    (photos / "a.jpg").unlink()
    assert main(command) == 2
    assert "no images of a type that is read (1 .heic, 1 .npy, 1 .svg)" in capsys.readouterr().err


@pytest.mark.parametrize("target", ["nowhere.jpg", "b.jpg"])
def test_a_link_that_leads_nowhere_is_a_problem_of_its_image_alone(tmp_path, capsys, target):
    photos = tmp_path / "photos"
    write_image(photos / "a.jpg", np.zeros((8, 8, 3), np.uint8))
    (photos / "b.jpg").symlink_to(target)
    command = ["predict", str(photos), "-o", str(tmp_path / "maps"), "--model", "centre-prior"]
    assert main(command) == 1
    error = capsys.readouterr().err
    assert "1 of 2 images have no map" in error and "b.jpg" in error
    assert (tmp_path / "maps" / "a.png").exists()


@pytest.mark.parametrize("option", ["-o", "--cutout"])
def test_nothing_is_written_inside_a_folder_of_images(tmp_path, capsys, option):
    photos = tmp_path / "photos"
    write_image(photos / "a.jpg", np.zeros((8, 8, 3), np.uint8))
    places = {"-o": tmp_path / "maps", "--cutout": tmp_path / "cut"} | {option: photos / "x"}
    words = [str(word) for place in places.items() for word in place]
    assert main(["predict", str(photos), *words, "--model", "centre-prior"]) == 2
    assert f"is inside {photos}" in capsys.readouterr().err
    assert [p.name for p in photos.iterdir()] == ["a.jpg"] and len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize(
    "option", [["--precision", "bf16"], ["--compile"], ["--padding"], ["--cuda-graphs"]]
)
def test_a_baseline_refuses_choices_without_effect(images, tmp_path, capsys, option):
    command = ["predict", str(images), "-o", str(tmp_path / "maps"), "--model", "centre-prior"]
    assert main([*command, *option]) == 2
    assert f"so {option[0]} would have no effect; leave it out" in capsys.readouterr().err
    assert not (tmp_path / "maps").exists()
