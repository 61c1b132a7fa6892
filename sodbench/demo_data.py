"""The built-in sample (``sodbench run --sample``): six tiny test sets and a training split, drawn by this module.

A new user sees all of sodbench work without downloading anything. Nothing here is a real dataset: the folders have
the names of the real six and imitate their character in small (`CHARACTERS`), so that every table and figure has the
shape that it will have on real data. Numbers from the sample compare with nothing outside it; a file in the folder
warns of that.

Every image follows from its own name alone: a PCG64 stream seeded with the CRC-32 of the name, and only uniform
draws, which no version of NumPy changes. Its mask is exact: the pixels at least half covered by an object.
"""

import hashlib
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from sodbench import images
from sodbench.console import track
from sodbench.errors import SodbenchError
from sodbench.files import file_hash, report_write_errors
from sodbench.metrics.arrays import Floats

T = TypeVar("T")

# The file that marks a folder as one that `write_demo_data` drew.
DEMO_MARKER = "THIS_IS_A_SAMPLE.txt"

# To be raised when the drawing changes: older samples are then drawn again.
_DRAWING_VERSION = 3


@dataclass(frozen=True)
class Character:
    """What the images of one dataset look like; every range is drawn from uniformly.

    Attributes
    ----------
    count : int
        Number of images.
    objects : (int, int)
        Number of objects.
    scale : (float, float)
        Diameter of an object over the shorter side of the image.
    contrast : (float, float)
        1 keeps the object's own colours, 0 gives it those of the background.
    spread : float
        How far from the centre objects are (0: at the centre, 1: anywhere inside).
    cut : float
        Probability that an object is pushed over the border of the image.
    clutter : (int, int)
        Number of dull pebbles, which are not salient.
    extension : str
        Format of the images.
    folders : (str, str)
        Images and masks, below the root of the sample; ``{}`` is the dataset's name.
    agreement : bool
        Masks have grey levels as those of PASCAL-S; see `draw`.
    """

    count: int
    objects: tuple[int, int]
    scale: tuple[float, float]
    contrast: tuple[float, float]
    spread: float
    cut: float = 0.0
    clutter: tuple[int, int] = (0, 3)
    extension: str = ".jpg"
    folders: tuple[str, str] = ("{}/Imgs", "{}/GT")
    agreement: bool = False


_AS_DUTS = ("{0}/{0}-Image", "{0}/{0}-Mask")
CHARACTERS = {
    # one large, clear object
    "ECSSD": Character(16, (1, 1), (0.6, 0.95), (0.7, 1.0), 0.7),
    # several objects, on which viewers do not fully agree
    "PASCAL-S": Character(16, (1, 3), (0.35, 0.7), (0.6, 1.0), 0.8, clutter=(1, 4), agreement=True),
    # small objects in cluttered scenes
    "DUT-OMRON": Character(20, (1, 2), (0.25, 0.5), (0.6, 1.0), 1.0, clutter=(5, 10)),
    # several objects of low contrast that touch the border
    "HKU-IS": Character(18, (2, 4), (0.35, 0.6), (0.45, 0.75), 0.9, 0.6, (0, 2), ".png"),
    # everything at once, from specks to objects that fill the image
    "SOD": Character(14, (1, 3), (0.2, 0.95), (0.4, 0.9), 0.9, 0.3, (2, 6)),
    "DUTS-TE": Character(20, (1, 3), (0.3, 0.85), (0.5, 1.0), 0.9, 0.2, (0, 6), folders=_AS_DUTS),
    "DUTS-TR": Character(
        200, (1, 3), (0.28, 0.9), (0.45, 1.0), 0.9, 0.25, (0, 7), folders=_AS_DUTS
    ),
}
# height and width
_SIZES = ((120, 160), (160, 120), (128, 128), (107, 160))

# Hues of scenes (green to violet) and of objects (magenta to yellow): what a network learns first. Scenes differ
# more from light to dark than from objects, so contrast alone does not distinguish them.
_COOL, _WARM = (0.22, 0.72), (-0.14, 0.14)


# --- files -------------------------------------------------------------------------------------------


def is_demo_data(root: Path) -> bool:
    """Whether ``root``, or the folder above, is a sample drawn by `write_demo_data`.

    Returns
    -------
    bool
        Its numbers then compare with nothing else.
    """
    return (root / DEMO_MARKER).is_file() or (root.parent / DEMO_MARKER).is_file()


def demo_stems(name: str) -> frozenset[str]:
    """Return the item names that the sample has of a dataset; empty for datasets that are not in it.

    Returns
    -------
    frozenset of str
        ``0001``, ``0002`` ...
    """
    count = CHARACTERS[name].count if name in CHARACTERS else 0
    return frozenset(f"{number:04d}" for number in range(1, count + 1))


def write_demo_data(root: Path | str) -> Path:
    """Draw the sample, unless it is there already.

    Parameters
    ----------
    root : Path or str
        A new folder, an empty one, or an older sample, which is completed.

    Returns
    -------
    Path
        ``root``.

    Raises
    ------
    SodbenchError
        If ``root`` holds other files, or cannot be written.
    """
    root = Path(root)
    marker = root / DEMO_MARKER
    if marker.is_file():
        if marker.read_text("utf-8", errors="replace") == _marker_text(_hash_of_files(root)):
            return root
    elif root.exists() and (not root.is_dir() or any(root.iterdir())):
        raise SodbenchError(
            f"{root} exists and is not a sample drawn by sodbench (it holds no {DEMO_MARKER}); "
            "nothing was written there. Choose another folder for the sample, or move this one away."
        )
    with report_write_errors(marker):
        root.mkdir(parents=True, exist_ok=True)
        marker.write_text(_marker_text("unfinished"), "utf-8")
    for name, number in track(list(_items()), "drawing the sample", unit="image"):
        image, mask = draw(name, number)
        image_path, mask_path = _paths(root, name, number)
        images.write_image(image_path, image)
        images.write_grey(mask_path, mask)
    with report_write_errors(marker):
        marker.write_text(_marker_text(_hash_of_files(root)), "utf-8")
    return root


def _items() -> Iterator[tuple[str, int]]:
    for name, character in CHARACTERS.items():
        for number in range(1, character.count + 1):
            yield name, number


def _paths(root: Path, name: str, number: int) -> tuple[Path, Path]:
    character = CHARACTERS[name]
    images, masks = (root / folder.format(name) for folder in character.folders)
    return images / f"{number:04d}{character.extension}", masks / f"{number:04d}.png"


def _hash_of_files(root: Path) -> str:
    """A hash of all files of the sample, or ``incomplete``."""
    whole = hashlib.sha256()
    for name, number in _items():
        for path in _paths(root, name, number):
            if not path.is_file():
                return "incomplete"
            whole.update(file_hash(path).encode())
    return whole.hexdigest()


def _marker_text(content_hash: str) -> str:
    return (
        "The images in this folder were drawn by sodbench (sodbench/demo_data.py). They are a sample that shows\n"
        "the toolkit at work, NOT the datasets whose names the folders have: numbers measured on them compare\n"
        "with nothing outside this sample. The folder may be deleted at any time.\n\n"
        f"version: {_DRAWING_VERSION}\nsha256: {content_hash}\n"
    )


# --- scenes ------------------------------------------------------------------------------------------


def draw(name: str, number: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Draw one image and its mask.

    Parameters
    ----------
    name : str
        A dataset of `CHARACTERS`.
    number : int
        Which image, from 1.

    Returns
    -------
    image : ndarray of uint8, shape (h, w, 3)
        RGB.
    mask : ndarray of uint8, shape (h, w)
        0 and 255. With ``agreement`` (PASCAL-S, whose masks record how many viewers picked an object) an object
        after the first may be 170, and clutter 85: above 128 the objects alone remain.
    """
    character = CHARACTERS[name]
    seed = zlib.crc32(f"sodbench.sample.{name}.{number}".encode())
    rng = np.random.Generator(np.random.PCG64(seed))
    size = _pick(rng, _SIZES)
    canvas = _draw_background(rng, size)
    dull = canvas.mean((0, 1))
    mask = np.zeros(size, np.uint8)

    for _ in range(_draw_count(rng, character.clutter)):
        place = _place(rng, size, _between(rng, (0.06, 0.16)), 1.0, cut=False)
        outline = _draw_outline(rng, place)
        _paint(canvas, outline, place, dull * _between(rng, (0.55, 1.35)), relief=0.2)
        if character.agreement:
            mask[_coverage(outline, place) >= 0.5] = 85

    for index in range(_draw_count(rng, character.objects)):
        scale = _between(rng, character.scale) * (1.0 if index == 0 else 0.75)
        place = _place(rng, size, scale, character.spread, cut=rng.random() < character.cut)
        outline = _draw_outline(rng, place)
        contrast = _between(rng, character.contrast)
        colours = dull + contrast * (_draw_texture(rng, place) - dull)
        _paint(canvas, outline, place, colours, relief=0.5)
        agreed = not character.agreement or index == 0 or rng.random() < 0.5
        mask[_coverage(outline, place) >= 0.5] = 255 if agreed else 170

    grain = rng.random((*size, 1)) - 0.5
    return np.rint(255 * np.clip(canvas + 0.04 * grain, 0, 1)).astype(np.uint8), mask


def _between(rng: "np.random.Generator", ends: tuple[float, float]) -> float:
    return ends[0] + (ends[1] - ends[0]) * float(rng.random())


def _draw_count(rng: "np.random.Generator", ends: tuple[int, int]) -> int:
    return ends[0] + int((ends[1] - ends[0] + 1) * rng.random())


def _pick(rng: "np.random.Generator", options: tuple[T, ...]) -> T:
    return options[int(len(options) * rng.random())]


def _rgb(hue: float, saturation: float, value: float) -> Floats:
    """A colour (hue has period 1, the others 0 to 1) as RGB, 0 to 1, [3]."""
    wheel = np.abs((hue + np.array([0.0, 2 / 3, 1 / 3])) % 1.0 * 6 - 3) - 1
    return np.asarray(value * (1 - saturation * (1 - np.clip(wheel, 0, 1))))


def _mix(weight: Floats, first: Floats, second: Floats) -> Floats:
    """Blend two colours [3] by a weight [h, w] (1: the second)."""
    return np.asarray(first + weight[..., None] * (second - first))


def _noise(rng: "np.random.Generator", size: tuple[int, int], cells: float, octaves: int) -> Floats:
    """Value noise, 0 to 1, [h, w]; ``cells``: how many of its largest features fit across."""
    from PIL import Image

    height, width = size
    total = np.zeros(size)
    for octave in range(octaves):
        across = cells * 2**octave / max(size)
        grid = rng.random((2 + int(across * height), 2 + int(across * width)))
        layer = Image.fromarray(grid.astype(np.float32))
        resized = layer.resize((width, height), Image.Resampling.BICUBIC)
        total += np.asarray(resized, np.float64) * 0.55**octave
    return np.asarray((total - total.min()) / (np.ptp(total) + 1e-9))


def _draw_background(rng: "np.random.Generator", size: tuple[int, int]) -> Floats:
    """A scene without objects, RGB, 0 to 1, [h, w, 3]: a field or a horizon, unevenly lit."""
    rows, columns = np.mgrid[: size[0], : size[1]] / max(size)
    dark = _rgb(_between(rng, _COOL), _between(rng, (0.2, 0.8)), _between(rng, (0.1, 0.4)))
    light = _rgb(_between(rng, _COOL), _between(rng, (0.0, 0.5)), _between(rng, (0.65, 1.0)))
    weight = _noise(rng, size, _between(rng, (2, 16)), 5)
    if rng.random() < 0.5:
        horizon = _between(rng, (0.25, 0.7)) * size[0] / max(size)
        ground = np.clip((rows - horizon) * 40, 0, 1)
        weight = ground * 0.6 * weight + (1 - ground) * (0.75 + 0.25 * weight)
    direction = _between(rng, (0, 2 * np.pi))
    slope = np.cos(direction) * (columns - 0.5) + np.sin(direction) * (rows - 0.5)
    lit = 1 + _between(rng, (0.2, 1.0)) * slope
    return np.asarray(_mix(weight, dark, light) * lit[..., None])


# --- objects -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Place:
    """Where an object is: its own turned coordinates u, v [h, w], in units of its ``radius`` (pixels)."""

    u: Floats
    v: Floats
    radius: float


def _place(
    rng: "np.random.Generator", size: tuple[int, int], scale: float, spread: float, cut: bool
) -> _Place:
    radius = scale * min(size) / 2
    margin = 0.35 * radius if cut else 1.05 * radius
    centre = []
    for side in size:
        offset = _between(rng, (-1, 1))
        # towards a border
        if cut:
            offset = float(np.sign(offset)) * (0.6 + 0.4 * abs(offset))
        centre.append(side / 2 + spread * max(side / 2 - margin, 0.0) * offset)
    rows, columns = np.mgrid[: size[0], : size[1]] + 0.5
    turn = _between(rng, (-0.6, 0.6))
    y, x = (rows - centre[0]) / radius, (columns - centre[1]) / radius
    u, v = np.cos(turn) * x + np.sin(turn) * y, np.cos(turn) * y - np.sin(turn) * x
    return _Place(u, v, radius)


def _draw_outline(rng: "np.random.Generator", place: _Place) -> Floats:
    """An object's height above its outline, [h, w]: 0 on the outline, below 0 outside."""
    distance, angle = np.hypot(place.u, place.v), np.arctan2(place.v, place.u)
    kind = _pick(rng, ("ellipse", "box", "star", "blob", "ring"))
    if kind == "ellipse":
        width = _between(rng, (0.5, 1.0))
        return np.asarray(width * (1 - np.hypot(place.u, place.v / width)))
    # with rounded corners
    if kind == "box":
        width, power = _between(rng, (0.5, 0.85)), _between(rng, (4, 8))
        norm = np.abs(place.u / 0.9) ** power + np.abs(place.v / width) ** power
        return np.asarray(width * (1 - norm ** (1 / power)))
    if kind == "star":
        arms, depth = _draw_count(rng, (3, 7)), _between(rng, (0.15, 0.35))
        return np.asarray(1 - depth * (1 - np.cos(arms * angle)) - distance)
    # its hole belongs to the background
    if kind == "ring":
        width = _between(rng, (0.2, 0.3))
        return np.asarray(width - np.abs(distance - (1 - width)))
    radius = np.full_like(angle, 0.8)
    for waves in (2, 3, 4, 5):
        phase = _between(rng, (0, 2 * np.pi))
        radius += _between(rng, (0, 0.32 / waves)) * np.cos(waves * angle + phase)
    return np.asarray(radius - distance)


def _draw_texture(rng: "np.random.Generator", place: _Place) -> Floats:
    """An object's own colours, RGB, 0 to 1, [h, w, 3]: two tones in a pattern."""
    base = _rgb(_between(rng, _WARM), _between(rng, (0.5, 1.0)), _between(rng, (0.4, 1.0)))
    other = _rgb(_between(rng, _WARM), _between(rng, (0.1, 1.0)), _between(rng, (0.1, 1.0)))
    kind = _pick(rng, ("plain", "stripes", "checks", "mottled"))
    wave = 2 * np.pi * _between(rng, (1.2, 2.6))
    if kind == "plain":
        weight = np.zeros_like(place.u)
    elif kind == "stripes":
        weight = 0.5 + 0.5 * np.sin(wave * (place.u + 0.3 * place.v))
    elif kind == "checks":
        weight = np.clip(0.5 + 3 * np.sin(wave * place.u) * np.sin(wave * place.v), 0, 1)
    else:
        weight = _noise(rng, place.u.shape, 160 / place.radius, 3)
    return _mix(weight, base, other)


def _coverage(outline: Floats, place: _Place) -> Floats:
    """How much of each pixel the object covers, 0 to 1, [h, w]: an outline about one pixel soft."""
    return np.clip(0.5 + outline * place.radius, 0, 1)


def _paint(canvas: Floats, outline: Floats, place: _Place, colours: Floats, relief: float) -> None:
    """Paint an object on the canvas in place: lit from the upper left, with a dark rim."""
    light = 1 - relief * np.clip(place.u + place.v, -1, 1) / 2
    light = light * (1 - relief * np.exp(-np.maximum(outline, 0) * 9))
    coverage = _coverage(outline, place)
    canvas += coverage[..., None] * (colours * light[..., None] - canvas)
