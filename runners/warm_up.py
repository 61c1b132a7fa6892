"""Compile everything that any command will need, e.g. while the image of a container is built."""

from pathlib import Path

import numpy as np

from sodbench.errors import SodbenchError
from sodbench.metrics import PROTOCOLS, Evaluator
from sodbench.metrics.catalogue import METRICS
from sodbench.metrics.compiled import have_cache, kernel_folders
from sodbench.metrics.statistics.bootstrap import weighted_sums
from sodbench.metrics.weighted_f import weighted_precision_recall_of_map
from sodbench.runners.evaluation.count import warm_up_kernels


def compile_everything() -> list[Path]:
    """Compile every kernel, or find its code where an earlier process kept it.

    Returns
    -------
    list of Path
        The folders that hold the code; empty under ``NUMBA_DISABLE_JIT=1``.

    Raises
    ------
    SodbenchError
        Where no folder is writable, so that nothing is kept for the next process.
    """
    warm_up_kernels()
    needing_pixels = [name for name, metric in METRICS.items() if metric.needs_pixels]
    evaluator = Evaluator(pixel_metrics=needing_pixels)
    mask = np.zeros((64, 64), bool)
    mask[10:40, 12:50] = True
    # a map with something to correct
    evaluator.update(np.roll(mask, 15, axis=1) * 0.8, mask)
    for protocol in PROTOCOLS.values():
        if protocol.rule in evaluator.counts.scheme.rules:
            evaluator.compute(protocol)
    # the precisions of a report and of a comparison
    for precision in (np.float32, np.float64):
        weighted_sums(np.zeros((1, 1), np.uint8), np.zeros((1, 1), precision))
    # as the drop-in for PySODMetrics computes it
    weighted_precision_recall_of_map(np.eye(8), np.eye(8, dtype=bool))
    folders = kernel_folders()
    if folders and not have_cache():
        raise SodbenchError(
            "the kernels were compiled, but no folder for their code is writable, so that the next process compiles "
            "again; set NUMBA_CACHE_DIR to a writable folder, or run this as the user who installed sodbench"
        )
    return folders
