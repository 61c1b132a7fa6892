"""The structure of PNG files: chunks, header, declared colours, and whether anything is damaged.

Pillow decodes many damaged files that OpenCV refuses: no end, a failed checksum, pixel data that another chunk
interrupts, a second header. `read_chunks`, `check_chunks` and `check_pixel_data` refuse them.

Definition: Portable Network Graphics Specification, third edition, W3C.
"""

import hashlib
import struct
import zlib
from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import NamedTuple

import deflate
import numpy as np

from sodbench.images import exif

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"

COMMENT = b"Comment\0"

# The type of a chunk, e.g. b"IDAT", and its content
Chunk = tuple[bytes, memoryview]

_CHUNK_START = struct.Struct(">I4s")
_CHUNK_END = struct.Struct(">I")
IHDR = struct.Struct(">IIBBBBB")
_FCTL = struct.Struct(">IIIIIHHBB")

# Colour types
GREY, RGB, PALETTE, GREY_ALPHA, RGBA = 0, 2, 3, 4, 6
# Samples of a pixel for each colour type
_CHANNELS = {GREY: 1, RGB: 3, PALETTE: 1, GREY_ALPHA: 2, RGBA: 4}
# Bits per sample that the specification allows for each colour type
_DEPTHS = {
    GREY: (1, 2, 4, 8, 16),
    RGB: (8, 16),
    PALETTE: (1, 2, 4, 8),
    GREY_ALPHA: (8, 16),
    RGBA: (8, 16),
}
_LARGEST_PALETTE = 3 * 256

# 1 as a PNG stores gammas and chromaticities
UNIT = 100_000
# The gamma of sRGB, in units of 1/100,000
SRGB_GAMMA = 45455
# Gammas that libpng does not take for an error
_GAMMAS = range(16, 625_000_001)
CRITICAL = frozenset({b"IHDR", b"PLTE", b"IDAT", b"IEND"})

# First column and row, and the steps from there, of each pass of an interlaced image
_ADAM7 = (
    (0, 0, 8, 8),
    (4, 0, 8, 8),
    (0, 4, 4, 8),
    (2, 0, 4, 4),
    (0, 2, 2, 4),
    (1, 0, 2, 2),
    (0, 1, 1, 2),
)

# One byte of a deflate stream expands to at most so many bytes
_MAX_INFLATION = 1032
# Bytes that may follow the last row: OpenCV ignores them, and a bomb has more
_MAX_SPARE_BYTES = 2**20
# More bytes than this are inflated piece by piece where they need not be kept
_MAX_INFLATED_AT_ONCE = 2**26
_PIECE_BYTES = 2**16


class DamagedPng(ValueError):
    """A PNG that is cut short or fails a checksum; the message names the place."""


class Header(NamedTuple):
    """The IHDR chunk.

    Attributes
    ----------
    width, height : int
        In pixels.
    depth : int
        Bits per sample.
    colour, compression, filtering, interlace : int
        Codes of the specification.
    """

    width: int
    height: int
    depth: int
    colour: int
    compression: int
    filtering: int
    interlace: int


def read_chunks(data: bytes) -> list[Chunk]:
    """Read the chunks up to IEND, and check their lengths and checksums.

    Parameters
    ----------
    data : bytes
        The content of a file that starts with `PNG_SIGNATURE`.

    Returns
    -------
    list of Chunk

    Raises
    ------
    DamagedPng
    """
    view, size = memoryview(data), len(data)
    chunks: list[Chunk] = []
    start = len(PNG_SIGNATURE)
    kind = b""
    while kind != b"IEND":
        if start + 12 > size:
            raise DamagedPng(f"cut short: its {size} bytes end without an IEND chunk")
        length, kind = _CHUNK_START.unpack_from(data, start)
        if not (kind.isalpha() and kind[2:3].isupper()):
            raise DamagedPng(f"damaged: the name of its chunk at byte {start} is {kind!r}")
        end = start + 8 + length
        if end + 4 > size:
            raise DamagedPng(f"cut short: its {size} bytes end within the chunk {kind.decode()}")
        if deflate.crc32(view[start + 4 : end]) != _CHUNK_END.unpack_from(data, end)[0]:
            raise DamagedPng(
                f"damaged: its chunk {kind.decode()} at byte {start} fails the checksum"
            )
        chunks.append((kind, view[start + 8 : end]))
        start = end + 4
    return chunks


def check_chunks(chunks: list[Chunk]) -> Header:
    """Check the order and the content of the critical chunks, and return what IHDR announces.

    Parameters
    ----------
    chunks : list of Chunk
        What `read_chunks` returns.

    Returns
    -------
    Header

    Raises
    ------
    DamagedPng
        For a file that OpenCV refuses, although Pillow may read it.
    """
    kind, content = chunks[0]
    if kind != b"IHDR" or len(content) != IHDR.size:
        raise DamagedPng(
            "damaged: its header is broken (it must begin with one IHDR chunk of 13 bytes)"
        )
    header = Header(*IHDR.unpack(content))
    if header.depth not in _DEPTHS.get(header.colour, ()):
        raise DamagedPng(
            f"damaged: its header is broken (colour type {header.colour} with {header.depth} bits per sample)"
        )
    if header.compression or header.filtering or header.interlace > 1:
        raise DamagedPng(
            "damaged: its header is broken (unknown method of compression, filtering or interlacing)"
        )
    kinds = tuple(kind for kind, _ in chunks)
    if fault := _fault_of_order(kinds):
        raise DamagedPng(fault)
    first = kinds.index(b"IDAT")
    if header.colour == PALETTE:
        _check_palette(chunks[:first])
    elif header.colour in (RGB, RGBA) and any(
        part[0] == b"PLTE" and not part[1] for part in chunks
    ):
        raise DamagedPng("damaged: its suggested palette is empty")
    if b"acTL" in kinds:
        _check_animation(chunks, header)
    return header


# nearly all maps and masks of a method have the same few chunks
@lru_cache(1000)
def _fault_of_order(kinds: tuple[bytes, ...]) -> str:
    """What is wrong with the chunks of a file, as far as their names and order show; nothing for a sound file."""
    if kinds.count(b"IHDR") > 1:
        return "damaged: it has two headers (IHDR chunks)"
    if unknown := next((kind for kind in kinds if _is_unknown(kind)), None):
        return f"damaged: it needs the unknown chunk {unknown!r} to be read"
    if b"IDAT" not in kinds:
        return "damaged: it has no pixel data (IDAT chunk)"
    first = kinds.index(b"IDAT")
    if kinds[first:].count(b"IDAT") != _run_length(kinds[first:]):
        return "damaged: its pixel data (IDAT chunks) are interrupted by another chunk"
    return ""


def _check_animation(chunks: list[Chunk], header: Header) -> None:
    """Check what a file declares about its frames, of which only the still image is read, because OpenCV checks it, too."""
    animations = [content for kind, content in chunks if kind == b"acTL"]
    if any(len(content) != 8 or not any(content[:4]) for content in animations):
        raise DamagedPng("damaged: it is announced as an animation (acTL chunk) without frames")
    for kind, content in chunks:
        if kind == b"fcTL":
            if len(content) != _FCTL.size:
                raise DamagedPng("damaged: a frame's header (fcTL chunk) is too short or too long")
            _, width, height, x, y, _, _, disposal, blending = _FCTL.unpack(content)
            inside = x + width <= header.width and y + height <= header.height
            if not (inside and width and height and disposal <= 2 and blending <= 1):
                raise DamagedPng("damaged: a frame's header (fcTL chunk) is broken")


def _is_unknown(kind: bytes) -> bool:
    """Whether a decoder must know a chunk of this kind and no decoder does."""
    return not kind[0] & 32 and kind not in CRITICAL


def _run_length(kinds: tuple[bytes, ...]) -> int:
    return next((i for i, kind in enumerate(kinds) if kind != kinds[0]), len(kinds))


def _check_palette(chunks: list[Chunk]) -> None:
    """Check the palette among the chunks before the pixel data."""
    palettes = [content for kind, content in chunks if kind == b"PLTE"]
    if len(palettes) != 1:
        raise DamagedPng(f"damaged: it has {len(palettes)} palettes before its pixel data, not one")
    size = len(palettes[0])
    if size % 3 or not 0 < size <= _LARGEST_PALETTE:
        raise DamagedPng(f"damaged: its palette has {size} bytes, which are no colours")


def find_png_orientation(chunks: list[Chunk]) -> int:
    """Find the EXIF orientation, 1 to 8 or `exif.UNCLEAR`; XMP and text do not count, as in OpenCV.

    Parameters
    ----------
    chunks : list of Chunk

    Returns
    -------
    int
    """
    values = {
        exif.read_orientation(bytes(content)) for kind, content in chunks if kind == b"eXIf"
    } or {1}
    return values.pop() if len(values) == 1 else exif.UNCLEAR


class ColourSpace(NamedTuple):
    """What a PNG declares about its samples, as far as OpenCV's conversion to grey depends on it.

    Attributes
    ----------
    gamma : int, optional
        In units of 1/`UNIT`.
    significant_bits : int
        The largest number of the sBIT chunk, or 0.
    has_profile : bool
        Whether there is an ICC profile and the gamma is not that of sRGB; some versions of OpenCV follow it.
    fault : str
        What is contradictory or malformed, so that versions of OpenCV differ; or empty.
    """

    gamma: int | None = None
    significant_bits: int = 0
    has_profile: bool = False
    fault: str = ""


def read_colour_space(chunks: list[Chunk], header: Header) -> ColourSpace:
    """Read what the chunks before the palette and the pixel data declare; later ones do not count.

    Parameters
    ----------
    chunks : list of Chunk
    header : Header

    Returns
    -------
    ColourSpace
    """
    declared: dict[bytes, list[bytes]] = {}
    for kind, content in chunks:
        if kind in (b"PLTE", b"IDAT"):
            break
        declared.setdefault(kind, []).append(bytes(content))
    gammas, intents = declared.get(b"gAMA", []), declared.get(b"sRGB", [])
    gamma = int.from_bytes(gammas[0]) if gammas else None
    fault = ""
    if len(gammas) > 1 or len(intents) > 1:
        fault = "declares its gamma twice (gAMA or sRGB chunks)"
    elif gammas and (len(gammas[0]) != 4 or gamma not in _GAMMAS):
        fault = "declares an absurd gamma (gAMA chunk)"
    elif intents and (len(intents[0]) != 1 or intents[0][0] not in range(4)):
        fault = "has a malformed sRGB chunk"
    elif not all(map(_is_sane_chromaticity, declared.get(b"cHRM", []))):
        fault = "declares impossible primaries (cHRM chunk)"
    elif b"cICP" in declared:
        fault = "declares code points for its colours (cICP chunk)"
    has_profile = b"iCCP" in declared and (bool(intents) or gamma != SRGB_GAMMA)
    bits = _significant_bits(declared.get(b"sBIT", []), header)
    return ColourSpace(SRGB_GAMMA if intents else gamma, bits, has_profile, fault)


def _significant_bits(declared: list[bytes], header: Header) -> int:
    if (
        header.colour not in (RGB, RGBA)
        or not declared
        or len(declared[0]) != _CHANNELS[header.colour]
    ):
        return 0
    bits = declared[0]
    return max(bits[:3]) if all(0 < number <= header.depth for number in bits) else 0


def _is_sane_chromaticity(content: bytes) -> bool:
    """Whether the white point is well within the triangle of the primaries, in positive coordinates."""
    if len(content) != 32:
        return False
    x, y = np.frombuffer(content, ">u4").astype(np.int64).reshape(4, 2).T
    # the white point comes first
    points = np.stack([x, y, UNIT - x - y]) / UNIT
    white, primaries = points[:, 0], points[:, 1:]
    if (points < 0).any() or white[1] < 0.05 or abs(np.linalg.det(primaries)) < 1e-3:
        return False
    shares = np.linalg.solve(primaries, white)
    return bool((shares > 0.05).all())


def is_animated(chunks: list[Chunk]) -> bool:
    """Return whether there are further frames.

    Parameters
    ----------
    chunks : list of Chunk

    Returns
    -------
    bool
    """
    return any(kind == b"acTL" for kind, _ in chunks)


def strip_png(chunks: list[Chunk], header: Header) -> bytes:
    """Return a PNG of a new header with this palette and pixel data, without any other chunk.

    Parameters
    ----------
    chunks : list of Chunk
    header : Header
        Of the new file.

    Returns
    -------
    bytes
    """
    kinds = {b"IDAT", b"PLTE"} if header.colour == PALETTE else {b"IDAT"}
    body = b"".join(encode_chunk(kind, bytes(content)) for kind, content in chunks if kind in kinds)
    return (
        PNG_SIGNATURE
        + encode_chunk(b"IHDR", IHDR.pack(*header))
        + body
        + encode_chunk(b"IEND", b"")
    )


def inflate(chunks: list[Chunk], size: int) -> bytes | bytearray | None:
    """The pixel data, or None where they are not exactly ``size`` bytes in one sound stream.

    Parameters
    ----------
    chunks : list of Chunk
    size : int
        The number of bytes that the header announces.

    Returns
    -------
    bytes or bytearray, or None
    """
    pieces = [content for kind, content in chunks if kind == b"IDAT"]
    data = pieces[0] if len(pieces) == 1 else b"".join(pieces)
    if size > _MAX_INFLATION * len(data):
        return None
    try:
        inflated = deflate.zlib_decompress(data, size)
    except deflate.DeflateError:
        return None
    # the stream's own checksum was right; that it comes last shows that nothing follows it
    if len(inflated) != size or deflate.adler32(inflated) != int.from_bytes(data[-4:]):
        return None
    return inflated


def check_pixel_data(chunks: list[Chunk], header: Header) -> None:
    """Check that the pixel data of a PNG of any kind are sound and complete.

    Pillow leaves missing rows black if the stream ends properly, and ignores the stream's checksum.

    Parameters
    ----------
    chunks : list of Chunk
    header : Header

    Raises
    ------
    DamagedPng
    """
    channels = _CHANNELS[header.colour]
    wanted = sum(
        height * (1 + (width * channels * header.depth + 7) // 8)
        for width, height in _passes(header)
    )
    if wanted <= _MAX_INFLATED_AT_ONCE and inflate(chunks, wanted) is not None:
        return
    stream = zlib.decompressobj()
    size = 0
    try:
        for kind, content in chunks:
            waiting: bytes | memoryview = content if kind == b"IDAT" and not stream.eof else b""
            while waiting and size <= wanted + _MAX_SPARE_BYTES:
                size += len(stream.decompress(waiting, _PIECE_BYTES))
                waiting = stream.unconsumed_tail
        size += len(stream.flush(_PIECE_BYTES))
    except zlib.error as error:
        raise DamagedPng(f"damaged: its pixel data cannot be inflated ({error})") from None
    if size < wanted:
        raise DamagedPng(f"damaged: its pixel data end after {size} of {wanted} bytes")
    if size > wanted + _MAX_SPARE_BYTES:
        raise DamagedPng(f"damaged: its pixel data have far more than the {wanted} bytes announced")
    if not stream.eof:
        raise DamagedPng("damaged: its pixel data have no end")


def _passes(header: Header) -> Iterator[tuple[int, int]]:
    """Width and height of the reduced images that the pixel data consist of: one, or Adam7's."""
    for x, y, step_x, step_y in _ADAM7 if header.interlace else ((0, 0, 1, 1),):
        width, height = -(-(header.width - x) // step_x), -(-(header.height - y) // step_y)
        if width > 0 and height > 0:
            yield width, height


def find_comment(chunks: list[Chunk]) -> str:
    """Find the first text with the keyword Comment; empty where there is none.

    Parameters
    ----------
    chunks : list of Chunk

    Returns
    -------
    str
    """
    for kind, content in chunks:
        if kind == b"tEXt" and bytes(content).startswith(COMMENT):
            return bytes(content).removeprefix(COMMENT).decode("latin-1")
    return ""


def digest(chunks: Iterable[tuple[bytes, bytes | memoryview]]) -> str:
    """Hash the chunks other than text.

    Parameters
    ----------
    chunks : iterable of (bytes, bytes or memoryview)

    Returns
    -------
    str
        Hexadecimal; equal for files that hold the same image data.
    """
    hash_ = hashlib.blake2b(digest_size=8)
    for kind, content in chunks:
        if kind != b"tEXt":
            hash_.update(kind + len(content).to_bytes(8, "big"))
            hash_.update(content)
    return hash_.hexdigest()


def encode_chunk(kind: bytes, content: bytes) -> bytes:
    """Encode one chunk with its length and checksum.

    Parameters
    ----------
    kind, content : bytes

    Returns
    -------
    bytes
    """
    body = kind + content
    return struct.pack(">I", len(content)) + body + struct.pack(">I", deflate.crc32(body))
