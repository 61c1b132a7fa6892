"""MobileNetV3-Large with LR-ASPP, as torchvision builds it, with one logit per pixel."""

from typing import cast

from torch import Tensor, nn

from sodbench.models.registry import register_model


@register_model("lraspp-mobilenet-v3")
class LRASPP(nn.Module):
    """MobileNetV3-Large + LR-ASPP: normalised RGB [n, 3, h, w] -> logits [n, 1, h, w].

    A small network (3.2 million parameters) for trials and as an example. Its weights are random.

    References
    ----------
    Howard et al., "Searching for MobileNetV3", ICCV 2019.
    """

    def __init__(self) -> None:
        # every lookup of a model imports this file, and torchvision takes a second to import
        from torchvision.models.segmentation import lraspp_mobilenet_v3_large

        super().__init__()
        self.net = lraspp_mobilenet_v3_large(weights=None, weights_backbone=None, num_classes=1)

    def forward(self, x: Tensor) -> Tensor:
        """Normalised RGB [n, 3, h, w] -> logits [n, 1, h, w], before the sigmoid."""
        return cast(Tensor, self.net(x)["out"])
