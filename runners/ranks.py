"""The processes that torchrun started, for training: who I am, and sums over all."""

import os
from types import TracebackType
from typing import Any, Self

import torch
from torch import Tensor, distributed


class Ranks:
    """This process among those of torchrun; alone where torchrun started none.

    device: where this process computes: with CUDA, the device of its local rank.
    """

    def __init__(self, device: torch.device):
        self.size = int(os.environ.get("WORLD_SIZE", "1"))
        self.rank = int(os.environ.get("RANK", "0"))
        self.first = self.rank == 0
        if self.size > 1 and device.type == "cuda":
            device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
            torch.cuda.set_device(device)
        self.device = device

    def __enter__(self) -> Self:
        self._joined = self.size > 1 and not distributed.is_initialized()
        if self._joined:
            distributed.init_process_group("nccl" if self.device.type == "cuda" else "gloo")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._joined:
            distributed.destroy_process_group()

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
