"""Installed plug-ins reach the command line, and a broken one is a clear error."""

import json
import os
import subprocess
import sys

import pytest
from synthetic import draw_pair, save_image

from sodbench import plugins
from sodbench.cli import main
from sodbench.metrics import PROTOCOLS, Evaluator
from sodbench.metrics.catalogue import MEASUREMENTS, METRICS
from sodbench.models import registry

PLUGIN = """
from dataclasses import replace
from sodbench import register_dataset, register_metric, register_model, register_protocol
from sodbench.datasets import DatasetInfo
from sodbench.metrics import get_protocol
from sodbench.metrics.catalogue import Metric

def models():
    from torch import nn
    register_model("my-net")(lambda: nn.Conv2d(3, 1, 1))

def metrics():
    register_metric(Metric("my_dice", "My Dice", "higher", "overlap"), dice)

def dice(map_, foreground):
    return float(2 * (map_ * foreground).sum() / (map_.sum() + foreground.sum()))

def protocols():
    register_protocol(replace(get_protocol("salmetric"), name="mine"))

def datasets():
    register_dataset(DatasetInfo("MySet", count=2, about="a set of mine"))
"""


@pytest.fixture
def installed(tmp_path):
    """``installed(text, *kinds)``: a distribution of one module; returns how to run sodbench with it."""
    site = tmp_path / "site"
    info = site / "my_plugin-1.2.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: my-plugin\nVersion: 1.2\n")

    def install(text, *kinds):
        (site / "my_plugin.py").write_text(text)
        entries = [f"[sodbench.{kind}]\nmine = my_plugin:{kind}\n" for kind in kinds]
        (info / "entry_points.txt").write_text("\n".join(entries))

        def run(*words, then=()):
            """Run a command, and further ones in the same process while they succeed."""
            code = (
                f"import json, sys; sys.path.insert(0, {str(site)!r}); from sodbench.cli import main;"
                "sys.exit(next(filter(None, map(main, json.loads(sys.argv[1]))), 0))"
            )
            return subprocess.run(
                [sys.executable, "-c", code, json.dumps([words, *then])],
                cwd=tmp_path,
                capture_output=True,
                text=True,
                check=False,
            )

        return run

    return install


@pytest.fixture
def installed_here(installed, tmp_path, monkeypatch):
    """``installed_here(text, *kinds)``: the same for this process; what is registered is taken back after the test."""

    def install(text, *kinds):
        installed(text, *kinds)
        monkeypatch.syspath_prepend(tmp_path / "site")
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(plugins, "_loaded", set())
        for table, name in (
            (sys.modules, "my_plugin"),
            (PROTOCOLS, "mine"),
            (METRICS, "my_dice"),
            (MEASUREMENTS, "my_dice"),
            (registry._factories, "my-net"),
        ):
            monkeypatch.setitem(table, name, None)
            del table[name]

    return install


def test_a_protocol_and_a_metric_of_a_plug_in_reach_eval(installed, tmp_path):
    for seed, stem in enumerate("ab"):
        map_, mask = draw_pair(seed, 30, 40)
        save_image(tmp_path / f"maps/{stem}.png", map_)
        save_image(tmp_path / f"masks/{stem}.png", mask)
    sodbench = installed(PLUGIN, "protocols", "metrics")
    done = sodbench(
        *("eval", "maps", "masks", "--protocol", "mine", "--metrics", "mae,my_dice", "-o", "out"),
        then=[["verify", "out", "maps", "masks"], ["eval", "--metrics", "help"]],
    )
    assert done.returncode == 0, done.stdout + done.stderr
    scores, _, listing = done.stdout.partition("1 of 1 result(s) verified")
    assert "my_dice" in scores and "protocol:mine" in scores
    assert "my_dice" in listing


WITH_A_NEW_PROCESS = """
import multiprocessing
from concurrent.futures import ProcessPoolExecutor

from sodbench import evaluate
from sodbench.plugins import load_plugins

if __name__ == "__main__":
    load_plugins("sodbench.metrics")
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as executor:
        print(evaluate("maps", "masks", executor=executor).metrics["my_dice"])
"""


def test_an_evaluator_finds_the_protocols_and_metrics_of_plug_ins(installed_here):
    installed_here(PLUGIN, "protocols", "metrics")
    map_, mask = draw_pair(0, 30, 40)
    evaluator = Evaluator("mine", pixel_metrics=["my_dice"])
    evaluator.update(map_, mask)
    metrics = evaluator.compute().metrics
    usual = Evaluator("salmetric")
    usual.update(map_, mask)
    assert metrics["f_max"] == usual.compute("mine").metrics["f_max"]
    assert 0 < metrics["my_dice"] < 1
    with pytest.raises(ValueError, match=r"unknown protocol 'yours'; known are .*torch, mine"):
        Evaluator("yours")


def test_a_new_worker_process_knows_the_metrics_of_plug_ins(installed, tmp_path):
    map_, mask = draw_pair(0, 30, 40)
    save_image(tmp_path / "maps/a.png", map_)
    save_image(tmp_path / "masks/a.png", mask)
    installed(PLUGIN, "metrics")
    (tmp_path / "script.py").write_text(WITH_A_NEW_PROCESS)
    done = subprocess.run(
        [sys.executable, "script.py"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(tmp_path / "site")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    foreground = mask > 128
    expected = 2 * (map_ / 255 * foreground).sum() / ((map_ / 255).sum() + foreground.sum())
    assert float(done.stdout) == pytest.approx(expected)


def test_a_dataset_of_a_plug_in_is_known_by_name(installed):
    done = installed(PLUGIN, "datasets")("data", "list", "myset")
    assert done.returncode == 0 and "MySet: a set of mine" in done.stdout


def test_a_model_of_a_plug_in_can_be_created(installed_here, capsys):
    pytest.importorskip("torch")
    installed_here(PLUGIN, "models")
    assert main(["bench", "--model", "my-network", "--device", "cpu"]) == 2
    assert "my-net" in capsys.readouterr().err.replace("my-network", "")
    assert registry.create_model("my-net").out_channels == 1
    assert main(["models", "--format", "json"]) == 0
    assert json.loads(capsys.readouterr().out)["models"][-1]["name"] == "my-net"


def test_the_protocols_are_listed_with_those_of_plug_ins(installed):
    done = installed(PLUGIN, "protocols")("eval", "maps", "masks", "--protocol", "mime")
    assert done.returncode == 2 and "'mine'" in done.stderr


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("import nowhere", "ModuleNotFoundError"),
        ("def protocols():\n    raise ValueError('no')", "ValueError: no"),
        ("", "has no attribute 'protocols'"),
    ],
)
def test_a_broken_plug_in_is_one_error_that_names_its_package(installed, text, reason):
    done = installed(text, "protocols")("eval", "maps", "masks", "--protocol", "salmetric")
    assert done.returncode == 2 and "Traceback" not in done.stderr
    (line,) = done.stderr.splitlines()
    assert "the plug-in mine (sodbench.protocols) of the package my-plugin 1.2 cannot" in line
    assert reason in line


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("raise KeyError('no')", "the metric my_dice cannot be computed (KeyError: 'no')"),
        ("return 'x'", "the metric my_dice cannot be computed (ValueError: could not convert"),
        ("return float('inf')", "the metric my_dice is infinite for a pair; return NaN"),
    ],
)
def test_a_metric_of_a_plug_in_that_fails_is_named_with_the_mask(
    installed_here, tmp_path, capsys, body, reason
):
    map_, mask = draw_pair(1)
    save_image(tmp_path / "maps/1.png", map_)
    save_image(tmp_path / "masks/1.png", mask)
    head, definition, _ = PLUGIN.partition("def dice(map_, foreground):\n")
    installed_here(f"{head}{definition}    {body}\n", "metrics")
    assert main(["--quiet", "eval", "maps", "masks", "-o", "out"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert f"masks/1.png: {reason}" in line
    assert not list((tmp_path / "out").rglob("result.json"))


def test_a_result_under_a_plug_ins_protocol_is_not_called_modified_without_it(
    installed_here, tmp_path, capsys
):
    map_, mask = draw_pair(1)
    save_image(tmp_path / "maps/1.png", map_)
    save_image(tmp_path / "masks/1.png", mask)
    words = ["eval", "maps", "masks", "--protocol", "mine", "--shard", "1/1", "-o", "part"]
    installed_here(PLUGIN, "protocols")
    assert main(["--quiet", *words]) == 0
    merge = ["merge", "part", "-o", "out"]
    installed_here(PLUGIN)
    assert main(merge) == 2
    message = capsys.readouterr().err
    assert "modified" not in message
    assert "was scored under the protocol 'mine', which is not known here; install" in message
    installed_here(PLUGIN, "protocols")
    assert main(merge) == 0
