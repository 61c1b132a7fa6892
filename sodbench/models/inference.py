"""A network made ready to predict: on its device, at its precision, from pixels to maps.

The arithmetic is the reference's: pixels / 255, less the ImageNet mean, over its deviation; sigmoid; 255
times, rounded to the nearest integer and halves to even, as OpenCV writes floats.  ``fp32`` maps equal
those of a plain loop but for rounding in the last place of the logits.
"""

import copy
import hashlib
import math
import os
import platform
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.dropout import _DropoutNd

from sodbench.errors import SodbenchError
from sodbench.models.registry import input_size_of, output_of
from sodbench.models.user_code import describe_failure, text_of, user_code
from sodbench.provenance import cpu_name

MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)
"""ImageNet's, of RGB in 0..1."""

DEVICES = ("cpu", "cuda", "mps")

PRECISIONS = {
    "fp32": torch.float32,
    "tf32": torch.float32,
    "bf16": torch.bfloat16,
    "fp16": torch.float16,
}


ROUNDING = 0.01
"""How far probabilities may leave 0..1: more than bfloat16 rounds, much less than any logits do."""


def choose_device(name: str = "auto") -> torch.device:
    """``auto``: CUDA, else MPS, else the CPU; under torchrun, CUDA is the device of the local rank.

    Raises :class:`SodbenchError` for a device that does not exist or that sodbench does not use.
    """
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
    # torch also knows devices such as meta, which compute nothing, and takes any number after cpu
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
    """The precision asked for, else the device's default.

    The default is ``fp32``; on CUDA devices that have it, ``tf32``, because that is what torch's
    convolutions use there unless told otherwise, so what the reference's own script gets.
    """
    if name is None:
        ampere = device.type == "cuda" and torch.cuda.get_device_capability(device) >= (8, 0)
        return "tf32" if ampere else "fp32"
    if name not in PRECISIONS:
        raise SodbenchError(f"unknown precision {name!r}; one of {', '.join(PRECISIONS)}")
    if name == "tf32" and device.type != "cuda":
        raise SodbenchError(f"precision tf32 exists on CUDA devices only, not on {device.type}")
    return name


def normalise(pixels: Tensor) -> Tensor:
    """RGB uint8 [n, h, w, 3] -> normalised float32 [n, 3, h, w] in channels-last memory, same device.

    Looked up in a table of the reference's own two float32 roundings, so bit-equal to it.
    """
    table, offsets = _normalisation(pixels.device)
    return table[pixels.int() + offsets].permute(0, 3, 1, 2)


def quantise(probabilities: Tensor) -> Tensor:
    """Probabilities in [0, 1] -> uint8: 255 p to the nearest integer, halves to even."""
    return (255 * probabilities).round().to(torch.uint8)


def check_output(y: Any, x: Tensor) -> None:
    """Raise :class:`SodbenchError` where a network did not give one map for each image of the batch ``x``."""
    shaped = isinstance(y, Tensor) and y.ndim == 4 and y.shape[:2] == (len(x), 1)
    if not (shaped and 0 not in y.shape and y.is_floating_point()):
        found = f"{list(y.shape)} of {y.dtype}" if isinstance(y, Tensor) else type(y).__name__
        raise SodbenchError(
            f"the network gave {found} for a batch {list(x.shape)}; it must give one logit map an image: "
            f"a floating point tensor [{len(x)}, 1, h, w]"
        )


def logits_at(inner: tuple[int, int], network: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """Run the network, entering at ``inner`` (height, width): float32 [n, 3, h, w] -> its output, float32 [n, 1, h, w].

    Raises :class:`SodbenchError` where the network does not give one map per image.
    """
    size = x.shape[-2:]
    if inner != tuple(size):
        x = F.interpolate(x, size=inner, mode="bilinear", antialias=True)
    y = network(x)
    check_output(y, x)
    y = y.float()
    return y if y.shape[-2:] == size else F.interpolate(y, size=tuple(size), mode="bilinear")


def needs_contiguous(error: Exception) -> bool:
    """Whether a network failed because its feature maps are channels-last, as ``.view`` on them does."""
    text = text_of(error)
    return isinstance(error, RuntimeError) and ("view size" in text or "contiguous" in text)


def cannot_compile(error: Exception) -> bool:
    """Whether torch.compile itself failed, for want of a compiler, say; no image is to blame then."""
    return any(kind.__name__ == "BackendCompilerFailed" for kind in type(error).__mro__)


@dataclass(frozen=True)
class OutputRange:
    """The smallest and the largest value that a network gave for some images."""

    images: int = 0
    low: float = math.inf
    high: float = -math.inf

    def with_images(self, extremes: Tensor) -> "OutputRange":
        """Include images of these (smallest, largest) values, [n, 2]; those that are not finite are left out."""
        finite = extremes[extremes.isfinite().all(1)]
        if not len(finite):
            return self
        low, high = finite[:, 0].min().item(), finite[:, 1].max().item()
        return OutputRange(self.images + len(finite), min(self.low, low), max(self.high, high))

    @property
    def looks_like_probabilities(self) -> bool:
        """Whether every value lies in 0..1; one value alone, such as 0 everywhere, is no evidence."""
        return 0 <= self.low < self.high <= 1


class InferenceNetwork:
    """A network on its device at its precision, its batch normalisation folded where it offers that.

    The given module is left as it is.  A network may offer ``for_inference()``, called on a copy in
    evaluation mode, to return a faster module of the same function.

    Attributes
    ----------
    output : str
        ``logits`` or ``probabilities``, as the network declares.
    declares_output : bool
        Whether it declares that, or ``logits`` is what is assumed.
    range : OutputRange
        Of the network's values for the images whose maps were waited for.
    channels_last : bool
        The memory layout of weights and images. A network that fails in it, because it uses ``.view`` on
        feature maps, runs contiguous from then on.
    """

    def __init__(
        self,
        model: nn.Module,
        device: str | torch.device = "auto",
        precision: str | None = None,
        compiled: bool = False,
    ):
        self.device = device if isinstance(device, torch.device) else choose_device(device)
        self.precision = choose_precision(precision, self.device)
        self.compiled = compiled
        self.input_size, self.output = input_size_of(model), output_of(model)
        self.declares_output = isinstance(getattr(model, "output", None), str)
        self.range = OutputRange()
        self.channels_last = True
        name = type(model).__name__
        with user_code(f"{name}: the network cannot be copied", "let it define __deepcopy__"):
            network: Any = copy.deepcopy(model)
        with user_code(f"{name}: the network cannot be set to evaluation mode"):
            network = network.eval().requires_grad_(False)
        if hasattr(network, "for_inference"):
            with user_code(f"{name}.for_inference failed"):
                network = network.for_inference()
        with user_code(f"{name}: the network cannot be moved to {self.device} as {self.precision}"):
            network = network.to(self.device, PRECISIONS[self.precision])
            network = network.to(memory_format=torch.channels_last)
        self._module = network
        self.network: Callable[[Tensor], Tensor] = torch.compile(network) if compiled else network

    @torch.inference_mode()
    def logits(self, pixels: NDArray[np.uint8], max_side: int | None = None) -> Tensor:
        """RGB uint8 [n, h, w, 3] -> the network's output float32 [n, 1, h, w] on the device.

        Images enter the network at the size that it declares, or, if their longer side exceeds
        ``max_side``, no longer than that.
        """
        height, width = pixels.shape[1:3]
        inner = self.input_size.of(*_within(height, width, max_side))
        x = normalise(self._to_device(pixels))
        with tensor_float(self.precision == "tf32"):
            try:
                return logits_at(inner, self._run, x)
            except RuntimeError as error:
                if cannot_compile(error):
                    raise SodbenchError(
                        f"the network cannot be compiled ({describe_failure(error)}); leave out --compile"
                    ) from error
                if not (self.channels_last and needs_contiguous(error)):
                    raise
            self._run_contiguous()
            return logits_at(inner, self._run, x)

    def layers_in_training(self) -> list[str]:
        """The kinds of layers that work as in training: batch statistics in place of running ones, and dropout."""
        found = set()
        for layer in self._module.modules():
            norm = isinstance(layer, _BatchNorm) and (layer.training or layer.running_mean is None)
            dropout = isinstance(layer, _DropoutNd) and layer.training and layer.p > 0
            if norm or dropout:
                found.add(type(layer).__name__)
        return sorted(found)

    def _run(self, x: Tensor) -> Tensor:
        x = x.to(PRECISIONS[self.precision])
        return self.network(x if self.channels_last else x.contiguous())

    def _run_contiguous(self) -> None:
        """Change the memory layout of the weights, for good."""
        with torch.inference_mode(False):
            self._module.to(memory_format=torch.contiguous_format)
        self.channels_last = False

    @torch.inference_mode()
    def start(
        self, pixels: NDArray[np.uint8], max_side: int | None = None
    ) -> "Callable[[], list[NDArray[np.uint8] | None]]":
        """Begin to predict RGB uint8 [n, h, w, 3]; call the result to wait for the maps.

        The maps are uint8 [h, w]; None stands for one whose logits were not finite.
        """
        y = self.logits(pixels, max_side)[:, 0]
        values = y.flatten(1)
        # amin and amax pass NaN on, so that they also tell which images are finite
        extremes = torch.stack((values.amin(1), values.amax(1)), 1)
        maps = quantise(y.clamp(0, 1) if self.output == "probabilities" else y.sigmoid())
        if self.device.type != "cuda":
            return lambda: self._finished(maps.cpu(), extremes.cpu())
        maps_here = torch.empty(maps.shape, dtype=torch.uint8, pin_memory=True)
        extremes_here = torch.empty(extremes.shape, dtype=torch.float32, pin_memory=True)
        maps_here.copy_(maps, non_blocking=True)
        extremes_here.copy_(extremes, non_blocking=True)
        copied = torch.cuda.Event()  # type: ignore[no-untyped-call]
        copied.record(torch.cuda.current_stream(self.device))

        def wait() -> "list[NDArray[np.uint8] | None]":
            copied.synchronize()
            return self._finished(maps_here, extremes_here)

        return wait

    def _finished(self, maps: Tensor, extremes: Tensor) -> "list[NDArray[np.uint8] | None]":
        """The maps as arrays, None for images whose values are not all finite; notes the range."""
        self.range = self.range.with_images(extremes)
        low, high = self.range.low, self.range.high
        if self.output == "probabilities" and (low < -ROUNDING or high > 1 + ROUNDING):
            raise SodbenchError(
                f"the network declares output = 'probabilities' but gives values from {low:.4g} to {high:.4g}; "
                "let it end in a sigmoid, or remove the declaration if these are logits"
            )
        finite = extremes.isfinite().all(1).tolist()
        return [m if ok else None for m, ok in zip(maps.numpy(), finite, strict=True)]

    def _to_device(self, pixels: NDArray[np.uint8]) -> Tensor:
        here = torch.from_numpy(pixels)
        if self.device.type == "cuda":
            return here.pin_memory().to(self.device, non_blocking=True)
        return here.to(self.device)


def weights_sha256(state: Mapping[str, Tensor]) -> str:
    """A SHA-256 of a state dictionary's names and values, for networks that come from no file."""
    digest = hashlib.sha256()
    for name, value in state.items():
        if value.is_meta:
            raise SodbenchError(f"the network's tensor {name} is {unusable_kind(value)}")
        if value.is_quantized:
            value = value.int_repr()
        elif value.layout != torch.strided:
            value = value.to_dense()
        digest.update(name.encode())
        digest.update(
            value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()
        )
    return digest.hexdigest()


def unusable_kind(tensor: Tensor) -> str:
    """What makes a tensor unfit as weights: ``quantised``, ``sparse``, ``without values``; else nothing."""
    if tensor.is_meta:
        return "without values (on the meta device)"
    if tensor.is_quantized:
        return "quantised"
    return "" if tensor.layout == torch.strided else "sparse"


def describe_machine(device: torch.device) -> dict[str, str]:
    """The device and the versions that a manifest or a benchmark states; no host names, no paths."""
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else cpu_name()
    return {
        "device": device.type,
        "device_name": name,
        "torch": torch.__version__,
        "python": platform.python_version(),
    }


def _within(height: int, width: int, max_side: int | None) -> tuple[int, int]:
    longer = max(height, width)
    if max_side is None or longer <= max_side:
        return height, width
    return max(1, round(height * max_side / longer)), max(1, round(width * max_side / longer))


@cache
def _normalisation(device: torch.device) -> tuple[Tensor, Tensor]:
    """float32 [768], the normalised value of each level of red, green, blue; where each colour starts."""
    level = np.arange(256, dtype=np.float32) / np.float32(255)
    # The reference subtracts and divides by float64 constants in place: a rounding after each.
    centred = (level - np.array(MEAN)[:, None]).astype(np.float32)
    table = (centred / np.array(STD)[:, None]).astype(np.float32)
    return torch.from_numpy(table.ravel()).to(device), torch.tensor(
        (0, 256, 512), dtype=torch.int32, device=device
    )


@contextmanager
def tensor_float(allowed: bool) -> Iterator[None]:
    """Let CUDA convolutions and products use TF32, or forbid it, within."""
    settings: tuple[Any, ...] = (torch.backends.cudnn.conv, torch.backends.cuda.matmul)  # type: ignore[attr-defined]
    before = [setting.fp32_precision for setting in settings]
    try:
        for setting in settings:
            setting.fp32_precision = "tf32" if allowed else "ieee"
        yield
    finally:
        for setting, value in zip(settings, before, strict=True):
            setting.fp32_precision = value
