"""What all benchmarks share: the machine in their records, a clock, and the JSON file.

The standard library is enough to import this, because parts of it also run in the environments of other programs.
"""

import json
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch


def describe_machine(
    packages: Sequence[str] = (), device: "torch.device | None" = None
) -> dict[str, Any]:
    """Return processor or device, cores, load and versions; packages by the names they are imported by."""
    from sodbench.provenance import cpu_name, package_versions

    machine: dict[str, Any] = {"cpu": cpu_name(), **package_versions(packages)}
    if device is not None:
        import torch

        from sodbench.models import devices

        machine |= devices.describe_machine(device) | {"threads": torch.get_num_threads()}
    # a busy machine shares its caches
    load = round(os.getloadavg()[0], 2)
    return {**machine, "cores": len(os.sched_getaffinity(0)), "load_before": load}


def seconds(work: Callable[[], Any], clock: Callable[[], float] = time.process_time) -> float:
    """Return how long some work takes, by default in seconds of processor time of this process."""
    start = clock()
    work()
    return clock() - start


def wall_and_processor(work: Callable[[], Any]) -> tuple[float, float]:
    """Return seconds on the clock, and of processor time of all threads and processes: on a busy machine the two differ."""
    start, used = time.perf_counter(), sum(os.times()[:4])
    work()
    return time.perf_counter() - start, sum(os.times()[:4]) - used


def store(record: Any, file: Path | None) -> None:
    """Write a record as JSON, if there is a file to write it to."""
    if file:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(record, indent=1) + "\n")


def print_and_store(record: Any, file: Path | None) -> None:
    """Print a record as JSON, and `store` it."""
    print(json.dumps(record, indent=1))
    store(record, file)
