"""Models: networks by name or by file, their checkpoints, and baselines that need no weights.

>>> model = create_model("csf-res2net50")         # or create_model("my_model.py:factory")
>>> sha256 = load_checkpoint(model, "final.pth")

torch is imported when a network is first made, not when this package is imported.
"""

from typing import TYPE_CHECKING, Any

from sodbench.models.baselines import BASELINES
from sodbench.models.registry import (
    InputSize,
    create_model,
    input_size_of,
    model_identity,
    model_names,
    output_of,
    register_model,
    starts_untrained,
)

if TYPE_CHECKING:
    from sodbench.models.checkpoints import load_backbone, load_checkpoint

__all__ = [
    "BASELINES",
    "InputSize",
    "create_model",
    "input_size_of",
    "load_backbone",
    "load_checkpoint",
    "model_identity",
    "model_names",
    "output_of",
    "register_model",
    "starts_untrained",
]


def __getattr__(name: str) -> Any:
    if name in ("load_backbone", "load_checkpoint"):
        from sodbench.models import checkpoints

        return getattr(checkpoints, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
