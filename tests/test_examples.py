"""The examples run as they are, in a folder of their own."""

import json
import runpy
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"


@pytest.fixture
def run(tmp_path, monkeypatch, capsys):
    """Run a program in an empty folder, and return what it prints."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MPLBACKEND", "agg")
    monkeypatch.setattr(sys, "argv", ["example"])

    def run(program: Path) -> str:
        runpy.run_path(str(program), run_name="__main__")
        return capsys.readouterr().out

    return run


@pytest.mark.usefixtures("one_figure_format")
def test_the_notebook_runs_from_top_to_bottom(run, tmp_path):
    cells = json.loads((EXAMPLES / "score_compare_report.ipynb").read_text(encoding="utf-8"))[
        "cells"
    ]
    code = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    # It is committed with its outputs, so that it can be read without being run
    assert all(cell["outputs"] for cell in cells[2:] if cell["cell_type"] == "code")
    (tmp_path / "notebook.py").write_text("\n\n".join(code), encoding="utf-8")
    printed = run(tmp_path / "notebook.py")
    assert "protocol:salmetric|n:40" in printed
    assert "index.html" in printed


def test_the_training_loop_improves(run):
    pytest.importorskip("torch")
    printed = run(EXAMPLES / "training_loop.py")
    epochs = [float(line.split("f_max ")[1].split(",")[0]) for line in printed.splitlines()]
    assert len(epochs) == 3
    assert epochs[-1] > epochs[0]


def test_the_cluster_example_scores_with_any_executor(run):
    pytest.importorskip("distributed", reason="the extra 'dask' is not installed")
    assert "f_max" in run(EXAMPLES / "score_on_a_cluster.py")
