"""How a network is executed: the options that change its speed and rounding, and not what it computes."""

from typing import TypedDict


class Execution(TypedDict, total=False):
    """Keywords of everything that runs a network; what is missing has its default.

    Attributes
    ----------
    device : str, default "auto"
        See `sodbench.models.devices.choose_device`.
    precision : str or None, optional
        See `sodbench.models.devices.choose_precision`.
    compiled : bool, default False
        Use ``torch.compile``.
    padding : bool or None, optional
        Take images of different sizes in one batch. By default on CUDA, if the network declares ``handles_padding``.
    graphs : bool or None, optional
        Use CUDA graphs for shapes of batches that come often. By default on CUDA, if the network declares
        ``handles_padding``, which promises that it can be captured.
    """

    device: str
    precision: str | None
    compiled: bool
    padding: bool | None
    graphs: bool | None
