"""What ``import sodbench`` offers."""

import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
from synthetic import synthetic

import sodbench


def test_every_public_name_can_be_imported():
    for name in sodbench.__all__:
        assert getattr(sodbench, name) is not None
    assert set(sodbench.__all__) <= set(dir(sodbench))
    with pytest.raises(AttributeError, match="no attribute 'evaluat'"):
        _ = sodbench.evaluat


def test_the_api_page_shows_every_public_name_and_nothing_that_does_not_exist():
    pytest.importorskip("torch")
    page = Path(__file__).parents[2] / "docs" / "api.md"
    shown = re.findall(r"^::: (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    assert len(shown) == len(set(shown)) > 15
    for name in shown:
        module, _, attribute = name.rpartition(".")
        assert getattr(import_module(module), attribute).__doc__, name
    public = {f"sodbench.{name}" for name in sodbench.__all__} - {"sodbench.__version__"}
    assert public == {name for name in shown if name.count(".") == 1}


def test_importing_sodbench_imports_nothing_heavy():
    code = (
        "import sys, sodbench; assert sodbench.__version__; "
        "print([m for m in ('numpy', 'numba', 'pandas', 'torch', 'PIL', 'tqdm') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_results_become_one_table():
    results = [synthetic("a", "SOD"), synthetic("b", "SOD")]
    frame = sodbench.to_frame(results)
    assert list(frame["method"]) == ["a", "b"] and set(frame["n"]) == {results[0].n}
    assert list(frame["mae"]) == [r.metrics["mae"] for r in results]
    assert list(frame["signature"]) == [str(r.signature) for r in results]
    short = sodbench.to_frame(results, ["s", "no such metric"])
    assert list(short.columns) == [
        "dataset", "method", "protocol", "n", "s", "no such metric", "signature",
    ]  # fmt: skip
    assert np.isnan(short["no such metric"]).all()


def test_a_result_is_shown_on_one_line():
    text = repr(synthetic("CSF", "SOD"))
    assert text.startswith("<Result: CSF on SOD, salmetric, n=") and "mae=" in text
    assert len(text) < 250
