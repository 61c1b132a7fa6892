"""A comparison as HTML, Markdown and LaTeX, with the images that changed most; in notebooks and trackers."""

import pandas as pd
import pytest
from synthetic import ODD, synthetic

import sodbench
from sodbench.errors import SodbenchError
from sodbench.reports.compare import compare
from sodbench.reports.comparison_files import find_changed_images, write_comparison
from sodbench.reports.trackers import log_to_mlflow, log_to_tensorboard, log_to_wandb


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    return [
        synthetic(m, "SOD", folder=folder, noise=n)
        for m, n in zip(ODD[:2], (0.3, 0.5), strict=True)
    ]


@pytest.fixture(scope="module")
def comparison(results):
    return compare(*results, resamples=100)


def test_images_that_gained_and_lost_most_are_those_of_the_largest_change(results):
    first, second = results
    gained, lost = find_changed_images(first, second, "mae", 2)
    gain = second.table["mae"] - first.table["mae"]  # lower is better
    assert [image.stem for image in gained] == list(gain[gain > 0].nlargest(2).index)
    assert [image.stem for image in lost] == list(gain[gain < 0].nsmallest(2).index)
    assert gained[0].gain == pytest.approx(gain.max()) and gained[0].first < gained[0].second
    assert find_changed_images(first, second, "nope") == ([], [])


@pytest.mark.parametrize("suffix", [".html", ".md", ".tex"])
def test_a_comparison_is_written_in_every_format(results, comparison, suffix, tmp_path):
    out = tmp_path / f"c{suffix}"
    write_comparison(comparison, results[:1], results[1:], out)
    text = out.read_text(encoding="utf-8")
    write_comparison(comparison, results[:1], results[1:], out)  # its own file is replaced
    assert out.read_text(encoding="utf-8") == text
    assert "<b>bold</b>" not in text, "names are escaped"
    assert "Images of SOD" in text and "gain in max F" in text
    if suffix == ".html":
        assert text.count("data:image/webp;base64,") >= 4 * 2 and "http" not in text
    mine = tmp_path / f"mine{suffix}"
    mine.write_text("mine", encoding="utf-8")
    with pytest.raises(SodbenchError, match="was not written by sodbench"):
        write_comparison(comparison, results[:1], results[1:], mine)


def test_notebooks_show_results_comparisons_and_tables(results, comparison):
    shown = comparison._repr_html_()
    assert "&lt;b&gt;bold&lt;/b&gt;" in shown and "<b>" not in shown and "SOD max F" in shown
    result = results[1]
    assert "&lt;b&gt;" in result._repr_html_() and "salmetric" in result._repr_html_()
    stored = result.to_dict()
    assert stored["metrics"] == result.metrics and stored["signature"] == str(result.signature)
    assert result.to_frame().loc[0, "f_max"] == result.metrics["f_max"]


class Recorder:
    """Stands for a tracker's own object."""

    def __init__(self):
        self.calls, self.config = [], {}

    def __getattr__(self, name):
        return lambda *args, **options: self.calls.append((name, args, options))


def test_trackers_get_every_finite_metric_and_the_signature(results):
    result = results[0]
    board, flow, run = Recorder(), Recorder(), Recorder()
    log_to_tensorboard(result, board, step=3)
    assert ("add_scalar", ("SOD/mae", result.metrics["mae"], 3), {}) in board.calls
    assert ("add_text", ("SOD/signature", str(result.signature), 3), {}) in board.calls
    log_to_mlflow(result, flow, step=3)
    assert flow.calls[0][1][0]["SOD/f_max"] == result.metrics["f_max"]
    log_to_wandb(result, run)
    assert run.calls[0][1][0]["SOD/s"] == result.metrics["s"]
    assert run.config == {"SOD/signature": str(result.signature)}


def test_tensorboard_reads_what_was_logged(results, tmp_path):
    accumulator = pytest.importorskip(
        "tensorboard.backend.event_processing.event_accumulator",
        reason="tensorboard is not installed",
    )
    from torch.utils.tensorboard import SummaryWriter

    with SummaryWriter(str(tmp_path)) as writer:
        log_to_tensorboard(results[0], writer, step=2)
    events = accumulator.EventAccumulator(str(tmp_path)).Reload()
    (event,) = events.Scalars("SOD/mae")
    assert event.step == 2 and event.value == pytest.approx(results[0].metrics["mae"], rel=1e-6)


def test_mlflow_reads_what_was_logged(results, tmp_path, monkeypatch):
    mlflow = pytest.importorskip("mlflow", reason="MLflow is not installed")
    # plain files: the small package of MLflow has no database
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    mlflow.set_tracking_uri((tmp_path / "runs").as_uri())
    with mlflow.start_run() as run:
        log_to_mlflow(results[0], mlflow, step=2)
    stored = mlflow.get_run(run.info.run_id).data
    assert stored.metrics["SOD/mae"] == pytest.approx(results[0].metrics["mae"])
    assert stored.tags["SOD.signature"] == str(results[0].signature)


def test_wandb_keeps_what_was_logged(results, tmp_path, monkeypatch):
    wandb = pytest.importorskip("wandb", reason="Weights & Biases is not installed")
    for name, value in {"MODE": "offline", "DIR": str(tmp_path), "SILENT": "true"}.items():
        monkeypatch.setenv(f"WANDB_{name}", value)
    with wandb.init(project="sod") as run:
        log_to_wandb(results[0], run)
        assert run.summary["SOD/mae"] == pytest.approx(results[0].metrics["mae"])
        assert run.config["SOD/signature"] == str(results[0].signature)


def test_results_become_a_sheet(results, tmp_path):
    pytest.importorskip("openpyxl", reason="openpyxl is not installed")
    file = tmp_path / "scores.xlsx"
    frame = sodbench.to_frame(results)
    frame.to_excel(file)
    assert pd.read_excel(file)["f_max"].tolist() == pytest.approx(frame["f_max"].tolist())
