"""CSF: Res2Net-50 with cross-stage fusion.

Gao et al., "Highly Efficient Salient Object Detection with 100K Parameters", ECCV 2020. Four feature maps of the
backbone are fused across scales by one generalised octave convolution; each is filtered at five dilations; a
second octave convolution gathers all of them at the finest scale, where one logit per pixel is computed.
Parameter names, shapes, order and freezing equal those of the authors' released network.
"""

import math
from itertools import accumulate, pairwise
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sodbench.models.registry import register_model
from sodbench.models.res2net import Res2Net50, Res2NetBlock

# Channels of the four scales between the two fusions.
BRANCHES = (128, 256, 512, 512)
DILATIONS = (1, 2, 4, 8, 16)
_NORM_GROUPS = 32

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

    def forward(self, xs: list[Tensor]) -> list[Tensor]:
        """Feature maps [n, in_i, h_i, w_i], finest first -> [n, out_j, h_j, w_j], not normalised."""
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

    def forward(self, xs: list[Tensor]) -> list[Tensor]:
        """Compute the same as `OctaveConv1x1.forward`."""
        outs = []
        for j, (finer, coarser) in enumerate(zip(self.finer, self.coarser, strict=True)):
            size = xs[j].shape[-2:]
            inputs = torch.cat([_interpolate(x, size) for x in xs[: j + 1]], 1)
            total = F.conv2d(inputs, finer)
            kernels = cast(nn.ParameterList, coarser)
            smaller = [F.conv2d(x, kernel) for x, kernel in zip(xs[j + 1 :], kernels, strict=True)]
            outs.append(_add_enlarged(total, smaller) if smaller else total)
        return outs


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

    def forward(self, xs: list[Tensor]) -> Tensor:
        """Feature maps [n, c_i, h_i, w_i], finest first -> logits float32 [n, 1, h_0, w_0]."""
        n, _, h, w = xs[0].shape
        width = len(self.slopes) // _NORM_GROUPS
        at_once = MAX_ELEMENTS_CPU if xs[0].device.type == "cpu" else MAX_ELEMENTS
        groups = min(_NORM_GROUPS, max(1, at_once // (n * width * h * w)))
        parts = [
            self._part(xs, g * width, min(g + groups, _NORM_GROUPS) * width)
            for g in range(0, _NORM_GROUPS, groups)
        ]
        total = parts[0]
        for part in parts[1:]:
            total += part
        return total

    def _part(self, xs: list[Tensor], a: int, b: int) -> Tensor:
        """Return what channels a to b of the fusion add to the logits."""
        finest, *smaller = (F.conv2d(x, k[a:b]) for x, k in zip(xs, self.kernels, strict=True))
        norm = self.norm
        groups = (b - a) * _NORM_GROUPS // len(self.slopes)
        y = _add_enlarged(finest, smaller)
        y = F.prelu(
            F.group_norm(y, groups, norm.weight[a:b], norm.bias[a:b], norm.eps), self.slopes[a:b]
        )
        bias = self.classifier.bias if a == 0 else None
        return F.conv2d(y, self.classifier.weight[:, a:b], bias).float()


def _frozen_parameter(kernel: Tensor) -> nn.Parameter:
    return nn.Parameter(kernel.contiguous().clone(), requires_grad=False)


def _add_enlarged(total: Tensor, smaller: list[Tensor]) -> Tensor:
    """Add feature maps [n, c, h_i, w_i], enlarged bilinearly to h, w, to ``total`` [n, c, h, w]."""
    # out[y, x] = total[y, x] + sum over i and r of U_i[y, r] (sum over s of V_i[x, s]
    # smaller_i[r, s]).
    n, c, h, w = total.shape
    wide = [_interpolation(x.shape[3], w, x) @ x.permute(0, 2, 3, 1) for x in smaller]
    stacked = torch.cat(wide, 1).reshape(n, -1, w * c)
    tall = torch.cat([_interpolation(x.shape[2], h, x) for x in smaller], 1)
    flat = total.permute(0, 2, 3, 1).reshape(n, h, w * c)
    summed = torch.baddbmm(flat, tall.expand(n, -1, -1), stacked)
    return summed.view(n, h, w, c).permute(0, 3, 1, 2)


def _interpolation(n: int, enlarged: int, like: Tensor) -> Tensor:
    """Return the matrix [enlarged, n] of linear interpolation, as ``F.interpolate`` computes it."""
    unit = torch.eye(n, dtype=torch.float32, device=like.device)
    matrix = F.interpolate(unit[None], size=enlarged, mode="linear", align_corners=False)
    return matrix[0].T.to(like.dtype)


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

    def forward(self, xs: list[Tensor]) -> list[Tensor]:
        """Feature maps, finest first -> fused feature maps at the ``len(outs)`` finest scales."""
        ys = self.conv(xs)
        return [prelu(bn(y)) for y, bn, prelu in zip(ys, self.bns, self.prelus, strict=True)]


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

    def forward(self, x: Tensor) -> Tensor:
        """Features [n, channels, h, w] -> features of the same shape."""
        y = torch.cat([conv(x) for conv in self.msconv], 1)
        return cast(Tensor, self.prelu(self.bn(y)))


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

    def forward(self, xs: list[Tensor]) -> list[Tensor]:
        """Feature maps -> feature maps of the same shapes."""
        return [conv(x) for conv, x in zip(self.convs, xs, strict=True)]


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

    def forward(self, x: Tensor) -> Tensor:
        """Normalised RGB [n, 3, h, w] -> logits [n, 1, h, w], before the sigmoid."""
        (y,) = self.fuse1x1(self.ms(self.fuse(self.base(x))))
        return _interpolate(self.cls_layer(y), x.shape[-2:])


class PreparedCSF(nn.Module):
    """`CSF` for inference: the same logits up to rounding, faster and in less memory.

    Parameters
    ----------
    csf : CSF
        A network in evaluation mode, whose parts are taken over.
    """

    def __init__(self, csf: CSF):
        super().__init__()
        csf.base.fold_batch_norms()
        self.read = PreparedReadout(csf.fuse1x1, csf.cls_layer)
        assert isinstance(csf.fuse.conv, OctaveConv1x1)
        csf.fuse.conv = PreparedOctaveConv1x1(csf.fuse.conv)
        self.base, self.fuse, self.ms = csf.base, csf.fuse, csf.ms

    def forward(self, x: Tensor) -> Tensor:
        """Compute the same as `CSF.forward`."""
        return _interpolate(self.read(self.ms(self.fuse(self.base(x)))), x.shape[-2:])


def _draw_kernel(module: nn.Module) -> None:
    if isinstance(module, nn.Conv2d):
        nn.init.normal_(module.weight, std=0.01)
        if module.bias is not None:
            nn.init.zeros_(module.bias)


def _interpolate(x: Tensor, size: tuple[int, int] | torch.Size) -> Tensor:
    if x.shape[-2:] == size:
        return x
    return F.interpolate(x, size=(size[0], size[1]), mode="bilinear", align_corners=False)
