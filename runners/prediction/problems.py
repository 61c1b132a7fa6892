"""What is likely to be wrong with all maps of a network."""

from collections.abc import Sequence

from sodbench.errors import Problem, ProblemKind
from sodbench.models.output_range import OutputRange

# After this many images a network's values are checked: whether they can be logits.
FIRST_IMAGES = 16


def double_sigmoid_problem(name: str, seen: OutputRange) -> Problem:
    """Return the problem of a network whose values look like probabilities, to which a sigmoid is applied again.

    Parameters
    ----------
    name : str
        The model's name.
    seen : OutputRange
        Of the network's values so far.

    Returns
    -------
    Problem
    """
    low, high = seen.low, seen.high
    return Problem(
        ProblemKind.OUTPUT_RANGE,
        name,
        f"its values for {seen.images} image(s) are all in 0..1 ({low:.3g} to {high:.3g}), as after a sigmoid, and "
        "sodbench applies its own to them. If the network ends in a sigmoid, let its class declare "
        'output = "probabilities", or leave \'sigmoid\' out with --processing output.steps=["resize","round"]; if these are '
        'logits, output = "logits" ends this warning',
    )


def training_mode_problem(name: str, layers: Sequence[str]) -> Problem:
    """Return the problem of a network whose layers work as in training.

    Parameters
    ----------
    name : str
        The model's name.
    layers : sequence of str
        Kinds of these layers.

    Returns
    -------
    Problem
    """
    return Problem(
        ProblemKind.TRAINING_MODE,
        name,
        f"{', '.join(layers)} in it work as in training, although sodbench calls eval(): a map depends on chance or on the "
        "other images of its batch. Let the network not call train() itself, and let its batch normalisation keep "
        "running statistics",
    )
