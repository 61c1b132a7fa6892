"""Images of different sizes in one batch, with the same result as one by one.

Each image is in the top left of a common canvas that is zero elsewhere. A network computes the same for it as alone if
nothing that it reads comes from outside the image:

- A convolution pads with zeros, so its input must be zero outside the images. A 1x1 convolution reads no neighbours.
  Maximum pooling follows ReLU, so zeros do not exceed any value. An average pool that divides by its whole window
  pads with zeros, too; one that divides by the pixels that it has is corrected by their number.
- Every stride of 2 halves a size and rounds up, so the sizes of the images give the sizes of their feature maps.
- Normalisation over an image sums over the pixels of the image only, and divides by their number.
- Bilinear interpolation is linear in each direction: two small matrices for each image, made from its sizes.

The sizes stay on the device, and nothing depends on their values but arithmetic, so a network can be compiled and
captured in a CUDA graph. An image of size 0x0 is an empty place: its output is 0, and it adds nothing to a gradient.
"""

from collections.abc import Callable
from functools import lru_cache, wraps
from typing import Any, NamedTuple, TypeVar, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from sodbench.errors import SodbenchError

T = TypeVar("T")

# Constants of that many canvases are kept, below 1 MB each for images of usual sizes.
_CACHED = 128


def cache_constants(make: Callable[..., T]) -> Callable[..., T]:
    """Cache the tensors that a function makes of sizes and types, and that no one changes.

    While a network is compiled or captured in a CUDA graph nothing is cached: the compiler sees how the tensors are
    made, and a graph must own the memory that it reads.

    Parameters
    ----------
    make : callable
        Its arguments must be hashable.

    Returns
    -------
    callable
    """

    @lru_cache(maxsize=_CACHED)
    def make_once(*arguments: Any) -> T:
        # usable with and without gradients, wherever they are made
        with torch.inference_mode(False), torch.no_grad():
            return make(*arguments)

    @wraps(make)
    def get(*arguments: Any) -> T:
        if torch.compiler.is_compiling():
            return make(*arguments)
        has_context = torch.cuda.is_initialized()  # type: ignore[no-untyped-call]
        # asked without a context, this is an error where there is no CUDA
        if has_context and torch.cuda.is_current_stream_capturing():
            return make(*arguments)
        return make_once(*arguments)

    return get


def mark_images(sizes: Tensor, height: int, width: int) -> Tensor:
    """Return which pixels of a canvas are inside images in its top left.

    Parameters
    ----------
    sizes : Tensor of integers, shape [n, 2]
        Height and width of each image.
    height, width : int
        Of the canvas.

    Returns
    -------
    Tensor of bool, shape [n, 1, height, width]
    """
    rows = torch.arange(height, device=sizes.device) < sizes[:, :1]
    columns = torch.arange(width, device=sizes.device) < sizes[:, 1:]
    return rows[:, None, :, None] & columns[:, None, None, :]


class Region(NamedTuple):
    """Which pixels of the feature maps of one scale are inside the images.

    Attributes
    ----------
    mask : Tensor, shape [n, 1, h, w]
        1 inside the images, 0 elsewhere.
    low, high : Tensor, shapes [] and [n, 1, h, w]
        The range of ReLU's values: 0 to infinity inside the images, 0 to 0 elsewhere.
    pixels : Tensor, shape [n]
        Number of pixels of each image, float32 or float64.
    """

    mask: Tensor
    low: Tensor
    high: Tensor
    pixels: Tensor


class Padding:
    """Where the images of a padded batch are, at every scale of a network.

    Scale k is that of the images after k halvings, each rounded up.

    Parameters
    ----------
    sizes : Tensor of integers, shape [n, 2]
        Height and width of each image.
    x : Tensor of float, shape [n, c, h, w]
        The batch.
    scales : int
        Number of scales, that of the images included.
    resizes : tuple of (int, int)
        Every pair of scales, from and to, between which feature maps are resized.

    Attributes
    ----------
    regions : list of Region
        One for each scale.

    Raises
    ------
    SodbenchError
        If ``sizes`` are not integers [n, 2]. Their values are not checked, because that waits for the device.
    """

    def __init__(self, sizes: Tensor, x: Tensor, scales: int, resizes: tuple[tuple[int, int], ...]):
        if sizes.shape != (x.shape[0], 2) or sizes.is_floating_point():
            raise SodbenchError(
                f"sizes of a padded batch {list(x.shape)} are {list(sizes.shape)} of {sizes.dtype}; they must be "
                f"integers [{x.shape[0]}, 2], the height and width of each image"
            )
        lengths, heights, widths = [sizes], [x.shape[2]], [x.shape[3]]
        for _ in range(1, scales):
            lengths.append((lengths[-1] + 1) // 2)
            heights.append((heights[-1] + 1) // 2)
            widths.append((widths[-1] + 1) // 2)
        self._canvases, self._resizes = (tuple(heights), tuple(widths)), resizes
        # the precision of everything that is computed from the sizes
        self._dtype = torch.promote_types(x.dtype, torch.float32)
        features = _feature_type(x)
        low, infinity = (x.new_full((), v, dtype=features) for v in (0, torch.inf))
        self.regions = []
        for length, height, width in zip(lengths, heights, widths, strict=True):
            inside = mark_images(length, height, width)
            mask, high = inside.to(features), torch.where(inside, infinity, low)
            self.regions.append(Region(mask, low, high, length.prod(1).to(self._dtype)))
        of_scales = torch.stack(lengths, 2).to(self._dtype)
        self._matrices = {
            self._dtype: [
                _interpolations(of_scales[:, axis], canvas, resizes)
                for axis, canvas in enumerate(self._canvases)
            ]
        }

    def interpolation(self, source: int, target: int, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
        """Return the matrices that resize feature maps bilinearly, as ``F.interpolate`` does.

        Parameters
        ----------
        source, target : int
            Scales, one of the pairs ``resizes``.
        dtype : torch.dtype
            Of the matrices.

        Returns
        -------
        rows : Tensor, shape [n, target height, source height]
        columns : Tensor, shape [n, 1, target width, source width]
            What is beyond an image is 0 in both.
        """
        if dtype not in self._matrices:
            self._matrices[dtype] = [m.to(dtype) for m in self._matrices[self._dtype]]
        before = self._resizes[: self._resizes.index((source, target))]
        cut = []
        for canvas, matrices in zip(self._canvases, self._matrices[dtype], strict=True):
            start = sum(canvas[scale] for _, scale in before)
            cut.append(matrices[:, start : start + canvas[target], : canvas[source]])
        rows, columns = cut
        return rows, columns[:, None]

    def resize(self, x: Tensor, source: int, target: int) -> Tensor:
        """Resize feature maps bilinearly, each image to its size at another scale.

        Parameters
        ----------
        x : Tensor, shape [n, c, h, w]
            At scale ``source``. What is outside the images is not used.
        source, target : int
            Scales.

        Returns
        -------
        Tensor, shape [n, c, target height, target width]
            Zero outside the images.
        """
        rows, columns = self.interpolation(source, target, x.dtype)
        n, c, h, _ = x.shape
        wide = columns @ x.permute(0, 2, 3, 1)
        resized = rows @ wide.reshape(n, h, -1)
        return resized.view(n, rows.shape[1], columns.shape[2], c).permute(0, 3, 1, 2)

    def pool_correction(self, scale: int) -> Tensor:
        """Return what corrects an average pool of 2x2 pixels for windows that end outside their image.

        Parameters
        ----------
        scale : int
            The scale of the pool's output.

        Returns
        -------
        Tensor, shape [n, 1, h, w]
            The factor of each pooled pixel of feature maps that are zero outside the images, if the pool divides
            by the number of pixels on the canvas (``ceil_mode=True, count_include_pad=False``). 0 outside.
        """
        before = self.regions[scale - 1].mask
        share = F.avg_pool2d(before, 2, ceil_mode=True, count_include_pad=False)
        return self.regions[scale].mask / share.clamp(min=0.25)


def relu_inside(x: Tensor, region: Region) -> Tensor:
    """ReLU of feature maps, zero outside the images.

    Parameters
    ----------
    x : Tensor, shape [n, c, h, w]
        Overwritten where no gradients are computed.
    region : Region
        Of the same scale.

    Returns
    -------
    Tensor, shape [n, c, h, w]
    """
    if torch.is_grad_enabled():
        return cast(Tensor, _ReluInside.apply(x, region.low, region.high))
    return x.clamp_(region.low, region.high)


class _ReluInside(torch.autograd.Function):
    """ReLU and mask in one pass; its gradient is ReLU's, 0 at 0, which that of `torch.clamp` is not."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, low: Tensor, high: Tensor) -> Tensor:
        result = x.clamp(low, high)
        ctx.save_for_backward(result)
        return result

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        (result,) = ctx.saved_tensors
        return torch.ops.aten.threshold_backward(gradient, result, 0), None, None


def normalise_groups(
    x: Tensor, norm: nn.GroupNorm, region: Region | None, channels: slice
) -> Tensor:
    """Group normalisation over the pixels of each image, without copies in any memory layout.

    Parameters
    ----------
    x : Tensor, shape [n, c, h, w]
        Zero outside the images.
    norm : nn.GroupNorm
    region : Region or None
        Of the same scale. Without it, all images fill ``x``.
    channels : slice
        Which channels of the normalisation ``x`` has: whole groups.

    Returns
    -------
    Tensor, shape [n, c, h, w]
        Not zero outside the images.
    """
    if region is not None:
        pixels = region.pixels
    else:
        area, precision = x.shape[2] * x.shape[3], torch.promote_types(x.dtype, torch.float32)
        pixels = x.new_full((x.shape[0],), area, dtype=precision)
    per_group = norm.num_channels // norm.num_groups
    mean, variance = _Moments.apply(x, x.shape[1] // per_group, pixels)
    inverse = (variance + norm.eps).rsqrt()
    scale = (inverse.repeat_interleave(per_group, 1) * norm.weight[channels])[..., None, None]
    means = mean.repeat_interleave(per_group, 1)[..., None, None]
    shift = norm.bias[channels, None, None] - means * scale
    if torch.is_grad_enabled():
        return torch.addcmul(shift, x, scale).to(x.dtype)
    # rounds to the precision of narrow features in the same pass
    return torch.addcmul(shift, x, scale, out=torch.empty_like(x))


class _Moments(torch.autograd.Function):
    """Mean and variance of each group of channels over the pixels of each image, [n, groups], float32 or more.

    Reads the features once, in any memory layout, and copies none of them. The moments over the canvas, with its
    zeros, are corrected by the numbers of pixels. That subtracts the square of the mean from the variance: an error
    of about 1e-7 (1 + p mean^2 / variance) of the variance in float32, where p is the share of padding.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, groups: int, pixels: Tensor) -> tuple[Tensor, Tensor]:
        y = x.unflatten(1, (groups, -1))  # type: ignore[no-untyped-call]
        count = (pixels * y.shape[2]).clamp(min=1)[:, None]
        if x.element_size() < 4:
            # var_mean would round its results to the precision of the features
            mean = y.sum((2, 3, 4), dtype=count.dtype) / count
            squares = torch.linalg.vector_norm(y, dim=(2, 3, 4), dtype=count.dtype).square()
            variance = squares / count - mean.square()
        else:
            variance, mean = torch.var_mean(y, (2, 3, 4), correction=0)
            excess = y.shape[2] * y.shape[3] * y.shape[4] / count
            variance = (variance - mean.square() * (excess - 1)) * excess
            mean = mean * excess
        ctx.save_for_backward(x, mean, count)
        return mean, variance.clamp(min=0)

    @staticmethod
    def backward(ctx: Any, of_mean: Tensor, of_variance: Tensor) -> tuple[Tensor, None, None]:
        x, mean, count = ctx.saved_tensors
        slope = 2 * of_variance / count
        constant = of_mean / count - slope * mean
        per_group = x.shape[1] // mean.shape[1]
        constant, slope = (
            g.repeat_interleave(per_group, 1)[..., None, None] for g in (constant, slope)
        )
        return torch.addcmul(constant, x, slope).to(x.dtype), None, None


def refuse_batch_statistics(network: nn.Module) -> None:
    """Check that no batch normalisation of a network would take its statistics from a padded batch.

    Parameters
    ----------
    network : nn.Module

    Raises
    ------
    SodbenchError
        If one is in training mode.
    """
    if any(isinstance(layer, _BatchNorm) and layer.training for layer in network.modules()):
        raise SodbenchError(
            "batch normalisation in training mode would count the padding of a padded batch; set the network to "
            "evaluation mode, as the reference does in training too, or run images of one size together"
        )


def _feature_type(x: Tensor) -> torch.dtype:
    """Return the type of the feature maps of a batch: its own, or that of autocast."""
    device = x.device.type
    if torch.amp.is_autocast_available(device) and torch.is_autocast_enabled(device):
        return torch.get_autocast_dtype(device)
    return x.dtype


def _interpolations(
    lengths: Tensor, canvas: tuple[int, ...], resizes: tuple[tuple[int, int], ...]
) -> Tensor:
    """Return the matrices of linear interpolation for every pair of scales, one below the other.

    ``lengths`` [n, scales] are the images' heights or widths, ``canvas`` those of the canvas. The result
    [n, sum of the target canvases, largest source canvas] is made by few operations, whatever the number of pairs.
    """
    n = max(canvas[source] for source, _ in resizes)
    position, index, sources, targets = _positions(
        canvas, resizes, n, lengths.dtype, lengths.device
    )
    ins, outs = lengths[:, sources], lengths[:, targets]
    # where each position of the result is in the source; beyond the ends, at the ends
    place = ((position + 0.5) * (ins / outs.clamp(min=1)) - 0.5).clamp(min=0).minimum(ins - 1)
    place = place.masked_fill(position >= outs, -1)
    return (1 - (place[:, :, None] - index).abs()).clamp(min=0)


@cache_constants
def _positions(
    canvas: tuple[int, ...],
    resizes: tuple[tuple[int, int], ...],
    n: int,
    dtype: torch.dtype,
    device: torch.device,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return, for each row of `_interpolations`, its position and its two scales; and its columns' index."""
    positions = [torch.arange(canvas[t], dtype=dtype, device=device) for _, t in resizes]
    sources = [torch.full((canvas[t],), s, device=device) for s, t in resizes]
    targets = [torch.full((canvas[t],), t, device=device) for _, t in resizes]
    index = torch.arange(n, dtype=dtype, device=device)
    return torch.cat(positions), index, torch.cat(sources), torch.cat(targets)
