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

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from sodbench.errors import SodbenchError


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
        The number of scales, that of the images included.

    Attributes
    ----------
    masks : list of Tensor
        For each scale, [n, 1, h_k, w_k]: 1 inside the images, 0 elsewhere.
    limits : list of Tensor
        The same with infinity inside, for `relu_inside`.
    pixels : list of Tensor
        For each scale, the number of pixels of each image, float [n].
    """

    def __init__(self, sizes: Tensor, x: Tensor, scales: int):
        height, width = x.shape[-2:]
        # the precision of everything that is computed from the sizes
        self._dtype = torch.promote_types(x.dtype, torch.float32)
        self._sizes, self._canvases = [sizes], [(height, width)]
        for _ in range(1, scales):
            height, width = (height + 1) // 2, (width + 1) // 2
            self._sizes.append((self._sizes[-1] + 1) // 2)
            self._canvases.append((height, width))
        inside = [
            _is_below(size[:, 0], h)[:, None, :, None] & _is_below(size[:, 1], w)[:, None, None, :]
            for size, (h, w) in zip(self._sizes, self._canvases, strict=True)
        ]
        zero, infinity = x.new_zeros(()), x.new_full((), torch.inf)
        self.masks = [mask.to(x.dtype) for mask in inside]
        self.limits = [torch.where(mask, infinity, zero) for mask in inside]
        self.pixels = [size.prod(1).to(self._dtype) for size in self._sizes]
        self._matrices: dict[tuple[int, int], tuple[Tensor, Tensor]] = {}

    def interpolation(self, source: int, target: int, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
        """Return the matrices that resize feature maps bilinearly, as ``F.interpolate`` does.

        Parameters
        ----------
        source, target : int
            Scales.
        dtype : torch.dtype
            Of the matrices.

        Returns
        -------
        rows : Tensor, shape [n, target height, source height]
        columns : Tensor, shape [n, 1, target width, source width]
            What is beyond an image is 0 in both.
        """
        key = source, target
        if key not in self._matrices:
            ins, outs = self._sizes[source].to(self._dtype), self._sizes[target].to(self._dtype)
            (h, w), (tall, wide) = self._canvases[source], self._canvases[target]
            self._matrices[key] = (
                _interpolation_of_each(ins[:, 0], outs[:, 0], h, tall),
                _interpolation_of_each(ins[:, 1], outs[:, 1], w, wide)[:, None],
            )
        rows, columns = self._matrices[key]
        return rows.to(dtype), columns.to(dtype)

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
        share = F.avg_pool2d(self.masks[scale - 1], 2, ceil_mode=True, count_include_pad=False)
        return self.masks[scale] / share.clamp(min=0.25)


def relu_inside(x: Tensor, limit: Tensor) -> Tensor:
    """ReLU of feature maps, zero outside the images.

    Parameters
    ----------
    x : Tensor, shape [n, c, h, w]
        Overwritten where no gradient is needed.
    limit : Tensor, shape [n, 1, h, w]
        An element of ``Padding.limits``.

    Returns
    -------
    Tensor, shape [n, c, h, w]
    """
    if torch.is_grad_enabled():
        result: Tensor = _ReluInside.apply(x, limit)
        return result
    return x.clamp_(limit.new_zeros(()), limit)


class _ReluInside(torch.autograd.Function):
    """ReLU and mask in one pass; its gradient is ReLU's (0 at 0), which `torch.clamp` would not give."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, limit: Tensor) -> Tensor:
        result = x.clamp(limit.new_zeros(()), limit)
        ctx.save_for_backward(result)
        return result

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        (result,) = ctx.saved_tensors
        return torch.ops.aten.threshold_backward(gradient, result, 0), None


def normalise_groups_inside(
    x: Tensor, groups: int, weight: Tensor, bias: Tensor, eps: float, pixels: Tensor
) -> Tensor:
    """Group normalisation over the pixels of each image.

    Parameters
    ----------
    x : Tensor, shape [n, c, h, w]
        Zero outside the images.
    groups : int
        Number of groups of channels.
    weight, bias : Tensor, shape [c]
    eps : float
        Added to the variance.
    pixels : Tensor of float, shape [n]
        Number of pixels of each image.

    Returns
    -------
    Tensor, shape [n, c, h, w]
        Not zero outside the images.
    """
    n, c = x.shape[:2]
    sums, squares = _Moments.apply(x)
    count = (pixels * (c // groups)).clamp(min=1)[:, None]
    mean = sums.view(n, groups, -1).sum(2) / count
    variance = squares.view(n, groups, -1).sum(2) / count - mean * mean
    inverse = (variance.clamp(min=0) + eps).rsqrt()
    scale = inverse.repeat_interleave(c // groups, 1) * weight
    shift = bias - mean.repeat_interleave(c // groups, 1) * scale
    precision = torch.promote_types(x.dtype, torch.float32)
    scale, shift = (s.to(precision)[..., None, None] for s in (scale, shift))
    return torch.addcmul(shift, x, scale).to(x.dtype)


class _Moments(torch.autograd.Function):
    """Sums of x [n, c, h, w] and of its square over the pixels, [n, c].

    In float64, in which the difference of the moments loses nothing that float32 features have: an error of
    1e-16 (1 + mean^2 / variance) of the variance. The gradient is computed in the features' own precision.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> tuple[Tensor, Tensor]:
        ctx.save_for_backward(x)
        # Apple's GPUs have no float64
        dtype = torch.float32 if x.device.type == "mps" else torch.float64
        sums = x.sum((2, 3), dtype=dtype)
        squares = torch.linalg.vector_norm(x, dim=(2, 3), dtype=dtype).square()
        return sums, squares

    @staticmethod
    def backward(ctx: Any, of_sums: Tensor, of_squares: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        constant, slope = (g[..., None, None].to(x.dtype) for g in (of_sums, 2 * of_squares))
        return torch.addcmul(constant, x, slope)


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


def _is_below(lengths: Tensor, n: int) -> Tensor:
    """Return bool [len(lengths), n]: whether each position is below each length."""
    return torch.arange(n, device=lengths.device) < lengths[:, None]


def _interpolation_of_each(ins: Tensor, outs: Tensor, n: int, enlarged: int) -> Tensor:
    """Return the matrices [images, enlarged, n] of linear interpolation from ``ins`` to ``outs`` positions, [images]."""
    position = torch.arange(enlarged, dtype=ins.dtype, device=ins.device)
    ratio = ins / outs.clamp(min=1)
    # where each position of the result is in the source; beyond the ends, at the ends
    place = ((position + 0.5) * ratio[:, None] - 0.5).clamp(min=0).minimum(ins[:, None] - 1)
    place = torch.where(position < outs[:, None], place, -1)
    index = torch.arange(n, dtype=ins.dtype, device=ins.device)
    return (1 - (place[:, :, None] - index).abs()).clamp(min=0)
