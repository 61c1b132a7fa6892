"""Fixtures of the tests of training."""

import pytest

from sodbench.runners.training import trainer


@pytest.fixture
def no_curve(monkeypatch: pytest.MonkeyPatch) -> None:
    """Drawing takes longer than a small training."""
    monkeypatch.setattr(trainer, "draw_curve", lambda _: None)
