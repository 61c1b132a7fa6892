"""The examples run as they are, in a folder of their own."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"


def run(code: str, folder: Path) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(EXAMPLES.parent), "MPLBACKEND": "agg"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_notebook_runs_from_top_to_bottom(tmp_path):
    cells = json.loads((EXAMPLES / "score_compare_report.ipynb").read_text(encoding="utf-8"))[
        "cells"
    ]
    code = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    # It is committed with its outputs, so that it can be read without being run
    assert all(cell["outputs"] for cell in cells[2:] if cell["cell_type"] == "code")
    printed = run("\n\n".join(code), tmp_path)
    assert "protocol:salmetric|n:40" in printed
    assert "index.html" in printed


def test_the_training_loop_improves(tmp_path):
    printed = run((EXAMPLES / "training_loop.py").read_text(encoding="utf-8"), tmp_path)
    epochs = [float(line.split("f_max ")[1].split(",")[0]) for line in printed.splitlines()]
    assert len(epochs) == 3
    assert epochs[-1] > epochs[0]


def test_the_cluster_example_scores_with_any_executor(tmp_path):
    pytest.importorskip("distributed", reason="the extra 'dask' is not installed")
    code = (EXAMPLES / "score_on_a_cluster.py").read_text(encoding="utf-8")
    assert "f_max" in run(code, tmp_path)
