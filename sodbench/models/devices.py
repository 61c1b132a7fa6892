"""Devices and arithmetic: which device computes, at which precision, and what a manifest states of it."""

import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from sodbench.errors import SodbenchError
from sodbench.provenance import cpu_name

DEVICES = ("cpu", "cuda", "mps")

# The oldest PyTorch, as in pyproject.toml. With older ones, a file of weights can run code when it is loaded, also with
# weights_only (CVE-2025-32434).
MIN_TORCH = (2, 6)

# The type of weights and images for each precision; tf32 is a mode of float32 arithmetic.
PRECISIONS = {
    "fp32": torch.float32,
    "tf32": torch.float32,
    "bf16": torch.bfloat16,
    "fp16": torch.float16,
}

# What each precision computes, for manifests; tf32 is what a script gets that sets nothing, as the reference's does.
ARITHMETIC = {
    "fp32": "float32",
    "tf32": "TF32 in convolutions, float32 in matrix products",
    "bf16": "bfloat16",
    "fp16": "float16",
}


def check_torch_version() -> None:
    """Check that PyTorch is not older than `MIN_TORCH`; an environment made for scoring may have any.

    Raises
    ------
    SodbenchError
        Naming the version and what to install.
    """
    version = tuple(int(part) for part in torch.__version__.split(".")[:2])
    if version < MIN_TORCH:
        raise SodbenchError(
            f"this command needs PyTorch {'.'.join(map(str, MIN_TORCH))} or newer, because older ones can run code "
            f"of a file of weights; {torch.__version__} is installed. To keep that, make another environment: "
            "pip install 'sodbench[models]'"
        )


def choose_device(name: str = "auto") -> torch.device:
    """Return the device of a name.

    Parameters
    ----------
    name : str, default "auto"
        ``cpu``, ``cuda``, ``cuda:N``, ``mps``, or ``auto``: CUDA, else MPS, else the CPU. Under torchrun, ``cuda`` is
        the device of the local rank.

    Returns
    -------
    torch.device

    Raises
    ------
    SodbenchError
        For a device that does not exist or that sodbench does not support, and for a PyTorch that is too old.
    """
    check_torch_version()
    if name == "auto":
        mps = "mps" if torch.backends.mps.is_available() else "cpu"
        name = "cuda" if torch.cuda.is_available() else mps
    if name == "cuda" and "LOCAL_RANK" in os.environ:
        name = f"cuda:{os.environ['LOCAL_RANK']}"
    device: torch.device | None
    try:
        device = torch.device(name)
    except (RuntimeError, ValueError):
        device = None
    # torch also knows devices such as meta, which compute nothing, and accepts any number after cpu
    if device is None or device.type not in DEVICES or (device.type != "cuda" and device.index):
        raise SodbenchError(f"unknown device {name!r}; one of auto, cpu, cuda, cuda:N, mps")
    if device.type == "cuda":
        count = torch.cuda.device_count() if torch.cuda.is_available() else 0
        if count == 0:
            built = f"for CUDA {torch.version.cuda}" if torch.version.cuda else "without CUDA"
            raise SodbenchError(
                f"device {name}: no CUDA device is usable (torch {torch.__version__} was built {built}); "
                "use --device cpu, or install a CUDA build of torch and its driver"
            )
        if (device.index or 0) >= count:
            raise SodbenchError(
                f"device {name}: there are only {count} CUDA devices, from cuda:0 on"
            )
    if device.type == "mps" and not torch.backends.mps.is_available():
        raise SodbenchError("device mps: not available on this machine; use --device cpu")
    return device


def choose_precision(name: str | None, device: torch.device) -> str:
    """Return a name of `PRECISIONS`: the given one, or the device's default.

    Parameters
    ----------
    name : str or None
        None for the default: ``tf32`` on CUDA devices that have it, else ``fp32``.
    device : torch.device

    Returns
    -------
    str

    Raises
    ------
    SodbenchError
        For an unknown name, and for ``tf32`` on other devices than CUDA.
    """
    if name is None:
        # torch's convolutions use TF32 there by default, and so do those of the reference's own script
        ampere = device.type == "cuda" and torch.cuda.get_device_capability(device) >= (8, 0)
        return "tf32" if ampere else "fp32"
    if name not in PRECISIONS:
        raise SodbenchError(f"unknown precision {name!r}; one of {', '.join(PRECISIONS)}")
    if name == "tf32" and device.type != "cuda":
        raise SodbenchError(f"precision tf32 exists on CUDA devices only, not on {device.type}")
    return name


@contextmanager
def tensor_float(allowed: bool) -> Iterator[None]:
    """Allow or forbid TF32 in CUDA convolutions while the block runs; matrix products are float32 in either case.

    These are torch's own defaults, so ``allowed`` gives the arithmetic of the reference's script.

    Parameters
    ----------
    allowed : bool
    """
    convolutions: Any
    on: str | bool
    off: str | bool
    if hasattr(torch.backends.cudnn, "conv"):
        convolutions = torch.backends.cudnn.conv
        attribute, on, off = "fp32_precision", "tf32", "ieee"
    else:
        # torch before 2.9
        convolutions, attribute, on, off = torch.backends.cudnn, "allow_tf32", True, False
    settings = (convolutions, torch.backends.cuda.matmul)
    before = [getattr(setting, attribute) for setting in settings]
    try:
        for setting in settings:
            setattr(setting, attribute, off)
        if allowed:
            setattr(convolutions, attribute, on)
        yield
    finally:
        for setting, value in zip(settings, before, strict=True):
            setattr(setting, attribute, value)


def describe_machine(device: torch.device) -> dict[str, str]:
    """Return the device and versions that a manifest or a benchmark records; no host names, no paths.

    Parameters
    ----------
    device : torch.device

    Returns
    -------
    dict of str to str
    """
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else cpu_name()
    return {
        "device": device.type,
        "device_name": name,
        "torch": torch.__version__,
        "python": platform.python_version(),
    }
