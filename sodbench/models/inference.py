"""A network ready to predict: on its device, at its precision, from pixels to maps.

The arithmetic is the reference's: pixels / 255, minus the ImageNet mean, divided by the standard deviation; sigmoid;
times 255, rounded to the nearest integer and halves to even, as OpenCV writes floats. ``fp32`` maps equal those of a
plain loop up to rounding in the last place of the logits.
"""

import copy
from collections.abc import Callable
from functools import cache
from typing import Any, TypeVar

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.dropout import _DropoutNd

from sodbench.errors import SodbenchError
from sodbench.models.cuda_graphs import CudaGraphs
from sodbench.models.declarations import (
    InputSize,
    declares_output,
    get_input_size,
    get_output,
    handles_padding,
)
from sodbench.models.devices import PRECISIONS, choose_device, choose_precision, tensor_float
from sodbench.models.output_range import OutputRange
from sodbench.models.padding import mark_images
from sodbench.models.processing import IMAGENET_DEVIATION, IMAGENET_MEAN, shrink
from sodbench.models.transfers import Transfers
from sodbench.models.user_code import describe_failure, error_text, user_code

T = TypeVar("T")

NetworkMaps = list[NDArray[np.uint8] | None]


def normalise(pixels: Tensor) -> Tensor:
    """Normalise images, bit-equal to the reference's own two float32 roundings.

    Parameters
    ----------
    pixels : Tensor of uint8, shape [n, h, w, 3]
        RGB.

    Returns
    -------
    Tensor of float32, shape [n, 3, h, w]
        On the same device, in channels-last memory.
    """
    table, offsets = _normalisation(pixels.device)
    return table[pixels.int() + offsets].permute(0, 3, 1, 2)


@cache
def _normalisation(device: torch.device) -> tuple[Tensor, Tensor]:
    """Return float32 [768], the normalised levels of red, green and blue, and where each colour starts."""
    level = np.arange(256, dtype=np.float32) / np.float32(255)
    # The reference subtracts and divides by float64 constants in place: a rounding after each.
    centred = (level - np.array(IMAGENET_MEAN)[:, None]).astype(np.float32)
    table = (centred / np.array(IMAGENET_DEVIATION)[:, None]).astype(np.float32)
    return torch.from_numpy(table.ravel()).to(device), torch.tensor(
        (0, 256, 512), dtype=torch.int32, device=device
    )


def quantise(probabilities: Tensor) -> Tensor:
    """Convert probabilities in [0, 1] to uint8: 255 p to the nearest integer, halves to even.

    Parameters
    ----------
    probabilities : Tensor of float
        Of any shape.

    Returns
    -------
    Tensor of uint8
        Of the same shape, on the same device.
    """
    return (255 * probabilities).round().to(torch.uint8)


def check_output(y: Any, x: Tensor) -> None:
    """Check that a network returned one map per image.

    Parameters
    ----------
    y : object
        What the network returned.
    x : Tensor
        The batch that it was given, [n, 3, h, w].

    Raises
    ------
    SodbenchError
        If ``y`` is not a floating-point tensor [n, 1, h', w'].
    """
    shaped = isinstance(y, Tensor) and y.ndim == 4 and y.shape[:2] == (len(x), 1)
    if not (shaped and 0 not in y.shape and y.is_floating_point()):
        output = f"{list(y.shape)} of {y.dtype}" if isinstance(y, Tensor) else type(y).__name__
        raise SodbenchError(
            f"the network returned {output} for a batch {list(x.shape)}; it must return one logit map per image: "
            f"a floating-point tensor [{len(x)}, 1, h, w]. Choose one of several outputs or channels with --processing "
            "output.select=NUMBER or output.channel=NUMBER"
        )


def _resize_bilinearly(x: Tensor, size: tuple[int, ...], antialias: bool = False) -> Tensor:
    if tuple(x.shape[-2:]) == tuple(size):
        return x
    return F.interpolate(x, size=tuple(size), mode="bilinear", antialias=antialias)


def needs_contiguous(error: Exception) -> bool:
    """Whether a network failed because its feature maps are channels-last, for example in ``.view``."""
    text = error_text(error)
    return isinstance(error, RuntimeError) and ("view size" in text or "contiguous" in text)


def _is_compiler_failure(error: Exception) -> bool:
    """Whether torch.compile itself failed, for example without a compiler, whatever the image."""
    return any(kind.__name__ == "BackendCompilerFailed" for kind in type(error).__mro__)


class InferenceNetwork:
    """A copy of a network on its device at its precision, with batch normalisation folded if it supports that.

    A network may define ``for_inference()``, which is called on a copy in evaluation mode and returns a faster
    module of the same function.

    Parameters
    ----------
    model : nn.Module
        The network; it is not changed.
    device : str or torch.device, default "auto"
        See `choose_device`.
    precision : str, optional
        See `choose_precision`.
    compiled : bool, default False
        Use ``torch.compile``.
    padding : bool, optional
        Take images of different sizes in one batch. By default on CUDA, if the network declares ``handles_padding``, or
        takes a single size, to which each image is resized.
    graphs : bool, optional
        Use CUDA graphs for shapes of batches that come often. By default on CUDA, if the network declares
        ``handles_padding``, which promises that it can be captured.
    input_size : InputSize, optional
        The image sizes that the network gets; by default those that it declares.

    Attributes
    ----------
    output : str
        ``logits`` or ``probabilities``, as the network declares.
    declares_output : bool
        Whether it declares that; otherwise ``logits`` is assumed.
    range : OutputRange
        Of the network's values for the images so far.
    channels_last : bool
        The memory layout of weights and images. A network that fails in it, because it calls ``.view`` on feature
        maps, runs contiguous from then on.
    transfers : Transfers
        Copies to and from the device.
    graphs : CudaGraphs

    Raises
    ------
    SodbenchError
        If the network cannot be copied, moved to the device or set to evaluation mode, and for padding or graphs
        that the network or device does not support.
    """

    def __init__(
        self,
        model: nn.Module,
        device: str | torch.device = "auto",
        precision: str | None = None,
        compiled: bool = False,
        padding: bool | None = None,
        graphs: bool | None = None,
        input_size: InputSize | None = None,
    ):
        self.device = device if isinstance(device, torch.device) else choose_device(device)
        self.precision = choose_precision(precision, self.device)
        self.compiled = compiled
        self.input_size, self.output = input_size or get_input_size(model), get_output(model)
        self.declares_output = declares_output(model)
        self.range = OutputRange()
        self.channels_last = True
        self._module: Any = self._prepare(model)
        self.network: Callable[..., Tensor] = (
            torch.compile(self._module) if compiled else self._module
        )
        cuda = self.device.type == "cuda"
        able = handles_padding(self._module) and self.input_size == InputSize()
        self._padding = cuda if padding is None else padding
        if padding and not self.pads:
            raise SodbenchError(
                f"{type(model).__name__}: images of different sizes need a network that declares "
                "handles_padding = True and takes every size, or one that takes a single size; leave out the padding"
            )
        if graphs and not cuda:
            raise SodbenchError(
                f"CUDA graphs exist on CUDA devices only, not on {self.device.type}"
            )
        self.transfers = Transfers(self.device)
        self.graphs = CudaGraphs(able and cuda if graphs is None else graphs)

    @property
    def pads(self) -> bool:
        """Whether `start` takes images of different sizes."""
        natural = handles_padding(self._module) and self.input_size == InputSize()
        return self._padding and (natural or self.input_size.fixed is not None)

    def _prepare(self, model: nn.Module) -> Any:
        """Return the copy of the network that computes."""
        name = type(model).__name__
        # copies of TorchScript's parameters would be results of a computation without no_grad
        advice = "let it define __deepcopy__"
        with torch.no_grad(), user_code(f"{name}: the network cannot be copied", advice):
            network: Any = copy.deepcopy(model)
        with user_code(f"{name}: the network cannot be set to evaluation mode"):
            network = network.eval()
            # TorchScript's modules have no requires_grad_
            for parameter in network.parameters():
                parameter.requires_grad_(False)
        # before the conversion to its precision: weights are folded as they are stored
        if hasattr(network, "for_inference"):
            with user_code(f"{name}.for_inference failed"):
                network = network.for_inference()
        with user_code(f"{name}: the network cannot be moved to {self.device} as {self.precision}"):
            network = network.to(self.device, PRECISIONS[self.precision])
            return network.to(memory_format=torch.channels_last)

    @torch.inference_mode()
    def logits(self, pixels: NDArray[np.uint8], max_side: int | None = None) -> Tensor:
        """Run the network on images of one size.

        Parameters
        ----------
        pixels : ndarray of uint8, shape [n, h, w, 3]
            RGB.
        max_side : int, optional
            Longer images are shrunk to it for the network.

        Returns
        -------
        Tensor of float32, shape [n, 1, h, w]
            The network's output, on the device.

        Raises
        ------
        SodbenchError
            If it is not one map per image, or the network cannot be compiled.
        """
        size = self._size_for(pixels, max_side)
        with tensor_float(self.precision == "tf32"):
            return self._values(self.transfers.upload(pixels), None, size)

    @torch.inference_mode()
    def run(self, batch: NDArray[np.float32]) -> Any:
        """Run the network on images that are prepared already.

        Parameters
        ----------
        batch : ndarray of float32, shape [n, 3, h, w]
            It must not change until the results are there.

        Returns
        -------
        object
            Whatever the network returns, with tensors on the device.

        Raises
        ------
        SodbenchError
            If the network cannot be compiled.
        """
        x = self.transfers.upload(batch)
        if self.channels_last:
            x = x.contiguous(memory_format=torch.channels_last)
        with tensor_float(self.precision == "tf32"):
            return self._with_layout(lambda: self._call(x))

    @torch.inference_mode()
    def start(
        self,
        pixels: NDArray[np.uint8],
        max_side: int | None = None,
        sizes: NDArray[np.int64] | None = None,
    ) -> Callable[[], NetworkMaps]:
        """Start to predict images.

        Parameters
        ----------
        pixels : ndarray of uint8, shape [n, h, w, 3]
            RGB. They must not change until the maps are there.
        max_side : int, optional
            Longer images are shrunk to it for the network; not with ``sizes``.
        sizes : ndarray of int64, shape [n, 2], optional
            Height and width of each image, in the top left of its place; what is outside is ignored. 0x0 is an empty
            place. By default every image fills its place. Only where this network `pads`.

        Returns
        -------
        callable
            Waits for the maps and returns them: n arrays of uint8 of the images' sizes, or None for an image whose
            output is not finite. It raises SodbenchError if declared probabilities are not in 0..1.
        """
        size = self._size_for(pixels, max_side)
        here = self.transfers.upload(pixels)
        results: tuple[Tensor, ...]
        with tensor_float(self.precision == "tf32"):
            if sizes is not None and self.input_size.fixed:
                results = self._maps_of_each(here, sizes, size)
            else:
                size = size if sizes is None else pixels.shape[1:3]
                inside = None if sizes is None else self.transfers.upload(sizes)
                results = self.graphs.run(lambda x, s: self._maps(x, s, size), here, inside, size)
        copied = self.transfers.download(results)

        def wait() -> NetworkMaps:
            maps, extremes = copied()
            # refers to the pixels, so that they are kept until here
            filled = np.full((len(pixels), 2), pixels.shape[1:3])
            return self._finish(maps, extremes, filled if sizes is None else sizes)

        return wait

    def layers_in_training(self) -> list[str]:
        """Return the kinds of layers that work as in training: batch statistics, and dropout."""
        names = set()
        for layer in self._module.modules():
            norm = isinstance(layer, _BatchNorm) and (layer.training or layer.running_mean is None)
            dropout = isinstance(layer, _DropoutNd) and layer.training and layer.p > 0
            if norm or dropout:
                names.add(type(layer).__name__)
        return sorted(names)

    def _size_for(self, pixels: NDArray[np.uint8], max_side: int | None) -> tuple[int, int]:
        """Return the size at which images enter the network."""
        height, width = pixels.shape[1:3]
        return self.input_size.for_image(*shrink(height, width, max_side))

    def _maps(
        self, pixels: Tensor, sizes: Tensor | None, size: tuple[int, int]
    ) -> tuple[Tensor, Tensor]:
        """Return maps uint8 [n, h, w], and the smallest and largest value of each image, float32 [n, 2]."""
        y = self._values(pixels, sizes, size)[:, 0]
        inside = y
        if sizes is not None:
            # a value of the image in place of those outside it
            inside = torch.where(mark_images(sizes, *y.shape[1:])[:, 0], y, y[:, :1, :1])
        return self._quantise(y), _extremes(inside)

    def _maps_of_each(
        self, pixels: Tensor, sizes: NDArray[np.int64], size: tuple[int, int]
    ) -> tuple[Tensor, Tensor]:
        """As `_maps`, for images of different sizes, each of which is resized to that of the network."""
        images = [(i, h, w) for i, (h, w) in enumerate(sizes.tolist()) if h * w]
        x = torch.zeros((len(sizes), 3, *size), device=self.device)
        x = x.contiguous(memory_format=torch.channels_last)
        for i, h, w in images:
            x[i] = _resize_bilinearly(normalise(pixels[i : i + 1, :h, :w]), size, antialias=True)[0]
        y = self._with_layout(lambda: self._call(x))
        check_output(y, x)
        maps = torch.zeros_like(pixels[..., 0])
        extremes = torch.zeros((len(sizes), 2), device=self.device)
        for i, h, w in images:
            values = _resize_bilinearly(y[i : i + 1].float(), (h, w))[:, 0]
            maps[i, :h, :w] = self._quantise(values)[0]
            extremes[i] = _extremes(values)[0]
        return maps, extremes

    def _quantise(self, y: Tensor) -> Tensor:
        """Return maps uint8 of the network's values."""
        return quantise(y.clamp(0, 1) if self.output == "probabilities" else y.sigmoid())

    def _values(self, pixels: Tensor, sizes: Tensor | None, size: tuple[int, int]) -> Tensor:
        """Return the network's output, float32 [n, 1, h, w], for pixels uint8 [n, h, w, 3] on the device."""
        x = normalise(pixels)
        return self._with_layout(lambda: self._run(x, sizes, size))

    def _with_layout(self, call: Callable[[], T]) -> T:
        """Run the network; a second time, contiguous, if it does not take feature maps that are channels-last."""
        try:
            return call()
        except RuntimeError as error:
            if _is_compiler_failure(error):
                raise SodbenchError(
                    f"the network cannot be compiled ({describe_failure(error)}); leave out --compile"
                ) from error
            if not (self.channels_last and needs_contiguous(error)):
                raise
        self._change_to_contiguous()
        return call()

    def _run(self, x: Tensor, sizes: Tensor | None, size: tuple[int, int]) -> Tensor:
        if sizes is None:
            resized = _resize_bilinearly(x, size, antialias=True)
            y = self._call(resized)
            check_output(y, resized)
            return _resize_bilinearly(y.float(), x.shape[-2:])
        y = self._call(x * mark_images(sizes, *x.shape[-2:]), sizes)
        check_output(y, x)
        if y.shape[-2:] != x.shape[-2:]:
            raise SodbenchError(
                f"the network returned {list(y.shape)} for a padded batch {list(x.shape)}; with handles_padding it "
                "must return logits at the size of the batch"
            )
        return y.float()

    def _call(self, x: Tensor, *sizes: Tensor) -> Tensor:
        x = x.to(PRECISIONS[self.precision])
        return self.network(x if self.channels_last else x.contiguous(), *sizes)

    def _change_to_contiguous(self) -> None:
        # graphs read the weights where they were
        self.graphs.clear()
        with torch.inference_mode(False):
            self._module.to(memory_format=torch.contiguous_format)
        self.channels_last = False

    def _finish(self, maps: Tensor, extremes: Tensor, sizes: NDArray[np.int64]) -> NetworkMaps:
        """Return the maps as arrays, None for images whose values are not all finite; record the range."""
        self.range = self.range.with_images(extremes.numpy()[sizes.all(1)])
        if self.output == "probabilities":
            self.range.check_probabilities("the network")
        finite = extremes.isfinite().all(1).tolist()
        return [
            m[:height, :width] if ok else None
            for m, ok, (height, width) in zip(maps.numpy(), finite, sizes.tolist(), strict=True)
        ]


def _extremes(y: Tensor) -> Tensor:
    """Return the smallest and largest value of each map [n, h, w], float32 [n, 2]."""
    values = y.flatten(1)
    # amin and amax propagate NaN, so they also show which images are finite
    return torch.stack((values.amin(1), values.amax(1)), 1)
