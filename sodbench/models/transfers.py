"""Copies between host and device while the device computes.

On CUDA, images and maps cross the bus from and to pinned memory, as uint8, on streams of their own: one batch is copied
in and another out while a third is computed. torch keeps pinned memory that is no longer used, and hands it out again
once every copy from it is done, so each batch simply asks for its own.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


class Transfers:
    """Copies to and from one device.

    Parameters
    ----------
    device : torch.device
        On other devices than CUDA, copies are made when they are asked for.
    """

    def __init__(self, device: torch.device):
        self.device = device
        if device.type == "cuda":
            self._up, self._down = (torch.cuda.Stream(device) for _ in range(2))  # type: ignore[no-untyped-call]

    def allocate(self, shape: Sequence[int], kind: Any = np.uint8) -> NDArray[Any]:
        """Return host memory, of this shape and type and with undefined values, from which `upload` is fastest."""
        if self.device.type != "cuda":
            return np.empty(shape, kind)
        pixel = torch.from_numpy(np.empty(0, kind))
        return torch.empty(tuple(shape), dtype=pixel.dtype, pin_memory=True).numpy()

    def upload(self, array: NDArray[Any]) -> Tensor:
        """Copy an array to the device.

        Parameters
        ----------
        array : ndarray
            It must not change until the work that reads the copy is done.

        Returns
        -------
        Tensor
            On the device, for use on the current stream.
        """
        host = torch.from_numpy(np.ascontiguousarray(array))
        if self.device.type != "cuda":
            return host.to(self.device)
        if not host.is_pinned():
            host = host.pin_memory()
        with torch.cuda.stream(self._up):
            here = host.to(self.device, non_blocking=True)
        current = torch.cuda.current_stream(self.device)
        current.wait_stream(self._up)
        # its memory belongs to the other stream, which must not reuse it before this one has read it
        here.record_stream(current)
        return here

    def download(self, tensors: Sequence[Tensor]) -> Callable[[], list[Tensor]]:
        """Start to copy tensors to the host.

        Parameters
        ----------
        tensors : sequence of Tensor
            Results of the current stream.

        Returns
        -------
        callable
            Waits for the copies and returns them.
        """
        if self.device.type != "cuda":
            return lambda: [tensor.cpu() for tensor in tensors]
        self._down.wait_stream(torch.cuda.current_stream(self.device))
        copies = []
        with torch.cuda.stream(self._down):
            for tensor in tensors:
                copy = torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=True)
                copies.append(copy.copy_(tensor, non_blocking=True))
                tensor.record_stream(self._down)
            # blocking: a thread that waits leaves its core to those that decode and encode
            copied = torch.cuda.Event(blocking=True)  # type: ignore[no-untyped-call]
            copied.record(self._down)

        def wait() -> list[Tensor]:
            copied.synchronize()
            return copies

        return wait
