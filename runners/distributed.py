"""The processes that torchrun started: which one this is, and sums and values over all of them."""

import atexit
import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from sodbench.errors import SodbenchError

if TYPE_CHECKING:
    import torch
    from torch import Tensor

T = TypeVar("T")


class ProcessGroup:
    """This process among those of torchrun; a group of one if torchrun did not start it.

    The first group made in a process joins the others, and the process stays joined until it ends, because torchrun
    lets processes meet only once.

    Parameters
    ----------
    device : torch.device or None
        Where this process computes; None if it does not use torch, which is then not imported for one process.

    Attributes
    ----------
    size, rank : int
        Number of processes, and the number of this one.
    first : bool
        Whether this is the process that prints and writes for all.
    device : torch.device or None
        With CUDA, the device of the local rank.

    Raises
    ------
    SodbenchError
        If the environment does not describe processes that can be joined.
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
            # Python objects are gathered through the current device, which must not be another process's
            torch.cuda.set_device(self.device)
        # processes meet once: a second group, such as that of a prediction after a training, uses the same connection
        if distributed.is_initialized():
            return
        try:
            distributed.init_process_group("nccl" if cuda else "gloo")
        except (RuntimeError, ValueError) as error:
            reason = next(iter(str(error).splitlines()), type(error).__name__)
            raise SodbenchError(
                f"the environment has WORLD_SIZE={self.size}, but the other processes cannot be joined "
                f"({reason}); start with torchrun, or unset WORLD_SIZE to run alone"
            ) from error
        # else PyTorch warns of a leak at the end of every run
        atexit.register(distributed.destroy_process_group)

    def all_reduce_(self, tensor: "Tensor") -> "Tensor":
        """Replace a tensor by its sum over all processes, in place, and return it."""
        if self.size > 1:
            from torch import distributed

            distributed.all_reduce(tensor)
        return tensor

    def sum(self, number: float) -> float:
        """Return the sum of a number over all processes."""
        if self.size == 1:
            return number
        import torch

        return self.all_reduce_(
            torch.tensor(number, dtype=torch.float64, device=self.device)
        ).item()

    def all_gather(self, value: Any) -> list[Any]:
        """Return the value of every process, in the order of ranks."""
        if self.size == 1:
            return [value]
        from torch import distributed

        values: list[Any] = [None] * self.size
        distributed.all_gather_object(values, value)
        return values

    def run_on_first(self, function: Callable[[], T]) -> T:
        """Call a function on the first process; return its value on every process.

        Parameters
        ----------
        function : callable
            Its value is sent to the other processes, so it must be picklable.

        Returns
        -------
        object
            What the function returned.

        Raises
        ------
        SodbenchError
            On every process, if the function raises one.
        """
        value: Any = None
        error: SodbenchError | None = None
        if self.first:
            try:
                value = function()
            except SodbenchError as raised:
                error = raised
        # an error on the first process alone would leave the others waiting for its value
        (value, error), *_ = self.all_gather((value, error))
        if error is not None:
            raise error
        return value  # type: ignore[no-any-return]


def environment_number(name: str, default: int) -> int:
    """Read a number that torchrun sets in the environment.

    Parameters
    ----------
    name : str
        The variable.
    default : int
        Its value if it is not set or empty.

    Returns
    -------
    int

    Raises
    ------
    SodbenchError
        If the variable is not a number.
    """
    text = os.environ.get(name) or str(default)
    if not text.isdecimal():
        raise SodbenchError(f"the environment variable {name} is {text!r}, not a number; unset it")
    return int(text)
