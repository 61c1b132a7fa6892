"""Res2Net-50 v1b, 26 width x 4 scales: the backbone of CSF.

Gao et al., "Res2Net: A New Multi-scale Backbone Architecture", TPAMI 2021. Version 1b has a stem of three 3x3
convolutions, and average pooling in its shortcuts. Parameter names, shapes and order equal those of the authors'
ImageNet file ``res2net50_v1b_26w_4s-3cf99910.pth`` without its classifier ``fc``.
"""

from typing import Any, cast

import torch
from torch import Tensor, nn

from sodbench.models.padding import Padding, Region, relu_inside

SCALES = 4
BASE_WIDTH = 26
PLANES = (64, 128, 256, 512)
BLOCKS = (3, 4, 6, 3)
EXPANSION = 4

# The number of times that the stem halves the image, for the finest feature maps.
FINEST_SCALE = 2


class Res2NetBlock(nn.Module):
    """A bottleneck whose 3x3 convolution is split into four channel groups.

    In most blocks the result of each group is added to the next group before its convolution. In the first block of
    a stage the groups are independent, and the group without a convolution is average-pooled.

    Parameters
    ----------
    channels : int
        Input channels.
    planes : int
        A quarter of the output channels.
    stride : int
        Of the 3x3 convolutions.
    first : bool
        Whether this is the first block of its stage.
    """

    def __init__(self, channels: int, planes: int, stride: int, first: bool):
        super().__init__()
        width = planes * BASE_WIDTH // 64
        out = planes * EXPANSION
        self.first = first
        self.conv1 = nn.Conv2d(channels, width * SCALES, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width * SCALES)
        self.convs = nn.ModuleList(
            nn.Conv2d(width, width, 3, stride, 1, bias=False) for _ in range(SCALES - 1)
        )
        self.bns = nn.ModuleList(nn.BatchNorm2d(width) for _ in range(SCALES - 1))
        self.conv3 = nn.Conv2d(width * SCALES, out, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(out)
        self.relu = nn.ReLU(inplace=True)
        if first:
            self.pool = nn.AvgPool2d(3, stride, 1)
            self.downsample = nn.Sequential(
                nn.AvgPool2d(stride, stride, ceil_mode=True, count_include_pad=False),
                nn.Conv2d(channels, out, 1, bias=False),
                nn.BatchNorm2d(out),
            )

    def forward(self, x: Tensor) -> Tensor:
        """Features [n, channels, h, w] -> [n, 4 planes, ceil(h / stride), ceil(w / stride)]."""
        *groups, rest = _activate(self.conv1, self.bn1, self.relu, x).chunk(SCALES, 1)
        outs: list[Tensor] = []
        for group, conv, bn in zip(groups, self.convs, self.bns, strict=True):
            carried = group if self.first or not outs else group + outs[-1]
            outs.append(_activate(conv, bn, self.relu, carried))
        outs.append(self.pool(rest) if self.first else rest)
        shortcut = self.downsample(x) if self.first else x
        return _activate(self.conv3, self.bn3, self.relu, torch.cat(outs, 1), shortcut)

    def forward_padded(self, x: Tensor, padding: Padding, scale: int) -> Tensor:
        """Compute the same for images of different sizes.

        Parameters
        ----------
        x : Tensor, shape [n, channels, h, w]
            Zero outside the images if the block has a stride.
        padding : Padding
            Where the images are.
        scale : int
            The scale of the block's output.

        Returns
        -------
        Tensor, shape [n, 4 planes, ceil(h / stride), ceil(w / stride)]
            Zero outside the images.
        """
        has_stride = cast(nn.Conv2d, self.convs[0]).stride[0] == 2
        before = scale - has_stride
        y = _activate(self.conv1, self.bn1, self.relu, x, region=padding.regions[before])
        *groups, rest = y.chunk(SCALES, 1)
        outs: list[Tensor] = []
        for group, conv, bn in zip(groups, self.convs, self.bns, strict=True):
            if self.first or not outs:
                carried = group
            else:
                # outside the images the previous group is not zero; the mask comes with the sum in one operation
                carried = torch.addcmul(group, outs[-1], padding.regions[scale].mask)
            outs.append(_activate(conv, bn, self.relu, carried))
        outs.append(self.pool(rest) if self.first else rest)
        shortcut = x
        if self.first:
            pool, conv, bn = self.downsample
            pooled = pool(x) * padding.pool_correction(scale) if has_stride else x
            shortcut = bn(conv(pooled))
        region = padding.regions[scale]
        return _activate(self.conv3, self.bn3, self.relu, torch.cat(outs, 1), shortcut, region)


class Res2Net50(nn.Module):
    """The convolutional part of Res2Net-50 v1b: an image to four feature maps.

    Attributes
    ----------
    channels : tuple of int
        Channels of the four feature maps.
    """

    channels = tuple(planes * EXPANSION for planes in PLANES)

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Sequential(
            nn.Conv2d(3, 32, 3, 2, 1, bias=False),
            nn.BatchNorm2d(32),
            nn.ReLU(inplace=True),
            nn.Conv2d(32, 32, 3, 1, 1, bias=False),
            nn.BatchNorm2d(32),
            nn.ReLU(inplace=True),
            nn.Conv2d(32, 64, 3, 1, 1, bias=False),
        )
        self.bn1 = nn.BatchNorm2d(64)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        self.layer1 = _stage(64, PLANES[0], BLOCKS[0], 1)
        self.layer2 = _stage(256, PLANES[1], BLOCKS[1], 2)
        self.layer3 = _stage(512, PLANES[2], BLOCKS[2], 2)
        self.layer4 = _stage(1024, PLANES[3], BLOCKS[3], 2)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Initialise as for ImageNet training: Kaiming normal kernels (fan out), identity normalisations."""
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            elif isinstance(module, nn.BatchNorm2d):
                module.reset_parameters()

    def fold_batch_norms(self) -> None:
        """Fold every batch normalisation, with its running statistics, into the convolution before it."""
        self.conv1[0], self.conv1[1] = _fold(self.conv1[0], self.conv1[1])
        self.conv1[3], self.conv1[4] = _fold(self.conv1[3], self.conv1[4])
        self.conv1[6], self.bn1 = _fold(self.conv1[6], self.bn1)
        for block in self.modules():
            if isinstance(block, Res2NetBlock):
                block.conv1, block.bn1 = _fold(block.conv1, block.bn1)
                for i in range(len(block.convs)):
                    block.convs[i], block.bns[i] = _fold(block.convs[i], block.bns[i])
                block.conv3, block.bn3 = _fold(block.conv3, block.bn3)
                if block.first:
                    shortcut = block.downsample
                    shortcut[1], shortcut[2] = _fold(shortcut[1], shortcut[2])

    def forward(self, x: Tensor, padding: Padding | None = None) -> list[Tensor]:
        """Normalised RGB [n, 3, h, w] -> features of 256, 512, 1024, 2048 channels at 1/4 to 1/32.

        Those of a padded batch are zero outside the images.
        """
        region = None if padding is None else padding.regions[1]
        layers = [*self.conv1, self.bn1, self.relu]
        for conv, bn, relu in zip(layers[::3], layers[1::3], layers[2::3], strict=True):
            x = _activate(conv, bn, relu, x, region=region)
        x = self.maxpool(x)
        features = []
        stages = (self.layer1, self.layer2, self.layer3, self.layer4)
        for scale, stage in enumerate(stages, FINEST_SCALE):
            if padding is None:
                x = stage(x)
            else:
                for block in stage:
                    x = cast(Res2NetBlock, block).forward_padded(x, padding, scale)
            features.append(x)
        return features


def _activate(
    conv: Any,
    norm: nn.Module,
    relu: nn.Module,
    x: Tensor,
    added: Tensor | None = None,
    region: Region | None = None,
) -> Tensor:
    """Convolution, its normalisation, a sum, and ReLU, which is zero outside the images of a padded batch."""
    if isinstance(norm, nn.Identity) and _has_fused_convolution(x):
        # one kernel instead of three or four: 5.5 of 32 ms of a batch of 32 of 300x400 on an H200
        options = (conv.stride, conv.padding, conv.dilation, conv.groups)
        if added is None:
            y = torch.cudnn_convolution_relu(x, conv.weight, conv.bias, *options)
        else:
            y = torch.cudnn_convolution_add_relu(x, conv.weight, added, 1.0, conv.bias, *options)
        return y if region is None else y.mul_(region.mask)
    y = norm(conv(x))
    if added is not None:
        y = y + added
    return cast(Tensor, relu(y)) if region is None else relu_inside(y, region)


def _has_fused_convolution(x: Tensor) -> bool:
    # a compiler fuses more than this by itself, if it sees the parts
    if not x.is_cuda or torch.compiler.is_compiling():
        return False
    return torch.version.hip is None and torch.backends.cudnn.enabled


def _stage(channels: int, planes: int, blocks: int, stride: int) -> nn.Sequential:
    first = Res2NetBlock(channels, planes, stride, first=True)
    rest = (Res2NetBlock(planes * EXPANSION, planes, 1, first=False) for _ in range(blocks - 1))
    return nn.Sequential(first, *rest)


def _fold(conv: Any, norm: Any) -> Any:
    """Return both as one convolution with a bias, computed in float64, and an identity."""
    # in float64, so that folding costs one rounding and not several
    scale = norm.weight.double() / torch.sqrt(norm.running_var.double() + norm.eps)
    conv.weight.data = (conv.weight.double() * scale[:, None, None, None]).to(conv.weight.dtype)
    shift = norm.bias.double() - norm.running_mean.double() * scale
    conv.bias = nn.Parameter(shift.to(conv.weight.dtype), requires_grad=False)
    return conv, nn.Identity()
