"""Models: networks by name or by file, their checkpoints, and baselines that need no weights.

>>> model = create_model("csf-res2net50")         # or create_model("my_model.py:factory")
>>> sha256 = load_checkpoint(model, "final.pth")

Importing this package imports neither torch nor NumPy; they are imported when a name below is first used.
"""

from typing import TYPE_CHECKING

from sodbench.first_use import import_on_first_use

if TYPE_CHECKING:
    from sodbench.models.baselines import BASELINES
    from sodbench.models.checkpoints import load_backbone, load_checkpoint
    from sodbench.models.declarations import InputSize, get_input_size, get_output
    from sodbench.models.processing import Output, Preprocessing, Processing
    from sodbench.models.registry import (
        create_model,
        identify_model,
        model_names,
        register_model,
        starts_untrained,
    )
    from sodbench.models.source import ModelSource

# The model that every command uses unless --model names another.
DEFAULT_MODEL = "csf-res2net50"

_MODULES = {
    "BASELINES": "baselines",
    "InputSize": "declarations",
    "ModelSource": "source",
    "Output": "processing",
    "Preprocessing": "processing",
    "Processing": "processing",
    "create_model": "registry",
    "get_input_size": "declarations",
    "get_output": "declarations",
    "identify_model": "registry",
    "load_backbone": "checkpoints",
    "load_checkpoint": "checkpoints",
    "model_names": "registry",
    "register_model": "registry",
    "starts_untrained": "registry",
}

__all__ = [
    "BASELINES",
    "DEFAULT_MODEL",
    "InputSize",
    "ModelSource",
    "Output",
    "Preprocessing",
    "Processing",
    "create_model",
    "get_input_size",
    "get_output",
    "identify_model",
    "load_backbone",
    "load_checkpoint",
    "model_names",
    "register_model",
    "starts_untrained",
]

__getattr__, __dir__ = import_on_first_use(__name__, _MODULES)
