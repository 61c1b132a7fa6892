"""The state of a training on disk: everything that a resumed run needs to continue to the same bits.

A state is one file of tensors, numbers and strings, loadable with ``weights_only=True``.
"""

import os
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from sodbench.errors import SodbenchError
from sodbench.files import atomic_write
from sodbench.models.user_code import shorten_error

_STATE_FORMAT = "sodbench training state 1"


def save_tensors(content: Any, path: Path) -> None:
    """Write a file with ``torch.save``, whole or not at all.

    Parameters
    ----------
    content : object
    path : Path

    Raises
    ------
    SodbenchError
        If it cannot be written.
    """
    try:
        with atomic_write(path) as temporary, temporary.open("wb") as file:
            torch.save(content, file)
            file.flush()
            # on the disk before it gets its name: the states before it are deleted next
            os.fsync(file.fileno())
    except RuntimeError as error:
        # torch's own, if writing fails
        raise SodbenchError(f"{path}: cannot be written ({shorten_error(str(error))})") from error


def save_state(folder: Path, step: int, state: dict[str, Any], keep: int) -> None:
    """Write the state after an update, and delete old ones.

    Parameters
    ----------
    folder : Path
    step : int
        Number of updates made so far.
    state : dict
    keep : int
        Number of most recent states to keep.

    Raises
    ------
    SodbenchError
        If it cannot be written.
    """
    save_tensors({"format": _STATE_FORMAT, "step": step, **state}, folder / f"step-{step:07d}.pt")
    # after the new one is complete, so that a kill leaves at least one
    for old in list_states(folder)[:-keep]:
        old.unlink()


def load_latest_state(folder: Path) -> dict[str, Any] | None:
    """Load the newest state of a folder to the CPU.

    Parameters
    ----------
    folder : Path

    Returns
    -------
    dict or None
        None if there is no state.

    Raises
    ------
    SodbenchError
        If the newest one cannot be read.
    """
    states = list_states(folder)
    if not states:
        return None
    try:
        state: dict[str, Any] = torch.load(states[-1], map_location="cpu", weights_only=True)
        if state["format"] != _STATE_FORMAT:
            raise ValueError(f"format {state['format']!r} instead of {_STATE_FORMAT!r}")
    except Exception as error:
        # torch raises many kinds; all mean that the file is unusable
        raise SodbenchError(
            f"{states[-1]}: cannot be read as a training state ({shorten_error(str(error))}); delete it to continue "
            "from the one before"
        ) from error
    return state


def list_states(folder: Path) -> list[Path]:
    """Return the saved states of a folder, the oldest first.

    Parameters
    ----------
    folder : Path

    Returns
    -------
    list of Path
    """
    return sorted(folder.glob("step-*.pt"))


def delete_states(folder: Path) -> None:
    """Delete the states of a training, and their folder if nothing else is in it.

    Parameters
    ----------
    folder : Path
    """
    for state in list_states(folder):
        state.unlink()
    if folder.is_dir() and not any(folder.iterdir()):
        folder.rmdir()


def get_random_state(device: torch.device) -> dict[str, Tensor]:
    """Return torch's random states (what dropout draws from), as tensors.

    Parameters
    ----------
    device : torch.device

    Returns
    -------
    dict of Tensor
    """
    states = {"cpu": torch.get_rng_state()}
    if device.type == "cuda":
        states["cuda"] = torch.cuda.get_rng_state(device)
    return states


def set_random_state(states: dict[str, Tensor], device: torch.device) -> None:
    """Set the random states that `get_random_state` returned.

    Parameters
    ----------
    states : dict of Tensor
    device : torch.device
    """
    torch.set_rng_state(states["cpu"])
    if device.type == "cuda" and "cuda" in states:
        torch.cuda.set_rng_state(states["cuda"], device)
