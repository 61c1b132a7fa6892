"""What of a recipe concerns the network and its optimiser: the start, the modes, the learning rate."""

import math
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from torch import nn

from sodbench.errors import SodbenchError
from sodbench.models import create_model, load_backbone, load_checkpoint
from sodbench.runners.training.recipe import Recipe


def initial_network(
    model: str, recipe: Recipe, backbone: Path | None = None, checkpoint: Path | None = None
) -> nn.Module:
    """The network at its start: drawn, or loaded, and with what is to be trained requiring gradients."""
    network = create_model(model)
    if recipe.initialise == "kaiming":
        for module in getattr(network, "base", network).modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
    if backbone:
        load_backbone(network, backbone)
    if checkpoint:
        load_checkpoint(network, checkpoint)
    if not recipe.frozen:
        network.requires_grad_(True)
    return network


def has_initial_statistics(network: nn.Module) -> bool:
    """Whether the network normalises by statistics of no data: means of 0 and variances of 1 in every layer.

    That is how batch normalisation is created. Loaded weights have other values in at least one layer.
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


def batch_norms(network: nn.Module) -> Iterator[nn.modules.batchnorm._BatchNorm]:
    """Its batch normalisations."""
    return (m for m in network.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm))


def set_training_mode(network: nn.Module, recipe: Recipe) -> None:
    """Training mode, but for batch normalisation where the recipe freezes it."""
    network.train()
    if recipe.frozen:
        for module in batch_norms(network):
            module.eval()


def make_optimizer(network: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    """The recipe's optimiser over everything that requires a gradient."""
    parameters = [p for p in network.parameters() if p.requires_grad]
    if not parameters:
        raise SodbenchError(
            f"{type(network).__name__}: no parameter is trained; every one of them is frozen "
            "(--set frozen=false trains all)"
        )
    rate, decay = recipe.learning_rate, recipe.weight_decay
    makers: dict[str, Callable[[], torch.optim.Optimizer]] = {
        "adam": lambda: torch.optim.Adam(parameters, rate, weight_decay=decay),
        "adamw": lambda: torch.optim.AdamW(parameters, rate, weight_decay=decay),
        "sgd": lambda: torch.optim.SGD(parameters, rate, 0.9, weight_decay=decay, nesterov=True),
    }
    return makers[recipe.optimizer]()


def learning_rate(recipe: Recipe, epoch: int, step: int, total: int) -> float:
    """The learning rate of update ``step`` (of ``total``, counted from 0) in epoch ``epoch``."""
    rate = recipe.learning_rate
    if recipe.schedule == "steps":
        for milestone in recipe.milestones:
            if (
                epoch > milestone
            ):  # the reference divides at the end of epoch index 15: its sixteenth
                rate *= 0.1
    elif recipe.schedule == "cosine":
        rate *= (1 + math.cos(math.pi * step / total)) / 2
    return rate * min(1.0, (step + 1) / recipe.warmup) if recipe.warmup else rate


def restarts_optimizer(recipe: Recipe, epoch: int) -> bool:
    """Whether the optimiser begins anew with this epoch, as the reference's does after a milestone."""
    return (
        recipe.restart_optimizer and recipe.schedule == "steps" and epoch - 1 in recipe.milestones
    )
