"""A few drawn pairs on disk, and small networks, to train on."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from sodbench import demo_data
from sodbench.datasets import Dataset, dataset_from_folders
from sodbench.images import write_grey, write_image

NETWORKS = '''
import torch
from torch import nn


class Small(nn.Module):
    """Two convolutions, group and batch normalisation, one frozen layer."""

    def __init__(self, dropout=0.0):
        super().__init__()
        self.first = nn.Conv2d(3, 8, 3, 2, 1)
        self.bn = nn.BatchNorm2d(8)
        self.gn = nn.GroupNorm(2, 8)
        self.fixed = nn.Conv2d(8, 8, 1).requires_grad_(False)
        self.drop = nn.Dropout2d(dropout)
        self.last = nn.Conv2d(8, 1, 3, 1, 1)

    def forward(self, x):
        y = self.drop(self.fixed(self.gn(self.bn(self.first(x)).relu()).relu()))
        return nn.functional.interpolate(self.last(y), size=x.shape[-2:], mode="bilinear")


class Logarithm(Small):
    """Not finite where an image is all black."""

    def forward(self, x):
        brightness = (x - x.new_tensor([-0.485 / 0.229, -0.456 / 0.224, -0.406 / 0.225])[:, None, None])
        return super().forward(x) + brightness.abs().amax((1, 2, 3), keepdim=True).add(-1e-6).log()


class Padding(nn.Module):
    """Computes the same for an image whatever is around it: statistics over the image, zeros outside."""

    handles_padding = True

    def __init__(self):
        super().__init__()
        self.first = nn.Conv2d(3, 8, 3, 1, 1)
        self.last = nn.Conv2d(8, 1, 3, 1, 1)

    def forward(self, x, sizes=None):
        n, _, h, w = x.shape
        if sizes is None:
            sizes = x.new_tensor([[h, w]] * n)
        rows = torch.arange(h, device=x.device) < sizes[:, :1]
        columns = torch.arange(w, device=x.device) < sizes[:, 1:]
        inside = (rows[:, None, :, None] & columns[:, None, None]).to(x.dtype)
        count = 8 * inside.sum((1, 2, 3), keepdim=True)
        y = self.first(x) * inside
        y = (y - y.sum((1, 2, 3), keepdim=True) / count) * inside
        y = y / ((y * y).sum((1, 2, 3), keepdim=True) / count + 1e-5).sqrt()
        return self.last(y.relu()) * inside


def small():
    return Small()


def padding():
    return Padding()


def dropping():
    return Small(0.5)


def logarithm():
    return Logarithm()
'''


@pytest.fixture(scope="module")
def one_thread() -> Iterator[None]:
    """Small networks: on a busy machine threads that wait for each other take longer than the work."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def networks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A user's own file of networks."""
    path = tmp_path_factory.mktemp("networks") / "small_networks.py"
    path.write_text(NETWORKS)
    return path


@pytest.fixture(scope="session")
def twelve(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """Twelve small pairs of three sizes."""
    root = tmp_path_factory.mktemp("twelve")
    sizes = ((32, 40), (40, 32), (36, 36))
    for number in range(1, 13):
        image, mask = demo_data.draw("DUTS-TR", number)
        height, width = sizes[number % 3]
        rows = np.linspace(0, mask.shape[0] - 1, height).astype(int)
        columns = np.linspace(0, mask.shape[1] - 1, width).astype(int)
        write_image(root / "image" / f"pair{number:02d}.png", image[rows][:, columns])
        write_grey(root / "mask" / f"pair{number:02d}.png", mask[rows][:, columns])
    return dataset_from_folders(root / "image", root / "mask", name="twelve")
