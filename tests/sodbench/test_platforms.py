"""What other systems and older versions lack, taken away here."""

import json
import subprocess
import sys

import pytest

# Windows has neither module; several commands in one process
WITHOUT_UNIX_MODULES = """
import json, sys
sys.modules["fcntl"] = sys.modules["resource"] = None
from sodbench.cli import main
from sodbench.reports import plot_style
plot_style.FORMATS = ("svg",)  # the others take time
for command in json.loads(sys.argv[1]):
    print("status", main(command))
"""


def test_nothing_on_the_common_path_needs_a_unix_module(folders):
    commands = [
        ["eval", "maps", "data/toys", "-o", "scores"],
        ["eval", "maps", "data/toys", "-o", "scores", "--protocol", "pysodmetrics"],
        ["predict", "data/toys/images", "-o", "out", "--model", "centre-prior"],
        ["data", "check", "data/toys"],
        ["report", "scores", "-o", "report.md", "--metrics", "mae", "--resamples", "100"],
    ]
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_UNIX_MODULES, json.dumps(commands)],
        capture_output=True,
        text=True,
        check=False,
        cwd=folders,
    )
    assert done.returncode == 0, done.stderr
    statuses = [line for line in done.stdout.splitlines() if line.startswith("status ")]
    assert statuses == ["status 0"] * len(commands), done.stderr


def test_peak_memory_is_unknown_where_the_system_does_not_report_it(monkeypatch, tmp_path):
    pytest.importorskip("torch")
    from sodbench.reports.text import format_cost
    from sodbench.runners import benchmark

    monkeypatch.setattr(benchmark, "STATUS", tmp_path / "nothing")
    monkeypatch.setitem(sys.modules, "resource", None)
    monkeypatch.setattr(benchmark, "END_TO_END_SECONDS", 0.01)
    assert benchmark.peak_memory(None) is None
    record = benchmark.benchmark("centre-prior", sizes=[(20, 30)], repeats=1)
    assert record["sizes"][0]["peak_memory_bytes"] is None
    assert format_cost(record).splitlines()[-1].endswith(" -")


@pytest.mark.parametrize("older", [False, True], ids=["torch from 2.9 on", "torch before 2.9"])
def test_tensor_float_is_switched_and_restored(older, monkeypatch):
    torch = pytest.importorskip("torch")
    from sodbench.models.devices import tensor_float

    if older and hasattr(torch.backends.cudnn, "conv"):
        monkeypatch.delattr(type(torch.backends.cudnn), "conv", raising=False)
        monkeypatch.delattr(torch.backends.cudnn, "conv", raising=False)
    old_names = older or not hasattr(torch.backends.cudnn, "conv")
    settings = (
        (torch.backends.cudnn, torch.backends.cuda.matmul)
        if old_names
        else (torch.backends.cudnn.conv, torch.backends.cuda.matmul)
    )
    name = "allow_tf32" if old_names else "fp32_precision"

    def state():
        return [getattr(setting, name) for setting in settings]

    before = state()
    on, off = (True, False) if old_names else ("tf32", "ieee")
    with tensor_float(True):
        assert state() == [on, off]
        with tensor_float(False):
            assert state() == [off, off]
        assert state() == [on, off]
    assert state() == before
