"""What a network declares about itself: the image sizes that it takes, and what its output means.

A network maps normalised RGB float [n, 3, h, w] to saliency logits [n, 1, h', w']. All declarations are optional
attributes of the module or its class::

    class Net(nn.Module):
        input_size = InputSize(multiple=32)
        output = "probabilities"
        handles_padding = True
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sodbench.errors import SodbenchError

if TYPE_CHECKING:
    from torch import nn

# What a network may declare in ``output``; the first is what is assumed without a declaration.
OUTPUTS = ("logits", "probabilities")


# How a side is brought to a multiple.
ROUNDINGS = ("nearest", "up", "down")


@dataclass(frozen=True)
class InputSize:
    """The image sizes that a network takes; images of other sizes are resized to one of them.

    Parameters
    ----------
    multiple : int, default 1
        Height and width are rounded to a multiple, but never to 0. With 1 images keep their size.
    fixed : (int, int), optional
        The only (height, width) that the network takes; nothing else may be given with it.
    rounding : str, default "nearest"
        To which multiple: ``nearest``, ``up`` or ``down``.
    minimum : int, default 1
        No side is below it.
    longest_side : int, optional
        The longer side is resized to it first, and the other side by the same factor.

    Raises
    ------
    SodbenchError
        For values other than whole numbers of at least 1, and for contradictions.

    Examples
    --------
    >>> InputSize(multiple=32).for_image(300, 400)
    (288, 416)
    >>> InputSize(multiple=32, longest_side=512).for_image(300, 400)
    (384, 512)
    """

    multiple: int = 1
    fixed: tuple[int, int] | None = None
    rounding: str = "nearest"
    minimum: int = 1
    longest_side: int | None = None

    def __post_init__(self) -> None:
        for name in ("multiple", "minimum", "longest_side"):
            value = getattr(self, name)
            if not (_is_whole(value) or (name == "longest_side" and value is None)):
                raise SodbenchError(
                    f"InputSize({name}={value!r}): write a whole number of at least 1"
                )
        if self.rounding not in ROUNDINGS:
            raise SodbenchError(
                f"InputSize(rounding={self.rounding!r}): write one of {', '.join(ROUNDINGS)}"
            )
        if self.fixed is None:
            return
        if not (
            isinstance(self.fixed, (tuple, list))
            and len(self.fixed) == 2
            and all(map(_is_whole, self.fixed))
        ):
            raise SodbenchError(
                f"InputSize(fixed={self.fixed!r}): write (height, width), two whole numbers of at least 1"
            )
        object.__setattr__(self, "fixed", tuple(self.fixed))
        others = (self.multiple, self.rounding, self.minimum, self.longest_side)
        if others != (1, "nearest", 1, None):
            raise SodbenchError(
                f"InputSize(fixed={self.fixed!r}): give no other size with a fixed one"
            )

    def for_image(self, height: int, width: int) -> tuple[int, int]:
        """Return the (height, width) at which an image of this size enters the network."""
        if self.fixed:
            return self.fixed
        if self.longest_side:
            factor = self.longest_side / max(height, width)
            height, width = max(1, round(height * factor)), max(1, round(width * factor))
        return self._round(height), self._round(width)

    def _round(self, side: int) -> int:
        k = self.multiple
        up = {"nearest": k // 2, "up": k - 1, "down": 0}[self.rounding]
        least = -(-self.minimum // k) * k
        return max(least, (side + up) // k * k)


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


def get_input_size(model: "nn.Module") -> InputSize:
    """Return what a network declares in ``input_size``; without a declaration, any size.

    Raises
    ------
    SodbenchError
        For anything else than an `InputSize`.
    """
    if declares_processing(model):
        from sodbench.models.presets import get_processing

        return get_processing(model).input.size
    declared = getattr(model, "input_size", None) or InputSize()
    if not isinstance(declared, InputSize):
        raise SodbenchError(
            f"{type(model).__name__}.input_size is {declared!r}; it must be a "
            "sodbench.models.InputSize: InputSize(), InputSize(multiple=32) or InputSize(fixed=(h, w))"
        )
    return declared


def declares_processing(model: "nn.Module") -> bool:
    """Whether a network declares its ``processing``.

    Parameters
    ----------
    model : torch.nn.Module

    Returns
    -------
    bool
        False for a layer or method of that name.
    """
    declared = getattr(model, "processing", None)
    return declared is not None and not callable(declared)


def declares_output(model: "nn.Module") -> bool:
    """Whether a network declares its ``output``; a layer of that name is no declaration."""
    return declares_processing(model) or isinstance(getattr(model, "output", None), str)


def get_output(model: "nn.Module") -> str:
    """Return what a network declares in ``output``: ``logits`` (the default) or ``probabilities``.

    Raises
    ------
    SodbenchError
        For any other declaration.
    """
    if declares_processing(model):
        from sodbench.models.presets import get_processing

        return get_processing(model).output.values
    if not declares_output(model):
        return OUTPUTS[0]
    declared = str(model.output)
    if declared not in OUTPUTS:
        raise SodbenchError(
            f"{type(model).__name__}.output is {declared!r}; it must be 'logits', or 'probabilities' if the "
            "network ends in a sigmoid"
        )
    return declared


def handles_padding(model: "nn.Module") -> bool:
    """Whether a network declares that its ``forward(x, sizes)`` takes images of different sizes in one batch.

    ``sizes``, integers [n, 2] on the device of ``x``, are the images' heights and widths. Image i is in the top left
    of ``x[i]``, which is zero elsewhere; a size of 0x0 is an empty place. The network returns for each image what it
    returns for it alone, and 0 outside the images; its map has the size of ``x``.
    """
    return getattr(model, "handles_padding", False) is True
