"""PNG files of every kind as grey or RGB images.

`sodbench.images.png` checks them, because Pillow reads many files that OpenCV refuses. Plain grey ones are decoded by
`sodbench.images.fast_png`; the samples of the others, and of all where that is not available, come from Pillow.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import ImageFile

from sodbench.errors import ImageError
from sodbench.images import exif, fast_png, png
from sodbench.images.exif import turn_upright
from sodbench.images.grey import (
    GreyImage,
    Samples,
    alpha_note,
    frame_notes,
    high_byte,
    join_notes,
    low_16_bit_note,
    unclear_orientation,
)
from sodbench.images.image_files import check_size, read_file
from sodbench.images.luminance import png_grey
from sodbench.images.pillow_images import open_image


def open_png(data: bytes, path: Path) -> tuple[list[png.Chunk], png.Header]:
    """Read the chunks and the header of a PNG, and check everything except its pixel data.

    Parameters
    ----------
    data : bytes
    path : Path
        The file, for messages.

    Returns
    -------
    chunks : list of png.Chunk
    header : png.Header

    Raises
    ------
    ImageError
        If the file is damaged or claims too many pixels.
    """
    # not _name_damage(), whose entering and leaving take as long as the check itself
    try:
        chunks = png.read_chunks(data)
        header = png.check_chunks(chunks)
    except png.DamagedPng as error:
        raise _damaged(path, error) from None
    check_size(path, header.width, header.height)
    return chunks, header


@contextmanager
def _name_damage(path: Path) -> Iterator[None]:
    """Turn `png.DamagedPng` into an `ImageError` that names the file."""
    try:
        yield
    except png.DamagedPng as error:
        raise _damaged(path, error) from None


def _damaged(path: Path, error: png.DamagedPng) -> ImageError:
    return ImageError(str(path), f"this PNG is {error}")


def read_comment(path: Path) -> tuple[str, str]:
    """Read the comment that `write_grey` stored in a PNG, and the digest of its chunks.

    Parameters
    ----------
    path : Path

    Returns
    -------
    comment : str
        Empty where there is none.
    digest : str
        See `sodbench.images.png.digest`.

    Raises
    ------
    ImageError
        For a file that cannot be read, and for a damaged PNG.
    """
    data, _ = read_file(path)
    if not data.startswith(png.PNG_SIGNATURE):
        return "", png.digest(())
    with _name_damage(path):
        chunks = png.read_chunks(data)
        return png.find_comment(chunks), png.digest(chunks)


def decode_png_grey(data: bytes, path: Path) -> GreyImage:
    """Decode a PNG as `sodbench.images.read_grey` does.

    Parameters
    ----------
    data : bytes
    path : Path
        The file, for messages.

    Returns
    -------
    GreyImage

    Raises
    ------
    ImageError
        If the file is damaged, or versions of OpenCV disagree on it.
    """
    chunks, header = open_png(data, path)
    orientation = png.find_png_orientation(chunks)
    if orientation == exif.UNCLEAR:
        raise unclear_orientation(path)
    if fast_png.is_plain(chunks, header):
        plain = fast_png.decode(chunks, header)
        if plain is not None:
            return GreyImage(plain, "1-bit" if header.depth == 1 else "")
    samples = _decode_samples(chunks, header, path)
    pixels, note = _samples_to_grey(samples, chunks, header, path)
    if header.colour == png.RGBA and ("in colour" in note or not pixels.any()):
        with open_image(data, path) as image:
            note = join_notes(note, alpha_note(image))
    frames = frame_notes(animated=png.is_animated(chunks), orientation=orientation)
    note = low_16_bit_note(samples) or note
    return GreyImage(turn_upright(pixels, orientation), join_notes(frames, note))


def check_png(data: bytes, path: Path) -> None:
    """Check a PNG to its end, as `decode_png_grey` does.

    Parameters
    ----------
    data : bytes
    path : Path
        The file, for messages.

    Raises
    ------
    ImageError
        If the file is damaged.
    """
    chunks, header = open_png(data, path)
    with _name_damage(path):
        png.check_pixel_data(chunks, header)


def decode_png_rgb(data: bytes, path: Path) -> NDArray[np.uint8]:
    """Decode a PNG as `sodbench.images.read_rgb` does.

    16-bit samples keep their high byte, and declared gammas and profiles are ignored.

    Parameters
    ----------
    data : bytes
    path : Path
        The file, for messages.

    Returns
    -------
    ndarray of uint8, shape (h, w, 3)

    Raises
    ------
    ImageError
        If the file is damaged.
    """
    chunks, header = open_png(data, path)
    rgb = high_byte(_decode_samples(chunks, header, path))
    if rgb.ndim == 2:
        rgb = np.repeat(rgb[..., None], 3, axis=2)
    return turn_upright(rgb, exif.upright_if_unclear(png.find_png_orientation(chunks)))


def _samples_to_grey(
    samples: Samples, chunks: list[png.Chunk], header: png.Header, path: Path
) -> tuple[NDArray[np.uint8], str]:
    """Grey pixels of a PNG's samples, and what was converted."""
    deep = "16-bit " if header.depth == 16 else ""
    if header.colour == png.GREY:
        note = {1: "1-bit", 16: "16-bit (high byte kept)"}.get(header.depth, "")
        return high_byte(samples), note
    if header.colour == png.GREY_ALPHA:
        return high_byte(samples), f"{deep}grey with alpha (alpha ignored)"
    space = png.read_colour_space(chunks, header)
    if space.fault:
        raise _unknown_grey(path, space.fault)
    pixels, coloured = png_grey(samples, space.gamma, space.significant_bits)
    if space.has_profile and (coloured or deep):
        raise _unknown_grey(path, "has an ICC profile (iCCP chunk)")
    name = {png.PALETTE: "palette", png.RGB: "RGB", png.RGBA: "RGBA"}[header.colour]
    return pixels, f"{deep}{name} {'in colour (luminance taken)' if coloured else 'grey'}"


def _unknown_grey(path: Path, reason: str) -> ImageError:
    return ImageError(
        str(path),
        f"this colour PNG {reason}, so its grey values depend on the version of OpenCV; save it as 8-bit grey PNG",
    )


def _decode_samples(chunks: list[png.Chunk], header: png.Header, path: Path) -> Samples:
    """The samples of a PNG of any kind without alpha, [h, w] or [h, w, 3], palettes expanded, bits as 0 and 255."""
    with _name_damage(path):
        png.check_pixel_data(chunks, header)
    if header.colour == png.PALETTE:
        stored = next(content for kind, content in chunks if kind == b"PLTE")
        table = np.zeros((256, 3), np.uint8)
        table[: len(stored) // 3] = np.frombuffer(stored, np.uint8).reshape(-1, 3)
        return np.asarray(table[_decode_with_pillow(png.strip_png(chunks, header), path)])
    if header.colour == png.GREY_ALPHA and header.depth == 16:
        # The same bytes, filtered alike, are those of an 8-bit RGBA file; Pillow would drop the low ones
        relabelled = header._replace(colour=png.RGBA, depth=8)
        halves = _decode_with_pillow(png.strip_png(chunks, relabelled), path)
        return _join_bytes(halves[..., 0], halves[..., 1])
    data = png.strip_png(chunks, header)
    if header.colour == png.GREY:
        samples = _decode_with_pillow(data, path)
        return samples * np.uint8(255) if samples.dtype == bool else samples
    if header.colour == png.GREY_ALPHA:
        return np.ascontiguousarray(_decode_with_pillow(data, path)[..., 0])
    # Pillow decodes either byte of a sample, but not both at once
    if header.depth == 16:
        high, low = (_decode_with_pillow(data, path, byte)[..., :3] for byte in ("16B", "16L"))
        return _join_bytes(high, low)
    return np.ascontiguousarray(_decode_with_pillow(data, path)[..., :3])


def _join_bytes(high: NDArray[np.uint8], low: NDArray[np.uint8]) -> NDArray[np.uint16]:
    return np.left_shift(high, 8, dtype=np.uint16) | low


def _decode_with_pillow(data: bytes, path: Path, byte: str = "") -> NDArray[Any]:
    """Pillow's samples of a PNG without metadata; ``byte`` chooses the high (16B) or low (16L) one of 16-bit colour."""
    with open_image(data, path) as image:
        if byte:
            decoder, extent, offset, mode = image.tile[0]
            # a plain tuple before Pillow 11
            tile: Any = getattr(ImageFile, "_Tile", lambda *fields: fields)
            image.tile = [tile(decoder, extent, offset, str(mode).replace("16B", byte))]
        image.load()
        # grey of 16 bits is int32 before Pillow 11
        return np.array(image, np.uint16 if image.mode == "I" else None)
