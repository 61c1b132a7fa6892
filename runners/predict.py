"""Images to saliency maps: decode, predict, encode, side by side.

Images are decoded by threads, gathered into batches of exactly equal size (padding would change every
pixel, because group normalisation sees the whole map), predicted, and written as 8-bit grey PNG of the
image's own size by threads again.  Every queue is bounded.  A later run goes on where this one stopped
(:mod:`sodbench.runners.prediction_folder`).

Under torchrun every rank predicts its share into the same folder, under one manifest.
"""

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from sodbench.datasets import pictures
from sodbench.datasets.pairing import read_lines
from sodbench.errors import ImageError, Problem, ProblemsError, SodbenchError
from sodbench.images import decode_rgb, image_size, read_bytes, write_grey
from sodbench.models import BASELINES, create_model, load_checkpoint, model_identity
from sodbench.models.inference import (
    InferenceNetwork,
    choose_device,
    describe_machine,
    weights_sha256,
)
from sodbench.progress import bar, say, warn
from sodbench.runners.prediction_folder import MANIFEST, Samples, origin_of, prepare_folder
from sodbench.runners.ranks import Ranks, default_workers

MAX_BATCH_PIXELS = 2**23
"""Images of a batch hold no more than this together (32 of 512x512), unless one alone does."""

Picture = NDArray[np.uint8]
Maps = Sequence[Picture | None]


class Predictor(Protocol):
    """What makes maps: a network (:class:`NetworkPredictor`) or a classical method."""

    name: str
    device: torch.device
    default_batch_size: int

    def start(self, pixels: Picture, max_side: int | None) -> Callable[[], Maps]:
        """Begin RGB uint8 [n, h, w, 3]; calling the result waits for n maps uint8 [h, w] (None: NaN)."""
        ...

    def describe(self) -> dict[str, Any]:
        """What the manifest states of it."""
        ...


class NetworkPredictor:
    """A network made ready by :class:`sodbench.models.inference.InferenceNetwork`."""

    def __init__(
        self,
        model: nn.Module,
        name: str,
        *,
        device: str = "auto",
        precision: str | None = None,
        compiled: bool = False,
        weights: str = "in memory",
        sha256: str | None = None,
        source_sha256: str | None = None,
    ):
        self.name = name
        self.network = InferenceNetwork(model, device, precision, compiled)
        self.device = self.network.device
        self.default_batch_size = 32 if self.device.type == "cuda" else 1
        self._origin = {
            "model": name,
            "source_sha256": source_sha256,
            "weights": weights,
            "weights_sha256": sha256 or weights_sha256(model.state_dict()),
        }

    def start(self, pixels: Picture, max_side: int | None) -> Callable[[], Maps]:
        """As :class:`Predictor` says."""
        return self.network.start(pixels, max_side)

    def describe(self) -> dict[str, Any]:
        """As :class:`Predictor` says."""
        return {
            **self._origin,
            "precision": self.network.precision,
            "compiled": self.network.compiled,
            **describe_machine(self.device),
        }


class BaselinePredictor:
    """A classical method of :data:`sodbench.models.BASELINES`, on the CPU."""

    default_batch_size = 1

    def __init__(self, name: str):
        self.name = name
        self.device = torch.device("cpu")

    def start(self, pixels: Picture, max_side: int | None) -> Callable[[], Maps]:
        """As :class:`Predictor` says; a baseline never needs a smaller image."""
        maps = [BASELINES[self.name](image) for image in pixels]
        return lambda: maps

    def describe(self) -> dict[str, Any]:
        """As :class:`Predictor` says."""
        return {"model": self.name, "weights": "none", "numpy": np.__version__}


@dataclass(frozen=True)
class PredictionSummary:
    """What one call of :func:`predict` did.

    written, finished_before: numbers of maps; problems: the images without a map, and why;
    seconds: wall time; manifest: the manifest's path.
    """

    written: int
    finished_before: int
    problems: tuple[Problem, ...]
    seconds: float
    manifest: Path


@dataclass(frozen=True)
class _Batch:
    """Images of one size: (stem, path) and that (height, width)."""

    samples: tuple[tuple[str, Path], ...]
    size: tuple[int, int]

    @property
    def pixels(self) -> int:
        return len(self.samples) * self.size[0] * self.size[1]


@dataclass
class _Work:
    """What the stages of one run share; origins: of the images under way, by stem."""

    predictor: Predictor
    out_dir: Path
    max_side: int | None
    decoders: ThreadPoolExecutor
    encoders: ThreadPoolExecutor
    ahead: int
    origins: dict[str, str] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    written: int = 0


def load_predictor(
    model: str = "csf-res2net50",
    checkpoint: Path | str | None = None,
    *,
    device: str = "auto",
    precision: str | None = None,
    compiled: bool = False,
) -> Predictor:
    """The predictor of a registered name, a ``file.py:factory``, or a baseline.

    Without ``checkpoint`` a network has random weights, the same on every call, and that is said aloud.
    Raises :class:`SodbenchError` for an unknown model, a wrong checkpoint, or a missing device.
    """
    if model in BASELINES:
        if checkpoint is not None:
            raise SodbenchError(f"{model} has no weights; leave out the checkpoint {checkpoint}")
        return BaselinePredictor(model)

    choose_device(device)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = create_model(model)
    if checkpoint is None:
        warn(
            f"WARNING: no checkpoint was given, so {model} has RANDOM, UNTRAINED weights: its maps mean "
            "nothing. Give --checkpoint FILE for a trained network."
        )
        weights, sha256 = "random (untrained)", None
    else:
        weights, sha256 = "checkpoint", load_checkpoint(network, checkpoint)
    name, source_sha256 = model_identity(model)
    return NetworkPredictor(
        network,
        name,
        device=device,
        precision=precision,
        compiled=compiled,
        weights=weights,
        sha256=sha256,
        source_sha256=source_sha256,
    )


def find_images(inputs: Iterable[Path | str]) -> list[tuple[str, Path]]:
    """(stem, path) of the images named by folders, files and lists (``.txt``, ``.lst``), in order.

    In a folder that also holds masks beside its images (a JPEG and another format of one stem, as the
    reference's layout has it) the JPEGs are the images.  The names of a list are relative to its folder, or
    to ``Imgs`` in it.  Raises :class:`ProblemsError` for names that do not exist and for two images of
    one stem, whose maps would be one file.
    """
    images: dict[str, Path] = {}
    problems = []
    for path in _named(inputs):
        if not path.exists():
            problems.append(Problem("missing", str(path), "no such file"))
        elif path.resolve() != images.setdefault(path.stem, path).resolve():
            other = images[path.stem]
            problems.append(Problem("ambiguous", str(path), f"its map would be that of {other}"))
    if problems:
        raise ProblemsError("the images cannot be predicted as named:", problems)
    if not images:
        raise SodbenchError("no images to predict")
    return list(images.items())


def _named(inputs: Iterable[Path | str]) -> Iterator[Path]:
    for entry in map(Path, inputs):
        if entry.is_dir():
            found = pictures(entry)
            if not found:
                raise SodbenchError(f"{entry}: this folder holds no pictures")
            jpegs = {p.stem for p in found if p.suffix.lower() in (".jpg", ".jpeg")}
            images = [
                p for p in found if p.suffix.lower() in (".jpg", ".jpeg") or p.stem not in jpegs
            ]
            if len(images) < len(found):
                say(f"{entry}: {len(found) - len(images)} masks beside the images are left out")
            yield from images
        elif entry.suffix.lower() in (".txt", ".lst"):
            for line in read_lines(entry):
                beside, below = entry.parent / line, entry.parent / "Imgs" / line
                yield below if below.exists() and not beside.exists() else beside
        else:
            yield entry


def predict(
    predictor: Predictor,
    samples: Samples,
    out_dir: Path | str,
    *,
    batch_size: int | None = None,
    max_side: int | None = None,
    force: bool = False,
    workers: int | None = None,
    description: str | None = None,
) -> PredictionSummary:
    """Write ``out_dir/<stem>.png`` (uint8 grey, the image's size) for every (stem, image path).

    batch_size: most images of a batch, by default what suits the device; max_side: longer images are
    shrunk to it for the network, and their maps enlarged again; force: replace maps that are there, of
    whatever network; workers: threads that decode, and as many that encode.

    Maps that an earlier call with an equal predictor made of the same images (the same bytes) are
    kept.  Images that cannot be read, or whose maps cannot be written, become problems of the summary;
    everything else is finished.  Raises :class:`SodbenchError` where ``out_dir`` holds maps of another
    predictor or other people's pictures.
    """
    began = time.perf_counter()
    most = predictor.default_batch_size if batch_size is None else batch_size
    if most < 1 or (max_side is not None and max_side < 1):
        raise SodbenchError(f"batch size {most}, longest side {max_side}: neither may be below 1")
    out_dir = Path(out_dir)
    identity = {**predictor.describe(), "max_side": max_side}
    ranks = Ranks(predictor.device)
    todo = _agreed(ranks, lambda: prepare_folder(out_dir, samples, identity, force))
    workers = workers or default_workers()
    with ExitStack() as stack:
        decoders, encoders = (
            stack.enter_context(ThreadPoolExecutor(workers, thread_name_prefix=role))
            for role in ("decode", "encode")
        )
        work = _Work(predictor, out_dir, max_side, decoders, encoders, most + 2 * workers)
        batches = _batches(work, todo, most)
        mine = batches[ranks.rank :: ranks.size]
        count = sum(len(batch.samples) for batch in mine)
        title = description or f"predict ({predictor.name})"
        with stack.enter_context(bar(count, title, "image")) as progress:
            _run(work, mine, progress.update)
    gathered = ranks.gathered((work.written, tuple(work.problems)))
    written = sum(w for w, _ in gathered)
    # The headers are read by every rank, so a broken one is found by each.
    problems = tuple(dict.fromkeys(p for _, own in gathered for p in own))
    before = len(samples) - len(todo)
    seconds = time.perf_counter() - began
    return PredictionSummary(written, before, problems, seconds, out_dir / MANIFEST)


def _agreed(ranks: Ranks, make: Callable[[], list[tuple[str, Path]]]) -> list[tuple[str, Path]]:
    """What ``make`` returns or raises on the first rank, on every rank."""
    outcome: list[tuple[str, Path]] | SodbenchError | None = None
    if ranks.first:
        try:
            outcome = make()
        except SodbenchError as error:
            outcome = error
    (outcome, *_) = ranks.gathered(outcome)
    if isinstance(outcome, SodbenchError):
        raise outcome
    assert outcome is not None
    return outcome


def _batches(work: _Work, todo: Samples, batch_size: int) -> list[_Batch]:
    """Group by exact size, largest first, so that memory runs out early or not at all."""
    by_size: dict[tuple[int, int], list[tuple[str, Path]]] = {}
    for sample, size in zip(todo, work.decoders.map(_size, [p for _, p in todo]), strict=True):
        if isinstance(size, Problem):
            work.problems.append(size)
        else:
            by_size.setdefault(size, []).append(sample)
    batches = []
    for size in sorted(by_size, key=lambda s: (-s[0] * s[1], s)):
        group = by_size[size]
        step = max(1, min(batch_size, MAX_BATCH_PIXELS // (size[0] * size[1])))
        batches += [_Batch(tuple(group[i : i + step]), size) for i in range(0, len(group), step)]
    return batches


def _size(path: Path) -> tuple[int, int] | Problem:
    try:
        return image_size(path)
    except ImageError as error:
        return error.problem


def _run(work: _Work, batches: Iterable[_Batch], done: Callable[[int], object]) -> None:
    """Decode ahead, predict, and write behind: at most two batches on the device at a time."""
    computing: deque[tuple[Sequence[str], Callable[[], Maps]]] = deque()
    writing: deque[Future[Problem | None]] = deque()

    def collect(limit: int) -> None:
        while len(writing) > limit:
            problem = writing.popleft().result()
            if problem:
                work.problems.append(problem)
            else:
                work.written += 1
            done(1)

    def encode_oldest() -> None:
        stems, wait = computing.popleft()
        for stem, pixels in zip(stems, wait(), strict=True):
            path, origin = work.out_dir / f"{stem}.png", work.origins.pop(stem)
            writing.append(work.encoders.submit(_write, path, pixels, origin))
        collect(work.ahead)

    for stems, images in _decoded(work, batches, done):
        for part, wait in _started(work, stems, images, done):
            computing.append((part, wait))
            if len(computing) > 1:
                encode_oldest()
    while computing:
        encode_oldest()
    collect(0)


def _decoded(
    work: _Work, batches: Iterable[_Batch], done: Callable[[int], object]
) -> Iterator[tuple[list[str], Picture]]:
    """Batches as pixels RGB uint8 [n, h, w, 3], a bounded number of images decoded ahead."""
    waiting: deque[tuple[_Batch, list[Future[tuple[Picture, str] | Problem]]]] = deque()
    images = pixels = 0
    coming = iter(batches)
    batch = next(coming, None)
    while waiting or batch:
        while batch and (
            not waiting or (images < work.ahead and pixels + batch.pixels <= 2 * MAX_BATCH_PIXELS)
        ):
            futures = [work.decoders.submit(_read, path, batch.size) for _, path in batch.samples]
            waiting.append((batch, futures))
            images, pixels = images + len(futures), pixels + batch.pixels
            batch = next(coming, None)
        oldest, futures = waiting.popleft()
        images, pixels = images - len(futures), pixels - oldest.pixels
        good: dict[str, Picture] = {}
        for (stem, _), future in zip(oldest.samples, futures, strict=True):
            result = future.result()
            if isinstance(result, Problem):
                work.problems.append(result)
                done(1)
            else:
                good[stem], work.origins[stem] = result
        if good:
            yield list(good), np.stack(list(good.values()))


def _read(path: Path, size: tuple[int, int]) -> tuple[Picture, str] | Problem:
    """Pixels and origin, both of the same bytes."""
    try:
        content = read_bytes(path)
        pixels = decode_rgb(content, path)
    except ImageError as error:
        return error.problem
    if pixels.shape[:2] != size:
        return Problem("size", str(path), f"its header says {size}, its pixels {pixels.shape[:2]}")
    return pixels, origin_of(content)


def _write(path: Path, pixels: Picture | None, origin: str) -> Problem | None:
    if pixels is None:
        return Problem(
            "not-finite", path.stem, "the network gave NaN or infinity; no map is written"
        )
    try:
        write_grey(path, pixels, origin)
    except ImageError as error:
        return error.problem
    return None


def _started(
    work: _Work, stems: Sequence[str], images: Picture, done: Callable[[int], object]
) -> Iterator[tuple[Sequence[str], Callable[[], Maps]]]:
    """Begin a batch; where memory runs out, its halves one after the other."""
    try:
        yield stems, work.predictor.start(images, work.max_side)
        return
    except (RuntimeError, MemoryError) as error:
        if not out_of_memory(error):
            raise
        reason = next(iter(str(error).splitlines()), type(error).__name__)
    height, width = images.shape[1:3]
    if len(stems) == 1:
        detail = f"{height}x{width} does not fit in memory ({reason[:120]}); try --max-side"
        work.problems.append(Problem("memory", stems[0], detail))
        done(1)
        return
    half = len(stems) // 2
    say(f"{len(stems)} images of {height}x{width} do not fit in memory: going on with {half}")
    yield from _started(work, stems[:half], images[:half], done)
    yield from _started(work, stems[half:], images[half:], done)


def out_of_memory(error: Exception) -> bool:
    """Whether an error of torch or Python says that memory ran out, on any device."""
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    return "can't allocate memory" in str(error) or "out of memory" in str(error)
