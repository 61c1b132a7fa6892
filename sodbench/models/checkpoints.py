"""Weights from files: loaded strictly, with errors that explain which kind of file was given instead.

Every tensor of the network must be in the file and every tensor of the file in the network, with the right shape.
Names may differ by what wrappers put in front of them, which is recognised and reported.
"""

import hashlib
from collections.abc import Collection, Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from sodbench.console import logger
from sodbench.errors import SodbenchError
from sodbench.files import file_hash
from sodbench.models.state_files import read_state

# Files of old torch versions lack these counters, which inference does not use.
_COUNTER = "num_batches_tracked"

# Parts of names that torch.compile and DataParallel insert, at any place.
_WRAPPERS = ("_orig_mod", "module")


def load_checkpoint(model: nn.Module, path: Path | str, key: str | None = None) -> str:
    """Load the weights of a whole network.

    Parameters
    ----------
    model : nn.Module
        The network; every one of its tensors must be in the file, and fit.
    path : Path or str
        A file of torch or safetensors. The state dictionary may be inside other dictionaries.
    key : str, optional
        Where in the file it is, as ``ema`` or ``model.state_dict``, if the file holds several.

    Returns
    -------
    str
        The SHA-256 of the file.

    Raises
    ------
    SodbenchError
        For anything but a state dictionary of this network: a missing, truncated or other file, a backbone, several
        state dictionaries, other names or shapes.
    """
    path = Path(path)
    state = read_state(path, key)
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


def _looks_like_backbone(state: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> bool:
    return not any(k in own for k in state) and any(f"base.{k}" in own for k in state)


def _load_weights(path: Path, model: nn.Module, state: dict[str, Tensor]) -> None:
    own = model.state_dict()
    state = _fit_names(path, state, own)
    counters = {k: v for k, v in own.items() if k.rpartition(".")[2] == _COUNTER}
    state = counters | state
    if wrong := _list_differences(state, own):
        raise SodbenchError(
            f"{path}: not a checkpoint of this network ({type(model).__name__}):",
            *(f"  {line}" for line in wrong),
        )
    model.load_state_dict(state, strict=True)


def _fit_names(
    path: Path, state: dict[str, Tensor], own: Mapping[str, Tensor]
) -> dict[str, Tensor]:
    """Return the state with the names of the network, if they differ by wrappers or a prefix alone."""
    wanted = {k for k in own if k.rpartition(".")[2] != _COUNTER}
    if wanted <= state.keys():
        return state
    unwrapped = {_without_wrappers(name): value for name, value in state.items()}
    if len(unwrapped) < len(state):
        return state
    theirs = _common_prefix(unwrapped)
    ours = _common_prefix(wanted)
    renamed = {ours + name.removeprefix(theirs): value for name, value in unwrapped.items()}
    if wanted <= renamed.keys():
        before, after = next(iter(state)), next(iter(renamed))
        logger.info(f"{path}: the names fit but for what wraps them, as {before!r} for {after!r}")
    # of files that do not fit, the message lists what differs besides
    return max((state, unwrapped, renamed), key=lambda names: len(wanted & names.keys()))


def _without_wrappers(name: str) -> str:
    parts = name.split(".")
    return ".".join(part for part in parts if part not in _WRAPPERS)


def _common_prefix(names: Collection[str]) -> str:
    """Return the leading parts that all names share, with the dot; the last part of a name is its own."""
    shared: list[str] = []
    for level in zip(*(name.split(".")[:-1] for name in names), strict=False):
        if len(set(level)) > 1:
            break
        shared.append(level[0])
    return "".join(f"{part}." for part in shared)


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
