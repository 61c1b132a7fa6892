"""Training: one readable loop (trainer.py), by default exact to the reference, and safe to interrupt.

An update adds up the gradients of ``accumulate`` images (ten in the reference) and makes one step of the optimiser.
Because batch normalisation is frozen and group normalisation sees one image at a time, images may run together, those of
different sizes padded: the sum of their losses, and so the update, is that of running them one by one.

A run's folder::

    recipe.toml   the recipe           run.json    what made it: model, data, versions, device
    log.jsonl     one line per update  loss.png    the loss curve
    state/        the last states, from which ``resume`` continues to the same bits
    best.pth      the weights of the best validated epoch, and validation.txt the names of its images
    final.pth     the weights: a state dictionary in the network's own names

Under torchrun every process computes its share of each update and the gradients are added up, so the effective batch
does not depend on the number of processes.
"""

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import torch

from sodbench.console import logger
from sodbench.datasets import TRAIN_SET, find_dataset
from sodbench.errors import ProblemKind, SodbenchError
from sodbench.models.devices import choose_device
from sodbench.runners.distributed import ProcessGroup
from sodbench.runners.training.data import check_pairs
from sodbench.runners.training.options import Training, TrainingSummary
from sodbench.runners.training.recipe import RECIPES
from sodbench.runners.training.run_folder import FINAL, RUN, delete_run, made_no_update
from sodbench.runners.training.trainer import Trainer
from sodbench.runners.training.validation import check_validation


def train(training: Training) -> TrainingSummary:
    """Train a network.

    Parameters
    ----------
    training : Training

    Returns
    -------
    TrainingSummary

    Raises
    ------
    SodbenchError
        For invalid data before the first step; for a folder that holds another run or in which another process
        trains; for a network that fails or whose frozen batch normalisation has no statistics; and for a loss or
        gradient that is not finite (naming the images).
    """
    started = time.perf_counter()
    if training.workers is not None and training.workers < 1:
        raise SodbenchError(f"{training.workers} workers: at least 1 is needed")
    device = choose_device(training.device)
    group = ProcessGroup(device)
    device = group.device or device
    data = check_pairs(
        training.dataset,
        skip_invalid=training.skip_invalid,
        # once a run has made an update, all its files have been read
        decode=group.first and (not (training.out / RUN).exists() or made_no_update(training.out)),
        workers=training.workers,
    )
    if training.validation is not None and group.first:
        check_validation(training.validation, training.monitor, training.workers)
    with _random_numbers(training.recipe.seed, device), ExitStack() as stack:
        trainer = Trainer(training, data, device, group)
        finished = trainer.prepare(stack)
        if finished:
            logger.info(f"{training.out / FINAL}: this training is finished already")
        stopped = None if finished else trainer.run()
    return TrainingSummary(
        weights=training.out / FINAL if stopped is None else None,
        updates=trainer.step,
        images=trainer.images,
        seconds=0.0 if finished else time.perf_counter() - started,
        best=trainer.best,
        left_out=sum(problem.kind != ProblemKind.SIZE for problem in data.skipped),
        signal=stopped,
        problems=tuple(trainer.problems),
        best_by=trainer.best_by,
    )


def train_on_demo(data_root: Path, out: Path, *, device: str = "auto", force: bool = False) -> Path:
    """Train CSF on the demo data's training split from scratch, by the recipe ``sample``.

    This is the real network and this very loop, in two minutes on two CPU cores. A finished training of the same
    recipe and data is kept; an interrupted one is resumed.

    Parameters
    ----------
    data_root : Path
        Folder of the demo data.
    out : Path
        The run's folder.
    device : str, default "auto"
    force : bool, default False
        Train again in any case.

    Returns
    -------
    Path
        The weights.

    Raises
    ------
    KeyboardInterrupt
        If it is interrupted.
    """
    out = Path(out)
    if force:
        delete_run(out)
    summary = train(
        Training(
            dataset=find_dataset(TRAIN_SET, data_root),
            out=out,
            recipe=RECIPES["sample"],
            device=device,
            resume=True,
        )
    )
    if summary.weights is None:
        raise KeyboardInterrupt
    return summary.weights


@contextmanager
def _random_numbers(seed: int, device: torch.device) -> Iterator[None]:
    """Seed torch while the block runs, and restore the caller's random state."""
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        yield
