"""Files of weights: state dictionaries out of what people save, read without running code of the file.

A file of torch is opened with ``weights_only=True``: only tensors and plain values are unpickled.
"""

import argparse
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sodbench.errors import SodbenchError
from sodbench.git_lfs import LFS_POINTER, is_lfs_pointer
from sodbench.models.devices import check_torch_version
from sodbench.quoting import python_literal, shell_command

# Dictionaries inside each other are searched to this depth.
_DEPTH = 3

# Buffers that thop leaves behind when it counts operations; they are no weights.
_PROFILING = ("total_ops", "total_params")

_NUMPY_SCALAR: Any = np.float64(0).__reduce__()[0]

# Plain values that training programs save next to weights: they run nothing when they are read.
_SAFE_TYPES: list[Any] = [
    argparse.Namespace,
    np.dtype,
    # its names in files of NumPy 1 and 2
    (_NUMPY_SCALAR, "numpy.core.multiarray.scalar"),
    (_NUMPY_SCALAR, "numpy._core.multiarray.scalar"),
    *(type(np.dtype(kind)) for kind in (np.float64, np.float32, np.int64, np.int32, np.bool_)),
]


def read_state(path: Path | str, key: str | None = None) -> dict[str, Tensor]:
    """Read a state dictionary from a file, to the CPU.

    Parameters
    ----------
    path : Path or str
    key : str, optional
        Where in the file the state dictionary is, as ``ema`` or ``model.state_dict``; by default the only one.

    Returns
    -------
    dict
        Tensors by name.

    Raises
    ------
    SodbenchError
        If the file holds anything else, or several state dictionaries, and for a PyTorch that is too old.
    """
    check_torch_version()
    path = Path(path)
    content = _read_content(path)
    if not isinstance(content, Mapping):
        raise SodbenchError(
            f"{path}: not a checkpoint: it holds a value of type {type(content).__name__}"
        )
    states = dict(_find_states(content))
    if key is not None:
        if key not in states:
            raise SodbenchError(
                f"{path}: --checkpoint-key {key}: no weights there; they are under {_list_keys(states)}"
            )
        return states[key]
    if len(states) > 1:
        raise SodbenchError(
            f"{path}: it holds several sets of weights, under {_list_keys(states)}; choose one with --checkpoint-key"
        )
    if not states:
        entries = ", ".join(f"{k!r}: {type(v).__name__}" for k, v in list(content.items())[:4])
        raise SodbenchError(
            f"{path}: not a checkpoint: it holds no dictionary from names to tensors ({{{entries}}})"
        )
    return next(iter(states.values()))


def _list_keys(states: Mapping[str, object]) -> str:
    return ", ".join(repr(name) for name in states) or "no key"


def _find_states(
    content: Mapping[Any, Any], place: str = "", depth: int = _DEPTH
) -> Iterator[tuple[str, dict[str, Tensor]]]:
    """Iterate over the state dictionaries in a file, each with its place."""
    if _is_state(content):
        weights = {k: v for k, v in content.items() if k.rpartition(".")[2] not in _PROFILING}
        yield place, weights
    elif depth:
        for key, value in content.items():
            if isinstance(key, str) and isinstance(value, Mapping):
                yield from _find_states(value, f"{place}.{key}" if place else key, depth - 1)


def _read_content(path: Path) -> Any:
    """Return what a file holds."""
    if path.is_file() and _is_safetensors(path):
        return _read_safetensors(path)
    return _unpickle(path)


def _is_safetensors(path: Path) -> bool:
    with path.open("rb") as file:
        head = file.read(10)
    return head[8:10] == b'{"'


def _read_safetensors(path: Path) -> Any:
    try:
        from safetensors import SafetensorError
        from safetensors.torch import load_file
    except ImportError as error:
        raise SodbenchError(
            f"{path}: a safetensors file needs the package safetensors: pip install safetensors"
        ) from error
    try:
        return load_file(path)
    except (SafetensorError, OSError, ValueError) as error:
        raise SodbenchError(f"{path}: damaged or truncated safetensors file ({error})") from error


def _unpickle(path: Path) -> Any:
    if not path.exists():
        raise SodbenchError(f"{path}: no such file")
    if path.is_dir():
        raise SodbenchError(f"{path}: a folder; a checkpoint is one file")
    with path.open("rb") as file:
        start = file.read(64)
    if not start:
        raise SodbenchError(f"{path}: the file is empty (0 bytes)")
    if is_lfs_pointer(start):
        raise SodbenchError(f"{path}: {LFS_POINTER}")
    head = start[:16]
    zipped, pickled = head.startswith(b"PK\x03\x04"), head[:1] == b"\x80"
    if other := _describe_other_kind(path, zipped):
        raise SodbenchError(f"{path}: {other}")
    if not (zipped or pickled):
        raise SodbenchError(
            f"{path}: not a torch file (first bytes {head!r}); a download page saved by mistake?"
        )
    try:
        with torch.serialization.safe_globals(_SAFE_TYPES):
            return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        # torch raises many kinds; all mean that the file is unusable
        if type(error).__name__ == "UnpicklingError" and "weights_only" in str(error).lower():
            raise SodbenchError(*_explain_objects(path, zipped)) from error
        if zipped or isinstance(error, EOFError):
            detail = (
                f"damaged or truncated ({path.stat().st_size} bytes); download or copy it again"
            )
        else:
            detail = "not a checkpoint, or truncated"
        first_line = next(iter(str(error).splitlines()), "")
        raise SodbenchError(f"{path}: {detail} (torch: {first_line[:160]})") from error


def _explain_objects(path: Path, zipped: bool) -> list[str]:
    """Explain that a file holds objects of a program, and how to get its weights without them."""
    names = torch.serialization.get_unsafe_globals_in_checkpoint(path) if zipped else []
    examples = f" ({', '.join(sorted(names)[:3])})" if names else ""
    message = (
        f"{path}: it holds Python objects other than tensors{examples}, which are not loaded, because that runs code of the "
        "file."
    )
    source, target = python_literal(str(path)), python_literal(f"{path.stem}-weights.pth")
    code = (
        f'import torch; w = torch.load({source}, map_location="cpu", weights_only=False); '
        'w = w.get("state_dict", w.get("model", w)) if isinstance(w, dict) else w; '
        'w = getattr(w, "state_dict", lambda: w)(); '
        f"torch.save({{k: torch.as_tensor(v) for k, v in w.items()}}, {target})"
    )
    command = shell_command(["python", "-c", code])
    return [
        f"{message} If you trust who made it, run this in the folder of their program, which saves the weights alone:",
        f"  {command}",
    ]


def _describe_other_kind(path: Path, zipped: bool) -> str:
    """Describe a file that is recognised as damaged or as another format; empty for other files."""
    not_ours = "not a checkpoint; give a file that torch.save(model.state_dict(), ...) wrote"
    if not zipped:
        return ""
    try:
        with zipfile.ZipFile(path) as archive:
            names = {name.rpartition("/")[2] for name in archive.namelist()}
            if names and all(name.endswith(".npy") for name in names):
                return f"a NumPy archive, {not_ours}"
            if "constants.pkl" in names:
                return f"a TorchScript program, {not_ours}"
            # torch does not compare the checksums
            damaged = archive.testzip()
    except (zipfile.BadZipFile, NotImplementedError, OSError, ValueError):
        # torch reports what is wrong with it
        return ""
    return (
        f"damaged: its part {damaged} does not match its checksum; copy it again" if damaged else ""
    )


def _is_state(content: Mapping[Any, Any]) -> bool:
    return bool(content) and all(
        isinstance(k, str) and isinstance(v, Tensor) for k, v in content.items()
    )
