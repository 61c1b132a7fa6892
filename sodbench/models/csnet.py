"""CSNet: 0.1 million parameters, generalised octave convolutions and no backbone.

Parameter names and shapes are those of the authors' released checkpoints, so that ``csnet-L-x1.pth.tar`` and
``csnet-L-x2.pth.tar`` load. A layer computes on one or more branches: branch j has 1 / 2^j of the layer's resolution.
The numbers of channels were found by the authors' pruning, so every layer has its own.

References
----------
Gao, Tan, Cheng, Lu, Chen and Yan, "Highly Efficient Salient Object Detection with 100K Parameters", ECCV 2020.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sodbench.models.registry import register_model

# The authors store the kernels of plain convolutions divided by this, which weakens weight decay on them.
_KERNEL_SCALE = 100

# Blocks of the stages after the first, and whether a stage halves the resolution.
_STAGES = ((3, False), (4, True), (6, True), (4, True))

_DILATIONS = (1, 2, 4, 8, 16)

# Channels of each branch.
Widths = tuple[int, ...]


@dataclass(frozen=True)
class CSNetWidths:
    """Channels of each layer's branches.

    Attributes
    ----------
    blocks : tuple of tuple of int
        Outputs of the 18 blocks, in order.
    fuse : tuple of int
        Outputs of the fusion of the last three stages.
    dilated : tuple of tuple of int
        For each branch of the fusion, outputs of its five dilated convolutions; 0 where pruning left none.
    head : int
        Channels before the classifier.
    """

    blocks: tuple[Widths, ...]
    fuse: Widths
    dilated: tuple[Widths, ...]
    head: int


# One row for each stage.
# fmt: off
_X1 = CSNetWidths(
    blocks=(
        (8, 10),
        (9, 10), (10, 10), (10, 10),
        (19, 13), (19, 17), (20, 12), (34,),
        (24, 21), (26, 27), (22, 18), (19, 18), (23, 18), (38,),
        (18, 29), (25, 24), (26, 20), (50,),
    ),
    fuse=(12, 24, 24),
    dilated=((1, 2, 2, 2, 4), (1, 4, 4, 4, 5), (2, 2, 4, 5, 4)),
    head=60,
)

_X2 = CSNetWidths(
    blocks=(
        (13, 10),
        (13, 12), (18, 11), (18, 12),
        (28, 21), (34, 22), (31, 29), (51,),
        (23, 26), (27, 26), (25, 20), (17, 21), (19, 25), (38,),
        (18, 31), (31, 27), (26, 44), (64,),
    ),
    fuse=(17, 38, 32),
    dilated=((2, 1, 2, 2, 1), (0, 6, 6, 7, 5), (0, 1, 3, 7, 7)),
    head=79,
)
# fmt: on


class _ScaledConvolution(nn.Conv2d):
    """A 3x3 convolution whose kernel is stored divided by `_KERNEL_SCALE`."""

    def __init__(self, inputs: int, outputs: int, dilation: int = 1, groups: int = 1):
        super().__init__(
            inputs, outputs, 3, padding=dilation, dilation=dilation, groups=groups, bias=False
        )
        with torch.no_grad():
            self.weight /= _KERNEL_SCALE

    def forward(self, x: Tensor) -> Tensor:
        """[n, c, h, w] -> [n, c', h, w]."""
        kernel = self.weight * _KERNEL_SCALE
        return F.conv2d(x, kernel, None, 1, self.padding, self.dilation, self.groups)


class _NormalisedBranches(nn.Module):
    """Batch normalisation and PReLU of each branch."""

    def __init__(self, widths: Widths):
        super().__init__()
        self.bns = nn.ModuleList(nn.BatchNorm2d(width) for width in widths)
        self.prelus = nn.ModuleList(nn.PReLU(width) for width in widths)

    def normalise(self, branches: Sequence[Tensor]) -> list[Tensor]:
        """Normalise and activate each branch."""
        layers = zip(self.bns, self.prelus, branches, strict=True)
        return [prelu(bn(branch)) for bn, prelu, branch in layers]


class OctaveConvolution(_NormalisedBranches):
    """Generalised octave convolution: every output branch is a sum over all input branches.

    Parameters
    ----------
    inputs, outputs : tuple of int
        Channels of each branch.
    kernel : int, default 1
        Side of the kernel, 1 or 3.
    stride : int, default 1
        With 2, every input branch is first averaged over 2x2 pixels.
    """

    def __init__(self, inputs: Widths, outputs: Widths, kernel: int = 1, stride: int = 1):
        super().__init__(outputs)
        # one weight for all pairs of branches, cut in `forward`
        self.conv = nn.Conv2d(sum(inputs), sum(outputs), kernel, padding=kernel // 2, bias=False)
        self._inputs, self._outputs, self._stride = inputs, outputs, stride

    def forward(self, branches: Sequence[Tensor]) -> list[Tensor]:
        """Tensors [n, c, h / 2^j, w / 2^j] of each input branch j -> the same of each output branch."""
        if self._stride == 2:
            branches = [F.avg_pool2d(branch, 2) for branch in branches]
        weights = torch.split(self.conv.weight, list(self._outputs))
        sums = []
        for j, weight in enumerate(weights):
            parts = torch.split(weight, list(self._inputs), 1)
            terms = [self._transfer(x, parts[i], i, j) for i, x in enumerate(branches)]
            sums.append(torch.stack(terms).sum(0) if len(terms) > 1 else terms[0])
        return self.normalise(sums)

    def _transfer(self, x: Tensor, weight: Tensor, source: int, target: int) -> Tensor:
        """The contribution of one input branch to one output branch."""
        padding = self.conv.padding[0]
        if source < target:
            x = F.max_pool2d(x, 2 ** (target - source))
        y = F.conv2d(x, weight, padding=padding)
        if source <= target:
            return y
        return F.interpolate(
            y, scale_factor=float(2 ** (source - target)), mode="bilinear", align_corners=False
        )


class _DepthwiseConvolution(_NormalisedBranches):
    """A depthwise 3x3 convolution of each branch."""

    def __init__(self, widths: Widths):
        super().__init__(widths)
        self.convs = nn.ModuleList(
            _ScaledConvolution(width, width, groups=width) for width in widths
        )

    def forward(self, branches: Sequence[Tensor]) -> list[Tensor]:
        """Tensors [n, c, h, w] of each branch -> the same."""
        pairs = zip(self.convs, branches, strict=True)
        return self.normalise([conv(x) for conv, x in pairs])


class _Block(nn.Module):
    """An octave convolution between branches, then two depthwise convolutions in each."""

    def __init__(self, inputs: Widths, outputs: Widths, kernel: int, stride: int):
        super().__init__()
        self.conv1x1 = OctaveConvolution(inputs, outputs, kernel, stride)
        self.conv3x3_1 = _DepthwiseConvolution(outputs)
        self.conv3x3_2 = _DepthwiseConvolution(outputs)

    def forward(self, branches: Sequence[Tensor]) -> list[Tensor]:
        y: list[Tensor] = self.conv3x3_2(self.conv3x3_1(self.conv1x1(branches)))
        return y


class _DilatedConvolutions(nn.Module):
    """Dilated 3x3 convolutions of one branch, concatenated."""

    def __init__(self, width: int, outputs: Widths):
        super().__init__()
        # a convolution without channels is absent, and the others keep their numbers
        self.msconv = nn.ModuleDict(
            {
                str(k): _ScaledConvolution(width, n, dilation=dilation)
                for k, (n, dilation) in enumerate(zip(outputs, _DILATIONS, strict=True))
                if n
            }
        )
        self.bn = nn.BatchNorm2d(sum(outputs))
        self.prelu = nn.PReLU(sum(outputs))

    def forward(self, x: Tensor) -> Tensor:
        """[n, c, h, w] -> [n, c', h, w]."""
        joined = torch.cat([conv(x) for conv in self.msconv.values()], 1)
        y: Tensor = self.prelu(self.bn(joined))
        return y


class _DilatedBranches(nn.Module):
    def __init__(self, widths: Widths, dilated: tuple[Widths, ...]):
        super().__init__()
        self.convs = nn.ModuleList(map(_DilatedConvolutions, widths, dilated))

    def forward(self, branches: Sequence[Tensor]) -> list[Tensor]:
        return [conv(x) for conv, x in zip(self.convs, branches, strict=True)]


class _Head(nn.Module):
    """Fusion of the last three stages, at the resolution of the first of them."""

    def __init__(self, inputs: Widths, widths: CSNetWidths):
        super().__init__()
        self.fuse = OctaveConvolution(inputs, widths.fuse)
        self.ms = _DilatedBranches(widths.fuse, widths.dilated)
        self.fuse1x1 = OctaveConvolution(tuple(map(sum, widths.dilated)), (widths.head,))

    def forward(self, branches: Sequence[Tensor]) -> Tensor:
        y: Tensor = self.fuse1x1(self.ms(self.fuse(branches)))[0]
        return y


class CSNet(nn.Module):
    """CSNet: normalised RGB [n, 3, h, w] -> logits [n, 1, h, w]; h and w are multiples of 16.

    Parameters
    ----------
    widths : CSNetWidths
        Channels of each layer.
    """

    processing = "csnet"

    def __init__(self, widths: CSNetWidths):
        super().__init__()
        blocks = iter(widths.blocks)
        inputs: Widths = (3,)
        first = next(blocks)
        self.stage0 = nn.ModuleList([_Block(inputs, first, 3, 1)])
        inputs = first
        ends = []
        for number, (length, halves) in enumerate(_STAGES, 1):
            stage = nn.ModuleList()
            for k in range(length):
                outputs = next(blocks)
                starts = halves and k == 0
                stage.append(_Block(inputs, outputs, 3 if starts else 1, 2 if starts else 1))
                inputs = outputs
            setattr(self, f"stage{number}", stage)
            ends.append(inputs[0])
        self.oct_fuse = _Head(tuple(ends[1:]), widths)
        self.cls_layer = nn.Conv2d(widths.head, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Normalised RGB [n, 3, h, w] -> logits [n, 1, h, w], before the sigmoid."""
        branches = [x]
        ends = []
        for number in range(5):
            for block in self.get_submodule(f"stage{number}").children():
                branches = block(branches)
            ends.append(branches[0])
        y = self.cls_layer(self.oct_fuse(ends[2:]))
        return F.interpolate(y, size=x.shape[-2:], mode="bilinear", align_corners=False)


@register_model("csnet-L-x1")
def csnet_l_x1() -> CSNet:
    """Return CSNet-L x1: 94,000 parameters."""
    return CSNet(_X1)


@register_model("csnet-L-x2")
def csnet_l_x2() -> CSNet:
    """Return CSNet-L x2: 140,000 parameters."""
    return CSNet(_X2)
