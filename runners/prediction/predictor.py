"""What makes maps, as everything that predicts uses it."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sodbench.errors import Problem
from sodbench.images import Pixels
from sodbench.runners.prediction.one_image import predict_arrays

if TYPE_CHECKING:
    import torch

Maps = Sequence[Pixels | None]


class Predictor:
    """What makes maps: a network, or a classical method.

    Parameters
    ----------
    name : str
        The model's name, for messages.

    Attributes
    ----------
    device : torch.device or None
        Where it computes; None if it does not use torch.
    default_batch_size : int
        Maximum number of images in a batch, unless the caller chooses.
    pads : bool
        Whether images of different sizes, and empty places, may be started together.
    shape_pixels : int
        What a new shape of batch costs: the number of pixels that could be predicted in the same time.
    shapes : set of (int, int, int)
        The shapes of batches so far: number of images, height and width.
    """

    device: "torch.device | None" = None
    default_batch_size = 1
    pads = False
    shape_pixels = 0

    def __init__(self, name: str):
        self.name = name
        self.shapes: set[tuple[int, int, int]] = set()

    def allocate(self, shape: tuple[int, ...]) -> Pixels:
        """Return memory, uint8 of this shape, from which `start` copies fastest."""
        return np.empty(shape, np.uint8)

    def start(
        self, pixels: Pixels, max_side: int | None, sizes: NDArray[np.int64] | None = None
    ) -> Callable[[], Maps]:
        """Start to predict images.

        Parameters
        ----------
        pixels : ndarray of uint8, shape (n, h, w, 3)
            RGB. They must not change until the maps are there.
        max_side : int or None
            Longer images are shrunk to it for the network.
        sizes : ndarray of int64, shape (n, 2), optional
            Height and width of each image, in the top left of its place, 0x0 for an empty place; only where the
            predictor `pads`. By default every image fills its place.

        Returns
        -------
        callable
            Waits for the maps and returns them: n arrays of uint8 of the images' sizes, or None for output that is
            not finite.
        """
        raise NotImplementedError

    def describe(self) -> dict[str, Any]:
        """Return what the manifest records of the predictor."""
        raise NotImplementedError

    def problems(self, finished: bool) -> Sequence[Problem]:
        """Return what the images so far show to be wrong with all maps.

        Parameters
        ----------
        finished : bool
            Whether there are no more images.

        Returns
        -------
        sequence of Problem
        """
        return []

    def __call__(self, images: Any, max_side: int | None = None) -> Any:
        """Predict one image, or several of any sizes, in memory; see `predict_arrays`."""
        if isinstance(images, (list, tuple)):
            return predict_arrays(self, images, max_side)
        return predict_arrays(self, [images], max_side)[0]
