"""MobileNetV3-Large with LR-ASPP, as torchvision builds it, for one logit a pixel."""

from typing import cast

from torch import Tensor, nn
from torchvision.models.segmentation import lraspp_mobilenet_v3_large


class LRASPP(nn.Module):
    """Normalised RGB [n, 3, h, w] -> logits [n, 1, h, w] (Howard et al., ICCV 2019)."""

    def __init__(self) -> None:
        super().__init__()
        self.net = lraspp_mobilenet_v3_large(weights=None, weights_backbone=None, num_classes=1)

    def forward(self, x: Tensor) -> Tensor:
        """The network's only output; the caller applies the sigmoid."""
        return cast(Tensor, self.net(x)["out"])
