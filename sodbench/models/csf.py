"""CSF: Res2Net-50 with cross-stage fusion.

Gao et al., "Highly Efficient Salient Object Detection with 100K Parameters", ECCV 2020. Four feature maps of the
backbone are fused across scales by one generalised octave convolution; each is filtered at five dilations; a
second octave convolution gathers all of them at the finest scale, where one logit per pixel is computed.
Parameter names, shapes, order and freezing equal those of the authors' released network.
"""

import math
from itertools import accumulate, pairwise, permutations
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sodbench.models.padding import (
    Padding,
    cache_constants,
    normalise_groups,
    refuse_batch_statistics,
)
from sodbench.models.registry import register_model
from sodbench.models.res2net import FINEST_SCALE, Res2Net50, Res2NetBlock

# Channels of the four scales between the two fusions.
BRANCHES = (128, 256, 512, 512)
DILATIONS = (1, 2, 4, 8, 16)
_NORM_GROUPS = 32

# Scales from the image to the coarsest feature maps, each half the one before, and between which of them a padded
# batch is resized: between all feature maps, and from the finest to the image.
_SCALES = FINEST_SCALE + len(BRANCHES)
_RESIZES = (*permutations(range(FINEST_SCALE, _SCALES), 2), (FINEST_SCALE, 0))

# Values that PreparedReadout holds at once: bounded by the memory of a GPU, and by the cache of a CPU.
MAX_ELEMENTS, MAX_ELEMENTS_CPU = 2**28, 2**21


@register_model("csf-res2net50")
def csf_res2net50(frozen: bool = True) -> "CSF":
    """Create Res2Net-50 + cross-stage fusion, with random weights.

    Parameters
    ----------
    frozen : bool, default True
        Fix in training what the authors fix; see `CSF`.

    Returns
    -------
    CSF
    """
    return CSF(frozen)


class OctaveConv1x1(nn.Module):
    """1x1 convolutions between every pair of scales, stored as one matrix ``weights``.

    Parameters
    ----------
    ins, outs : tuple of int
        Channels of the input scales (columns of the matrix) and output scales (rows), finest first.
    """

    def __init__(self, ins: tuple[int, ...], outs: tuple[int, ...]):
        super().__init__()
        self.weights = nn.Parameter(torch.empty(sum(outs), sum(ins), 1, 1))
        nn.init.kaiming_uniform_(self.weights, a=math.sqrt(5))
        self.rows = tuple(pairwise(accumulate(outs, initial=0)))
        self.columns = tuple(pairwise(accumulate(ins, initial=0)))

    def kernel(self, j: int, i: int) -> Tensor:
        """Return the kernel [out, in, 1, 1] from input scale ``i`` to output scale ``j``."""
        (top, bottom), (left, right) = self.rows[j], self.columns[i]
        return self.weights[top:bottom, left:right]

    def forward(self, xs: list[Tensor], padding: Padding | None = None) -> list[Tensor]:
        """Feature maps [n, in_i, h_i, w_i], finest first -> [n, out_j, h_j, w_j], not normalised."""
        if padding is not None:
            return [self._padded(xs, j, padding) for j in range(len(self.rows))]
        outs = []
        for j in range(len(self.rows)):
            size = xs[j].shape[-2:]
            terms = []
            for i, x in enumerate(xs):
                # each convolution runs at the smaller of the two sizes
                if i < j:
                    terms.append(F.conv2d(_interpolate(x, size), self.kernel(j, i)))
                else:
                    terms.append(_interpolate(F.conv2d(x, self.kernel(j, i)), size))
            total = terms[0]
            for term in terms[1:]:
                total = total + term
            outs.append(total)
        return outs

    def _padded(self, xs: list[Tensor], j: int, padding: Padding) -> Tensor:
        """Return output scale ``j`` of a padded batch, zero outside the images."""
        (top, bottom), (_, right) = self.rows[j], self.columns[j]
        coarser = [self.kernel(j, i) for i in range(j + 1, len(xs))]
        return _fuse(xs, j, self.weights[top:bottom, :right], coarser, padding)


class PreparedOctaveConv1x1(nn.Module):
    """`OctaveConv1x1` for inference: the same sums in fewer passes over memory.

    The kernels are cut out once. All contributions from finer scales and from the scale itself are one
    convolution. Coarser scales are enlarged and added by one matrix product, because bilinear interpolation is
    linear in each direction.

    Parameters
    ----------
    conv : OctaveConv1x1
        The trained convolution, which is not changed.
    """

    def __init__(self, conv: OctaveConv1x1):
        super().__init__()
        self.finer, self.coarser = nn.ParameterList(), nn.ModuleList()
        for j, (top, bottom) in enumerate(conv.rows):
            rows = conv.weights.detach()[top:bottom]
            self.finer.append(_frozen_parameter(rows[:, : conv.columns[j][1]]))
            self.coarser.append(
                nn.ParameterList(_frozen_parameter(rows[:, a:b]) for a, b in conv.columns[j + 1 :])
            )

    def forward(self, xs: list[Tensor], padding: Padding | None = None) -> list[Tensor]:
        """Compute the same as `OctaveConv1x1.forward`."""
        return [
            _fuse(xs, j, finer, list(cast(nn.ParameterList, coarser)), padding)
            for j, (finer, coarser) in enumerate(zip(self.finer, self.coarser, strict=True))
        ]


class PreparedReadout(nn.Module):
    """The last fusion and the classifier for inference, some channels at a time.

    Each group of the normalisation, with its slopes and its part of the classifier's sum, is independent of the
    others, so the 1408 channels at the finest scale, by far the largest feature map, never exist together.

    Parameters
    ----------
    fusion : Fusion
        The last fusion, with one output scale.
    classifier : nn.Conv2d
        The 1x1 convolution after it.
    """

    def __init__(self, fusion: "Fusion", classifier: nn.Conv2d):
        super().__init__()
        conv, norm, prelu = fusion.conv, fusion.bns[0], fusion.prelus[0]
        assert isinstance(conv, OctaveConv1x1)
        assert isinstance(norm, nn.GroupNorm)
        assert isinstance(prelu, nn.PReLU)
        self.kernels = nn.ParameterList(
            _frozen_parameter(conv.weights.detach()[:, a:b]) for a, b in conv.columns
        )
        self.norm, self.slopes, self.classifier = norm, prelu.weight, classifier

    def forward(self, xs: list[Tensor], padding: Padding | None = None) -> Tensor:
        """Feature maps [n, c_i, h_i, w_i], finest first -> logits float32 [n, 1, h_0, w_0]."""
        n, _, h, w = xs[0].shape
        width = len(self.slopes) // _NORM_GROUPS
        at_once = MAX_ELEMENTS_CPU if xs[0].device.type == "cpu" else MAX_ELEMENTS
        groups = min(_NORM_GROUPS, max(1, at_once // (n * width * h * w)))
        parts = [
            self._part(xs, g * width, min(g + groups, _NORM_GROUPS) * width, padding)
            for g in range(0, _NORM_GROUPS, groups)
        ]
        total = parts[0]
        for part in parts[1:]:
            total += part
        return total

    def _part(self, xs: list[Tensor], a: int, b: int, padding: Padding | None) -> Tensor:
        """Return what channels a to b of the fusion add to the logits."""
        finest, *smaller = (F.conv2d(x, k[a:b]) for x, k in zip(xs, self.kernels, strict=True))
        y = _add_enlarged(finest, smaller, 0, padding)
        y = _normalise(y, self.norm, padding, FINEST_SCALE, slice(a, b))
        bias = self.classifier.bias if a == 0 else None
        return F.conv2d(F.prelu(y, self.slopes[a:b]), self.classifier.weight[:, a:b], bias).float()


def _frozen_parameter(kernel: Tensor) -> nn.Parameter:
    return nn.Parameter(kernel.contiguous().clone(), requires_grad=False)


def _fuse(
    xs: list[Tensor], j: int, finer: Tensor, coarser: list[Tensor], padding: Padding | None
) -> Tensor:
    """Return output scale ``j`` of an octave convolution.

    ``finer`` is the kernel of all input scales up to ``j``; ``coarser`` are those of the scales after it.
    """
    size = xs[j].shape[-2:]
    if padding is None:
        shrunk = [_interpolate(x, size) for x in xs[:j]]
    else:
        target = FINEST_SCALE + j
        shrunk = [padding.resize(x, FINEST_SCALE + i, target) for i, x in enumerate(xs[:j])]
    total = F.conv2d(torch.cat([*shrunk, xs[j]], 1), finer)
    smaller = [F.conv2d(x, kernel) for x, kernel in zip(xs[j + 1 :], coarser, strict=True)]
    return _add_enlarged(total, smaller, j, padding) if smaller else total


def _add_enlarged(total: Tensor, smaller: list[Tensor], j: int, padding: Padding | None) -> Tensor:
    """Add feature maps of the scales after ``j``, enlarged bilinearly, to ``total`` [n, c, h, w] of scale ``j``."""
    # out[y, x] = total[y, x] + sum over i and r of U_i[y, r] (sum over s of V_i[x, s]
    # smaller_i[r, s]).
    n, c, h, w = total.shape
    if padding is None:
        pairs = [
            tuple(
                _interpolation(*lengths, x.dtype, x.device)
                for lengths in zip(x.shape[2:], (h, w), strict=True)
            )
            for x in smaller
        ]
    else:
        target = FINEST_SCALE + j
        pairs = [
            padding.interpolation(target + k, target, x.dtype) for k, x in enumerate(smaller, 1)
        ]
    rows, columns = zip(*pairs, strict=True)
    wide = [v @ x.permute(0, 2, 3, 1) for v, x in zip(columns, smaller, strict=True)]
    stacked = torch.cat(wide, 1).reshape(n, -1, w * c)
    flat = total.permute(0, 2, 3, 1).reshape(n, h, w * c)
    summed = torch.baddbmm(flat, torch.cat(rows, -1).expand(n, -1, -1), stacked)
    return summed.view(n, h, w, c).permute(0, 3, 1, 2)


@cache_constants
def _interpolation(n: int, enlarged: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """Return the matrix [enlarged, n] of linear interpolation, as ``F.interpolate`` computes it."""
    unit = torch.eye(n, dtype=torch.float32, device=device)
    matrix = F.interpolate(unit[None], size=enlarged, mode="linear", align_corners=False)
    return matrix[0].T.to(dtype)


class Fusion(nn.Module):
    """An octave convolution, then group normalisation and PReLU on each output scale.

    Parameters
    ----------
    ins, outs : tuple of int
        Channels of the input and output scales, finest first.
    """

    def __init__(self, ins: tuple[int, ...], outs: tuple[int, ...]):
        super().__init__()
        self.conv: OctaveConv1x1 | PreparedOctaveConv1x1 = OctaveConv1x1(ins, outs)
        self.bns = nn.ModuleList(nn.GroupNorm(_NORM_GROUPS, out) for out in outs)
        self.prelus = nn.ModuleList(nn.PReLU(out) for out in outs)

    def forward(self, xs: list[Tensor], padding: Padding | None = None) -> list[Tensor]:
        """Feature maps, finest first -> fused feature maps at the ``len(outs)`` finest scales.

        Those of a padded batch must be zero outside the images; the fused ones are not.
        """
        ys = self.conv(xs, padding)
        return [
            prelu(_normalise(y, cast(nn.GroupNorm, bn), padding, scale))
            for scale, (y, bn, prelu) in enumerate(
                zip(ys, self.bns, self.prelus, strict=True), FINEST_SCALE
            )
        ]


def _normalise(
    x: Tensor,
    norm: nn.GroupNorm,
    padding: Padding | None,
    scale: int,
    channels: slice = slice(None),
) -> Tensor:
    """Group normalisation of some of its channels; feature maps of a padded batch must be zero outside the images."""
    # torch's own kernel copies channels-last features to another layout and back: 8 of 38 ms of a batch of 32
    if padding is not None or (x.is_cuda and not torch.is_grad_enabled()):
        region = None if padding is None else padding.regions[scale]
        return normalise_groups(x, norm, region, channels)
    groups = x.shape[1] * norm.num_groups // norm.num_channels
    return F.group_norm(x, groups, norm.weight[channels], norm.bias[channels], norm.eps)


class MultiDilation(nn.Module):
    """Five parallel dilated 3x3 convolutions of the whole input, concatenated.

    Parameters
    ----------
    channels : int
        Number of input and of output channels.
    """

    def __init__(self, channels: int):
        super().__init__()
        share = channels // len(DILATIONS)
        widths = [share] * (len(DILATIONS) - 1)
        widths.append(channels - sum(widths))
        self.msconv = nn.ModuleList(
            nn.Conv2d(channels, width, 3, padding=dilation, dilation=dilation, bias=False)
            for width, dilation in zip(widths, DILATIONS, strict=True)
        )
        self.bn = nn.GroupNorm(_NORM_GROUPS, channels)
        self.prelu = nn.PReLU(channels)

    def forward(self, x: Tensor, padding: Padding | None = None, scale: int = 0) -> Tensor:
        """Features [n, channels, h, w] -> features of the same shape.

        Those of a padded batch, at ``scale`` of it, may have any values outside the images, and are zero there then.
        """
        if padding is None:
            y = torch.cat([conv(x) for conv in self.msconv], 1)
            return cast(Tensor, self.prelu(self.bn(y)))
        mask = padding.regions[scale].mask
        x = x * mask
        y = torch.cat([conv(x) for conv in self.msconv], 1) * mask
        return cast(Tensor, self.prelu(_normalise(y, self.bn, padding, scale)) * mask)


class MultiScale(nn.Module):
    """A `MultiDilation` for each scale.

    Parameters
    ----------
    channels : tuple of int
        Channels of the scales.
    """

    def __init__(self, channels: tuple[int, ...]):
        super().__init__()
        self.convs = nn.ModuleList(MultiDilation(width) for width in channels)

    def forward(self, xs: list[Tensor], padding: Padding | None = None) -> list[Tensor]:
        """Feature maps -> feature maps of the same shapes."""
        pairs = zip(self.convs, xs, strict=True)
        return [conv(x, padding, scale) for scale, (conv, x) in enumerate(pairs, FINEST_SCALE)]


class CSF(nn.Module):
    """Res2Net-50 + cross-stage fusion: normalised RGB [n, 3, h, w] -> logits [n, 1, h, w], any size.

    The kernels are drawn as the authors draw them (normal, standard deviation 0.01). From such weights the network
    learns only while batch normalisation is in training mode.

    Parameters
    ----------
    frozen : bool, default True
        Fix in training what the authors fix: the affine parameters of nearly every batch normalisation of the
        backbone, and the four shortcut convolutions. Otherwise every parameter is trained.

    References
    ----------
    Gao, Tan, Cheng, Lu, Chen and Yan, "Highly Efficient Salient Object Detection with 100K Parameters", ECCV 2020.
    """

    handles_padding = True

    def __init__(self, frozen: bool = True):
        super().__init__()
        self.base = Res2Net50()
        self.fuse = Fusion(self.base.channels, BRANCHES)
        self.ms = MultiScale(BRANCHES)
        self.fuse1x1 = Fusion(BRANCHES, (sum(BRANCHES),))
        self.cls_layer = nn.Conv2d(sum(BRANCHES), 1, 1)
        self.apply(_draw_kernel)
        if frozen:
            self._freeze()

    def _freeze(self) -> None:
        self.base.bn1.requires_grad_(False)
        for block in self.base.modules():
            if isinstance(block, Res2NetBlock):
                block.bn1.requires_grad_(False)
                block.bns.requires_grad_(False)
                block.bn3.requires_grad_(False)
                if block.first:
                    # The authors meant to freeze the shortcut's batch normalisation. Because its first
                    # child is the pooling, child 1 is the convolution, which they freeze instead.
                    block.downsample[1].requires_grad_(False)

    def for_inference(self) -> "PreparedCSF":
        """Return a faster network of the same function; this one, in evaluation mode, cannot be used afterwards."""
        return PreparedCSF(self)

    def forward(self, x: Tensor, sizes: Tensor | None = None) -> Tensor:
        """Compute logits, before the sigmoid.

        Parameters
        ----------
        x : Tensor of float, shape [n, 3, h, w]
            Normalised RGB.
        sizes : Tensor of integers, shape [n, 2], optional
            On the device of ``x``: height and width of each image, which is in the top left of ``x[i]``; the rest of
            ``x[i]`` is zero. By default all images fill it.

        Returns
        -------
        Tensor, shape [n, 1, h, w]
            For each image what the network returns for it alone, up to rounding. Zero outside the images.

        Raises
        ------
        SodbenchError
            If ``sizes`` are given and a batch normalisation is in training mode.
        """
        padding = None
        if sizes is not None:
            refuse_batch_statistics(self)
            padding = Padding(sizes, x, _SCALES, _RESIZES)
        (y,) = self.fuse1x1(self.ms(self.fuse(self.base(x, padding), padding), padding), padding)
        return _enlarge(self.cls_layer(y), x, padding)


class PreparedCSF(nn.Module):
    """`CSF` for inference: the same logits up to rounding, faster and in less memory.

    Parameters
    ----------
    csf : CSF
        A network in evaluation mode, whose parts are taken over.
    """

    handles_padding = True

    def __init__(self, csf: CSF):
        super().__init__()
        csf.base.fold_batch_norms()
        self.read = PreparedReadout(csf.fuse1x1, csf.cls_layer)
        assert isinstance(csf.fuse.conv, OctaveConv1x1)
        csf.fuse.conv = PreparedOctaveConv1x1(csf.fuse.conv)
        self.base, self.fuse, self.ms = csf.base, csf.fuse, csf.ms

    def forward(self, x: Tensor, sizes: Tensor | None = None) -> Tensor:
        """Compute the same as `CSF.forward`; the logits are float32."""
        padding = None if sizes is None else Padding(sizes, x, _SCALES, _RESIZES)
        y = self.read(self.ms(self.fuse(self.base(x, padding), padding), padding), padding)
        return _enlarge(y, x, padding)


def _draw_kernel(module: nn.Module) -> None:
    if isinstance(module, nn.Conv2d):
        nn.init.normal_(module.weight, std=0.01)
        if module.bias is not None:
            nn.init.zeros_(module.bias)


def _interpolate(x: Tensor, size: tuple[int, int] | torch.Size) -> Tensor:
    if x.shape[-2:] == size:
        return x
    return F.interpolate(x, size=(size[0], size[1]), mode="bilinear", align_corners=False)


def _enlarge(logits: Tensor, x: Tensor, padding: Padding | None) -> Tensor:
    """Enlarge logits of the finest feature maps to the images ``x``."""
    if padding is None:
        return _interpolate(logits, x.shape[-2:])
    return padding.resize(logits, FINEST_SCALE, 0)
