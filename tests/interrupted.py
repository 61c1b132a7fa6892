"""Trainings that are interrupted on purpose."""

from collections.abc import Callable
from typing import Any

import pytest

from sodbench.runners.training.log import TrainingLog


def stop_after(step: int, monkeypatch: pytest.MonkeyPatch, act: Callable[[], Any]) -> None:
    """Do something right after the log record of an update."""
    write = TrainingLog.write

    def write_and_act(self: TrainingLog, record: dict[str, Any]) -> None:
        write(self, record)
        if record["step"] == step and "loss" in record:
            act()

    monkeypatch.setattr(TrainingLog, "write", write_and_act)
