"""CUDA graphs, through a stand-in that replays a Python function: which batches are captured, and where results are."""

import pytest
import torch

from sodbench.errors import SodbenchError
from sodbench.models import cuda_graphs
from sodbench.models.cuda_graphs import CudaGraphs
from sodbench.models.inference import InferenceNetwork


class StandIn:
    """Like a graph: writes its outputs into the same memory at each replay, and reads its inputs from there."""

    def __init__(self):
        self.captures = self.replays = 0
        self.memories = []

    def make_memory(self, device):
        self.memories.append(device)
        return len(self.memories)

    def capture(self, function, memory):
        assert memory == 1
        self.captures += 1
        outputs = tuple(torch.full_like(output, -7) for output in function())

        def replay():
            self.replays += 1
            for output, value in zip(outputs, function(), strict=True):
                output.copy_(value)

        return replay, outputs


@pytest.fixture
def stand_in(monkeypatch):
    made = StandIn()
    monkeypatch.setattr(cuda_graphs, "capture", made.capture)
    monkeypatch.setattr(cuda_graphs, "GraphMemory", made.make_memory)
    return made


def function(pixels, sizes):
    """Sum and product of each image inside its size."""
    inside = torch.ones(len(pixels)) if sizes is None else sizes.prod(1).float()
    return pixels.float().sum((1, 2)) * inside, inside[:, None]


def batch(n, seed, sizes=False):
    generator = torch.Generator().manual_seed(seed)
    pixels = torch.randint(0, 256, (n, 3, 4), dtype=torch.uint8, generator=generator)
    return pixels, torch.randint(1, 4, (n, 2), generator=generator) if sizes else None


@pytest.mark.parametrize("padded", [False, True])
def test_results_are_the_functions_whatever_came_before(stand_in, padded):
    graphs, kept = CudaGraphs(True), []
    for seed, n in enumerate([4, 4, 4, 4, 2, 4, 3]):
        pixels, sizes = batch(n, seed, padded)
        results = graphs.run(function, pixels, sizes, "setting")
        kept.append((results, function(pixels, sizes)))
    # compared at the end: no replay overwrites the results of an earlier batch
    for results, expected in kept:
        assert all(torch.equal(a, b) for a, b in zip(results, expected, strict=True))
    assert (stand_in.captures, stand_in.replays, graphs.n_captured) == (1, 3, 1)


def test_shapes_that_come_seldom_and_other_settings_are_not_captured(stand_in):
    graphs = CudaGraphs(True)
    for seed in range(2):
        for n in (1, 2, 3):
            for setting in "ab":
                graphs.run(function, *batch(n, seed), setting)
    assert stand_in.captures == 0


def test_graphs_are_off_where_they_are_not_wanted(stand_in):
    graphs = CudaGraphs(False)
    for seed in range(9):
        graphs.run(function, *batch(2, seed), None)
    assert stand_in.captures == 0


def test_all_graphs_share_one_memory(stand_in):
    graphs = CudaGraphs(True)
    for n in (1, 2, 3):
        for seed in range(3):
            graphs.run(function, *batch(n, seed), None)
    assert graphs.n_captured == 3 and len(stand_in.memories) == 1


def test_no_graph_is_replayed_after_the_weights_have_moved(stand_in):
    """A network that fails in channels-last memory for one size only gets contiguous weights, in other memory."""

    class Viewing(torch.nn.Conv2d):
        def forward(self, x):
            y = super().forward(x)
            if x.shape[-1] == 5:
                y.view(len(y), -1)
            return y[:, :1]

    network = InferenceNetwork(Viewing(3, 2, 3, padding=1), "cpu")
    network.graphs = CudaGraphs(True)
    small, large = torch.zeros(1, 4, 4, 3).byte().numpy(), torch.ones(1, 4, 5, 3).byte().numpy()
    for pixels in (small, small, small, small, large):
        network.start(pixels)()
    assert stand_in.replays == 2 and not network.channels_last
    assert network.graphs.n_captured == 0


def test_a_network_that_cannot_be_captured_continues_without_graphs(stand_in, monkeypatch, capsys):
    def capture(function, memory):
        function()
        raise RuntimeError("operation not permitted when stream is capturing")

    monkeypatch.setattr(cuda_graphs, "capture", capture)
    graphs = CudaGraphs(True)
    for seed in range(9):
        pixels, sizes = batch(2, seed)
        results = graphs.run(function, pixels, sizes, None)
        assert torch.equal(results[0], function(pixels, sizes)[0])
    assert capsys.readouterr().err.count("continuing without CUDA graphs") == 1
    assert not graphs.enabled and graphs.n_captured == 0


def test_no_more_graphs_than_allowed(stand_in, monkeypatch):
    monkeypatch.setattr(cuda_graphs, "_MAX_GRAPHS", 2)
    graphs = CudaGraphs(True)
    for n in (1, 2, 3):
        for seed in range(4):
            graphs.run(function, *batch(n, seed), n)
    assert stand_in.captures == 2


def test_graphs_need_cuda():
    with pytest.raises(SodbenchError, match="CUDA graphs exist on CUDA devices only, not on cpu"):
        InferenceNetwork(torch.nn.Conv2d(3, 1, 1), "cpu", graphs=True)
