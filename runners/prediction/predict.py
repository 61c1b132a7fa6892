"""Images to saliency maps: decode, predict, encode, side by side.

Images are decoded by threads, gathered into batches of exactly equal size (padding would change every
pixel, because group normalisation sees the whole map), predicted, and written as 8-bit grey PNG of the
image's own size by threads again.  Every queue is bounded.  A later run continues where this one stopped
(:mod:`sodbench.runners.prediction.folder`).

Under torchrun every rank predicts its share into the same folder, under one manifest.

torch is imported when a network is made, so that the baselines predict without it.
"""

import errno
import sys
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from sodbench.console import bar, say, warn
from sodbench.datasets import list_images
from sodbench.datasets.list_files import read_lines
from sodbench.errors import ImageError, Problem, ProblemsError, SodbenchError
from sodbench.files import write_error
from sodbench.images import decode_rgb, image_size, read_bytes, write_grey
from sodbench.models import (
    BASELINES,
    create_model,
    identify_model,
    starts_untrained,
)
from sodbench.models.user_code import FAILURES, describe_failure, error_text, shorten, user_code
from sodbench.runners.prediction.folder import (
    MANIFEST,
    Prepared,
    Samples,
    comment_of,
    origin_of,
    prepare_folder,
    settings_digest,
    write_manifest,
)
from sodbench.runners.training.distributed import Ranks, default_workers

if TYPE_CHECKING:
    import torch
    from torch import nn

    from sodbench.models.inference import OutputRange

MAX_BATCH_PIXELS = 2**23
"""Images of a batch hold no more than this together (32 of 512x512), unless one alone does."""
FIRST_IMAGES = 16
"""After so many images a network's values are judged: whether they can be logits."""
_HOPELESS = frozenset(
    (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO)
)
"""Errors in writing one map that every other map would meet too."""

Picture = NDArray[np.uint8]
Maps = Sequence[Picture | None]


class Predictor(Protocol):
    """What makes maps: a network (:class:`NetworkPredictor`) or a classical method.

    Attributes
    ----------
    name : str
        What to call it.
    device : torch.device or None
        Where it computes; None where it does not use torch.
    default_batch_size : int
        Images of a batch, unless the caller chooses.
    """

    name: str
    device: "torch.device | None"
    default_batch_size: int

    def start(self, pixels: Picture, max_side: int | None) -> Callable[[], Maps]:
        """Begin RGB uint8 [n, h, w, 3]; calling the result waits for n maps uint8 [h, w] (None: NaN)."""
        ...

    def describe(self) -> dict[str, Any]:
        """What the manifest states of it."""
        ...

    def problems(self, finished: bool) -> Sequence[Problem]:
        """What the images so far show to be wrong with all its maps; finished: there are no more images."""
        ...


class NetworkPredictor:
    """A network made ready by :class:`sodbench.models.inference.InferenceNetwork`."""

    def __init__(
        self,
        model: "nn.Module",
        name: str,
        *,
        device: str = "auto",
        precision: str | None = None,
        compiled: bool = False,
        weights: str = "in memory",
        sha256: str | None = None,
        source_sha256: str | None = None,
    ):
        from sodbench.models.checkpoints import weights_sha256
        from sodbench.models.inference import InferenceNetwork

        self.name = name
        self.network = InferenceNetwork(model, device, precision, compiled)
        self.device: torch.device | None = self.network.device
        self.default_batch_size = 32 if self.network.device.type == "cuda" else 1
        if sha256 is None:
            with user_code(f"{name}: the network does not give its weights"):
                sha256 = weights_sha256(model.state_dict())
        self._origin = {
            "model": name,
            "source_sha256": source_sha256,
            "weights": weights,
            "weights_sha256": sha256,
        }

    def start(self, pixels: Picture, max_side: int | None) -> Callable[[], Maps]:
        """As :class:`Predictor` says."""
        return self.network.start(pixels, max_side)

    def describe(self) -> dict[str, Any]:
        """As :class:`Predictor` says."""
        from sodbench.models.devices import describe_machine

        network = self.network
        return {
            **self._origin,
            "output": network.output,
            "precision": network.precision,
            "memory_format": "channels_last" if network.channels_last else "contiguous",
            "compiled": network.compiled,
            **describe_machine(network.device),
        }

    def problems(self, finished: bool) -> Sequence[Problem]:
        """As :class:`Predictor` says: logits that all lie in 0..1 are most likely probabilities."""
        seen = self.network.range
        if seen.images < FIRST_IMAGES and not finished:
            return []
        found = []
        if not self.network.declares_output and seen.looks_like_probabilities:
            found.append(squashed_twice(self.name, seen))
        if layers := self.network.layers_in_training():
            found.append(still_training(self.name, layers))
        return found


class BaselinePredictor:
    """A classical method of :data:`sodbench.models.BASELINES`, on the CPU."""

    default_batch_size = 1

    def __init__(self, name: str):
        self.name = name
        self.device: torch.device | None = None

    def start(self, pixels: Picture, max_side: int | None) -> Callable[[], Maps]:
        """As :class:`Predictor` says; a baseline never needs a smaller image."""
        maps = [BASELINES[self.name](image) for image in pixels]
        return lambda: maps

    def describe(self) -> dict[str, Any]:
        """As :class:`Predictor` says."""
        return {"model": self.name, "weights": "none", "numpy": np.__version__}

    def problems(self, finished: bool) -> Sequence[Problem]:
        """As :class:`Predictor` says; there are none."""
        return []


def squashed_twice(name: str, seen: "OutputRange") -> Problem:
    """The problem that a network's values look like probabilities, so that the sigmoid is applied twice."""
    low, high = seen.low, seen.high
    return Problem(
        "output-range",
        name,
        f"its values for {seen.images} image(s) all lie in 0..1 ({low:.3g} to {high:.3g}), as after a sigmoid, and "
        "sodbench applies its own to them. If the network ends in a sigmoid, let its class declare "
        'output = "probabilities"; if these are logits, output = "logits" ends this warning',
    )


def still_training(name: str, layers: Sequence[str]) -> Problem:
    """The problem that layers of a network work as in training, so that a map is not a function of its image alone."""
    return Problem(
        "training-mode",
        name,
        f"{', '.join(layers)} in it work as in training, although sodbench calls eval(): a map depends on chance or on the "
        "other images of its batch. Let the network not call train() itself, and let its batch normalisation keep "
        "running statistics",
    )


@dataclass(frozen=True)
class PredictionSummary:
    """What one call of :func:`predict` did.

    Attributes
    ----------
    written, finished_before : int
        Numbers of maps.
    problems : tuple of Problem
        The images without a map, and why.
    seconds : float
        Wall time.
    manifest : Path
        The manifest.
    warnings : tuple of Problem
        What is likely to be wrong with all the maps; also in the manifest.
    """

    written: int
    finished_before: int
    problems: tuple[Problem, ...]
    seconds: float
    manifest: Path
    warnings: tuple[Problem, ...] = ()


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
    """What the stages of one run share.

    settings: the digest for the maps' comments; origins: of the images under way, by stem.
    reports: whether this process prints for all.  largest_batch, most_pixels: most images, and most pixels of them, that are tried together.
    """

    predictor: Predictor
    out_dir: Path
    max_side: int | None
    settings: str
    decoders: ThreadPoolExecutor
    encoders: ThreadPoolExecutor
    ahead: int
    reports: bool
    origins: dict[str, str] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    warnings: list[Problem] = field(default_factory=list)
    written: int = 0
    largest_batch: int = sys.maxsize
    most_pixels: int = sys.maxsize

    def most_together(self, pixels_of_one: int) -> int:
        """How many images of a size to try together."""
        return max(1, min(self.largest_batch, self.most_pixels // pixels_of_one))

    def check_predictor(self, finished: bool) -> None:
        """Warn, once, of what the images so far show about the predictor."""
        if not self.warnings:
            self.warnings += self.predictor.problems(finished)
            if self.reports:
                _warn_of(self.warnings)


def load_predictor(
    model: str = "csf-res2net50",
    checkpoint: Path | str | None = None,
    *,
    device: str = "auto",
    precision: str | None = None,
    compiled: bool = False,
) -> Predictor:
    """The predictor of a registered name, a ``file.py:factory``, or a baseline.

    Without ``checkpoint`` sodbench's own networks have random weights, the same on every call, which is printed
    as a warning; a user's network has the weights that its factory gives it.

    Raises
    ------
    SodbenchError
        For an unknown model, a factory that fails, a wrong checkpoint, or a missing device.
    """
    if model in BASELINES:
        if checkpoint is not None:
            raise SodbenchError(f"{model} has no weights; leave out the checkpoint {checkpoint}")
        return BaselinePredictor(model)

    import torch

    from sodbench.models.checkpoints import load_checkpoint
    from sodbench.models.devices import choose_device

    choose_device(device)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = create_model(model)
    name, source_sha256 = identify_model(model)
    sha256 = None
    if checkpoint is not None:
        weights, sha256 = "checkpoint", load_checkpoint(network, checkpoint)
    else:
        weights = describe_own_weights(model, name)
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


def describe_own_weights(model: str, name: str) -> str:
    """Tell the user what weights a model without a checkpoint has; returns what its manifest states."""
    if starts_untrained(model):
        warn(
            f"WARNING: no checkpoint was given, so {model} has RANDOM, UNTRAINED weights: its maps mean "
            "nothing. Give --checkpoint FILE for a trained network."
        )
        return "random (untrained)"
    say(
        f"no checkpoint was given: {name} keeps the weights that its factory gives it. If the factory does not "
        "load trained ones, the maps mean nothing."
    )
    return f"as made by {name}"


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
            found = list_images(entry)
            if not found:
                raise SodbenchError(f"{entry}: this folder holds no images")
            jpegs = {p.stem for p in found if p.suffix.lower() in (".jpg", ".jpeg")}
            images = [
                p for p in found if p.suffix.lower() in (".jpg", ".jpeg") or p.stem not in jpegs
            ]
            if len(images) < len(found):
                say(f"{entry}: {len(found) - len(images)} masks next to the images are left out")
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
    """Write ``out_dir/<stem>.png`` (uint8 grey, the image's size) for every image.

    Maps that an earlier call with an equal predictor made of the same images (the same bytes) are kept. An image
    that cannot be read, that the network refuses, or whose map cannot be written becomes a problem of the
    summary; all others are finished.

    Parameters
    ----------
    predictor : Predictor
        What makes the maps.
    samples : sequence of (str, Path)
        Stem and path of every image, as :func:`find_images` lists them.
    out_dir : Path or str
        The folder of the maps.
    batch_size : int, optional
        Most images of a batch; by default what suits the device.
    max_side : int, optional
        Longer images are shrunk to it for the network, and their maps enlarged again.
    force : bool
        Replace maps that exist, whatever made them.
    workers : int, optional
        Threads that decode, and as many that encode.
    description : str, optional
        Title of the progress bar.

    Raises
    ------
    SodbenchError
        Where ``out_dir`` holds maps of another predictor or files that sodbench did not write, where it cannot be
        written to, and where the network gives anything else than one map per image. Maps written by then stay.
    """
    began = time.perf_counter()
    most = predictor.default_batch_size if batch_size is None else batch_size
    if most < 1 or (max_side is not None and max_side < 1):
        raise SodbenchError(f"batch size {most}, longest side {max_side}: neither may be below 1")
    if workers is not None and workers < 1:
        raise SodbenchError(f"{workers} workers: at least 1 is needed")
    out_dir = Path(out_dir)
    identity = {**predictor.describe(), "max_side": max_side}
    ranks = Ranks(predictor.device)
    prepared = _prepare_once(ranks, lambda: prepare_folder(out_dir, samples, identity, force))
    if ranks.first:
        _warn_of(prepared.problems)
    workers = workers or default_workers()
    with ExitStack() as stack:
        decoders, encoders = (
            stack.enter_context(ThreadPoolExecutor(workers, thread_name_prefix=role))
            for role in ("decode", "encode")
        )
        work = _Work(
            predictor,
            out_dir,
            max_side,
            settings_digest(identity),
            decoders,
            encoders,
            most + 2 * workers,
            ranks.first,
            warnings=list(prepared.problems),
        )
        batches = _batches(work, prepared.todo, most)
        mine = batches[ranks.rank :: ranks.size]
        count = sum(len(batch.samples) for batch in mine)
        title = description or f"predict ({predictor.name})"
        with stack.enter_context(bar(count, title, "image")) as progress:
            _run(work, mine, progress.update)
        if work.written:
            work.check_predictor(finished=True)
    layout = predictor.describe().get("memory_format")
    gathered = ranks.gathered((work.written, work.problems, work.warnings, layout))
    written = sum(own[0] for own in gathered)
    # The headers are read by every rank, so a broken one is found by each.
    problems = tuple(dict.fromkeys(p for own in gathered for p in own[1]))
    warnings = _one_per_kind(p for own in gathered for p in own[2])
    if ranks.first and not work.warnings:  # another process has seen what this one has not
        _warn_of(warnings)
    if ranks.first and written:
        if layouts := {own[3] for own in gathered} - {None}:
            identity["memory_format"] = " and ".join(sorted(layouts))
        write_manifest(out_dir, identity, warnings)
    seconds = time.perf_counter() - began
    return PredictionSummary(
        written, prepared.kept, problems, seconds, out_dir / MANIFEST, warnings
    )


def _warn_of(problems: Iterable[Problem]) -> None:
    for problem in problems:
        warn(f"WARNING: {problem}")


def _one_per_kind(problems: Iterable[Problem]) -> tuple[Problem, ...]:
    """The first of each kind about each file: several processes see the same network."""
    return tuple({(p.kind, p.file): p for p in reversed(list(problems))}.values())


def _prepare_once(ranks: Ranks, make: Callable[[], Prepared]) -> Prepared:
    """What ``make`` returns or raises on the first rank, on every rank."""
    outcome: Prepared | SodbenchError | None = None
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
        try:
            maps = wait()
        except SodbenchError:
            raise
        except FAILURES as error:  # a GPU reports some errors only now
            reason = describe_failure(error)
            work.problems += [Problem("network", stem, f"it failed: {reason}") for stem in stems]
            done(len(stems))
            return
        work.check_predictor(finished=False)
        for stem, pixels in zip(stems, maps, strict=True):
            path = work.out_dir / f"{stem}.png"
            comment = comment_of(work.origins.pop(stem), work.settings)
            writing.append(work.encoders.submit(_write, path, pixels, comment))
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


def _write(path: Path, pixels: Picture | None, comment: Callable[[str], str]) -> Problem | None:
    """Write one map; raises :class:`SodbenchError` where no other map could be written either."""
    if pixels is None:
        return Problem(
            "not-finite", path.stem, "the network gave NaN or infinity; no map is written"
        )
    try:
        write_grey(path, pixels, comment)
    except ImageError as error:
        cause = error.__cause__
        if isinstance(cause, OSError) and cause.errno in _HOPELESS:
            raise write_error(path, cause) from cause
        return error.problem
    return None


def _started(
    work: _Work, stems: Sequence[str], images: Picture, done: Callable[[int], object]
) -> Iterator[tuple[Sequence[str], Callable[[], Maps]]]:
    """Start a batch; one that fails is divided, down to single images, which become problems."""
    count, height, width = images.shape[:3]
    most = work.most_together(height * width)
    if count > most:
        yield from _started_in_parts(work, stems, images, most, done)
        return
    try:
        wait = work.predictor.start(images, work.max_side)
    except SodbenchError:  # about the network as a whole
        raise
    except FAILURES as error:
        # only text is kept: the error holds the frames, and they the memory of the failed batch
        full = out_of_memory(error)
        reason = describe_failure(error)
    else:
        yield stems, wait
        return
    if full:
        # remembered, so that later batches of this size do not fail first
        work.most_pixels = min(work.most_pixels, count * height * width // 2)
    if count == 1:
        way_out = "; try --max-side" if full else ""
        what = "does not fit in memory" if full else "is refused by the network"
        kind = "memory" if full else "network"
        detail = f"{height}x{width} {what} ({shorten(reason)}){way_out}"
        work.problems.append(Problem(kind, stems[0], detail))
        done(1)
    elif full:
        half = count // 2
        say(f"{count} images of {height}x{width} do not fit in memory: continuing with {half}")
        yield from _started_in_parts(work, stems, images, half, done)
    else:
        before = len(work.problems)
        yield from _started_in_parts(work, stems, images, 1, done)
        if len(work.problems) == before:  # no image is to blame
            work.largest_batch = 1
            say(f"the network refuses batches ({reason}): continuing with one image at a time")


def _started_in_parts(
    work: _Work, stems: Sequence[str], images: Picture, most: int, done: Callable[[int], object]
) -> Iterator[tuple[Sequence[str], Callable[[], Maps]]]:
    for i in range(0, len(stems), most):
        yield from _started(work, stems[i : i + most], images[i : i + most], done)


def out_of_memory(error: BaseException) -> bool:
    """Whether an error of torch or Python says that memory ran out, on any device."""
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    text = error_text(error)
    return "can't allocate memory" in text or "out of memory" in text
