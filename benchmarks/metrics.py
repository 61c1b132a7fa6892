"""How long the metrics take, and how long PySODMetrics takes for the same pairs, in one run.

    python benchmarks/metrics.py --peer-python PATH/TO/OTHER/python [-o benchmarks/results/metrics.json]
        [--only classical | requested]

The peer lives in an environment of its own, with pysodmetrics==1.6.2; this script starts it there as a subprocess on the
same arrays.  Both have one thread.  The pairs are drawn: smooth objects with soft maps that miss a part and add a part.
Rounds of both programs alternate, and times are medians over rounds and pairs of the processor time per pair already
decoded, in milliseconds (wall-clock time, if nothing else runs on the machine):

- ``counts``       a mask's preparation (histogram, centroid) and the joint counts of a map
- ``weighted_f``   the mask's geometry and weighted F of the map, raw and stretched (two preparations)
- ``measures``     every count-based metric with every curve, of many pairs at once, per pair
- ``evaluator``    ``Evaluator.update`` and ``compute``: everything above, per pair; ``evaluator_no_wf`` without weighted F
- ``drop_in``      MAE, F, S, E and weighted F of sodbench.metrics.pysodmetrics, stepped one by one; ``drop_in_no_wf``
- ``peer``         the same five of PySODMetrics, stepped one by one; ``peer_no_wf``; ``peer_wf`` weighted F alone

``requested`` are the metrics that are computed on request only, each of one map and one mask that nothing was computed of before;
``*_next_map`` of a further map of the same mask.  Their peers:

- ``hce``, ``context_measure``  PySODMetrics' ``HumanCorrectionEffortMeasure`` and ``ContextMeasure``, stepped
- ``mba``, ``biou``             ``MBAMeasure`` and ``BIoUMeasure`` of BiRefNet's evaluation/metrics.py, whose path is in the
  environment variable BIREFNET_METRICS

``first_call`` is what a process pays before its first score, with an empty cache of compiled code (once per machine)
and with a filled one.
"""

import os

os.environ |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Callable
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from drawn import smooth
from record import describe_machine, seconds, store

SIZES = {"300x400": (300, 400, 12), "1024x1024": (1024, 1024, 4), "2048x2048": (2048, 2048, 2)}
"""Height, width and number of pairs."""
REQUESTED_SIZES = {"1024x1024": (1024, 1024, 3), "2000x3000": (2000, 3000, 1)}
"""The same for the metrics on request; DIS5K's masks are about as large as the second."""
BIREFNET = "BIREFNET_METRICS"
ROUNDS = 3
FIRST_CALL = """
import time, numpy as np
start = time.perf_counter()
from sodbench.metrics import Evaluator
imported = time.perf_counter()
image = np.arange(64, dtype=np.uint8).reshape(8, 8) * 4
evaluator = Evaluator("pysodmetrics")
evaluator.update(image, image)
evaluator.compute()
print(imported - start, time.perf_counter() - imported)
"""


def drawn_pair(height: int, width: int, seed: int) -> tuple[Any, Any]:
    """A map and a mask: a smooth random object of a fifth of the image, and a soft guess at it."""
    rng = np.random.default_rng(seed)
    field, other = (smooth(rng, (height, width), 0.12) for _ in range(2))
    mask = field > np.quantile(field, 0.8)
    guess = field + 0.5 * other
    soft = 1 / (1 + np.exp(-12 * (guess - np.quantile(guess, 0.8)) / guess.std()))
    return np.rint(230 * soft).astype(np.uint8), mask.astype(np.uint8) * np.uint8(255)


def milliseconds(work: Callable[[], Any]) -> float:
    return 1e3 * seconds(work)


def ours(pairs: list[tuple[Any, Any]]) -> dict[str, list[float]]:
    """One round over the pairs: times per pair."""
    from sodbench.metrics import (
        Counts,
        Evaluator,
        PreparedMask,
        count_pair,
        get_protocol,
        per_image_metrics,
    )
    from sodbench.metrics import pysodmetrics as compat
    from sodbench.metrics.schemes import COUNTS_ONLY
    from sodbench.metrics.weighted_f import weighted_geometry, weighted_precision_recall

    times: dict[str, list[float]] = {}

    def clock(name: str, work: Callable[[], Any], pairs_at_once: int = 1) -> None:
        times.setdefault(name, []).append(milliseconds(work) / pairs_at_once)

    def evaluate(weighted: bool) -> None:
        evaluator = Evaluator("pysodmetrics", pixel_metrics=("wf",) if weighted else ())
        for map_, mask in pairs:
            evaluator.update(map_, mask)
        evaluator.compute()

    scales = np.array([[1 / 255, 0.0], [1 / 230, 0.0]])  # these maps span 0..230
    for map_, mask in pairs:
        clock("counts", lambda: count_pair(map_, PreparedMask(mask, COUNTS_ONLY)))  # noqa: B023
        foreground = (mask > 128).view(np.uint8)

        def weigh() -> Any:
            geometry = weighted_geometry(foreground)  # noqa: B023
            return weighted_precision_recall(map_, geometry, scales)  # noqa: B023

        clock("weighted_f", weigh)
    many = Counts.concatenate(
        [count_pair(map_, PreparedMask(mask, COUNTS_ONLY)).counts for map_, mask in pairs]
        * (256 // len(pairs))
    )
    clock("measures", lambda: per_image_metrics(many, get_protocol("pysodmetrics")), len(many))
    pairs = pairs * (240 // len(pairs) if len(pairs) > 4 else 4)  # a dataset shares one compute()
    clock("evaluator", lambda: evaluate(True), len(pairs))
    clock("evaluator_no_wf", lambda: evaluate(False), len(pairs))
    clock("drop_in", lambda: classical(compat, pairs, True), len(pairs))
    clock("drop_in_no_wf", lambda: classical(compat, pairs, False), len(pairs))
    return times


def peer(pairs: list[tuple[Any, Any]]) -> dict[str, list[float]]:
    """One round over the pairs with PySODMetrics: times per pair."""
    import py_sod_metrics

    whole = [milliseconds(lambda p=p: classical(py_sod_metrics, [p], True)) for p in pairs]
    rest = [milliseconds(lambda p=p: classical(py_sod_metrics, [p], False)) for p in pairs]

    def weighted(pair: tuple[Any, Any]) -> None:
        py_sod_metrics.WeightedFmeasure().step(*pair)

    alone = [milliseconds(lambda p=p: weighted(p)) for p in pairs]
    return {"peer": whole, "peer_no_wf": rest, "peer_wf": alone}


def classical(library: Any, pairs: list[tuple[Any, Any]], weighted: bool) -> None:
    """MAE, F, S, E and weighted F as both libraries' users write it."""
    names = ["MAE", "Fmeasure", "Smeasure", "Emeasure", *["WeightedFmeasure"] * weighted]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PySODMetrics announces the end of Fmeasure
        metrics = [getattr(library, name)() for name in names]
    for map_, mask in pairs:
        for metric in metrics:
            metric.step(map_, mask)
    for metric in metrics:
        metric.get_results()


def requested(pairs: list[tuple[Any, Any]]) -> dict[str, list[float]]:
    """One round of the metrics on request over the pairs."""
    from sodbench.metrics import CountingScheme, PreparedMask, get_protocol
    from sodbench.metrics import pysodmetrics as compat
    from sodbench.metrics.pixel_metrics import compute_pixel_metrics

    def measure(map_: Any, mask: Any) -> None:
        compute_pixel_metrics(map_, mask, int(map_.min()), int(map_.max()))

    times: dict[str, list[float]] = {}
    for name in ("hce", "mba", "biou"):
        scheme = CountingScheme.for_protocols([get_protocol("pysodmetrics")], [name])
        for map_, mask in pairs:
            prepared = PreparedMask(mask, scheme)
            for suffix in ("", "_next_map"):
                spent = milliseconds(partial(measure, map_, prepared))
                times.setdefault(name + suffix, []).append(spent)
    times["context_measure"] = [
        milliseconds(partial(compat.ContextMeasure().step, *pair)) for pair in pairs
    ]
    return times


def peer_requested(pairs: list[tuple[Any, Any]]) -> dict[str, list[float]]:
    """One round over the pairs with PySODMetrics, and with BiRefNet's evaluator."""
    import importlib.util

    import cv2
    import py_sod_metrics

    cv2.setNumThreads(1)
    programs = {
        "peer_hce": lambda pair: py_sod_metrics.HumanCorrectionEffortMeasure().step(*pair),
        "peer_context_measure": lambda pair: py_sod_metrics.ContextMeasure().step(*pair),
    }
    if BIREFNET in os.environ:
        spec = importlib.util.spec_from_file_location("birefnet", os.environ[BIREFNET])
        birefnet = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(birefnet)
        programs |= {
            "peer_mba": lambda pair: birefnet.MBAMeasure().step(*pair),
            "peer_biou": lambda pair: birefnet.BIoUMeasure().step(*pair),
        }
    return {
        name: [milliseconds(partial(program, pair)) for pair in pairs]
        for name, program in programs.items()
    }


def peer_round(
    python: str, pairs: list[tuple[Any, Any]], option: str = "--as-peer"
) -> dict[str, list[float]]:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "pairs.npz"
        np.savez(file, maps=[p for p, _ in pairs], masks=[m for _, m in pairs])
        command = [python, __file__, option, str(file)]
        printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return json.loads(printed)


def first_call() -> dict[str, dict[str, float]]:
    """Seconds of import and of the first pair, without and with compiled code on the disk."""
    seconds = {}
    with tempfile.TemporaryDirectory() as folder:
        for state in ("empty cache", "filled cache"):
            printed = subprocess.run(
                [sys.executable, "-c", FIRST_CALL],
                env={**os.environ, "NUMBA_CACHE_DIR": folder},
                check=True,
                capture_output=True,
                text=True,
            ).stdout
            imported, called = map(float, printed.split())
            seconds[state] = {"import_s": round(imported, 2), "first_pair_s": round(called, 2)}
    return seconds


def measure_requested(peer_python: str | None) -> dict[str, Any]:
    """The section of the metrics on request."""
    section: dict[str, Any] = {"load_average": os.getloadavg()[0], "milliseconds": {}, "ratios": {}}
    for size, (height, width, number) in REQUESTED_SIZES.items():
        pairs = [drawn_pair(height, width, seed) for seed in range(number)]
        requested([drawn_pair(64, 64, 0)])  # compiled code is loaded
        times: dict[str, list[float]] = {}
        for _ in range(ROUNDS):
            rounds = requested(pairs)
            if peer_python:
                answer: dict[str, Any] = peer_round(peer_python, pairs, "--as-requested-peer")
                section["peer"] = answer.pop("peer")
                rounds |= answer
            for name, values in rounds.items():
                times.setdefault(name, []).extend(values)
        medians = {name: statistics.median(values) for name, values in times.items()}
        section["milliseconds"][size] = {name: round(value, 3) for name, value in medians.items()}
        section["ratios"][size] = {
            f"{name} / {own}": round(medians[name] / medians[own], 1)
            for name in medians
            if name.startswith("peer_")
            for own in (name.removeprefix("peer_"), f"{name.removeprefix('peer_')}_next_map")
            if own in medians
        }
        print(size, json.dumps(section["milliseconds"][size]), json.dumps(section["ratios"][size]))
    return section


def measure_classical(peer_python: str | None) -> dict[str, Any]:
    """The sections of the metrics that are computed for every pair."""
    report: dict[str, Any] = {
        "machine": describe_machine(("numpy", "numba", "scipy", "pandas")),
        "threads": 1,
        "first_call": first_call(),
    }
    report["milliseconds"], report["ratios"] = {}, {}
    for size, (height, width, number) in SIZES.items():
        pairs = [drawn_pair(height, width, seed) for seed in range(number)]
        ours(pairs[:1])  # compiled code is loaded
        times: dict[str, list[float]] = {}
        for _ in range(ROUNDS):
            rounds = ours(pairs)
            if peer_python:
                answer: dict[str, Any] = peer_round(peer_python, pairs)
                report["peer"] = answer.pop("peer")
                rounds |= answer
            for name, values in rounds.items():
                times.setdefault(name, []).extend(values)
        medians = {name: statistics.median(values) for name, values in times.items()}
        report["milliseconds"][size] = {name: round(value, 4) for name, value in medians.items()}
        if peer_python:
            report["ratios"][size] = {
                f"{theirs} / {name}": round(medians[theirs] / medians[name], 1)
                for theirs, name in (
                    ("peer", "evaluator"),
                    ("peer_no_wf", "evaluator_no_wf"),
                    ("peer_wf", "weighted_f"),
                    ("peer", "drop_in"),
                    ("peer_no_wf", "drop_in_no_wf"),
                )
            }
        print(
            size, json.dumps(report["milliseconds"][size]), json.dumps(report["ratios"].get(size))
        )
    return report


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--peer-python", help="python of an environment with pysodmetrics==1.6.2")
    parser.add_argument(
        "--only",
        choices=("classical", "requested"),
        help="measure these metrics only; the other section of the output stays as it is",
    )
    parser.add_argument(
        "-o", "--output", type=Path, default=Path(__file__).parent / "results" / "metrics.json"
    )
    parser.add_argument("--as-peer", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--as-requested-peer", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if file := arguments.as_peer or arguments.as_requested_peer:
        stored = np.load(file)
        pairs = list(zip(stored["maps"], stored["masks"], strict=True))
        program = peer if arguments.as_peer else peer_requested
        program(pairs[:1])
        packages = ("pysodmetrics", "opencv-python-headless", "numpy", "scipy")
        print(json.dumps({**program(pairs), "peer": {name: version(name) for name in packages}}))
        return
    report = json.loads(arguments.output.read_text()) if arguments.output.exists() else {}
    if arguments.only != "requested":
        report |= measure_classical(arguments.peer_python)
    if arguments.only != "classical":
        report["requested"] = measure_requested(arguments.peer_python)
    store(report, arguments.output)


if __name__ == "__main__":
    main()
