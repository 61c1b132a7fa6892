"""The maps of images in memory, without a folder: for notebooks and services."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sodbench.console import logger
from sodbench.errors import SodbenchError
from sodbench.images import Pixels, read_rgb
from sodbench.models import DEFAULT_MODEL
from sodbench.models.presets import get_processing
from sodbench.models.source import ModelSource
from sodbench.models.user_code import user_code
from sodbench.runners.prediction.planning import DEFAULT_BATCH_PIXELS

if TYPE_CHECKING:
    from torch import nn

    from sodbench.runners.prediction.predictor import Predictor

# An RGB array, a Pillow image, or a file.
ImageLike = NDArray[np.uint8] | Image.Image | Path | str


def predict_image(
    image: "ImageLike | nn.Module",
    model: "str | ModelSource | nn.Module | ImageLike" = DEFAULT_MODEL,
    *,
    checkpoint: Path | str | None = None,
    device: str = "auto",
    precision: str | None = None,
    max_side: int | None = None,
) -> Pixels:
    """Predict the saliency map of one image: the pixels that ``sodbench predict`` writes.

    The network is loaded on every call. For more images, keep what
    `sodbench.runners.prediction.predictors.load_predictor` returns, and call it.

    Parameters
    ----------
    image : ndarray of uint8 with shape (h, w, 3), PIL image, or path
        RGB, or an image file.
    model : nn.Module, str or ModelSource
        A network in memory, as `create_model` returns it, which is not changed; or a name, ``file.py:factory`` or
        ``file.onnx``. It may also be the first argument, and the image the second.
    checkpoint : Path or str, optional
        A file of weights, for a model that is named.
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
    >>> saliency = sodbench.predict_image("photo.jpg", "u2netp.onnx")  # doctest: +SKIP
    >>> model = sodbench.create_model("csf-res2net50")  # doctest: +SKIP
    >>> load_checkpoint(model, "final.pth")  # doctest: +SKIP
    >>> saliency = sodbench.predict_image("photo.jpg", model)  # doctest: +SKIP
    """
    if _is_module(image):
        image, model = cast("ImageLike", model), cast("nn.Module", image)
    predictor = _load(model, checkpoint, device, precision)
    return predict_arrays(predictor, [cast("ImageLike", image)], max_side)[0]


def _load(
    model: object, checkpoint: Path | str | None, device: str, precision: str | None
) -> "Predictor":
    if isinstance(model, (str, ModelSource)):
        from sodbench.runners.prediction.predictors import load_predictor

        return load_predictor(model, checkpoint, device=device, precision=precision)
    if not _is_module(model):
        raise SodbenchError(
            f"the model is of type {type(model).__name__}; give a name, or a torch.nn.Module as create_model returns it"
        )
    if checkpoint is not None:
        raise SodbenchError(
            f"the network is in memory; load {checkpoint} into it with load_checkpoint"
        )
    return _wrap_network(cast("nn.Module", model), device, precision)


def _wrap_network(network: "nn.Module", device: str, precision: str | None) -> "Predictor":
    from sodbench.runners.prediction.predictors import Origin, make_predictor

    # the hash of the weights serves manifests only
    origin = Origin(weights_sha256="not hashed")
    name, processing = type(network).__name__, get_processing(network)
    return make_predictor(
        network, name, processing, origin=origin, device=device, precision=precision
    )


def _is_module(value: object) -> bool:
    # whoever has a module has imported torch
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(value, torch.nn.Module)


def predict_arrays(
    predictor: "Predictor", images: Sequence[ImageLike], max_side: int | None = None
) -> list[Pixels]:
    """Predict images of any sizes.

    Parameters
    ----------
    predictor : Predictor
    images : sequence of ndarray of uint8 [h, w, 3], PIL image or path
        RGB.
    max_side : int, optional
        Longer images are shrunk to it for the network.

    Returns
    -------
    list of ndarray of uint8 [h, w]
        The map of each image.

    Raises
    ------
    SodbenchError
        If an image cannot be read or predicted.
    """
    if max_side is not None and max_side < 1:
        raise SodbenchError(f"longest side {max_side}: it cannot be below 1")
    pixels = [
        read_rgb(image) if isinstance(image, (str, Path)) else _check_pixels(image)
        for image in images
    ]
    maps: list[Any] = [None] * len(pixels)
    by_size: dict[tuple[int, ...], list[int]] = {}
    for i, image in enumerate(pixels):
        by_size.setdefault(image.shape, []).append(i)
    for places in by_size.values():
        height, width = pixels[places[0]].shape[:2]
        step = max(1, min(predictor.default_batch_size, DEFAULT_BATCH_PIXELS // (height * width)))
        for start in range(0, len(places), step):
            part = places[start : start + step]
            batch = np.stack([pixels[i] for i in part])
            for i, saliency in zip(part, _predict_batch(predictor, batch, max_side), strict=True):
                maps[i] = saliency
    return maps


def _predict_batch(predictor: "Predictor", batch: Pixels, max_side: int | None) -> Sequence[Pixels]:
    """Return the maps of images of one size; log what seems wrong with the network."""
    name = predictor.name
    with user_code(f"{name}: the network failed on an image of {batch.shape[2]}x{batch.shape[1]}"):
        maps = predictor.start(batch, max_side)()
    finite = [saliency for saliency in maps if saliency is not None]
    if len(finite) < len(maps):
        raise SodbenchError(f"{name}: the network returned NaN or infinity for this image")
    for problem in predictor.problems(finished=True):
        logger.warning(f"{problem.file}: {problem.detail}")
    return finite


def _check_pixels(image: object) -> NDArray[np.uint8]:
    if isinstance(image, Image.Image):
        image = np.asarray(image.convert("RGB"))
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
