"""Fixtures of the tests of training."""

import pytest

from sodbench.runners.training import train as train_module


@pytest.fixture
def no_curve(monkeypatch: pytest.MonkeyPatch) -> None:
    """Drawing takes longer than a small training."""
    monkeypatch.setattr(train_module, "draw_curve", lambda _: None)
