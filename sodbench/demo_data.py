"""The built-in sample: six tiny test sets and a training split, drawn by this module.

They let a new user see the whole of sodbench work without downloading anything.  Nothing here is a
real data set: the folders carry the names of the real six, and imitate their character in small
(:data:`CHARACTERS`), so that every table and figure has the shape it will have on real data.  Numbers
from the sample compare with nothing outside it; :data:`MARKER` in the folder says so.

Every picture follows from its own name alone (a PCG64 stream seeded with the CRC-32 of the name; only
uniform draws), and its mask is exact: the pixels at least half covered by an object.
"""

import hashlib
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sodbench.console import track
from sodbench.errors import SodbenchError
from sodbench.files import report_write_errors
from sodbench.images import write_grey, write_image

Floats = NDArray[np.float64]
Range = tuple[float, float]
T = TypeVar("T")

MARKER = "THIS_IS_A_SAMPLE.txt"
"""The file by which a folder says that its sets were drawn by :func:`write_demo_data`."""

VERSION = 2
"""Raise it when the drawing changes: older samples are then drawn anew."""


@dataclass(frozen=True)
class Character:
    """What the pictures of one set look like; every range is drawn from uniformly.

    folders: images and masks, relative to the root of the sample.
    sizes: (height, width) of the pictures.
    objects: how many objects; scale: their diameter over the shorter side of the picture.
    contrast: 1 keeps the object's own colours, 0 would give it those of the background.
    spread: how far from the centre objects lie (0: at the centre, 1: anywhere inside).
    cut: chance that an object is pushed over the border of the picture.
    clutter: how many dull pebbles lie around, which are not salient.
    agreement: give every mask grey levels as PASCAL-S has them (see :func:`draw`).
    """

    folders: tuple[str, str]
    count: int
    extension: str
    sizes: tuple[tuple[int, int], ...]
    objects: tuple[int, int]
    scale: Range
    contrast: Range
    spread: float
    cut: float = 0.0
    clutter: tuple[int, int] = (0, 3)
    agreement: bool = False


CHARACTERS = {
    # one large, clear object before a structured background
    "ECSSD": Character(
        folders=("ECSSD/Imgs", "ECSSD/GT"),
        count=16,
        extension=".jpg",
        sizes=((120, 160), (160, 120), (128, 152)),
        objects=(1, 1),
        scale=(0.6, 0.95),
        contrast=(0.7, 1.0),
        spread=0.7,
    ),
    # several objects, on which viewers do not fully agree: masks with grey levels
    "PASCAL-S": Character(
        folders=("PASCAL-S/Imgs", "PASCAL-S/GT"),
        count=16,
        extension=".jpg",
        sizes=((112, 150), (150, 112), (128, 160)),
        objects=(1, 3),
        scale=(0.35, 0.7),
        contrast=(0.6, 1.0),
        spread=0.8,
        clutter=(1, 4),
        agreement=True,
    ),
    # small objects in cluttered scenes
    "DUT-OMRON": Character(
        folders=("DUT-OMRON/Imgs", "DUT-OMRON/GT"),
        count=20,
        extension=".jpg",
        sizes=((120, 160), (160, 112), (144, 144)),
        objects=(1, 2),
        scale=(0.25, 0.5),
        contrast=(0.6, 1.0),
        spread=1.0,
        clutter=(5, 10),
    ),
    # several objects of low contrast that touch the border; PNG images
    "HKU-IS": Character(
        folders=("HKU-IS/Imgs", "HKU-IS/GT"),
        count=18,
        extension=".png",
        sizes=((120, 160), (160, 120), (106, 160)),
        objects=(2, 4),
        scale=(0.35, 0.6),
        contrast=(0.45, 0.75),
        spread=0.9,
        cut=0.6,
        clutter=(0, 2),
    ),
    # everything at once, from specks to objects that fill the picture
    "SOD": Character(
        folders=("SOD/Imgs", "SOD/GT"),
        count=14,
        extension=".jpg",
        sizes=((107, 160), (160, 107)),
        objects=(1, 3),
        scale=(0.2, 0.95),
        contrast=(0.4, 0.9),
        spread=0.9,
        cut=0.3,
        clutter=(2, 6),
    ),
    "DUTS-TE": Character(
        folders=("DUTS-TE/DUTS-TE-Image", "DUTS-TE/DUTS-TE-Mask"),
        count=20,
        extension=".jpg",
        sizes=((120, 160), (160, 120), (128, 128), (136, 160)),
        objects=(1, 3),
        scale=(0.3, 0.85),
        contrast=(0.5, 1.0),
        spread=0.9,
        cut=0.2,
        clutter=(0, 6),
    ),
    "DUTS-TR": Character(
        folders=("DUTS-TR/DUTS-TR-Image", "DUTS-TR/DUTS-TR-Mask"),
        count=200,
        extension=".jpg",
        sizes=((120, 160), (160, 120), (128, 128), (136, 160)),
        objects=(1, 3),
        scale=(0.28, 0.9),
        contrast=(0.45, 1.0),
        spread=0.9,
        cut=0.25,
        clutter=(0, 7),
    ),
}


def is_demo_data(root: Path) -> bool:
    """Whether ``root`` (or the set folder's parent) is a sample drawn by :func:`write_demo_data`."""
    return (root / MARKER).is_file() or (root.parent / MARKER).is_file()


def write_demo_data(root: Path) -> Path:
    """Draw the sample under ``root`` and return ``root``; a complete sample there is left as it is.

    Raises :class:`SodbenchError` if ``root`` holds files but not :data:`MARKER`: it may be somebody's
    data.
    """
    root = Path(root)
    marker = root / MARKER
    if marker.is_file():
        if marker.read_text("utf-8", errors="replace") == _marker_text(_digest(root)):
            return root
    elif root.exists() and (not root.is_dir() or any(root.iterdir())):
        raise SodbenchError(
            f"{root} exists and is not a sample drawn by sodbench (it holds no {MARKER}); "
            "nothing was written there. Name another folder for the sample, or move this one away."
        )
    with report_write_errors(marker):
        root.mkdir(parents=True, exist_ok=True)
        marker.write_text(_marker_text("unfinished"), "utf-8")
    for name, number in track(_pictures(), "drawing the sample", unit="image"):
        image, mask = draw(name, number)
        image_path, mask_path = _paths(root, name, number)
        write_image(image_path, image)
        write_grey(mask_path, mask)
    _remove_surplus(root)
    with report_write_errors(marker):
        marker.write_text(_marker_text(_digest(root)), "utf-8")
    return root


def _remove_surplus(root: Path) -> None:
    """Delete pictures that an older version drew beyond today's counts."""
    drawn = {path for name, number in _pictures() for path in _paths(root, name, number)}
    for character in CHARACTERS.values():
        for folder in character.folders:
            for path in (root / folder).glob("[0-9][0-9][0-9][0-9].*"):
                if path not in drawn:
                    path.unlink()


def demo_stems(name: str) -> frozenset[str]:
    """The names of the pictures that the sample's set ``name`` has."""
    return frozenset(f"{number:04d}" for number in range(1, CHARACTERS[name].count + 1))


def _pictures() -> list[tuple[str, int]]:
    return [
        (name, number)
        for name, character in CHARACTERS.items()
        for number in range(1, character.count + 1)
    ]


def _paths(root: Path, name: str, number: int) -> tuple[Path, Path]:
    character = CHARACTERS[name]
    images, masks = character.folders
    return (
        root / images / f"{number:04d}{character.extension}",
        root / masks / f"{number:04d}.png",
    )


def _digest(root: Path) -> str:
    """SHA-256 over all files of the sample, or ``incomplete``."""
    digest = hashlib.sha256()
    for name, number in _pictures():
        for path in _paths(root, name, number):
            if not path.is_file():
                return "incomplete"
            digest.update(path.read_bytes())
    return digest.hexdigest()


def _marker_text(digest: str) -> str:
    return (
        "The pictures in this folder were drawn by sodbench (sodbench/demo_data.py). They are a sample that\n"
        "shows the toolkit at work, NOT the data sets whose names the folders carry: numbers measured on\n"
        "them compare with nothing outside this sample. The folder may be deleted at any time.\n\n"
        f"version: {VERSION}\nsha256: {digest}\n"
    )


def draw(name: str, number: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Image (uint8 [h, w, 3], RGB) and mask (uint8 [h, w]) number ``number`` of the set ``name``.

    Masks hold 0 and 255.  With ``agreement`` (PASCAL-S, whose masks record how many viewers picked an
    object) an object after the first may be 170, and clutter 85: under the usual rule (above 128) the
    objects alone remain.
    """
    character = CHARACTERS[name]
    rng = np.random.Generator(
        np.random.PCG64(zlib.crc32(f"sodbench.sample.{name}.{number}".encode()))
    )
    height, width = _pick(rng, character.sizes)
    canvas = _background(rng, height, width)
    mask = np.zeros((height, width), np.uint8)

    for _ in range(_count(rng, character.clutter)):
        place = _place(rng, height, width, _between(rng, (0.06, 0.16)), 1.0, False)
        outline = _blob(rng, place)
        dull = canvas.mean((0, 1)) * _between(rng, (0.55, 1.35))
        _paint(canvas, outline, np.broadcast_to(dull, canvas.shape), place, relief=0.2)
        if character.agreement:
            mask[_coverage(outline, place) >= 0.5] = 85

    for index in range(_count(rng, character.objects)):
        scale = _between(rng, character.scale) * (1.0 if index == 0 else 0.75)
        cut = rng.random() < character.cut
        place = _place(rng, height, width, scale, character.spread, cut)
        outline = _pick(rng, SHAPES)(rng, place)
        dull = canvas.mean((0, 1))
        colours = dull + _between(rng, character.contrast) * (_coat(rng, place) - dull)
        _paint(canvas, outline, colours, place, relief=0.5)
        agreed = not character.agreement or index == 0 or rng.random() < 0.5
        mask[_coverage(outline, place) >= 0.5] = 255 if agreed else 170

    grain = rng.random((height, width, 1)) - 0.5
    return np.rint(255 * np.clip(canvas + 0.04 * grain, 0, 1)).astype(np.uint8), mask


def _between(rng: np.random.Generator, ends: Range) -> float:
    return ends[0] + (ends[1] - ends[0]) * float(rng.random())


def _count(rng: np.random.Generator, ends: tuple[int, int]) -> int:
    return ends[0] + int((ends[1] - ends[0] + 1) * rng.random())


def _pick(rng: np.random.Generator, options: tuple[T, ...]) -> T:
    return options[int(len(options) * rng.random())]


COOL, WARM = (0.22, 0.72), (-0.14, 0.14)
"""Hues of scenes (green to violet) and of objects (magenta to yellow): what a network learns first.  Scenes
differ more from light to dark than from objects, so that contrast alone does not tell them apart."""


# --- textures ------------------------------------------------------------------------------------


def _noise(rng: np.random.Generator, size: tuple[int, int], cells: float, octaves: int) -> Floats:
    """Value noise in 0..1, [h, w]; ``cells``: how many of its largest features fit across."""
    height, width = size
    total = np.zeros(size)
    for octave in range(octaves):
        across = cells * 2**octave
        grid = rng.random(
            (2 + int(across * height / max(size)), 2 + int(across * width / max(size)))
        )
        layer = Image.fromarray(grid.astype(np.float32)).resize(
            (width, height), Image.Resampling.BICUBIC
        )
        total += np.asarray(layer, np.float64) * 0.55**octave
    return np.asarray((total - total.min()) / (np.ptp(total) + 1e-9))


def _rgb(hue: float, saturation: float, value: float) -> Floats:
    """A colour given as hue (any real, period 1), saturation and value (0..1) as RGB in 0..1, [3]."""
    wheel = np.abs((hue + np.array([0.0, 2 / 3, 1 / 3])) % 1.0 * 6 - 3) - 1
    return np.asarray(value * (1 - saturation * (1 - np.clip(wheel, 0, 1))))


def _mix(weight: Floats, first: Floats, second: Floats) -> Floats:
    """Blend two colours [3] by a weight [h, w] (1: the second)."""
    return np.asarray(first + weight[..., None] * (second - first))


def _background(rng: np.random.Generator, height: int, width: int) -> Floats:
    """A scene without objects, RGB in 0..1, [h, w, 3]: field, horizon, wall or foliage, unevenly lit."""
    size = (height, width)
    rows, columns = np.mgrid[:height, :width] / max(size)
    dark = _rgb(_between(rng, COOL), _between(rng, (0.2, 0.8)), _between(rng, (0.1, 0.4)))
    light = _rgb(_between(rng, COOL), _between(rng, (0.0, 0.5)), _between(rng, (0.65, 1.0)))
    kind = _pick(rng, ("field", "horizon", "wall", "foliage"))
    if kind == "field":
        weight = _noise(rng, size, _between(rng, (2, 5)), 5)
    elif kind == "horizon":
        middle = _between(rng, (0.25, 0.7)) * height / max(size)
        skyline = middle + 0.12 * (_noise(rng, (1, width), 3, 3) - 0.5)
        ground = np.clip((rows - skyline) * 40, 0, 1)
        weight = ground * (0.1 + 0.5 * _noise(rng, size, 8, 4))
        weight += (1 - ground) * (0.75 + 0.25 * _noise(rng, size, 2, 3))
    elif kind == "wall":
        brick = _between(rng, (0.08, 0.16))
        course = np.floor(rows / brick)
        along = columns / (2 * brick) + 0.5 * (course % 2)
        joint = (rows / brick % 1 < 0.14) | (along % 1 < 0.07)
        tone = rng.random((64, 64))[course.astype(int) % 64, np.floor(along).astype(int) % 64]
        weight = np.where(joint, 0.1, 0.4 + 0.4 * tone) + 0.2 * _noise(rng, size, 10, 3)
    else:
        leaves = _noise(rng, size, _between(rng, (12, 20)), 3)
        weight = np.clip(3 * (leaves - 0.5) + 0.5, 0, 1) * (0.5 + 0.5 * _noise(rng, size, 3, 2))
    direction = _between(rng, (0, 2 * np.pi))
    slope = np.cos(direction) * (columns - 0.5) + np.sin(direction) * (rows - 0.5)
    lit = 1 + _between(rng, (0.2, 1.0)) * slope
    return np.asarray(_mix(weight, dark, light) * lit[..., None])


# --- objects -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Place:
    """Where one object lies: its own turned coordinates u, v [h, w], in units of its ``radius`` (pixels)."""

    u: Floats
    v: Floats
    radius: float


Shape = Callable[[np.random.Generator, Place], Floats]
"""Height above the outline, [h, w]: about 1 in the middle, 0 on the outline, below 0 outside."""


def _place(
    rng: np.random.Generator, height: int, width: int, scale: float, spread: float, cut: bool
) -> Place:
    radius = scale * min(height, width) / 2
    margin = 0.35 * radius if cut else 1.05 * radius
    centre = []
    for side in (height, width):
        reach = spread * max(side / 2 - margin, 0.0)
        offset = _between(rng, (-1, 1))
        if cut:  # towards a border
            offset = float(np.sign(offset)) * (0.6 + 0.4 * abs(offset))
        centre.append(side / 2 + reach * offset)
    rows, columns = np.mgrid[:height, :width] + 0.5
    turn = _between(rng, (-0.6, 0.6))
    y, x = (rows - centre[0]) / radius, (columns - centre[1]) / radius
    return Place(
        u=np.cos(turn) * x + np.sin(turn) * y, v=np.cos(turn) * y - np.sin(turn) * x, radius=radius
    )


def _coverage(height: Floats, place: Place) -> Floats:
    """How much of each pixel the object covers, 0..1, [h, w]: an outline about one pixel soft."""
    return np.clip(0.5 + height * place.radius, 0, 1)


def _oval(u: Floats, v: Floats, a: float, b: float) -> Floats:
    return np.asarray(min(a, b) * (1 - np.hypot(u / a, v / b)))


def _ellipse(rng: np.random.Generator, place: Place) -> Floats:
    return _oval(place.u, place.v, 1.0, _between(rng, (0.5, 1.0)))


def _box(rng: np.random.Generator, place: Place) -> Floats:
    """A box with rounded corners (a superellipse)."""
    half = _between(rng, (0.5, 0.85))
    power = _between(rng, (4, 8))
    norm = np.abs(place.u / 0.9) ** power + np.abs(place.v / half) ** power
    return np.asarray(half * (1 - norm ** (1 / power)))


def _star(rng: np.random.Generator, place: Place) -> Floats:
    """A flower or a star of three to seven arms."""
    arms, depth = _count(rng, (3, 7)), _between(rng, (0.15, 0.35))
    angle = np.arctan2(place.v, place.u)
    return np.asarray(1 - depth * (1 - np.cos(arms * angle)) - np.hypot(place.u, place.v))


def _blob(rng: np.random.Generator, place: Place) -> Floats:
    angle = np.arctan2(place.v, place.u)
    outline = np.full_like(angle, 0.8)
    for waves in (2, 3, 4, 5):
        phase = _between(rng, (0, 2 * np.pi))
        outline += _between(rng, (0, 0.32 / waves)) * np.cos(waves * angle + phase)
    return np.asarray(outline - np.hypot(place.u, place.v))


def _animal(rng: np.random.Generator, place: Place) -> Floats:
    """Body, head, tail and four legs."""
    side = _pick(rng, (-1.0, 1.0))
    u, v = side * place.u, place.v
    body = _oval(u, v, 0.66, _between(rng, (0.32, 0.44)))
    head = _oval(u - 0.66, v + _between(rng, (0.2, 0.4)), 0.27, 0.24)
    tail = _oval(u + 0.72, v + 0.16 + 0.5 * (u + 0.72), 0.26, 0.07)
    legs = [
        _oval(u - at, v - 0.42, 0.09, _between(rng, (0.34, 0.44)))
        for at in (-0.48, -0.26, 0.26, 0.46)
    ]
    return np.asarray(np.maximum.reduce([body, head, tail, *legs]))


def _fish(rng: np.random.Generator, place: Place) -> Floats:
    side = _pick(rng, (-1.0, 1.0))
    u, v = side * place.u, place.v
    body = _oval(u - 0.15, v, 0.8, _between(rng, (0.32, 0.5)))
    tail = np.minimum(-0.45 - u, np.minimum(u + 1.0, 0.1 - (u + 0.55) * 0.9 - np.abs(v)))
    return np.asarray(np.maximum(body, tail))


def _mushroom(rng: np.random.Generator, place: Place) -> Floats:
    cap = np.minimum(_oval(place.u, place.v, 0.95, 0.85), 0.05 - place.v)
    width = _between(rng, (0.18, 0.32))
    stem = np.minimum(width - np.abs(place.u), np.minimum(place.v + 0.1, 0.85 - place.v))
    return np.asarray(np.maximum(cap, stem))


def _ring(rng: np.random.Generator, place: Place) -> Floats:
    """A ring: its hole belongs to the background."""
    width = _between(rng, (0.2, 0.3))
    return np.asarray(width - np.abs(np.hypot(place.u, place.v) - (1 - width)))


SHAPES: tuple[Shape, ...] = (
    _ellipse,
    _box,
    _star,
    _blob,
    _animal,
    _animal,
    _fish,
    _mushroom,
    _ring,
)


def _coat(rng: np.random.Generator, place: Place) -> Floats:
    """An object's own colours, RGB in 0..1, [h, w, 3]: two tones in a pattern."""
    base = _rgb(_between(rng, WARM), _between(rng, (0.5, 1.0)), _between(rng, (0.4, 1.0)))
    other = _rgb(_between(rng, WARM), _between(rng, (0.1, 1.0)), _between(rng, (0.1, 1.0)))
    kind = _pick(rng, ("plain", "stripes", "dots", "checks", "mottled"))
    wave = 2 * np.pi * _between(rng, (1.2, 2.6))
    if kind == "plain":
        weight = np.zeros_like(place.u)
    elif kind == "stripes":
        weight = 0.5 + 0.5 * np.sin(wave * (place.u + 0.3 * place.v))
    elif kind == "dots":
        weight = np.clip(2 * np.sin(wave * place.u) * np.sin(wave * place.v), 0, 1)
    elif kind == "checks":
        weight = np.clip(0.5 + 3 * np.sin(wave * place.u) * np.sin(wave * place.v), 0, 1)
    else:
        weight = _noise(rng, place.u.shape, 160 / place.radius, 3)
    return _mix(weight, base, other)


def _paint(canvas: Floats, height: Floats, colours: Floats, place: Place, relief: float) -> None:
    """Lay an object over the canvas (changed in place), rounded: lit from the upper left, dark rim."""
    light = 1 - relief * np.clip(place.u + place.v, -1, 1) / 2
    light = light * (1 - relief * np.exp(-np.maximum(height, 0) * 9))
    coverage = _coverage(height, place)
    canvas += coverage[..., None] * (colours * light[..., None] - canvas)
