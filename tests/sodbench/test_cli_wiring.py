"""Options reach what they are for: the values with which a command calls its runner."""

import json
from pathlib import Path

import pytest

from sodbench.cli import main
from sodbench.errors import SodbenchError
from sodbench.models.source import ModelSource
from sodbench.results import Policy


@pytest.fixture
def recorded(monkeypatch, tmp_path):
    """``recorded(function)``: replace a runner by one that notes its arguments and refuses to run."""
    monkeypatch.chdir(tmp_path)
    calls = []

    def record(*args, **options):
        calls.append((args, options))
        raise SodbenchError("stopped here")

    def replace(name):
        monkeypatch.setattr(name, record)
        return calls

    return replace


def test_run_hands_its_options_on(recorded):
    calls = recorded("sodbench.runners.pipeline.run_datasets")
    command = ["run", "--datasets", "SOD,ECSSD", "--skip-missing", "--precision", "fp32"]
    policy = ["--missing", "zero", "--resize", "nearest", "--undefined", "skip", "--no-weighted-f"]
    command += [
        "--batch-size",
        "3",
        "--model",
        "centre-prior",
        "--compile",
        "--padding",
        "--cuda-graphs",
        *policy,
    ]
    assert main([*command, "--items", "items.txt", "--limit", "4", "--baselines"]) == 2
    ((wanted,), _) = calls[0]
    assert wanted.datasets == ("SOD", "ECSSD") and wanted.skip_missing
    assert wanted.execution["compiled"] and wanted.execution["precision"] == "fp32"
    assert (wanted.batch_size, wanted.model) == (3, ModelSource("centre-prior"))
    assert wanted.policy == Policy("zero", "nearest", "skip", weighted=False)
    assert (wanted.items, wanted.limit, wanted.baselines) == (Path("items.txt"), 4, True)
    assert (wanted.output, wanted.data_root) == (Path("results"), Path("data"))


def test_run_scores_on_the_cluster_that_it_is_given(recorded):
    calls = recorded("sodbench.runners.evaluation.workers.command_line_workers")
    assert main(["run", "--sample", "--dask", "tcp://127.0.0.1:1"]) == 2
    assert calls == [((None, "tcp://127.0.0.1:1"), {})]


def test_predict_and_bench_hand_the_choice_of_the_network_on(recorded, folders):
    calls = recorded("sodbench.runners.prediction.predictors.load_predictor")
    network = ["--model", "net.py:Net", "--checkpoint", "weights.pth", "--precision", "bf16"]
    network += ["--device", "cpu", "--padding", "--no-cuda-graphs"]
    assert main(["predict", "data/toys/images", "-o", "out", *network]) == 2
    ((args, options),) = calls
    assert args == (ModelSource("net.py:Net", Path("weights.pth")),)
    execution = {"device": "cpu", "precision": "bf16", "compiled": False}
    assert options == execution | {"padding": True, "graphs": False}


def test_bench_hands_its_options_on(recorded):
    pytest.importorskip("torch")
    calls = recorded("sodbench.runners.benchmark.benchmark")
    command = ["bench", "--checkpoint", "weights.pth", "--precision", "bf16", "--sizes", "30x40"]
    assert main([*command, "--no-padding", "--cuda-graphs"]) == 2
    ((args, options),) = calls
    assert args == (ModelSource(checkpoint=Path("weights.pth")),)
    assert (options["padding"], options["graphs"]) == (False, True)
    assert (options["precision"], options["sizes"]) == ("bf16", [(40, 30)])


def test_export_hands_its_options_on(recorded):
    pytest.importorskip("torch")
    calls = recorded("sodbench.runners.export.export_onnx")
    assert main(["export", "--checkpoint", "weights.pth", "-o", "net.onnx"]) == 2
    assert calls[0][0] == (ModelSource(checkpoint=Path("weights.pth")), None, Path("net.onnx"))


def test_train_hands_its_options_on(recorded, folders):
    pytest.importorskip("torch")
    calls = recorded("sodbench.runners.training.train.train")
    command = ["train", "--train", "data/toys", "-o", "run", "--save-every", "7", "--keep", "3"]
    assert main([*command, "--skip-invalid", "--jobs", "2", "--random-start"]) == 2
    ((training,), _) = calls[0]
    assert (training.save_every, training.keep) == (7, 3)
    assert training.random_start and training.skip_invalid and training.workers == 2


def test_report_hands_its_options_on(recorded, folders):
    assert main(["eval", str(folders / "maps"), str(folders / "data/toys"), "-o", "out"]) == 0
    calls = recorded("sodbench.reports.report.write_report")
    options = ["--title", "Mine", "--with-paths", "--seed", "5", "--images", "random"]
    options += ["--single-file", "--max-size", "2.5"]
    options += ["--methods-file", "m.toml", "--published", "icon", "--published-methods", "RAS"]
    assert main(["report", "out", "-o", "report", *options]) == 2
    given = calls[0][0][2]
    assert (given.methods_file, given.published) == (Path("m.toml"), ["icon"])
    assert given.published_methods == ["RAS"]
    assert given.single_file and given.max_size == 2.5
    assert (given.title, given.with_paths, given.seed) == ("Mine", True, 5)
    assert list(given.images) == ["random"]


def test_report_links_images_in_a_folder_only(recorded, folders, capsys):
    assert main(["eval", str(folders / "maps"), str(folders / "data/toys"), "-o", "out"]) == 0
    calls = recorded("sodbench.reports.report.write_report")
    assert main(["report", "out", "-o", "report", "--link-images"]) == 2
    assert calls[0][0][2].link_images
    # a default from a file is for the reports that can have links
    Path("sodbench.toml").write_text("[report]\nlink-images = true\n", encoding="utf-8")
    for other in (["report.html"], ["report.md"], ["report", "--single-file"]):
        assert main(["report", "out", "-o", *other]) == 2
    assert [call[0][2].link_images for call in calls[1:]] == [False] * 3


def test_verify_finds_the_masks_below_the_data_root(recorded, folders, capsys):
    maps, data = str(folders / "maps"), str(folders / "data")
    score = ["eval", maps, "toys", "--data-root", data, "-o", "out", "--quiet"]
    assert main(score) == 0
    capsys.readouterr()
    verify = ["verify", "out", maps, "toys", "--data-root", data, "--jobs", "1"]
    assert main([*verify, "--format", "json"]) == 0
    (result,) = json.loads(capsys.readouterr().out)["results"]
    assert result["from_images"] and result["n"] == 3 and not result["differences"]
