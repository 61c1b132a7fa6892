"""sodbench bench and export, on small networks; times are not asserted, only that they are there."""

import json
import re

import numpy as np
import pytest
import torch
from torch import nn

from sodbench.cli import main
from sodbench.errors import SodbenchError
from sodbench.models import create_model
from sodbench.reports.text import format_cost
from sodbench.runners import benchmark as benchmark_module
from sodbench.runners import export as export_module
from sodbench.runners.benchmark import benchmark, count_macs
from sodbench.runners.export import export_onnx
from sodbench.runners.prediction.predictors import NetworkPredictor, load_predictor

pytestmark = pytest.mark.usefixtures("one_thread")

NET = """
import torch.nn.functional as F
from torch import nn
from sodbench.models import InputSize

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.norm, self.out = nn.Conv2d(3, 4, 3, 2, 1), nn.GroupNorm(2, 4), nn.Conv2d(4, 1, 1)
    def forward(self, x):
        y = self.out(self.norm(self.conv(x)))
        return F.interpolate(y, size=x.shape[-2:], mode="bilinear")

class Fixed(Net):
    input_size = InputSize(fixed=(32, 48))
"""


@pytest.fixture
def net(tmp_path):
    path = tmp_path / "net.py"
    path.write_text(NET)
    return path


def test_macs_are_those_counted_by_hand():
    conv = nn.Conv2d(3, 8, 3, padding=1)
    assert count_macs(conv, (10, 20)) == 10 * 20 * 8 * 3 * 9


def test_csf_macs_are_the_references(ruled_csf):
    assert count_macs(ruled_csf, (224, 224)) == 7_775_875_072


def test_record_holds_the_costs_at_every_size(net, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(benchmark_module, "END_TO_END_BATCHES", 2)
    out = tmp_path / "bench" / "net.json"
    command = ["bench", "--model", f"{net}:Net", "--device", "cpu", "--repeats", "2"]
    command += ["--name", "TinyNet"]
    assert main([*command, "--sizes", "30x20", "17x33", "-o", str(out)]) == 0
    printed = capsys.readouterr().out
    assert printed.startswith("TinyNet on ") and "30x20" in printed and "17x33" in printed
    record = json.loads(out.read_text())
    assert record["method"] == "TinyNet"
    assert record["parameters"] == 3 * 4 * 9 + 4 + 8 + 5
    assert record["checkpoint_bytes"] == 4 * record["parameters"]
    assert record["precision"] == "fp32" and record["device"] == "cpu"
    first, second = record["sizes"]
    assert (first["height"], first["width"], first["repeats"]) == (20, 30, 2)
    assert first["macs"] == 10 * 15 * 4 * 28
    low, high = first["latency_quartiles"]
    assert 0 < low <= first["latency_median"] <= high
    assert (
        first["throughput"] > 0 and first["end_to_end"] > 0 and first["peak_memory_bytes"] > 2**20
    )
    assert record["images_per_second"] == second["end_to_end"]


def test_the_size_in_the_network_is_printed(net, monkeypatch):
    monkeypatch.setattr(benchmark_module, "END_TO_END_BATCHES", 1)
    record = benchmark(f"{net}:Fixed", device="cpu", sizes=[(20, 30), (32, 48)], repeats=1)
    assert [cost["network_size"] for cost in record["sizes"]] == [(32, 48)] * 2
    assert [cost["macs"] for cost in record["sizes"]] == [16 * 24 * 4 * 28] * 2
    printed = format_cost(record)
    assert "30x20, as 48x32" in printed and printed.count(", as ") == 1


def test_baseline_has_no_network(capsys):
    record = benchmark("centre-prior", sizes=[(20, 30)], repeats=1)
    assert record["parameters"] == 0 and record["macs"] is None
    assert "centre-prior" in format_cost(record)


def test_memory_running_out_ends_the_search_for_the_best_batch(monkeypatch, capsys):
    class Hungry(nn.Conv2d):
        def forward(self, x):
            if len(x) > 2:
                raise torch.OutOfMemoryError("out of memory")
            return super().forward(x)

    predictor = NetworkPredictor(Hungry(3, 1, 1), "hungry", device="cpu")
    # one image alone is called so slow that every larger batch pays
    rate, batch = benchmark_module._measure_throughput(predictor, (8, 8), 10.0, 3)
    assert (batch, rate > 0.1) in {(2, True), (1, True)}


def test_one_slow_measurement_does_not_end_the_search_for_the_best_batch(monkeypatch):
    # batches of 2, 4 (slow), 8, 16, 32 (both without gain), and 64, which is not reached
    rates = iter((20.0, 10.0, 40.0, 41.0, 30.0, 100.0))

    def measure(predictor, pixels, repeats):
        return [len(pixels) / next(rates)] * repeats

    monkeypatch.setattr(benchmark_module, "_measure_times", measure)
    monkeypatch.setattr(benchmark_module, "_draw_images", lambda count, size: [0] * count)
    monkeypatch.setattr(benchmark_module, "_batch_sizes", lambda device: (2, 4, 8, 16, 32, 64))
    predictor = load_predictor("centre-prior")
    rate, batch = benchmark_module._measure_throughput(predictor, (8, 8), 0.1, 3)
    assert (rate, batch, list(rates)) == (40.0, 8, [100.0])


@pytest.mark.parametrize(("command", "name"), [("bench", "photo.jpg"), ("export", "photo.onnx")])
def test_a_file_of_the_user_is_not_replaced(command, name, tmp_path, capsys):
    photo, model = tmp_path / name, ["--model", "csnet-L-x1"]
    photo.write_bytes(b"a photograph")
    assert main([command, *model, "-o", str(photo)]) == 2
    assert f"{name}: exists and was not written by sodbench" in capsys.readouterr().err
    assert photo.read_bytes() == b"a photograph"
    assert main([command, *model, "-o", str(tmp_path)]) == 2
    assert "name a file" in capsys.readouterr().err


def test_an_earlier_record_is_replaced(tmp_path):
    record = tmp_path / "bench.json"
    words = ["--model", "centre-prior", "--sizes", "20x20", "--repeats", "1", "-o", str(record)]
    for _ in range(2):
        assert main(["bench", *words]) == 0
    assert json.loads(record.read_text())["method"] == "centre-prior"


def test_wrong_size_is_refused(capsys):
    with pytest.raises(SystemExit):
        main(["bench", "--sizes", "300"])
    assert "write WIDTHxHEIGHT" in capsys.readouterr().err
    with pytest.raises(SodbenchError, match="at least one size"):
        benchmark("centre-prior", sizes=[(0, 3)])


# ---- export


@pytest.mark.skipif(
    torch.__version__.startswith("2.6."),
    reason="torch 2.6 cannot export an interpolation to the size of the input; sodbench says so",
)
def test_onnx_gives_torchs_logits_at_every_size(net, tmp_path, capsys):
    runtime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    path = tmp_path / "net.onnx"
    differences = export_onnx(f"{net}:Net", None, path)
    assert len(differences) == 3
    assert "as after a sigmoid" not in capsys.readouterr().err
    x = np.random.default_rng(1).standard_normal((3, 3, 41, 53), np.float32)
    session = runtime.InferenceSession(path)
    (logits,) = session.run(None, {"image": x})
    torch.manual_seed(0)
    model = create_model(f"{net}:Net").eval()
    expected = model(torch.from_numpy(x)).detach().numpy()
    assert logits.shape == (3, 1, 41, 53)
    assert np.abs(logits - expected).max() <= 1e-4  # onnxruntime rounds a resize's places otherwise
    assert not list(tmp_path.glob(".*"))
    # a large group far from 0, of which one sum in float32 loses digits
    x = np.random.default_rng(2).standard_normal((1, 3, 600, 800), np.float32) + 20
    (logits,) = session.run(None, {"image": x})
    exact = model.double()(torch.from_numpy(x).double()).detach().numpy()
    # torch's own: 1.0e-7; by one sum: 3.0e-7
    assert np.abs(logits - exact).mean() <= 1.5e-7


def test_export_that_differs_leaves_no_file(net, tmp_path, monkeypatch):
    pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    monkeypatch.setattr(export_module, "TOLERANCE", -1.0)
    with pytest.raises(SodbenchError, match=r"differs from torch by .* at 48x32"):
        export_onnx(f"{net}:Fixed", None, tmp_path / "net.onnx")
    assert {p.name for p in tmp_path.iterdir()} <= {"net.py", "__pycache__"}


def test_missing_packages_are_named(monkeypatch, tmp_path):
    monkeypatch.setitem(__import__("sys").modules, "onnx", None)
    with pytest.raises(SodbenchError, match=r"pip install 'sodbench\[onnx\]'"):
        export_onnx("csf-res2net50", None, tmp_path / "x.onnx")


# ---- networks that cannot do what is asked

FAULTY = """
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.c = nn.Conv2d(3, 1, 1)
    def forward(self, x):
        return self.c(x)

class Large(Net):
    def forward(self, x):
        if min(x.shape[-2:]) < 100:
            raise RuntimeError("Kernel size can't be greater\\nthan actual input size")
        return super().forward(x)

class Never(Net):
    def forward(self, x):
        raise RuntimeError("no size will do")

class NotFinite(Net):
    def forward(self, x):
        return super().forward(x) / 0

class Two(Net):
    def forward(self, x):
        return [super().forward(x)]

class Viewing(Net):
    def forward(self, x):
        return self.c(x.view(len(x), -1).view(x.shape))

class Squashed(Net):
    output = "probabilities"
    def forward(self, x):
        return super().forward(x).sigmoid()

class Silent(Net):
    def forward(self, x):
        return super().forward(x).sigmoid()

class Complex(Net):
    def forward(self, x):
        return super().forward(x) * 1j

class Spectrum(Net):
    def forward(self, x):
        return torch.linalg.eigvals(self.c(x)[..., :8, :8]).real[..., None] + self.c(x)[..., :8, :8]
"""


@pytest.fixture
def faulty(tmp_path):
    path = tmp_path / "faulty.py"
    path.write_text(FAULTY)
    return path


@pytest.fixture
def onnx():
    pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")


def error_of(capsys, command):
    """The one line that a refused command prints."""
    assert main([*command, "--quiet"]) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    return line


def test_bench_names_the_size_that_the_network_refuses(faulty, tmp_path, capsys):
    command = ["bench", "--model", f"{faulty}:Large", "--device", "cpu", "--repeats", "1"]
    error = error_of(
        capsys, [*command, "--sizes", "130x120", "200x30", "-o", str(tmp_path / "b.json")]
    )
    line = FAULTY[: FAULTY.index("raise RuntimeError")].count("\n") + 1
    assert "an image of 200x30 is refused by the network (RuntimeError: Kernel size" in error
    assert f"than actual input size (faulty.py:{line})" in error and "--sizes" in error
    assert not (tmp_path / "b.json").exists()


def test_bench_of_sizes_that_cannot_exist_is_one_line(capsys):
    command = ["bench", "--model", "centre-prior", "--sizes", "99999999x99999999"]
    assert "a side above 16384 pixels" in error_of(capsys, command)


def test_bench_of_a_network_without_finite_maps_is_refused(faulty, capsys):
    """Its speed from JPEG to PNG would be that of writing no map."""
    command = ["bench", "--model", f"{faulty}:NotFinite", "--device", "cpu", "--sizes", "20x30"]
    assert "could not be predicted, the first because: not-finite" in error_of(capsys, command)


def test_bench_of_a_network_that_uses_view(faulty, monkeypatch, capsys):
    monkeypatch.setattr(benchmark_module, "END_TO_END_BATCHES", 2)
    record = benchmark(f"{faulty}:Viewing", device="cpu", sizes=[(20, 30)], repeats=1)
    assert record["memory_format"] == "contiguous" and record["macs"] == 20 * 30 * 3


@pytest.mark.usefixtures("onnx")
def test_export_leaves_out_sizes_that_the_network_refuses(faulty, tmp_path, capsys):
    differences = export_onnx(f"{faulty}:Large", None, tmp_path / "net.onnx")
    assert list(differences) == [(224, 224), (300, 400)]
    error = capsys.readouterr().err
    assert "not compared: 131x97 is refused by the network (RuntimeError: Kernel size" in error
    assert "keeps the weights that its factory gives it" in error and "RANDOM" not in error


@pytest.mark.usefixtures("onnx")
@pytest.mark.parametrize(
    ("model", "message"),
    [
        ("Never", r"400x300 is refused .*no size will do .* input_size = InputSize"),
        ("NotFinite", r"the network itself returns NaN or infinity for an image of 224x224"),
        (
            "Two",
            r"returned list for a batch \[1, 3, 224, 224\]; it must return one logit map per image",
        ),
        ("Complex", r"returned \[1, 1, 224, 224\] of torch\.complex64 for a batch"),
        ("Spectrum", r"torch cannot export this network: \w+: .*linalg_eig"),
    ],
)
def test_export_of_what_cannot_be_exported_is_one_line(faulty, tmp_path, capsys, model, message):
    command = ["export", "--model", f"{faulty}:{model}", "-o", str(tmp_path / "net.onnx")]
    error = error_of(capsys, command)
    assert re.search(message, error) and "\x1b" not in error
    assert not list(tmp_path.glob("*.onnx*")) and not list(tmp_path.glob(".*"))


@pytest.mark.usefixtures("onnx")
def test_exported_probabilities_are_called_so(faulty, tmp_path, capsys):
    import onnxruntime

    export_onnx(f"{faulty}:Squashed", None, tmp_path / "net.onnx")
    assert "as after a sigmoid" not in capsys.readouterr().err
    session = onnxruntime.InferenceSession(tmp_path / "net.onnx")
    assert [output.name for output in session.get_outputs()] == ["probabilities"]


@pytest.mark.usefixtures("onnx")
def test_exported_logits_that_look_like_probabilities_are_named(faulty, tmp_path, capsys):
    export_onnx(f"{faulty}:Silent", None, tmp_path / "net.onnx")
    assert "as after a sigmoid" in capsys.readouterr().err
