"""What a recipe decides about the network and its optimiser: the start, the modes, the learning rate.

Adding an optimiser or a schedule takes a function, an entry in `OPTIMIZERS` or `SCHEDULES`, and its key in `CHOICES` of
recipe.py.
"""

import math
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from sodbench.errors import SodbenchError
from sodbench.models import create_model, load_backbone, load_checkpoint
from sodbench.models.source import ModelSource, as_source

if TYPE_CHECKING:
    from sodbench.runners.training.recipe import Recipe

# Each is called with the parameters, and with lr, weight_decay and fused.
OPTIMIZERS: dict[str, Callable[..., torch.optim.Optimizer]] = {
    "adam": torch.optim.Adam,
    "adamw": torch.optim.AdamW,
    "sgd": partial(torch.optim.SGD, momentum=0.9, nesterov=True),
}


def _steps(recipe: "Recipe", epoch: int, step: int, total: int) -> float:
    rate = recipe.learning_rate
    for milestone in recipe.milestones:
        # the reference divides at the end of the epoch with index 15, its sixteenth
        if epoch > milestone:
            rate *= 0.1
    return rate


def _cosine(recipe: "Recipe", epoch: int, step: int, total: int) -> float:
    return recipe.learning_rate * ((1 + math.cos(math.pi * step / total)) / 2)


def _constant_rate(recipe: "Recipe", epoch: int, step: int, total: int) -> float:
    return recipe.learning_rate


# The learning rate from the epoch and the update, both counted from 0, and the total number of updates.
SCHEDULES: dict[str, Callable[["Recipe", int, int, int], float]] = {
    "steps": _steps,
    "cosine": _cosine,
    "constant": _constant_rate,
}


def initial_network(
    model: str | ModelSource, recipe: "Recipe", backbone: Path | None = None
) -> nn.Module:
    """Create a network as it starts its training.

    Parameters
    ----------
    model : str or ModelSource
        A name as for `create_model`, or everything that was chosen for the model.
    recipe : Recipe
        Defines how weights are drawn, and whether everything is trained.
    backbone : Path, optional
        A file of ImageNet weights.

    Returns
    -------
    nn.Module
        What is to be trained requires gradients.

    Raises
    ------
    SodbenchError
        For a model or file that cannot be used.
    """
    source = as_source(model)
    network = create_model(source.name, **source.options)
    if recipe.initialise == "kaiming":
        for module in getattr(network, "base", network).modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
    if backbone:
        load_backbone(network, backbone)
    if source.checkpoint:
        load_checkpoint(network, source.checkpoint, source.checkpoint_key)
    if not recipe.frozen:
        network.requires_grad_(True)
    return network


def has_initial_statistics(network: nn.Module) -> bool:
    """Whether batch normalisation has means of 0 and variances of 1 in every layer, as it is created.

    Loaded weights have other values in at least one layer.

    Parameters
    ----------
    network : nn.Module

    Returns
    -------
    bool
        False for a network without running statistics.
    """
    statistics = [
        (norm.running_mean, norm.running_var)
        for norm in batch_norms(network)
        if norm.running_mean is not None and norm.running_var is not None
    ]
    return bool(statistics) and all(
        not mean.count_nonzero() and not (variance - 1).count_nonzero()
        for mean, variance in statistics
    )


def batch_norms(network: nn.Module) -> Iterator[_BatchNorm]:
    """Iterate over the batch normalisations of a network.

    Parameters
    ----------
    network : nn.Module

    Yields
    ------
    nn.Module
    """
    return (module for module in network.modules() if isinstance(module, _BatchNorm))


def set_training_mode(network: nn.Module, recipe: "Recipe") -> None:
    """Set a network to training mode, except batch normalisation that the recipe freezes.

    Parameters
    ----------
    network : nn.Module
    recipe : Recipe
    """
    network.train()
    if recipe.frozen:
        for module in batch_norms(network):
            module.eval()


def make_optimizer(network: nn.Module, recipe: "Recipe") -> torch.optim.Optimizer:
    """Create the recipe's optimiser over everything that requires a gradient.

    Parameters
    ----------
    network : nn.Module
    recipe : Recipe

    Returns
    -------
    torch.optim.Optimizer

    Raises
    ------
    SodbenchError
        If nothing requires a gradient.
    """
    parameters = [p for p in network.parameters() if p.requires_grad]
    if not parameters:
        raise SodbenchError(
            f"{type(network).__name__}: no parameter is trained; every one of them is frozen "
            "(--set frozen=false trains all)"
        )
    make = OPTIMIZERS[recipe.optimizer]
    # one kernel for all tensors; elsewhere torch's default, whose rounding is the reference's
    fused = True if parameters[0].device.type == "cuda" else None
    return make(parameters, lr=recipe.learning_rate, weight_decay=recipe.weight_decay, fused=fused)


def learning_rate(recipe: "Recipe", epoch: int, step: int, total: int) -> float:
    """Return the learning rate of an update.

    Parameters
    ----------
    recipe : Recipe
    epoch, step : int
        Numbers of the epoch and of the update, counted from 0.
    total : int
        Number of updates of the whole training.

    Returns
    -------
    float
    """
    rate = SCHEDULES[recipe.schedule](recipe, epoch, step, total)
    return rate * min(1.0, (step + 1) / recipe.warmup) if recipe.warmup else rate


def restarts_optimizer(recipe: "Recipe", epoch: int) -> bool:
    """Whether the optimiser is created again before an epoch, as the reference does after a milestone.

    Parameters
    ----------
    recipe : Recipe
    epoch : int
        Counted from 0.

    Returns
    -------
    bool
    """
    return (
        recipe.restart_optimizer and recipe.schedule == "steps" and epoch - 1 in recipe.milestones
    )
