"""The models that sodbench has, as a table: readable without torch."""

from dataclasses import dataclass


@dataclass(frozen=True)
class KnownModel:
    """A model that ``--model`` takes by name, or a trained file that ``data download`` fetches.

    Attributes
    ----------
    name : str
    preset : str
        Its processing; empty for a baseline.
    weights : str
        Where trained weights are.
    licence : str
        Of these weights.
    reproduced : str
        What sodbench reproduced with them; empty if nothing yet.
    """

    name: str
    preset: str
    weights: str
    licence: str
    reproduced: str = ""


_CSNET_PAGE = "github.com/ShangHuaGao/SOD100K"

# fmt: off
KNOWN_MODELS = (
    KnownModel("csf-res2net50", "csf", _CSNET_PAGE, "research and education"),
    KnownModel("csnet-L-x1", "csnet", _CSNET_PAGE, "research and education", "SOD: MAE 0.1493, max F 0.8122"),
    KnownModel("csnet-L-x2", "csnet", _CSNET_PAGE, "research and education", "SOD: MAE 0.1381, max F 0.8262"),
    KnownModel("lraspp-mobilenet-v3", "csf", "sodbench train", ""),
    KnownModel("centre-prior", "", "none needed", ""),
    KnownModel("frequency-tuned", "", "none needed", ""),
    KnownModel("u2netp.onnx", "u2net", "sodbench data download u2netp", "Apache-2.0", "SOD: MAE 0.1208, max F 0.8478"),
)
# fmt: on
