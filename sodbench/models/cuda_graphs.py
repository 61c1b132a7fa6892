"""CUDA graphs: a network's launches, recorded once for each shape of batch that comes often, and replayed.

A network launches hundreds of small kernels for a batch, each from Python. A graph launches all of them at once. It holds
one shape, and reads and writes the same memory each time, so the inputs of a batch are copied into the graph's own, and
its outputs are copied out.
"""

from collections import Counter
from collections.abc import Callable, Hashable

import torch
from torch import Tensor

from sodbench.console import logger
from sodbench.models.user_code import FAILURES, describe_failure

# Computes the results of images and, if they are padded, of their sizes; the first dimension of all is the batch.
Function = Callable[[Tensor, Tensor | None], tuple[Tensor, ...]]
Replay = Callable[[], None]

# A shape is captured when it comes after this many batches: the capture costs about two, and the first batches of a
# shape make cuDNN choose its algorithms and the network change its memory format if it must.
_BATCHES_BEFORE = 2

# Each graph keeps its inputs and outputs, and each of its launches takes some memory, too.
_MAX_GRAPHS = 32


class GraphMemory:
    """Memory that several graphs share; a replay of one overwrites the outputs of the others.

    Parameters
    ----------
    device : torch.device

    Attributes
    ----------
    pool : object
    stream : torch.cuda.Stream
        On which all of them are captured: torch gives memory of one stream to no other, so graphs captured on several
        streams would share nothing.
    """

    def __init__(self, device: torch.device):
        self.pool = torch.cuda.graph_pool_handle()
        self.stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]


def capture(
    function: Callable[[], tuple[Tensor, ...]], memory: GraphMemory
) -> tuple[Replay, tuple[Tensor, ...]]:
    """Capture a function as a CUDA graph.

    Parameters
    ----------
    function : callable
        It must read and write the same memory at each call and must not wait for the device.
    memory : GraphMemory
        What the graph computes in.

    Returns
    -------
    replay : callable
        Runs the function again on the current stream.
    outputs : tuple of Tensor
        Where its results are after each replay.
    """
    side = memory.stream
    current = torch.cuda.current_stream(side.device)
    # as torch's documentation asks: once outside the graph, on another stream than the default one
    side.wait_stream(current)
    with torch.cuda.stream(side):
        function()
    current.wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    # the outer block restores the stream where the capture fails, the inner one does not;
    # thread_local: what other threads of the program do on the device does not end the capture
    with (
        torch.cuda.stream(current),
        torch.cuda.graph(graph, pool=memory.pool, stream=side, capture_error_mode="thread_local"),
    ):
        outputs = function()
    return graph.replay, outputs


class _CapturedShape:
    """A function for batches of one shape."""

    def __init__(
        self, function: Function, pixels: Tensor, sizes: Tensor | None, memory: GraphMemory
    ):
        self._pixels = pixels.clone()
        self._sizes = None if sizes is None else sizes.clone()
        self._replay, self._outputs = capture(lambda: function(self._pixels, self._sizes), memory)

    def run(self, pixels: Tensor, sizes: Tensor | None) -> tuple[Tensor, ...]:
        """Return the function's results for these images, in memory of their own."""
        self._pixels.copy_(pixels)
        if self._sizes is not None and sizes is not None:
            self._sizes.copy_(sizes)
        self._replay()
        return tuple(output.clone() for output in self._outputs)


class CudaGraphs:
    """Runs a function on batches; shapes that come often become CUDA graphs.

    Where a shape cannot be captured, this is reported once and everything runs without graphs.

    Parameters
    ----------
    enabled : bool
        Without graphs, batches are only passed on.

    Attributes
    ----------
    n_captured : int
        Number of shapes that were captured.
    """

    def __init__(self, enabled: bool):
        self.enabled = enabled
        self._memory: GraphMemory | None = None
        self._seen: Counter[Hashable] = Counter()
        self._captured: dict[Hashable, _CapturedShape] = {}

    @property
    def n_captured(self) -> int:
        """Number of shapes that were captured."""
        return len(self._captured)

    def clear(self) -> None:
        """Forget all graphs, because memory that they read is about to change, such as that of weights."""
        self._captured.clear()

    def run(
        self, function: Function, pixels: Tensor, sizes: Tensor | None, setting: Hashable
    ) -> tuple[Tensor, ...]:
        """Return the results of a function for a batch.

        Parameters
        ----------
        function : callable
            The same function for every call with an equal ``setting``.
        pixels : Tensor, shape [n, h, w, ...]
        sizes : Tensor, shape [n, 2], or None
            Given if the images are padded.
        setting : hashable
            What else the function depends on.

        Returns
        -------
        tuple of Tensor
            Results for n images.
        """
        if not self.enabled:
            return function(pixels, sizes)
        key = (tuple(pixels.shape), sizes is not None, setting)
        if key in self._captured:
            return self._captured[key].run(pixels, sizes)
        self._seen[key] += 1
        if self._seen[key] <= _BATCHES_BEFORE or self.n_captured == _MAX_GRAPHS:
            return function(pixels, sizes)
        try:
            return self._capture(function, pixels, sizes, key).run(pixels, sizes)
        except FAILURES as error:
            # only text is kept: the error holds the frames, and they the memory of the graph
            reason = describe_failure(error)
        self.enabled = False
        self.clear()
        logger.info(
            f"continuing without CUDA graphs, because the network cannot be captured ({reason})"
        )
        return function(pixels, sizes)

    def _capture(
        self, function: Function, pixels: Tensor, sizes: Tensor | None, key: Hashable
    ) -> _CapturedShape:
        if self._memory is None:
            self._memory = GraphMemory(pixels.device)
        self._captured[key] = _CapturedShape(function, pixels, sizes, self._memory)
        return self._captured[key]
