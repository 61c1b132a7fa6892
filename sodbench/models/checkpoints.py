"""Weights from files: loaded strictly and safely, with errors that explain which kind of file was given instead.

A checkpoint is what ``torch.save(model.state_dict(), path)`` writes: a plain dictionary from parameter names to
tensors. Only tensors are ever unpickled (``weights_only=True``).
"""

import hashlib
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from sodbench.errors import SodbenchError
from sodbench.files import file_hash
from sodbench.quoting import is_plain_key, python_literal, shell_command

# Files of old torch versions lack these counters, which inference does not use.
_COUNTER = "num_batches_tracked"


def load_checkpoint(model: nn.Module, path: Path | str) -> str:
    """Load the weights of a whole network.

    Parameters
    ----------
    model : nn.Module
        The network; every one of its tensors must be in the file, and fit.
    path : Path or str

    Returns
    -------
    str
        The SHA-256 of the file.

    Raises
    ------
    SodbenchError
        For anything but a state dictionary of this network: a missing, truncated or other file, a backbone, names
        that begin with ``module.``, a dictionary around the state dictionary, other names or shapes.
    """
    path = Path(path)
    state = read_state(path)
    own = model.state_dict()
    if _looks_like_backbone(state, own):
        raise SodbenchError(
            f"{path}: this is an ImageNet backbone, not a checkpoint of the whole network (its names lack "
            "the prefix 'base.'). Train from it with 'sodbench train --backbone FILE', or load it with "
            "load_backbone; give a trained network as the checkpoint"
        )
    _load_weights(path, model, state)
    return file_hash(path)


def load_backbone(model: nn.Module, path: Path | str) -> str:
    """Load ImageNet weights into a network's backbone.

    Parameters
    ----------
    model : nn.Module
        A network with a backbone ``base``.
    path : Path or str
        A state dictionary of the backbone; its classifier ``fc.*`` is left out.

    Returns
    -------
    str
        The SHA-256 of the file.

    Raises
    ------
    SodbenchError
        As `load_checkpoint`, and if the file is the checkpoint of a whole network.
    """
    path = Path(path)
    base = getattr(model, "base", None)
    if not isinstance(base, nn.Module):
        raise SodbenchError(f"{type(model).__name__} has no backbone 'base' to load {path} into")
    state = read_state(path)
    if any(name.startswith("base.") for name in state):
        raise SodbenchError(
            f"{path}: this is a checkpoint of a whole network (its names begin with 'base.'), not a "
            "backbone file; give it as the checkpoint"
        )
    _load_weights(path, base, {k: v for k, v in state.items() if k not in ("fc.weight", "fc.bias")})
    return file_hash(path)


def read_state(path: Path | str) -> dict[str, Tensor]:
    """Read a state dictionary from a file, to the CPU.

    Parameters
    ----------
    path : Path or str

    Returns
    -------
    dict
        Tensors by name.

    Raises
    ------
    SodbenchError
        If the file holds anything else.
    """
    path = Path(path)
    content = _unpickle(path)
    if not isinstance(content, Mapping):
        raise SodbenchError(f"{path}: not a checkpoint: it holds a {type(content).__name__}")
    inner = [k for k, v in content.items() if isinstance(v, Mapping) and _is_state(v)]
    if inner:
        key = inner[0]
        message = f"{path}: the weights are inside it under {key!r}, next to other things."
        # never part of a command to paste
        if not (isinstance(key, str) and is_plain_key(key)):
            raise SodbenchError(f"{message} Load it with torch.load and save that value alone")
        raise SodbenchError(*_with_command(message, path, f"w = w[{python_literal(key)}]"))
    if not _is_state(content):
        shown = ", ".join(f"{k!r}: {type(v).__name__}" for k, v in list(content.items())[:4])
        raise SodbenchError(
            f"{path}: not a checkpoint: it holds no dictionary from names to tensors ({{{shown}}})"
        )
    return dict(content)


def _unpickle(path: Path) -> Any:
    if not path.exists():
        raise SodbenchError(f"{path}: no such file")
    if path.is_dir():
        raise SodbenchError(f"{path}: a folder; a checkpoint is one file")
    with path.open("rb") as file:
        head = file.read(16)
    if not head:
        raise SodbenchError(f"{path}: the file is empty (0 bytes)")
    zipped, pickled = head.startswith(b"PK\x03\x04"), head[:1] == b"\x80"
    if other := _describe_other_kind(path, head, zipped):
        raise SodbenchError(f"{path}: {other}")
    if not (zipped or pickled):
        raise SodbenchError(
            f"{path}: not a torch file (first bytes {head!r}); a download page saved by mistake?"
        )
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        # torch raises many kinds; all mean that the file is unusable
        if type(error).__name__ == "UnpicklingError" and "weights_only" in str(error).lower():
            detail = "it holds Python objects other than tensors, which are not loaded from files"
        elif zipped or isinstance(error, EOFError):
            detail = (
                f"damaged or truncated ({path.stat().st_size} bytes); download or copy it again"
            )
        else:
            detail = "not a checkpoint, or truncated"
        first_line = next(iter(str(error).splitlines()), "")
        raise SodbenchError(f"{path}: {detail} (torch: {first_line[:160]})") from error


def _describe_other_kind(path: Path, head: bytes, zipped: bool) -> str:
    """Describe a file that is recognised as damaged or as another format; empty for other files."""
    not_ours = "not a checkpoint; give a file that torch.save(model.state_dict(), ...) wrote"
    if head[8:10] == b'{"':
        return f"a safetensors file, {not_ours}"
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


def _looks_like_backbone(state: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> bool:
    return not any(k in own for k in state) and any(f"base.{k}" in own for k in state)


def _load_weights(path: Path, model: nn.Module, state: dict[str, Tensor]) -> None:
    own = model.state_dict()
    counters = {k: v for k, v in own.items() if k.rpartition(".")[2] == _COUNTER}
    state = counters | state
    if all(k.startswith("module.") for k in state.keys() - counters.keys()):
        raise SodbenchError(
            *_with_command(
                f"{path}: every name begins with 'module.': it was saved from a DataParallel wrapper. "
                "Save model.module.state_dict() instead, or strip the prefix.",
                path,
                'w = {k.removeprefix("module."): v for k, v in w.items()}',
            )
        )
    if wrong := _list_differences(state, own):
        raise SodbenchError(
            f"{path}: not a checkpoint of this network ({type(model).__name__}):",
            *(f"  {line}" for line in wrong),
        )
    model.load_state_dict(state, strict=True)


def _with_command(message: str, path: Path, change: str) -> list[str]:
    """Return the message, and a command that saves the changed weights; it is ASCII, whatever the path."""
    source, target = python_literal(str(path)), python_literal(f"{path.stem}-weights.pth")
    code = (
        f'import torch; w = torch.load({source}, weights_only=True, map_location="cpu"); '
        f"{change}; torch.save(w, {target})"
    )
    return [f"{message} This command does it:", f"  {shell_command(['python', '-c', code])}"]


def _describe_wrong_kind(value: Tensor, own: Tensor) -> str:
    """Describe why a tensor cannot replace a weight, as ``int8 instead of float32``; empty if it can."""
    # torch would cast integers and truth values to floats silently; floats of any precision are fine
    if (unusable := _unusable_kind(value)) and unusable != _unusable_kind(own):
        return unusable
    floats = value.is_floating_point(), own.is_floating_point()
    if floats == (True, True) or value.dtype == own.dtype:
        return ""
    if floats == (False, False) and not (value.is_complex() or own.is_complex()):
        return ""
    return f"{value.dtype} instead of {own.dtype}".replace("torch.", "")


def _list_differences(state: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> list[str]:
    shapes = [
        f"{k} {list(state[k].shape)} instead of {list(own[k].shape)}"
        for k in own
        if k in state and state[k].shape != own[k].shape
    ]
    kinds = [
        f"{k} {kind}"
        for k in own
        if k in state and (kind := _describe_wrong_kind(state[k], own[k]))
    ]
    groups = {
        "missing": [k for k in own if k not in state],
        "not in the network": [k for k in state if k not in own],
        "of another shape": shapes,
        "of another kind": kinds,
    }
    return [
        f"{len(names)} tensors {kind}: {', '.join(names[:3])}{', ...' if len(names) > 3 else ''}"
        for kind, names in groups.items()
        if names
    ]


def weights_sha256(state: Mapping[str, Tensor]) -> str:
    """Hash the weights of a network that does not come from a file.

    Parameters
    ----------
    state : mapping
        The state dictionary.

    Returns
    -------
    str
        SHA-256 of the names and values.

    Raises
    ------
    SodbenchError
        For a tensor without values (on the meta device).
    """
    digest = hashlib.sha256()
    for name, value in state.items():
        if value.is_meta:
            raise SodbenchError(f"the network's tensor {name} is {_unusable_kind(value)}")
        if value.is_quantized:
            value = value.int_repr()
        elif value.layout != torch.strided:
            value = value.to_dense()
        digest.update(name.encode())
        digest.update(
            value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()
        )
    return digest.hexdigest()


def _unusable_kind(tensor: Tensor) -> str:
    """Describe what makes a tensor unusable as a weight; empty if nothing does."""
    if tensor.is_meta:
        return "without values (on the meta device)"
    if tensor.is_quantized:
        return "quantised"
    return "" if tensor.layout == torch.strided else "sparse"
