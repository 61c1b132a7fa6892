"""The map of one image, from a network in memory, without a folder."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from sodbench.console import logger
from sodbench.errors import SodbenchError
from sodbench.images import read_rgb
from sodbench.models.presets import get_processing
from sodbench.models.user_code import user_code
from sodbench.runners.prediction.predictors import NetworkPredictor, Origin

if TYPE_CHECKING:
    from torch import nn


def predict_image(
    model: "nn.Module",
    image: NDArray[np.uint8] | Path | str,
    *,
    device: str = "auto",
    precision: str | None = None,
    max_side: int | None = None,
) -> NDArray[np.uint8]:
    """Predict the saliency map of one image: the pixels that ``sodbench predict`` writes.

    The network is copied and prepared on every call. For many images, ``sodbench predict`` and
    `sodbench.runners.prediction.predict.predict` are faster.

    Parameters
    ----------
    model : nn.Module
        Normalised RGB [n, 3, h, w] to logits [n, 1, h', w'], as `create_model` returns it; it is not changed.
    image : ndarray of uint8 with shape (h, w, 3), or path
        RGB, or an image file.
    device : str, default "auto"
        ``auto``, ``cpu``, ``cuda``, ``cuda:N`` or ``mps``.
    precision : str, optional
        ``fp32``, ``tf32``, ``bf16`` or ``fp16``; by default as for ``sodbench predict --precision``.
    max_side : int, optional
        A longer image is shrunk to it for the network; the map keeps the image's size.

    Returns
    -------
    ndarray of uint8, shape (h, w)
        0 to 255.

    Raises
    ------
    SodbenchError
        If the image cannot be read, or the network fails or returns values that are no map of it.

    Examples
    --------
    >>> model = sodbench.create_model("csf-res2net50")  # doctest: +SKIP
    >>> load_checkpoint(model, "final.pth")  # doctest: +SKIP
    >>> saliency = sodbench.predict_image(model, "photo.jpg")  # doctest: +SKIP
    """
    _check_model(model)
    if max_side is not None and max_side < 1:
        raise SodbenchError(f"longest side {max_side}: it cannot be below 1")
    pixels = read_rgb(image) if isinstance(image, (str, Path)) else _check_pixels(image)
    name = type(model).__name__
    # the hash of the weights serves manifests only
    origin = Origin(weights_sha256="not hashed")
    network = NetworkPredictor(model, name, origin=origin, device=device, precision=precision)
    predictor = network.with_processing(get_processing(model))
    with user_code(f"{name}: the network failed on an image of {pixels.shape[1]}x{len(pixels)}"):
        (saliency,) = predictor.start(pixels[None], max_side)()
    if saliency is None:
        raise SodbenchError(f"{name}: the network returned NaN or infinity for this image")
    for problem in predictor.problems(finished=True):
        logger.warning(f"{problem.file}: {problem.detail}")
    return saliency


def _check_model(model: object) -> None:
    from torch import nn

    if not isinstance(model, nn.Module):
        raise SodbenchError(
            f"the model is {model!r}, not a torch.nn.Module; make one with create_model and load_checkpoint"
        )


def _check_pixels(image: object) -> NDArray[np.uint8]:
    if not isinstance(image, np.ndarray):
        raise SodbenchError(
            f"the image is of type {type(image).__name__}; give a path or an RGB array of uint8 with shape (h, w, 3)"
        )
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or 0 in image.shape:
        raise SodbenchError(
            f"the image is an array of {image.dtype} with shape {image.shape}; it must be RGB of uint8 with shape "
            "(h, w, 3)"
        )
    return np.ascontiguousarray(image)
