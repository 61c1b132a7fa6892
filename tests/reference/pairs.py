"""Random pairs of a map and a mask, with the shapes and contents that break evaluators."""

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

GreyImage = NDArray[np.uint8]
MASKS = ("noise", "sparse", "grey", "pixel", "empty", "full", "border", "blob", "last row")
MAPS = ("noise", "levels", "constant", "mask", "inverse", "narrow", "flat parts", "black")


@st.composite
def pairs(draw: st.DrawFn, side: int = 24) -> tuple[GreyImage, GreyImage]:
    """A map and a mask, uint8 [h, w]."""
    shape = draw(st.integers(1, side)), draw(st.integers(1, side))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    mask = _mask(draw(st.sampled_from(MASKS)), shape, rng)
    return _map(draw(st.sampled_from(MAPS)), mask, rng), mask


def _mask(kind: str, shape: tuple[int, int], rng: np.random.Generator) -> GreyImage:
    height, width = shape
    mask = np.zeros(shape, np.uint8)
    if kind in ("noise", "sparse"):
        mask[rng.random(shape) < (0.5 if kind == "noise" else 0.04)] = 255
    elif kind == "grey":
        mask[:] = rng.choice([0, 20, 25, 26, 128, 129, 200, 255], shape)
    elif kind == "pixel":
        mask[rng.integers(height), rng.integers(width)] = 255
    elif kind == "full":
        mask[:] = 255
    elif kind == "border":
        mask[0] = mask[:, 0] = mask[:, -1] = 255
    elif kind == "blob":
        y, x = np.ogrid[:height, :width]
        centre, radius = rng.random(2) * shape, rng.random(2) * shape + 0.5
        mask[((y - centre[0]) / radius[0]) ** 2 + ((x - centre[1]) / radius[1]) ** 2 < 1] = 255
    elif kind == "last row":
        mask[-1, rng.integers(width) :] = 255
    return mask


def _map(kind: str, mask: GreyImage, rng: np.random.Generator) -> GreyImage:
    shape = mask.shape
    noise = rng.integers(0, 256, shape)
    if kind == "levels":
        noise = rng.choice(rng.integers(0, 256, 3), shape)
    elif kind == "constant":
        noise[:] = rng.integers(256)
    elif kind in ("mask", "inverse"):
        noise[:] = mask if kind == "mask" else 255 - mask
    elif kind == "narrow":
        noise = 90 + noise // 4
    elif kind == "flat parts":
        rows, columns = np.indices(shape) * 2 // np.array(shape)[:, None, None]
        noise = rng.integers(0, 256, 4)[2 * rows + columns]
    elif kind == "black":
        noise[:] = 0
    return noise.astype(np.uint8)
