"""How long scoring takes from files, against Pillow that merely decodes them and PySODMetrics that scores them.

    python benchmarks/evaluate.py --peer-python PATH/TO/OTHER/python [--real MAPS MASKS] [-o FILE.json]

The peer lives in an environment of its own (pysodmetrics==1.6.2, opencv-python-headless).  The pairs are drawn: soft maps
and binary masks of about 300x400, saved by Pillow as 8-bit grey PNG; or real files of the same names.  All of them are in
the page cache.  Everything runs on one core in one thread unless it says otherwise, and the contenders take turns within
one run.  Times are medians, in milliseconds per pair: of processor time where one thread works, which on an idle machine
is the wall-clock time and on a busy one is fairer; of wall-clock time for ``cores`` and ``scale``.

- ``decode``   Pillow's ``Image.open(...).load()`` of map and mask, and ``read_grey`` of the same two, pair by pair
- ``scoring``  from two folders to all metrics, with and without weighted F: finding and pairing the files, decoding,
               counting, aggregating; Pillow decoding the same files; PySODMetrics with OpenCV in a loop
- ``cores``    the same scoring by two jobs on two cores, against one: of these pairs, and of thousands of copies
- ``methods``  four methods scored in one visit of each mask, against the four one after the other
- ``scale``    many small pairs: the first run, the second that finds everything counted, and their peak memory

How scoring uses a machine of many cores is another run, which needs no peer and draws its pairs on all of them:

    python benchmarks/evaluate.py --cores 1 2 4 8 16 --pairs 20000 [-o FILE.json]

Each number of cores has a new process, bound to them, that scores all pairs once (the best of ``--rounds``): wall-clock
seconds from two folders to all metrics, the start of the workers included and that of Python not, and the peak memory of
that process and of the largest worker.  ``counting alone`` is how much faster as many processes that only count are than
one: more than that cannot be had from the cores, which may be two threads of one.
"""

import os

os.environ |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from drawn import smooth
from PIL import Image
from record import describe_machine, seconds, store

from sodbench.garbage import pause_gc
from sodbench.images import read_grey, write_grey

SIZES = ((300, 400), (400, 300), (300, 400), (267, 400), (400, 320))
PARTS = ("decode", "scoring", "cores", "methods", "scale")
SCALES = (16_784, 100_000)
MANY = 6000
# How many different pairs there are among those for many cores
KINDS = 1000
# What 'sodbench eval' does but for printing; prints seconds of planning and of everything, peak memory, and a metric
RUN = """
import resource, sys, time
from pathlib import Path
from sodbench.datasets import find_masks
from sodbench.folders import listing_once
from sodbench.garbage import pause_gc
from sodbench.runners.evaluation.evaluate import evaluate_plan
from sodbench.runners.evaluation.plan import plan_evaluation
from sodbench.runners.evaluation.workers import Workers

start = time.perf_counter()
maps, masks, *output = sys.argv[1:]
with Workers(processes=True) as workers:
    if not output or not Path(output[0]).exists():
        workers.start_for(Path(maps))
    with listing_once(), pause_gc():
        plan = plan_evaluation(Path(maps), find_masks(masks), name="drawn")
    planned = time.perf_counter() - start
    evaluation = evaluate_plan(
        plan, output=output[0] if output else None, workers=workers, keep_counts=bool(output)
    )
    taken = time.perf_counter() - start
who = resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN
peaks = [resource.getrusage(one).ru_maxrss / 1024 for one in who]
print(planned, taken, *peaks, evaluation.results[0].metrics["wf"])
"""
# The same files counted by as many processes that share nothing and are ready when the clock starts: what the cores can do
ALONE_RUN = """
import multiprocessing, sys, time
from pathlib import Path
from sodbench.results import Policy
from sodbench.runners.evaluation.count import Visit, count_visit, warm_up_kernels
maps, masks, number, count = sys.argv[1:]
names = [path.name for path in sorted(Path(maps).iterdir())][: int(count)]
visits = [Visit(n, Path(masks, n), ((0, Path(maps, n)),)) for n in names]
warm_up_kernels()
context = multiprocessing.get_context("fork")
barrier = context.Barrier(int(number) + 1)
def work(share):
    barrier.wait()
    for visit in share:
        count_visit(visit, Policy())
processes = [
    context.Process(target=work, args=(visits[k :: int(number)],)) for k in range(int(number))
]
for process in processes:
    process.start()
barrier.wait()
start = time.perf_counter()
for process in processes:
    process.join()
print(time.perf_counter() - start)
"""


# --- the pairs ------------------------------------------------------------------------------------


def draw_pairs(folder: Path, count: int, methods: int = 1) -> tuple[list[Path], Path]:
    """Folders of maps, one a method, and of masks: objects of a fifth of the image, and soft guesses.

    With a little grain, so that the files are as large as those of published methods: 10 to 25 KB.
    """
    masks = folder / "masks"
    maps = [folder / "maps" / f"method{i}" / "drawn" for i in range(methods)]
    for path in (masks, *maps):
        path.mkdir(parents=True)
    rng = np.random.default_rng(4)
    for number in range(count):
        shape = SIZES[number % len(SIZES)]
        images = draw_mask_and_maps(rng, shape, methods)
        for path, values in zip((masks, *maps), images, strict=True):
            save(path / f"{number:05d}.png", values)
    return maps, masks


def draw_many_pairs(folder: Path, count: int) -> tuple[Path, Path]:
    """``count`` pairs as of `draw_pairs`, of at most `KINDS` kinds, drawn on all cores."""
    maps, masks = folder / "maps", folder / "masks"
    for path in (maps, masks):
        path.mkdir()
    kinds = min(KINDS, count)
    with ProcessPoolExecutor(len(ALL_CORES)) as pool:
        jobs = [
            pool.submit(draw_kind, maps, masks, n, range(n, count, kinds)) for n in range(kinds)
        ]
        for job in jobs:
            job.result()
    return maps, masks


def draw_kind(maps: Path, masks: Path, kind: int, numbers: range) -> None:
    """One pair under several names."""
    rng = np.random.default_rng([4, kind])
    images = draw_mask_and_maps(rng, SIZES[kind % len(SIZES)], 1)
    for path, values in zip((masks, maps), images, strict=True):
        first = path / f"{numbers[0]:06d}.png"
        save(first, values)
        for number in numbers[1:]:
            shutil.copyfile(first, path / f"{number:06d}.png")


def draw_mask_and_maps(
    rng: np.random.Generator, shape: tuple[int, int], maps: int
) -> Iterator[Any]:
    """Yield a mask and then maps of it, which are smooth but for some grain."""
    field = smooth(rng, shape, 0.12)
    edge = np.quantile(field, 0.8)
    yield np.where(field > edge, 255, 0)
    for _ in range(maps):
        guess = field + 0.4 * smooth(rng, shape, 0.12) + 0.003 * rng.standard_normal(shape)
        yield 255 / (1 + np.exp(-6 * (guess - edge)))


def save(path: Path, values: Any) -> None:
    Image.fromarray(values.round().astype(np.uint8)).save(path)


def draw_small_pairs(folder: Path, count: int) -> tuple[Path, Path]:
    """``count`` pairs of 24x32, of 50 kinds, in two folders."""
    maps, masks = folder / "maps", folder / "masks"
    rng = np.random.default_rng(5)
    kinds = [
        (rng.random((24, 32)) * 255, np.where(rng.random((24, 32)) < 0.3, 255, 0))
        for _ in range(50)
    ]
    for number in range(count):
        for path, pixels in zip((maps, masks), kinds[number % 50], strict=True):
            write_grey(path / f"{number:06d}.png", pixels.astype(np.uint8))
    return maps, masks


# --- the parts ------------------------------------------------------------------------------------


def pillow(path: Path) -> None:
    with Image.open(path) as image:
        image.load()


def decode(pairs: list[tuple[Path, Path]], rounds: int) -> dict[str, float]:
    """Median milliseconds per pair, the two readers taking turns at each pair."""
    times: dict[str, list[float]] = {"pillow": [], "sodbench": []}
    for _ in range(rounds):
        for pair in pairs:
            times["pillow"].append(seconds(lambda: [pillow(path) for path in pair]))  # noqa: B023
            times["sodbench"].append(seconds(lambda: [read_grey(path) for path in pair]))  # noqa: B023
    timings = {name: 1e3 * median(values) for name, values in times.items()}
    return {**timings, "sodbench / pillow": timings["sodbench"] / timings["pillow"]}


def score(maps: Path, masks: Path, *, weighted: bool = True, jobs: int = 1) -> None:
    """What ``sodbench eval MAPS MASKS`` does, without its printing."""
    from sodbench.datasets import find_masks
    from sodbench.folders import listing_once
    from sodbench.results import Policy
    from sodbench.runners.evaluation.evaluate import evaluate_plan
    from sodbench.runners.evaluation.plan import plan_evaluation
    from sodbench.runners.evaluation.workers import Workers

    with Workers(jobs, processes=True) as workers:
        with listing_once(), pause_gc():
            workers.start_for(maps)
            plan = plan_evaluation(maps, find_masks(masks), policy=Policy(weighted=weighted))
        evaluate_plan(plan, workers=workers, keep_counts=False)


def scoring(
    maps: Path, masks: Path, pairs: list[tuple[Path, Path]], rounds: int, peer_python: str | None
) -> dict[str, Any]:
    """Median milliseconds per pair of whole passes over all pairs, the contenders taking turns."""
    contenders: dict[str, Callable[[], float]] = {
        "pillow decodes": lambda: seconds(
            lambda: [pillow(path) for pair in pairs for path in pair]
        ),
        "sodbench without wF": lambda: seconds(lambda: score(maps, masks, weighted=False)),
        "sodbench": lambda: seconds(lambda: score(maps, masks)),
    }
    with peer(peer_python, maps, masks) as (ask, versions):
        if peer_python:
            contenders["pysodmetrics without wF"] = lambda: ask("no-wf")
            contenders["pysodmetrics"] = lambda: ask("all")
        times: dict[str, list[float]] = {name: [] for name in contenders}
        for _ in range(rounds):
            for name, contender in contenders.items():
                times[name].append(contender())
    timings = {name: 1e3 * median(values) / len(pairs) for name, values in times.items()}
    ratios = {
        f"{name} / pillow decodes": timings[name] / timings["pillow decodes"]
        for name in ("sodbench without wF", "sodbench")
    }
    for name in ("sodbench without wF", "sodbench") if peer_python else ():
        other = name.replace("sodbench", "pysodmetrics")
        ratios[f"{other} / {name}"] = timings[other] / timings[name]
    return {**timings, **ratios, "peer": versions}


@contextmanager
def peer(
    python: str | None, maps: Path, masks: Path
) -> Iterator[tuple[Callable[[str], float], Any]]:
    """A question to the peer, answered by the seconds it took; and the peer's versions."""
    if not python:
        yield (lambda _: 0.0), None
        return
    script = Path(__file__).with_name("pysodmetrics_loop.py")
    command = [python, str(script), str(maps), str(masks)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin and process.stdout
        versions = json.loads(process.stdout.readline())

        def ask(which: str) -> float:
            print(which, file=process.stdin, flush=True)
            return float(process.stdout.readline())  # type: ignore[union-attr]

        yield ask, versions
        process.stdin.close()


def cores(folder: Path, pairs: list[tuple[Path, Path]], rounds: int) -> dict[str, Any]:
    """Scoring on one core and on two, of few pairs and of many."""
    timings: dict[str, Any] = {}
    with on_cores(2), tempfile.TemporaryDirectory(dir=folder) as scratch:
        for times in (1, MANY // len(pairs)):
            maps, masks = copied(Path(scratch) / str(times), pairs, times)
            taken: dict[int, list[float]] = {1: [], 2: []}
            for _ in range(rounds):
                for jobs, runs in taken.items():
                    runs.append(seconds(lambda: score(maps, masks, jobs=jobs), time.perf_counter))  # noqa: B023
            number = times * len(pairs)
            one, two = (1e3 * median(runs) / number for runs in taken.values())
            timings[f"{number} pairs"] = {"1 job": one, "2 jobs": two, "speed-up": one / two}
    return timings


def copied(folder: Path, pairs: list[tuple[Path, Path]], times: int) -> tuple[Path, Path]:
    """Folders of maps and masks that hold every pair that many times, under different names."""
    folders = folder / "maps", folder / "masks"
    for kind, target in enumerate(folders):
        target.mkdir(parents=True)
        for pair in pairs:
            for number in range(times):
                shutil.copyfile(pair[kind], target / f"{number:03d}_{pair[kind].name}")
    return folders


def methods(
    tree: Path, folders: list[Path], masks: Path, count: int, rounds: int
) -> dict[str, float]:
    """All methods in one run, and each in a run of its own; milliseconds per mask."""
    together, alone = [], []
    for _ in range(rounds):
        together.append(seconds(lambda: score(tree, masks)))
        alone.append(sum(seconds(lambda: score(folder, masks)) for folder in folders))  # noqa: B023
    one, several = 1e3 * median(together) / count, 1e3 * median(alone) / count
    return {
        "methods": len(folders),
        "one visit": one,
        "single runs": several,
        "ratio": one / several,
    }


def scale(counts: tuple[int, ...], jobs_on: int) -> dict[str, Any]:
    """Seconds and peak MB of a first and a second run over many pairs, each in a process of its own."""
    timings: dict[str, Any] = {}
    with on_cores(jobs_on):
        for count in counts:
            with tempfile.TemporaryDirectory() as folder:
                maps, masks = draw_small_pairs(Path(folder), count)
                for run in ("first run", "second run"):
                    timings[f"{count} pairs, {run}"], _ = run_alone(maps, masks, f"{folder}/out")
    return timings


def many_cores(numbers: list[int], count: int, rounds: int) -> dict[str, Any]:
    """Scoring ``count`` pairs on each number of cores, each run in a process of its own."""
    timings: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        maps, masks = draw_many_pairs(Path(folder), count)
        timings["seconds of drawing"] = time.perf_counter() - start
        # compiles, if nothing is compiled yet
        score(*draw_small_pairs(Path(folder) / "few", 2))
        values: set[str] = set()
        first: dict[str, float] = {}
        for number in numbers:
            with on_cores(number):
                runs = [run_alone(maps, masks) for _ in range(rounds)]
                alone = counted_alone(maps, masks, number, count // 10)
            best, _ = min(runs, key=lambda run: run[0]["seconds"])
            values |= {metric for _, metric in runs}
            first = first or {"whole": best["seconds"], "counting alone": alone}
            timings[f"{number} cores"] = {
                **best,
                "ms a pair": 1e3 * best["seconds"] / count,
                "speed-up": first["whole"] / best["seconds"],
                "speed-up of counting alone": first["counting alone"] / alone,
            }
            print(json.dumps({f"{number} cores": timings[f"{number} cores"]}), flush=True)
        # to the last bit
        assert len(values) == 1, values
    return timings


def counted_alone(maps: Path, masks: Path, number: int, count: int) -> float:
    """Seconds for which processes count some pairs that do nothing else, see `ALONE_RUN`."""
    command = [sys.executable, "-c", ALONE_RUN, str(maps), str(masks), str(number), str(count)]
    return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def run_alone(maps: Path, masks: Path, *output: str) -> tuple[dict[str, float], str]:
    """Times and peak memory of `RUN` in a process of its own, and a metric with all its digits."""
    command = [sys.executable, "-c", RUN, str(maps), str(masks), *output]
    printed = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout
    *numbers, metric = printed.split()
    planned, taken, peak, peak_of_worker = map(float, numbers)
    timing = {"seconds": taken, "of these planning": planned}
    return {**timing, "peak MB": peak, "peak MB of a worker": peak_of_worker}, metric


@contextmanager
def on_cores(number: int) -> Iterator[None]:
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, set(sorted(ALL_CORES)[:number]))
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


ALL_CORES = os.sched_getaffinity(0)


def threads_of_a_core() -> str:
    """The processors that share the first one's core, as Linux lists them."""
    with suppress(OSError):
        place = Path(f"/sys/devices/system/cpu/cpu{min(ALL_CORES)}/topology/thread_siblings_list")
        return place.read_text().strip()
    return "not known"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--peer-python", help="Python of an environment with the peer")
    parser.add_argument("--real", nargs=2, type=Path, metavar=("MAPS", "MASKS"), help="real files")
    parser.add_argument("--pairs", type=int, default=300, help="how many pairs to draw")
    parser.add_argument("--rounds", type=int, help="default: 5, with --cores 1")
    parser.add_argument("--cores", nargs="+", type=int, help="measure only these numbers of cores")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--scales", nargs="+", type=int, default=SCALES)
    parser.add_argument("-o", "--output", type=Path, help="where to store the JSON")
    arguments = parser.parse_args()

    machine = describe_machine(("PIL", "numpy", "numba", "deflate"))
    timings: dict[str, Any] = {"machine": {**machine, "threads of a core": threads_of_a_core()}}
    if arguments.cores:
        timings["pairs"] = arguments.pairs
        timings["many cores"] = many_cores(arguments.cores, arguments.pairs, arguments.rounds or 1)
        store(timings, arguments.output)
        return
    with tempfile.TemporaryDirectory() as folder, on_cores(1):
        if arguments.real:
            folders, masks = [arguments.real[0]], arguments.real[1]
        else:
            folders, masks = draw_pairs(Path(folder), arguments.pairs, methods=4)
        maps = folders[0]
        pairs = [(path, masks / path.name) for path in sorted(maps.glob("*.png"))]
        timings["pairs"] = {
            "what": "real" if arguments.real else "drawn, 8-bit grey PNG of about 300x400",
            "number": len(pairs),
            "median map bytes": median(map_.stat().st_size for map_, _ in pairs),
            "median mask bytes": median(mask.stat().st_size for _, mask in pairs),
        }
        score(maps, masks)  # compiles, and fills the page cache
        rounds = arguments.rounds or 5
        parts: dict[str, Callable[[], dict[str, Any]]] = {
            "decode": lambda: decode(pairs, rounds),
            "scoring": lambda: scoring(maps, masks, pairs, rounds, arguments.peer_python),
            "cores": lambda: cores(Path(folder), pairs, rounds),
            "methods": lambda: methods(Path(folder) / "maps", folders, masks, len(pairs), rounds),
            "scale": lambda: scale(tuple(arguments.scales), len(ALL_CORES)),
        }
        if arguments.real:
            del parts["methods"], parts["scale"]
        for name, part in parts.items():
            if name in arguments.parts:
                timings[name] = part()
                print(json.dumps({name: timings[name]}, indent=1), flush=True)
    store(timings, arguments.output)


if __name__ == "__main__":
    main()
