"""Deterministic weights, inputs and labels for parity tests: uniform draws of numpy's PCG64, nothing else.

One generator a tag, seeded by crc32(tag) + seed, so that the order of the tensors does not matter.
The expected values of tests/data/model_parity_* and train_step_* were made from these.
"""

import zlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

MEAN = np.array((0.485, 0.456, 0.406)).reshape(1, 3, 1, 1)
STD = np.array((0.229, 0.224, 0.225)).reshape(1, 3, 1, 1)


def uniform(tag: str, seed: int, shape: tuple[int, ...]) -> NDArray[np.float64]:
    generator = np.random.Generator(np.random.PCG64(zlib.crc32(tag.encode()) + seed))
    return generator.random(int(np.prod(shape, dtype=np.int64))).reshape(shape)


def tensor(key: str, shape: tuple[int, ...], seed: int) -> NDArray[np.generic]:
    leaf = key.rpartition(".")[2]
    if leaf == "num_batches_tracked":
        return np.zeros(shape, np.int64)
    u = uniform(key, seed, shape)
    if leaf == "running_mean":
        u = 0.4 * u - 0.2
    elif leaf == "running_var":
        u = 0.5 + u
    elif len(shape) >= 2:
        u = (2.0 * u - 1.0) * np.sqrt(3.0 / int(np.prod(shape[1:])))
    elif leaf == "bias":
        u = 0.4 * u - 0.2
    elif "prelu" in key:
        u = 0.1 + 0.3 * u
    else:
        u = 0.5 + u
    return u.astype(np.float32)


def load(model: Any, seed: int = 0) -> None:
    """Load the weights into a network of torch."""
    import torch

    shapes = {key: tuple(value.shape) for key, value in model.state_dict().items()}
    weights = {key: tensor(key, shape, seed) for key, shape in shapes.items()}
    model.load_state_dict({key: torch.from_numpy(value) for key, value in weights.items()})


def network_input(n: int, h: int, w: int, seed: int) -> NDArray[np.float32]:
    """Normalised float32 [n, 3, h, w]."""
    size = f"{n}x3x{h}x{w}"
    fine = uniform("input.fine." + size, seed, (n, 3, h, w))
    image = 0.75 * _blocks("input.coarse." + size, seed, n, 3, h, w) + 0.25 * fine
    return ((image - MEAN) / STD).astype(np.float32)


def label(n: int, h: int, w: int, seed: int) -> NDArray[np.float32]:
    """Binary float32 [n, 1, h, w]."""
    return (_blocks(f"label.{n}x1x{h}x{w}", seed, n, 1, h, w) >= 0.5).astype(np.float32)


def _blocks(tag: str, seed: int, n: int, c: int, h: int, w: int) -> NDArray[np.float64]:
    coarse = uniform(tag, seed, (n, c, -(-h // 16), -(-w // 16)))
    return coarse.repeat(16, 2).repeat(16, 3)[:, :, :h, :w]
