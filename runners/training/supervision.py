"""Deep supervision: the outputs of a network that have a loss in training, and how much each counts.

Many networks return several maps in training, each with its own loss, and one in evaluation. A network declares them as
an attribute of the module or its class, with one weight for each output of a tuple or list::

    class Net(nn.Module):
        training_outputs = (1.0, 0.5, 0.25)

or with the places of some outputs: an index, a key of a dictionary, or a tuple of those where outputs are nested::

        training_outputs = {"map": 1.0, ("side", 0): 0.4}
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from sodbench.errors import SodbenchError
from sodbench.models.processing import Output
from sodbench.runners.prediction.processed import flatten_outputs, pick_output

_OutputPlace = tuple[int | str, ...]


@dataclass(frozen=True)
class Supervision:
    """Which outputs have a loss.

    Attributes
    ----------
    weights : tuple of (tuple, float)
        The place of each output and the weight of its loss; empty for a network with one output.
    count : int or None
        The number of outputs, if all of them must be weighted.
    """

    weights: tuple[tuple[_OutputPlace, float], ...] = ()
    count: int | None = None

    def select(self, output: Any, declared: Output) -> list[Any]:
        """Return the outputs that have a loss, in the order of ``weights``.

        Parameters
        ----------
        output : object
            What the network returned.
        declared : Output
            Which output is the map, where no weights are declared, and which channel of each.

        Returns
        -------
        list

        Raises
        ------
        SodbenchError
            If the network did not return what it declares.
        """
        several = isinstance(output, (list, tuple, Mapping))
        if self.weights:
            # a list of weights covers every output: one more or less is another network than the declared one
            if not several or (self.count is not None and len(output) != self.count):
                raise SodbenchError(
                    f"the network declares training_outputs with {len(self.weights)} weights, but returned "
                    f"{_describe(output)} in training"
                )
            selected = [_find(output, place) for place, _ in self.weights]
        elif not several:
            selected = [output]
        elif declared.select is not None:
            selected = [_find_declared(output, declared.select)]
        else:
            raise SodbenchError(
                f"the network returned {_describe(output)} in training; let its class declare which of them have a "
                f"loss, and their weights: {_example(output)}"
            )
        return [_pick_channel(y, declared.channel) for y in selected]

    def total(self, losses: Sequence[Tensor]) -> Tensor:
        """Add up the losses of the selected outputs by their weights.

        Parameters
        ----------
        losses : sequence of Tensor, shape [n]
            For each output, the loss of each image.

        Returns
        -------
        Tensor, shape [n]
        """
        # a single loss is not multiplied by 1, so that its bits stay those of the plain training
        if not self.weights:
            return losses[0]
        total = self.weights[0][1] * losses[0]
        for (_, weight), loss in zip(self.weights[1:], losses[1:], strict=True):
            total = total + weight * loss
        return total


def get_supervision(network: nn.Module) -> Supervision:
    """Return what a network declares in ``training_outputs``; without a declaration, one output.

    Parameters
    ----------
    network : nn.Module

    Returns
    -------
    Supervision

    Raises
    ------
    SodbenchError
        For anything else than positive weights.
    """
    declared = getattr(network, "training_outputs", None)
    # a layer may be called so; it is no declaration
    if declared is None or isinstance(declared, nn.Module):
        return Supervision()
    if isinstance(declared, Mapping):
        weights = {k if isinstance(k, tuple) else (k,): w for k, w in declared.items()}
        count = None
    elif isinstance(declared, (list, tuple)):
        weights = {(place,): weight for place, weight in enumerate(declared)}
        count = len(declared)
    else:
        weights, count = {}, None
    if not weights or not all(map(_is_weight, weights.values())):
        raise SodbenchError(
            f"{type(network).__name__}.training_outputs is {declared!r}; write one weight above 0 for each output, such as "
            '(1.0, 0.5), or the places of some of them, such as {0: 1.0, 2: 0.5} or {"map": 1.0}'
        )
    return Supervision(tuple((place, float(weight)) for place, weight in weights.items()), count)


def _is_weight(value: object) -> bool:
    # True would count as the weight 1
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return number and 0 < value < math.inf  # type: ignore[operator]


def _find(output: Any, place: _OutputPlace) -> Any:
    found = output
    for step in place:
        try:
            found = found[step]
        except (KeyError, IndexError, TypeError) as error:
            raise SodbenchError(
                f"the network declares training_outputs at {place[0] if len(place) == 1 else place!r}, but returned "
                f"{_describe(output)} in training"
            ) from error
    return found


def _find_declared(output: Any, select: int | str) -> Any:
    """Return the output that is the map, as `select_output` does in prediction."""
    found = pick_output(list(flatten_outputs(output)), select)
    if found is None:
        raise SodbenchError(
            f"the network declares output.select = {select!r}, but returned {_describe(output)} in training"
        )
    return found


def _pick_channel(y: Any, channel: int | None) -> Any:
    several = isinstance(y, Tensor) and y.ndim == 4 and channel is not None and channel < y.shape[1]
    return y[:, channel : channel + 1] if several and channel is not None else y


def _describe(output: Any) -> str:
    if isinstance(output, Mapping):
        return f"a dictionary of {', '.join(map(repr, output))}"
    if isinstance(output, (list, tuple)):
        return f"a {type(output).__name__} of {len(output)} outputs"
    return "a single output" if isinstance(output, Tensor) else f"a {type(output).__name__}"


def _example(output: Any) -> str:
    if isinstance(output, Mapping):
        return "training_outputs = {" + ", ".join(f"{key!r}: 1.0" for key in output) + "}"
    weights = ", ".join(["1.0"] * len(output))
    return f"training_outputs = ({weights}{',' if len(output) == 1 else ''})"
