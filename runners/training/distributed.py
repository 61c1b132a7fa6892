"""The processes that torchrun started: who I am, and sums and values over all."""

import atexit
import os
from typing import TYPE_CHECKING, Any

from sodbench.errors import SodbenchError
from sodbench.parallel import processors

if TYPE_CHECKING:
    import torch
    from torch import Tensor


class Ranks:
    """This process among those of torchrun; alone where torchrun started none.

    The first use in a process joins them, and they stay joined until it ends, because torchrun lets
    them meet but once.  device: where this process computes: with CUDA, the device of its local rank; None
    where nothing is computed with torch, which is then not imported for one process.

    Raises :class:`SodbenchError` where the environment does not describe processes that can be joined.
    """

    def __init__(self, device: "torch.device | None"):
        self.size = environment_number("WORLD_SIZE", 1)
        self.rank = environment_number("RANK", 0)
        self.first = self.rank == 0
        self.device = device
        if self.size > 1:
            self._join()

    def _join(self) -> None:
        import torch
        from torch import distributed

        cuda = self.device is not None and self.device.type == "cuda"
        if cuda:
            self.device = torch.device("cuda", environment_number("LOCAL_RANK", 0))
            torch.cuda.set_device(self.device)
        if distributed.is_initialized():
            return
        try:
            distributed.init_process_group("nccl" if cuda else "gloo")
        except (RuntimeError, ValueError) as error:
            reason = next(iter(str(error).splitlines()), type(error).__name__)
            raise SodbenchError(
                f"the environment says WORLD_SIZE={self.size}, but the other processes cannot be joined "
                f"({reason}); start with torchrun, or unset WORLD_SIZE to run alone"
            ) from error
        atexit.register(distributed.destroy_process_group)

    def add_up(self, tensor: "Tensor") -> "Tensor":
        """The sum over all processes, in place."""
        if self.size > 1:
            from torch import distributed

            distributed.all_reduce(tensor)
        return tensor

    def total(self, number: float) -> float:
        """The sum of a number over all processes."""
        if self.size == 1:
            return number
        import torch

        return self.add_up(torch.tensor(number, dtype=torch.float64, device=self.device)).item()

    def gathered(self, own: Any) -> list[Any]:
        """Every process's value, in the order of ranks."""
        if self.size == 1:
            return [own]
        from torch import distributed

        values: list[Any] = [None] * self.size
        distributed.all_gather_object(values, own)
        return values


def environment_number(name: str, default: int) -> int:
    """Read a count that torchrun sets; raises :class:`SodbenchError` where the variable holds something else."""
    text = os.environ.get(name) or str(default)
    if not text.isdecimal():
        raise SodbenchError(f"the environment variable {name} is {text!r}, not a number; unset it")
    return int(text)


def default_workers() -> int:
    """Threads that read or write images: this process's share of the processors it may use, 2 to 16."""
    return max(2, min(16, processors() // max(1, environment_number("LOCAL_WORLD_SIZE", 1))))
