"""The score of a network during its training, by the pixels that ``sodbench predict`` would write."""

from collections.abc import Callable, Generator
from contextlib import closing

import numpy as np
import torch
from torch import nn

from sodbench.datasets import Dataset
from sodbench.errors import Problem, ProblemsError, SodbenchError
from sodbench.images import Pixels, read_grey
from sodbench.metrics import Evaluator
from sodbench.metrics.catalogue import METRICS, aggregate_names, suggest
from sodbench.models.processing import Processing
from sodbench.parallel import thread_count, thread_pool
from sodbench.runners.distributed import ProcessGroup
from sodbench.runners.prediction.batching import BatchStarter, decode_batches, limit_ahead
from sodbench.runners.prediction.folder import ImageList
from sodbench.runners.prediction.planning import (
    DEFAULT_BATCH_PIXELS,
    BatchLimits,
    Fail,
    ShapeCosts,
    make_batches,
)
from sodbench.runners.prediction.predict import compute_maps
from sodbench.runners.prediction.predictor import Predictor
from sodbench.runners.prediction.predictors import Origin, make_predictor
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
    processing: Processing,
    is_stopped: Callable[[], bool] = lambda: False,
) -> dict[str, float] | None:
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
    processing : Processing
        How images enter the network and maps are made.
    is_stopped : callable
        Whether this process is to stop; asked after each image.

    Returns
    -------
    dict or None
        Metrics by name; None if a process is to stop.

    Raises
    ------
    SodbenchError
        For an image on which the network fails.
    """
    pairs = {s.stem: (s.image, s.mask) for s in dataset.samples if s.image and s.mask}
    origin = Origin(weights_sha256="not hashed")
    predictor = make_predictor(network, dataset.name, processing, origin=origin, device=str(device))

    def fail(problem: Problem) -> None:
        image, _ = pairs.get(problem.file, (problem.file, None))
        raise SodbenchError(f"validation: {image}: {problem.detail}")

    evaluator = Evaluator(pixel_metrics=("wf",) if monitor == "wf" else ())
    images = [(stem, image) for stem, (image, _) in pairs.items()]
    with closing(_predict_validation(predictor, images, group, workers, fail)) as maps:
        for stem, map_ in maps:
            if is_stopped():
                break
            image, mask = pairs[stem]
            if map_ is None:
                raise SodbenchError(f"validation: {image}: the network's output is not finite")
            # as float: a uint8 map whose largest value is 1 is refused, and a young network may write one
            evaluator.update(map_.astype(np.float32) / 255, read_grey(mask).pixels, stem)
    # every process learns of a signal to any of them
    is_any_stopped = group.sum(is_stopped()) > 0
    return None if is_any_stopped else _score_together(evaluator, group)


def _score_together(evaluator: Evaluator, group: ProcessGroup) -> dict[str, float]:
    """The metrics of what all processes have scored."""
    first, *others = group.all_gather(evaluator)
    for other in others:
        first.merge(other)
    return dict(first.compute().metrics)


def _predict_validation(
    predictor: Predictor, images: ImageList, group: ProcessGroup, workers: int | None, fail: Fail
) -> Generator[tuple[str, Pixels | None]]:
    """Yield stem and map of each image of this process, in the batches of `predict`."""
    limits = BatchLimits(predictor.default_batch_size, DEFAULT_BATCH_PIXELS)
    with thread_pool(workers) as pool:
        costs = ShapeCosts(predictor.shape_pixels)
        batches = make_batches(images, limits, pool, fail, costs, lambda size: predictor.pads)
        share = batches[group.rank :: group.size]
        ahead = limit_ahead(limits, workers or thread_count())
        decoded = decode_batches(share, predictor, pool, ahead, fail)
        for stem, map_, _ in compute_maps(decoded, BatchStarter(predictor, None, fail), fail):
            yield stem, map_
