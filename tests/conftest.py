"""Shared fixtures: where the test data and the real files are."""

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def data() -> Path:
    """The committed fixtures."""
    return ROOT / "tests" / "data"


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real files that may not be committed: $SODBENCH_REAL, else ../shared."""
    folder = Path(os.environ.get("SODBENCH_REAL") or ROOT.parent / "shared")
    if not (folder / "real").is_dir():
        pytest.skip(f"real files not found: no folder {folder}/real (set SODBENCH_REAL)")
    return folder
