"""A network whose images are prepared, and whose output is turned into maps, on the CPU, exactly as declared."""

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from sodbench.errors import Problem, SodbenchError
from sodbench.images import Pixels
from sodbench.models.output_range import OutputRange
from sodbench.models.processing import Output, Processing, shrink
from sodbench.parallel import thread_pool
from sodbench.runners.prediction.planning import SHAPE_PIXELS, limit_batch_size
from sodbench.runners.prediction.predictor import Maps, Predictor
from sodbench.runners.prediction.problems import FIRST_IMAGES, double_sigmoid_problem

if TYPE_CHECKING:
    import torch

# Name, if it has one, and values of each output.
Outputs = Sequence[tuple[str | None, NDArray[Any]]]


class Runnable(Protocol):
    """A network that takes prepared images.

    Attributes
    ----------
    name : str
        The model's name, for messages.
    device : torch.device or None
        Where torch computes; None without torch.
    default_batch_size : int
        Images of a batch, unless the caller chooses.
    """

    name: str
    device: "torch.device | None"
    default_batch_size: int

    def allocate_input(self, shape: tuple[int, ...]) -> NDArray[np.float32]:
        """Return memory, float32 of this shape, from which `launch` copies fastest."""
        ...

    def launch(self, batch: NDArray[np.float32]) -> Callable[[], Outputs]:
        """Start the network on images [n, 3, h, w], which must not change until the returned function has waited."""
        ...

    def describe_network(self) -> dict[str, Any]:
        """Return what the manifest records of the network."""
        ...

    def network_problems(self) -> Sequence[Problem]:
        """Return what is known to be wrong with the network."""
        ...


class ProcessedPredictor(Predictor):
    """A network with the processing that was declared or chosen for it.

    Parameters
    ----------
    network : Runnable
    processing : Processing
    mix_sizes : bool, default True
        Predict images of different sizes in one batch where all enter the network at one size, unless it runs single
        images anyway.
    """

    def __init__(self, network: Runnable, processing: Processing, *, mix_sizes: bool = True):
        super().__init__(network.name)
        self.network = network
        self.processing = processing
        self.device = network.device
        size = processing.input.size
        self.default_batch_size = limit_batch_size(network.default_batch_size, size)
        self.pads = mix_sizes and size.fixed is not None and self.default_batch_size > 1
        self.shape_pixels = SHAPE_PIXELS if self.pads else 0
        self._range = OutputRange()

    def start(
        self, pixels: Pixels, max_side: int | None, sizes: NDArray[np.int64] | None = None
    ) -> Callable[[], Maps]:
        """Predict images; see `Predictor.start`.

        Images are prepared here and maps finished in the callable, both by threads: on a GPU, other batches are
        computed meanwhile.
        """
        filled = np.full((len(pixels), 2), pixels.shape[1:3]) if sizes is None else sizes
        images = [image[:h, :w] for image, (h, w) in zip(pixels, filled.tolist(), strict=True)]
        batch = self._prepare(images, max_side)
        launched = self.network.launch(batch)

        def wait() -> Maps:
            # refers to the batch, so that it is kept until here
            values = select_output(launched(), self.processing.output, len(batch))
            self._check_range(values[[image.size > 0 for image in images]])
            with thread_pool(items=len(images)) as threads:
                return list(threads.map(self._finish, values, images))

        return wait

    def _prepare(self, images: Sequence[Pixels], max_side: int | None) -> NDArray[np.float32]:
        """Return what the network gets; zeros for empty places."""
        size = self.processing.input.size
        # they differ in size only where the network's is fixed
        first = images[0].shape
        height, width = size.for_image(*shrink(first[0], first[1], max_side))
        batch = self.network.allocate_input((len(images), 3, height, width))

        def prepare(i: int) -> None:
            image = images[i]
            batch[i] = self.processing.input.apply(image, max_side) if image.size else 0

        with thread_pool(items=len(images)) as threads:
            list(threads.map(prepare, range(len(images))))
        return batch

    def _finish(self, values: NDArray[np.float32], image: Pixels) -> Pixels | None:
        if not image.size:
            return np.empty(image.shape[:2], np.uint8)
        if not np.isfinite(values).all():
            return None
        return self.processing.output.apply(values, (image.shape[0], image.shape[1]))

    def _check_range(self, values: NDArray[np.float32]) -> None:
        extremes = np.stack((values.min((1, 2)), values.max((1, 2))), 1)
        self._range = self._range.with_images(extremes)
        output = self.processing.output
        if output.values == "probabilities" and "min-max" not in output.steps:
            self._range.check_probabilities(self.name)

    def describe(self) -> dict[str, Any]:
        """Return what the manifest records; see `Predictor.describe`."""
        return {
            **self.network.describe_network(),
            "output": self.processing.output.values,
            "processing": self.processing.to_dict(),
        }

    def problems(self, finished: bool) -> Sequence[Problem]:
        """Return what is wrong with all maps: a sigmoid applied twice, layers in training mode."""
        if self._range.images < FIRST_IMAGES and not finished:
            return []
        problems = list(self.network.network_problems())
        if self.processing.output.values == "logits" and self._range.looks_like_probabilities:
            problems.append(double_sigmoid_problem(self.name, self._range))
        return problems


def flatten_outputs(value: Any, name: str | None = None) -> Iterator[tuple[str | None, Any]]:
    """Iterate over the tensors of nested tuples, lists and dictionaries, in order.

    Parameters
    ----------
    value : object
        What a network returned.
    name : str, optional
        The key under which it was.

    Yields
    ------
    name : str or None
        The innermost key.
    value : object
    """
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from flatten_outputs(inner, str(key))
    elif isinstance(value, (tuple, list)):
        for inner in value:
            yield from flatten_outputs(inner, name)
    else:
        yield name, value


def select_output(outputs: Outputs, output: Output, count: int) -> NDArray[np.float32]:
    """Return the declared output of a batch.

    Parameters
    ----------
    outputs : sequence of (str or None, ndarray)
        All outputs of the network.
    output : Output
        Which of them, and which channel.
    count : int
        Number of images.

    Returns
    -------
    ndarray of float32, shape (n, h, w)

    Raises
    ------
    SodbenchError
        If there is no such output, or it is not one map per image.
    """
    outputs_text = ", ".join(
        f"{i}{f' {n!r}' if n else ''} {list(v.shape)}" for i, (n, v) in enumerate(outputs)
    )
    values: NDArray[Any] | None = pick_output(outputs, output.select)
    if values is None:
        wanted = "one output" if output.select is None else f"output {output.select!r}"
        raise SodbenchError(
            f"the network has {len(outputs)} outputs ({outputs_text}), and {wanted} was declared; choose one with "
            "--processing output.select=NUMBER"
        )
    if values.ndim == 4:
        channel = output.channel
        if channel is None and values.shape[1] == 1:
            channel = 0
        if channel is not None and channel < values.shape[1]:
            values = values[:, channel]
    if values.ndim != 3 or len(values) != count or 0 in values.shape or values.dtype.kind != "f":
        raise SodbenchError(
            f"the network returned {outputs_text} of {values.dtype} for {count} images; the output must be one map of floats "
            "per image, [n, 1, h, w]. Choose one of several channels with --processing output.channel=NUMBER"
        )
    return values.astype(np.float32)


def pick_output(outputs: Sequence[tuple[str | None, Any]], select: int | str | None) -> Any:
    """Return one of a network's outputs; None if there is no such output.

    Parameters
    ----------
    outputs : sequence of (str or None, object)
        Name and values of each, as `flatten_outputs` lists them.
    select : int, str or None
        As of `Output`.

    Returns
    -------
    object
    """
    if isinstance(select, str):
        return next((values for name, values in outputs if name == select), None)
    if select is None:
        return outputs[0][1] if len(outputs) == 1 else None
    return outputs[select][1] if -len(outputs) <= select < len(outputs) else None
