"""What a model costs: parameters, multiply-adds, time, memory.

Times are measured from pixels in memory to maps in memory after a warm-up, so they include device copies and
synchronisation; ``end_to_end`` is measured from JPEG files to PNG files, as ``sodbench predict`` works.
"""

import json
import math
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

import numpy as np
from numpy.typing import NDArray

from sodbench.console import logger, track
from sodbench.errors import SodbenchError
from sodbench.files import write_text
from sodbench.images import write_image
from sodbench.models import BASELINES, DEFAULT_MODEL, create_model
from sodbench.models.execution import Execution
from sodbench.models.onnx import OnnxNetwork
from sodbench.models.source import ModelSource, as_source
from sodbench.models.user_code import FAILURES, describe_failure
from sodbench.parallel import processors
from sodbench.runners.prediction.batching import is_out_of_memory
from sodbench.runners.prediction.predict import predict
from sodbench.runners.prediction.predictor import Predictor
from sodbench.runners.prediction.predictors import load_predictor
from sodbench.version import __version__

if TYPE_CHECKING:
    import torch
    from torch import nn

# Height and width: the field's usual input, and the commonest size in DUTS.
BENCHMARK_SIZES = ((224, 224), (300, 400))

# The size whose end-to-end speed a report shows next to accuracy.
HEADLINE = (300, 400)

# Approximate duration of the end-to-end run, and its maximum length.
END_TO_END_SECONDS, END_TO_END_BATCHES = 5, 40

# Larger sizes are refused: their images alone would fill the memory.
MAX_SIDE = 16384


@dataclass(frozen=True)
class Cost:
    """Cost at one image size.

    Attributes
    ----------
    height, width : int
    network_size : (int, int) or None
        Height and width at which the image enters the network; None without a network.
    macs : int or None
        Multiply-adds of the convolutions and matrix products at that size; None without a network.
    latency_median : float
        Seconds of one image alone.
    latency_quartiles : (float, float)
        Of the repeats.
    repeats : int
    throughput : float
        Images per second at ``best_batch``, median.
    best_batch : int
    end_to_end : float
        Images per second from JPEG to PNG.
    peak_memory_bytes : int or None
        Of the device on CUDA, otherwise of the process; None where the system does not report it.
    """

    height: int
    width: int
    network_size: tuple[int, int] | None
    macs: int | None
    latency_median: float
    latency_quartiles: tuple[float, float]
    repeats: int
    throughput: float
    best_batch: int
    end_to_end: float
    peak_memory_bytes: int | None


def benchmark(
    model: str | ModelSource = DEFAULT_MODEL,
    checkpoint: Path | str | None = None,
    *,
    sizes: Sequence[tuple[int, int]] = BENCHMARK_SIZES,
    repeats: int = 10,
    **execution: Unpack[Execution],
) -> dict[str, Any]:
    """Measure the cost of a model.

    Parameters
    ----------
    model, checkpoint
        As for `sodbench.runners.prediction.predictors.load_predictor`.
    sizes : sequence of (int, int)
        Heights and widths.
    repeats : int, default 10
        Number of timed runs.
    **execution
        As for `sodbench.models.inference.InferenceNetwork`.

    Returns
    -------
    dict
        A record for JSON: method, device, versions, precision, parameters, and for each size a `Cost`.
        ``macs`` and ``images_per_second`` at the top are those of 300x400, or else of the last size.

    Raises
    ------
    SodbenchError
        Naming a size that the network cannot take.
    """
    if repeats < 1 or not sizes or min(min(s) for s in sizes) < 1:
        raise SodbenchError("a benchmark needs at least one size, of at least 1x1, and one repeat")
    if max(max(s) for s in sizes) > MAX_SIDE:
        raise SodbenchError(f"--sizes: a side above {MAX_SIDE} pixels cannot be measured")
    source = as_source(model, checkpoint)
    network = None
    if source.name not in BASELINES and not source.is_onnx:
        from sodbench.models.devices import choose_device

        choose_device(execution.get("device", "auto"))
        network = create_model(source.name, **source.options).eval()
    predictor = load_predictor(source, **execution)
    # a size that cannot be measured is named before the others take their time
    for size in sizes:
        with _naming_size(size):
            predictor.start(_draw_images(1, size), None)()
    costs = []
    for size in track(sizes, "bench", "size"):
        with _naming_size(size):
            costs.append(_measure_size(predictor, network, size, repeats))
    name = predictor.name if source.is_onnx else source.name
    return _make_record(name, predictor, network, costs)


def _make_record(
    model: str, predictor: Predictor, network: "nn.Module | None", costs: Sequence[Cost]
) -> dict[str, Any]:
    """The record of a benchmark; the numbers at the top are those of the size that papers report."""
    headline = next((c for c in costs if (c.height, c.width) == HEADLINE), costs[-1])
    parameters, size = _measure_weights(predictor, network)
    return {
        "made_by": f"sodbench {__version__}",
        "method": model,
        **predictor.describe(),
        "threads": _count_threads(network),
        "parameters": parameters,
        "checkpoint_bytes": size,
        "macs": headline.macs,
        "images_per_second": headline.end_to_end,
        "sizes": [asdict(cost) for cost in costs],
    }


def _count_threads(network: "nn.Module | None") -> int:
    """Return the number of threads that compute: torch's own, or onnxruntime's."""
    if network is None:
        return processors()
    import torch

    return torch.get_num_threads()


def _get_onnx_network(predictor: Predictor) -> OnnxNetwork | None:
    network = getattr(predictor, "network", None)
    return network if isinstance(network, OnnxNetwork) else None


def _measure_weights(predictor: Predictor, network: "nn.Module | None") -> tuple[int | None, int]:
    """Return the number of parameters, None where it is not known, and the bytes of a file of the weights."""
    if onnx_network := _get_onnx_network(predictor):
        return onnx_network.count_parameters(), onnx_network.path.stat().st_size
    parameters = list(network.parameters()) if network else []
    state = network.state_dict().values() if network else []
    return sum(p.numel() for p in parameters), sum(v.numel() * v.element_size() for v in state)


def save_record(record: dict[str, Any], path: Path | str) -> None:
    """Write a record as JSON, whole or not at all."""
    write_text(Path(path), json.dumps(record, indent=2) + "\n")


def count_macs(network: "nn.Module", size: tuple[int, int]) -> int:
    """Count the multiply-adds of convolutions and matrix products for one image, on the CPU.

    Parameters
    ----------
    network : nn.Module
    size : (int, int)
        Height and width at which the image enters the network.

    Returns
    -------
    int
    """
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    with FlopCounterMode(display=False) as counter, torch.inference_mode():
        network(torch.zeros(1, 3, *size))
    return int(counter.get_total_flops()) // 2


@contextmanager
def _naming_size(size: tuple[int, int]) -> Iterator[None]:
    """Turn an error of the network at this size into one line that names the size and the fix."""
    try:
        yield
    except SodbenchError:
        raise
    except FAILURES as error:
        what = "does not fit in memory" if is_out_of_memory(error) else "is refused by the network"
        reason = describe_failure(error)
        raise SodbenchError(
            f"an image of {size[1]}x{size[0]} {what} ({reason}); choose other sizes with --sizes WxH, or declare "
            "the sizes that the network takes in its input_size"
        ) from error


def _measure_size(
    predictor: Predictor, network: "nn.Module | None", size: tuple[int, int], repeats: int
) -> Cost:
    processing = getattr(predictor, "processing", None)
    network_size = processing.input.size.for_image(*size) if processing else None
    macs = None
    if network_size and network:
        macs = count_macs(network, network_size)
    elif network_size and (onnx_network := _get_onnx_network(predictor)):
        macs = onnx_network.count_macs(network_size)
    reset_peak_memory(predictor.device)
    times = _measure_times(predictor, _draw_images(1, size), repeats)
    throughput, best = _measure_throughput(predictor, size, statistics.median(times), repeats)
    quartiles = np.quantile(times, (0.25, 0.75))
    return Cost(
        height=size[0],
        width=size[1],
        network_size=network_size,
        macs=macs,
        latency_median=statistics.median(times),
        latency_quartiles=(float(quartiles[0]), float(quartiles[1])),
        repeats=repeats,
        throughput=throughput,
        best_batch=best,
        end_to_end=_measure_end_to_end(predictor, size, best, throughput),
        peak_memory_bytes=peak_memory(predictor.device),
    )


def _measure_throughput(
    predictor: Predictor, size: tuple[int, int], latency: float, repeats: int
) -> tuple[float, int]:
    """Return images per second and the batch size: doubled until two doublings in a row gain less than 5 %."""
    best, best_batch = 1 / latency, 1
    # one slow measurement alone does not end the search
    without_gain = 0
    for batch in _batch_sizes(predictor.device):
        try:
            times = _measure_times(predictor, _draw_images(batch, size), max(3, repeats // 2))
        except FAILURES as error:
            full = is_out_of_memory(error)
            refusal = f"is refused by the network ({describe_failure(error)})"
            what = "does not fit in memory" if full else refusal
            logger.info(f"a batch of {batch} at {size[1]}x{size[0]} {what}")
            break
        rate = batch / statistics.median(times)
        if rate >= 1.05 * best:
            best, best_batch, without_gain = rate, batch, 0
            continue
        without_gain += 1
        if without_gain == 2:
            break
    return best, best_batch


def _batch_sizes(device: "torch.device | None") -> Iterator[int]:
    largest = 256 if device is not None and device.type == "cuda" else 8
    return (2**k for k in range(1, int(math.log2(largest)) + 1))


def _measure_times(predictor: Predictor, pixels: NDArray[np.uint8], repeats: int) -> list[float]:
    """Return the seconds of each repeat, after three that do not count: CUDA graphs are captured in the third."""
    times = []
    for _ in range(repeats + 3):
        start = time.perf_counter()
        predictor.start(pixels, None)()
        times.append(time.perf_counter() - start)
    return times[3:]


def _measure_end_to_end(
    predictor: Predictor, size: tuple[int, int], batch: int, rate: float
) -> float:
    """Return images per second from drawn JPEG files to PNG files."""
    count = max(4, min(END_TO_END_BATCHES * batch, int(END_TO_END_SECONDS * rate)))
    with tempfile.TemporaryDirectory() as folder:
        different = _draw_images(min(count, 16), size)
        samples: list[tuple[str, Path]] = []
        for i in range(count):
            path = Path(folder, "images", f"{i:04}.jpg")
            if i < len(different):
                write_image(path, different[i])
            else:
                shutil.copyfile(samples[i % len(different)][1], path)
            samples.append((path.stem, path))
        summary = predict(
            predictor, samples, Path(folder, "maps"), batch_size=batch, description="JPEG to PNG"
        )
    if summary.problems:
        raise SodbenchError(
            f"{len(summary.problems)} of {count} images of {size[1]}x{size[0]} could not be predicted, the first "
            f"because: {summary.problems[0]}"
        )
    return summary.written / summary.seconds


def _draw_images(count: int, size: tuple[int, int]) -> NDArray[np.uint8]:
    """Return drawn images RGB uint8 [count, h, w, 3]."""
    # blobs of colour under noise, whose JPEG files are about as large as those of photographs
    rng = np.random.default_rng(0)
    height, width = size
    coarse = rng.integers(0, 200, (count, -(-height // 24), -(-width // 24), 3))
    blobs = coarse.repeat(24, 1).repeat(24, 2)[:, :height, :width]
    return (blobs + rng.integers(0, 40, (count, height, width, 1))).astype(np.uint8)


# Linux: this process's memory, and a file in which writing 5 resets its peak.
STATUS, CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")


def reset_peak_memory(device: "torch.device | None") -> None:
    """Reset the measurement of peak memory."""
    if device is not None and device.type == "cuda":
        import torch

        torch.cuda.reset_peak_memory_stats(device)
    elif CLEAR.exists():
        try:
            CLEAR.write_text("5")
        except OSError:
            logger.info(
                "the system does not let peak memory be reset: later sizes include earlier ones"
            )


def peak_memory(device: "torch.device | None") -> int | None:
    """Return the peak memory in bytes since `reset_peak_memory`: of the device on CUDA, otherwise of the process.

    None where the system does not report it (Windows).
    """
    if device is not None and device.type == "cuda":
        import torch

        return torch.cuda.max_memory_allocated(device)
    if STATUS.exists():
        for line in STATUS.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    try:
        import resource
    except ImportError:
        # Windows
        return None
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024
