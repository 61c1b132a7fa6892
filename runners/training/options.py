"""What a training run is asked to do, and what it did."""

from dataclasses import dataclass
from pathlib import Path

from torch import nn

from sodbench.datasets import WEIGHTS, Dataset
from sodbench.errors import SodbenchError
from sodbench.models import DEFAULT_MODEL
from sodbench.models.source import ModelSource, as_source
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
    model : str or ModelSource
        A registered name or ``path/to/file.py:factory``; or everything that was chosen for the model.
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
    command : tuple of str
        The words of the command line that asked for it, which ``--resume`` alone repeats.
    """

    dataset: Dataset
    out: Path
    recipe: Recipe = RECIPES["reference"]
    model: str | ModelSource = DEFAULT_MODEL
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
    command: tuple[str, ...] = ()

    @property
    def source(self) -> ModelSource:
        """The model, with its checkpoint and everything else that was chosen for it."""
        return as_source(self.model, self.checkpoint)


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
    signal: int | None = None
    problems: tuple[str, ...] = ()
    best_by: str = ""


def check_trainable(network: nn.Module, training: Training) -> None:
    """Check that a network can learn from its start.

    Parameters
    ----------
    network : nn.Module
        At its start.
    training : Training

    Raises
    ------
    SodbenchError
        For frozen batch normalisation without trained statistics.
    """
    source = training.source
    given = training.backbone or source.checkpoint or training.random_start
    if given or not training.recipe.frozen or not has_initial_statistics(network):
        return
    weights = ""
    if source.name == DEFAULT_MODEL:
        weights = f" ({WEIGHTS[0].url.rpartition('/')[2]}; 'sodbench data download {WEIGHTS[0].name}' fetches it)"
    raise SodbenchError(
        f"{source.name}: neither --backbone nor --checkpoint was given, and the recipe freezes batch "
        "normalisation (frozen = true), whose statistics would stay as they were created, so a random backbone "
        f"would be frozen. Give --backbone FILE{weights}, or train everything from random weights with "
        "--recipe scratch; --random-start trains it all the same"
    )
