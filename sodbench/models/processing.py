"""What is done to an image before a network and to its output afterwards: declared, checked and recorded.

Both are a part of a method's numbers. A network declares them as ``processing = Processing(...)`` on its class; for a
file from elsewhere they come from a preset, a TOML file, or ``KEY=VALUE`` options. Nothing here imports torch.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sodbench.errors import SodbenchError
from sodbench.images import Pixels
from sodbench.models.declarations import InputSize
from sodbench.models.resampling import find_resampling, resize

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_DEVIATION = (0.229, 0.224, 0.225)

# What pixels of 0 to 255 are divided by before the mean is subtracted.
PIXEL_SCALES = ("255", "maximum", "none")

# What may be done to an output, in the order in which it is done.
STEPS = ("sigmoid", "resize", "min-max", "round", "truncate")

Values = NDArray[np.float32]


@dataclass(frozen=True)
class Preprocessing:
    """How an image enters a network.

    Parameters
    ----------
    size : InputSize
        The size at which images enter.
    resampling : str, default "torch-bilinear-antialias"
        How they are resized to it; a name of `RESAMPLINGS`.
    scale : str, default "255"
        What pixels of 0 to 255 are divided by: ``255``, the ``maximum`` of the resized image, or ``none``.
    mean, deviation : (float, float, float)
        Subtracted from and divided by, red first, after scaling.
    channels : str, default "rgb"
        Order in which the network takes them: ``rgb`` or ``bgr``.

    Raises
    ------
    SodbenchError
        For other values.
    """

    size: InputSize = field(default_factory=InputSize)
    resampling: str = "torch-bilinear-antialias"
    scale: str = "255"
    mean: tuple[float, float, float] = IMAGENET_MEAN
    deviation: tuple[float, float, float] = IMAGENET_DEVIATION
    channels: str = "rgb"

    def __post_init__(self) -> None:
        find_resampling(self.resampling)
        # TOML may hold the number
        object.__setattr__(self, "scale", str(self.scale))
        if self.scale not in PIXEL_SCALES:
            raise SodbenchError(f"scale {self.scale!r}: write one of {', '.join(PIXEL_SCALES)}")
        if self.channels not in ("rgb", "bgr"):
            raise SodbenchError(f"channels {self.channels!r}: write rgb or bgr")
        for name in ("mean", "deviation"):
            values = getattr(self, name)
            if not (isinstance(values, (tuple, list)) and len(values) == 3) or not all(
                isinstance(v, (int, float)) and not isinstance(v, bool) and np.isfinite(v)
                for v in values
            ):
                raise SodbenchError(
                    f"{name} {values!r}: write three numbers, of red, green and blue"
                )
            object.__setattr__(self, name, tuple(map(float, values)))
        if min(self.deviation) <= 0:
            raise SodbenchError(f"deviation {self.deviation}: write numbers above 0")

    def apply(self, image: Pixels, max_side: int | None = None) -> Values:
        """Return what the network gets of an image.

        Parameters
        ----------
        image : ndarray of uint8, shape (h, w, 3)
            RGB.
        max_side : int, optional
            A longer image is first taken to have this longer side.

        Returns
        -------
        ndarray of float32, shape (3, h', w')
        """
        height, width = shrink(image.shape[0], image.shape[1], max_side)
        pixels = resize(image, self.size.for_image(height, width), self.resampling)
        values = pixels.astype(np.float32)
        if self.scale == "255":
            values /= np.float32(255)
        elif self.scale == "maximum":
            values /= np.float32(max(float(values.max()), 1e-6))
        # a rounding to float32 after each, as in the reference
        values = (values - np.array(self.mean)).astype(np.float32)
        values = (values / np.array(self.deviation)).astype(np.float32)
        if self.channels == "bgr":
            values = values[..., ::-1]
        return np.ascontiguousarray(values.transpose(2, 0, 1))


@dataclass(frozen=True)
class Output:
    """What becomes of a network's output.

    Parameters
    ----------
    select : int, str, optional
        Which of several outputs, nested lists laid out in order: a number (-1 for the last) or a name. None: the
        network has one output.
    channel : int, optional
        Which channel of that output. None: it has one channel.
    steps : tuple of str, default ("resize", "sigmoid", "round")
        What is done to it, in order; names of `STEPS`. Without ``sigmoid`` the output is a probability, 0 to 1.
    resampling : str, default "torch-bilinear"
        How the map is resized to the image; a name of `RESAMPLINGS`.

    Raises
    ------
    SodbenchError
        For other values, and for steps that make no map.
    """

    select: int | str | None = None
    channel: int | None = None
    steps: tuple[str, ...] = ("resize", "sigmoid", "round")
    resampling: str = "torch-bilinear"

    def __post_init__(self) -> None:
        find_resampling(self.resampling)
        if isinstance(self.select, bool) or not isinstance(self.select, (int, str, type(None))):
            raise SodbenchError(
                f"select {self.select!r}: write the number or the name of an output"
            )
        if self.channel is not None and (type(self.channel) is not int or self.channel < 0):
            raise SodbenchError(f"channel {self.channel!r}: write the number of a channel, from 0")
        if not isinstance(self.steps, (tuple, list)):
            raise SodbenchError(f"steps {self.steps!r}: write a list of {', '.join(STEPS)}")
        object.__setattr__(self, "steps", tuple(self.steps))
        self._check_steps()

    def _check_steps(self) -> None:
        steps = self.steps
        if unknown := [step for step in steps if step not in STEPS]:
            raise SodbenchError(f"unknown step {unknown[0]!r}; one of {', '.join(STEPS)}")
        whole = find_resampling(self.resampling).levels is not None
        quantised = [step for step in steps if step in ("round", "truncate")]
        after = steps[steps.index(quantised[0]) + 1 :] if quantised else ()
        if (
            len(set(steps)) < len(steps)
            or "resize" not in steps
            or len(quantised) != 1
            or set(after) - {"resize"}
            or ("sigmoid" in steps and "min-max" in steps[: steps.index("sigmoid")])
        ):
            raise SodbenchError(
                f"steps {list(steps)}: write 'resize' and one of 'round' and 'truncate', each step once, 'sigmoid' before "
                "'min-max', and nothing but 'resize' after 'round' or 'truncate'"
            )
        if after and not whole:
            raise SodbenchError(
                f"steps {list(steps)}: a map of whole levels is resized by a program that keeps them, and {self.resampling} does "
                f"not; write 'resize' before '{quantised[0]}', or choose another resampling, such as pillow-bilinear"
            )

    @staticmethod
    def for_values(values: str) -> "Output":
        """Return the output of a network that returns one map.

        Parameters
        ----------
        values : str
            ``logits`` or ``probabilities``.

        Returns
        -------
        Output
        """
        steps = ("resize", "sigmoid", "round") if values == "logits" else ("resize", "round")
        return Output(steps=steps)

    @property
    def values(self) -> str:
        """``logits`` if the steps apply a sigmoid, else ``probabilities``."""
        return "logits" if "sigmoid" in self.steps else "probabilities"

    def apply(self, values: Values, size: tuple[int, int]) -> Pixels:
        """Return the map of one image.

        Parameters
        ----------
        values : ndarray of float32, shape (h', w')
            The selected output; finite.
        size : (int, int)
            The image's height and width.

        Returns
        -------
        ndarray of uint8, shape (h, w)
        """
        result: NDArray[Any] = values
        for step in self.steps:
            result = self._apply_step(step, result, size)
        return np.ascontiguousarray(result)

    def _apply_step(self, step: str, values: NDArray[Any], size: tuple[int, int]) -> NDArray[Any]:
        if step == "sigmoid":
            from scipy.special import expit

            return np.asarray(expit(values))
        if step == "resize":
            return resize(values, size, self.resampling)
        if step == "min-max":
            low, high = values.min(), values.max()
            # a map of one value has nothing to stretch
            return (values - low) / (high - low) if high > low else np.zeros_like(values)
        levels = 255 * values.clip(0, 1)
        return (np.rint(levels) if step == "round" else levels).astype(np.uint8)


@dataclass(frozen=True)
class Processing:
    """All that is done around a network.

    Parameters
    ----------
    input : Preprocessing
    output : Output
    preset : str, optional
        The preset that it began with, for the manifest.
    """

    input: Preprocessing = field(default_factory=Preprocessing)
    output: Output = field(default_factory=Output)
    preset: str | None = None

    @property
    def runs_on_device(self) -> bool:
        """Whether `sodbench.models.inference` does all of it on the network's device."""
        plain = Processing(
            Preprocessing(self.input.size), Output.for_values(self.output.values), self.preset
        )
        return self == plain

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON: ``input``, ``output`` and ``preset``, as a TOML file holds them."""
        given = asdict(self.input)
        size = {k: v for k, v in given.pop("size").items() if v != getattr(InputSize(), k)}
        output = {k: v for k, v in asdict(self.output).items() if v is not None}
        record = {
            "input": _as_lists((size or {"multiple": 1}) | given),
            "output": _as_lists(output),
        }
        return record if self.preset is None else {"preset": self.preset, **record}


def _as_lists(values: Mapping[str, Any]) -> dict[str, Any]:
    return {k: list(v) if isinstance(v, tuple) else v for k, v in values.items()}


def shrink(height: int, width: int, max_side: int | None) -> tuple[int, int]:
    """Return the size of an image whose longer side is at most ``max_side``.

    Parameters
    ----------
    height, width : int
    max_side : int or None

    Returns
    -------
    (int, int)
        Height and width, at least 1.
    """
    longer = max(height, width)
    if max_side is None or longer <= max_side:
        return height, width
    return max(1, round(height * max_side / longer)), max(1, round(width * max_side / longer))
