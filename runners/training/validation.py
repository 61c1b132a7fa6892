"""The score of a network during its training, by the pixels that ``sodbench predict`` would write."""

import numpy as np
import torch
from torch import nn

from sodbench.datasets import Dataset
from sodbench.errors import ProblemsError, SodbenchError
from sodbench.images import read_grey, read_rgb
from sodbench.metrics import Evaluator
from sodbench.metrics.catalogue import METRICS, aggregate_names, suggest
from sodbench.models.inference import InferenceNetwork
from sodbench.models.user_code import user_code
from sodbench.parallel import thread_pool
from sodbench.runners.distributed import ProcessGroup
from sodbench.runners.training.data import check_pairs


def check_validation(dataset: Dataset, monitor: str, workers: int | None) -> None:
    """Check, before the first step, that a dataset can be scored by a metric that can decide.

    Parameters
    ----------
    dataset : Dataset
    monitor : str
        The metric by which epochs are compared.
    workers : int or None
        Number of threads.

    Raises
    ------
    SodbenchError
        For an unknown metric, one that has no better direction, and files that cannot be scored.
    """
    known = aggregate_names()
    if monitor not in known:
        near = suggest(monitor, known)
        hint = f"did you mean {near}?" if near else f"one of {', '.join(known)}"
        raise SodbenchError(f"unknown metric {monitor!r}; {hint}")
    if METRICS[monitor].direction == "neither":
        raise SodbenchError(
            f"no epoch is best by {monitor}: neither a higher nor a lower value of it is better; choose another metric"
        )
    try:
        problems = check_pairs(dataset, workers=workers).skipped
    except ProblemsError as error:
        problems = error.problems
    if problems:
        raise ProblemsError(
            f"{dataset.name} cannot be scored for validation:",
            problems,
            "Fix these files: a validation set is used as a whole, also with --skip-invalid.",
        )


def score_network(
    network: nn.Module,
    device: torch.device,
    dataset: Dataset,
    group: ProcessGroup,
    *,
    monitor: str,
    workers: int | None,
) -> dict[str, float]:
    """Score a network as it is; every process scores its share.

    Parameters
    ----------
    network : nn.Module
    device : torch.device
    dataset : Dataset
    group : ProcessGroup
    monitor : str
        The metric that is needed; the slow weighted F-measure is only computed if it is that.
    workers : int or None
        Number of threads that read images.

    Returns
    -------
    dict
        Metrics by name.

    Raises
    ------
    SodbenchError
        For an image on which the network fails.
    """
    inference = InferenceNetwork(network, device)
    samples = [s for s in dataset.samples if s.image and s.mask]
    mine = samples[group.rank :: group.size]
    evaluator = Evaluator(pixel_metrics=("wf",) if monitor == "wf" else ())
    with thread_pool(workers) as pool:
        images = pool.map(lambda s: (read_rgb(s.image), read_grey(s.mask).pixels), mine)
        for sample, (pixels, mask) in zip(mine, images, strict=True):
            with user_code(f"{sample.image}: the network fails on this image in validation"):
                (map_,) = inference.start(pixels[None])()
            if map_ is None:
                raise SodbenchError(f"{sample.image}: the network's logits are not finite")
            # as float: a uint8 map whose largest value is 1 is refused, and a young network may write one
            evaluator.update(map_.astype(np.float32) / 255, mask, sample.stem)
    first, *others = group.all_gather(evaluator)
    for other in others:
        first.merge(other)
    scores: dict[str, float] = first.compute().metrics
    return scores
