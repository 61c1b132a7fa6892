"""The state of a training on disk: everything that a resumed run needs to continue to the same bits.

A state is one file of tensors, numbers and strings, loadable with ``weights_only=True``; it is written
beside its place and renamed, so that a killed run leaves whole files only.
"""

import os
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from sodbench.errors import SodbenchError
from sodbench.files import atomic_write
from sodbench.models.user_code import shorten

FORMAT = "sodbench training state 1"


def save_atomically(content: Any, path: Path) -> None:
    """``torch.save`` that leaves the whole file or none.  Raises :class:`SodbenchError` where it cannot."""
    try:
        with atomic_write(path) as temporary, temporary.open("wb") as file:
            torch.save(content, file)
            file.flush()
            os.fsync(file.fileno())
    except RuntimeError as error:  # torch's own, where writing fails
        raise SodbenchError(f"{path}: cannot be written ({shorten(str(error))})") from error


def save_state(folder: Path, step: int, state: dict[str, Any], keep: int) -> None:
    """Write the state after update ``step`` and delete all but the last ``keep``."""
    save_atomically({"format": FORMAT, "step": step, **state}, folder / f"step-{step:07d}.pt")
    for old in _states(folder)[:-keep]:
        old.unlink()


def load_latest_state(folder: Path) -> dict[str, Any] | None:
    """The newest state in the folder, on the CPU; None where there is none.

    Raises :class:`SodbenchError` where it cannot be read.
    """
    states = _states(folder)
    if not states:
        return None
    try:
        state: dict[str, Any] = torch.load(states[-1], map_location="cpu", weights_only=True)
        if state["format"] != FORMAT:
            raise ValueError(f"format {state['format']!r} instead of {FORMAT!r}")
    except Exception as error:  # torch raises many kinds; all of them mean that the file is no use
        raise SodbenchError(
            f"{states[-1]}: cannot be read as a training state ({shorten(str(error))}); delete it to continue "
            "from the one before"
        ) from error
    return state


def has_states(folder: Path) -> bool:
    """Whether the folder holds a saved state."""
    return bool(_states(folder))


def delete_states(folder: Path) -> None:
    """Delete the states of a finished training, and their folder if nothing else is in it."""
    for state in _states(folder):
        state.unlink()
    if folder.is_dir() and not any(folder.iterdir()):
        folder.rmdir()


def _states(folder: Path) -> list[Path]:
    return sorted(folder.glob("step-*.pt"))


def random_state(device: torch.device) -> dict[str, Tensor]:
    """torch's random states (what dropout draws from), as tensors."""
    states = {"cpu": torch.get_rng_state()}
    if device.type == "cuda":
        states["cuda"] = torch.cuda.get_rng_state(device)
    return states


def restore_random_state(states: dict[str, Tensor], device: torch.device) -> None:
    """Put back what :func:`random_state` returned."""
    torch.set_rng_state(states["cpu"])
    if device.type == "cuda" and "cuda" in states:
        torch.cuda.set_rng_state(states["cuda"], device)
