"""What a training run is asked to do, and what it did."""

from dataclasses import dataclass
from pathlib import Path

from torch import nn

from sodbench.datasets import WEIGHTS, Dataset
from sodbench.errors import SodbenchError
from sodbench.models import DEFAULT_MODEL, get_output
from sodbench.models.presets import get_processing
from sodbench.models.processing import Preprocessing
from sodbench.runners.training.optimizer import has_initial_statistics
from sodbench.runners.training.recipe import RECIPES, Recipe


@dataclass(frozen=True)
class Training:
    """What a training run is asked to do, apart from the recipe.

    Attributes
    ----------
    dataset : Dataset
        The training pairs.
    out : Path
        The run's folder.
    recipe : Recipe
    model : str
        A registered name or ``path/to/file.py:factory``.
    backbone : Path, optional
        A file of ImageNet weights for its backbone.
    checkpoint : Path, optional
        Weights of the whole network to start from.
    device : str
        See `choose_device`.
    validation : Dataset, optional
        A dataset to score after each epoch.
    monitor : str
        The metric that decides which epoch is best.
    save_every : int
        Updates between saved states; 0 saves only when interrupted.
    keep : int
        Number of most recent states to keep.
    resume : bool
        Continue the run in ``out``, or start it if there is none.
    skip_invalid : bool
        Leave out unreadable pairs.
    workers : int, optional
        Number of threads that read images.
    random_start : bool
        Train random weights even if the recipe freezes their batch normalisation.
    """

    dataset: Dataset
    out: Path
    recipe: Recipe = RECIPES["reference"]
    model: str = DEFAULT_MODEL
    backbone: Path | None = None
    checkpoint: Path | None = None
    device: str = "auto"
    validation: Dataset | None = None
    monitor: str = "f_max"
    save_every: int = 200
    keep: int = 2
    resume: bool = False
    skip_invalid: bool = False
    workers: int | None = None
    random_start: bool = False


@dataclass(frozen=True)
class TrainingSummary:
    """What a call of `train` did.

    Attributes
    ----------
    weights : Path or None
        ``final.pth``, or None if the run was interrupted.
    updates : int
        Updates made in all calls together.
    images : int
        Images run in this call.
    seconds : float
        Wall time of this call.
    best : (int, float) or None
        The best epoch, counted from 1, and its metric.
    left_out : int
        Missing or unreadable pairs that ``skip_invalid`` left out.
    mismatched : int
        Pairs left out because their sizes differ.
    signal : int or None
        The signal that interrupted the run.
    problems : tuple of str
        What is likely to be wrong with the network.
    best_by : str
        The metric and dataset of ``best``, e.g. ``mae on ECSSD``.
    """

    weights: Path | None
    updates: int
    images: int
    seconds: float
    best: tuple[int, float] | None
    left_out: int
    mismatched: int
    signal: int | None = None
    problems: tuple[str, ...] = ()
    best_by: str = ""


def check_trainable(network: nn.Module, training: Training) -> None:
    """Check that a network can learn from its start, and that its output has a loss.

    Parameters
    ----------
    network : nn.Module
        At its start.
    training : Training

    Raises
    ------
    SodbenchError
        For declared probabilities, for images in other values than training prepares, and for frozen batch normalisation without trained statistics.
    """
    if get_output(network) != "logits":
        raise SodbenchError(
            f"{training.model}: declares output = 'probabilities', but the losses need logits; train it without "
            "its final sigmoid"
        )
    given_images, trained = get_processing(network).input, Preprocessing()
    if differing := [
        name
        for name in ("scale", "mean", "deviation", "channels")
        if getattr(given_images, name) != getattr(trained, name)
    ]:
        raise SodbenchError(
            f"{training.model}: declares another {' and '.join(differing)} of its images than training prepares (RGB / 255, "
            "ImageNet's mean and deviation); train it with the default, or convert the images in its forward"
        )
    given = training.backbone or training.checkpoint or training.random_start
    if given or not training.recipe.frozen or not has_initial_statistics(network):
        return
    weights = ""
    if training.model == DEFAULT_MODEL:
        weights = f" ({WEIGHTS[0].url.rpartition('/')[2]}; 'sodbench data download {WEIGHTS[0].name}' fetches it)"
    raise SodbenchError(
        f"{training.model}: neither --backbone nor --checkpoint was given, and the recipe freezes batch "
        "normalisation (frozen = true), whose statistics would stay as they were created, so a random backbone "
        f"would be frozen. Give --backbone FILE{weights}, or train everything from random weights with "
        "--recipe scratch; --random-start trains it all the same"
    )
