"""The processes that torchrun started: who I am, and sums and values over all."""

import atexit
import os
from typing import Any

import torch
from torch import Tensor, distributed


class Ranks:
    """This process among those of torchrun; alone where torchrun started none.

    The first use in a process joins them, and they stay joined until it ends, because torchrun lets
    them meet but once.  device: where this process computes: with CUDA, the device of its local rank.
    """

    def __init__(self, device: torch.device):
        self.size = int(os.environ.get("WORLD_SIZE", "1"))
        self.rank = int(os.environ.get("RANK", "0"))
        self.first = self.rank == 0
        if self.size > 1 and device.type == "cuda":
            device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
            torch.cuda.set_device(device)
        self.device = device
        if self.size > 1 and not distributed.is_initialized():
            distributed.init_process_group("nccl" if device.type == "cuda" else "gloo")
            atexit.register(distributed.destroy_process_group)

    def add_up(self, tensor: Tensor) -> Tensor:
        """The sum over all processes, in place."""
        if self.size > 1:
            distributed.all_reduce(tensor)
        return tensor

    def total(self, number: float) -> float:
        """The sum of a number over all processes."""
        if self.size == 1:
            return number
        return self.add_up(torch.tensor(number, dtype=torch.float64, device=self.device)).item()

    def gathered(self, own: Any) -> list[Any]:
        """Every process's value, in the order of ranks."""
        if self.size == 1:
            return [own]
        values: list[Any] = [None] * self.size
        distributed.all_gather_object(values, own)
        return values


def default_workers() -> int:
    """Threads that read or write images: this process's share of the machine's cores, 2 to 16."""
    neighbours = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    return max(2, min(16, (os.cpu_count() or 2) // neighbours))
