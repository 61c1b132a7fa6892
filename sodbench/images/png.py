"""PNG: plain grey files are decoded here, in a quarter to a half of Pillow's time, and written in a third.

Nearly all saliency maps and masks are PNG of colour type 0 (grey), 8 or 1 bit deep, not interlaced.
:func:`decode` reads exactly those.  Every other PNG is checked here and its samples are decoded by Pillow, from a copy
without the chunks that Pillow and OpenCV read differently (:func:`bare`).

Pillow decodes many damaged files that OpenCV refuses: no end, a failed checksum, pixel data that another chunk interrupts,
a second header.  :func:`chunks`, :func:`check` and :func:`check_data` refuse them, for every PNG.

Definition: Portable Network Graphics Specification, third edition, W3C.
"""

import hashlib
import struct
import zlib
from collections.abc import Callable, Iterable, Iterator
from functools import cache, lru_cache
from typing import NamedTuple

import deflate
import numpy as np
from numpy.typing import NDArray

from sodbench.images import exif

SIGNATURE = b"\x89PNG\r\n\x1a\n"

_HARMLESS = {b"tIME": 7, b"pHYs": 9, b"gAMA": 4, b"sRGB": 1, b"cHRM": 32, b"sBIT": 1, b"bKGD": 2}
"""Chunks, with their lengths, that leave the pixels of a grey PNG as they are."""

_COMMENT = b"Comment\0"
_HARMLESS_TEXT = (b"Software\0", _COMMENT, b"date:create\0", b"date:modify\0")
"""The most frequent texts."""

Chunk = tuple[bytes, memoryview]
"""The type of a chunk, e.g. ``b"IDAT"``, and its content."""

_CHUNK_START = struct.Struct(">I4s")
_CHUNK_END = struct.Struct(">I")
_IHDR = struct.Struct(">IIBBBBB")
_FCTL = struct.Struct(">IIIIIHHBB")
GREY, RGB, PALETTE, GREY_ALPHA, RGBA = 0, 2, 3, 4, 6
"""Colour types."""
_CHANNELS = {GREY: 1, RGB: 3, PALETTE: 1, GREY_ALPHA: 2, RGBA: 4}
"""Samples of a pixel for each colour type."""
_DEPTHS = {
    GREY: (1, 2, 4, 8, 16),
    RGB: (8, 16),
    PALETTE: (1, 2, 4, 8),
    GREY_ALPHA: (8, 16),
    RGBA: (8, 16),
}
"""Bits per sample that the specification allows for each colour type."""
_LARGEST_PALETTE = 3 * 256
UNIT = 100_000
"""1 as a PNG stores gammas and chromaticities."""
SRGB_GAMMA = 45455
"""The gamma that stands for sRGB, in units of 1/100,000."""
_GAMMAS = range(16, 625_000_001)
"""Gammas that libpng does not take for an error."""
_CRITICAL = {b"IHDR", b"PLTE", b"IDAT", b"IEND"}
_ADAM7 = (
    (0, 0, 8, 8),
    (4, 0, 8, 8),
    (0, 4, 4, 8),
    (2, 0, 4, 4),
    (0, 2, 2, 4),
    (1, 0, 2, 2),
    (0, 1, 1, 2),
)
"""First column and row, and the steps from there, of each pass of an interlaced picture."""
_MOST_INFLATED = 1032
"""Bytes that one byte of a deflate stream can stand for at the most."""
_MOST_SPARE = 2**20
"""Bytes that may follow the last row: OpenCV ignores them, and a bomb has more."""
_MUCH = 2**26
"""Bytes; more of them are inflated piece by piece where they need not be kept."""
_PIECE = 2**16
"""Bytes that are inflated at once to be counted."""


class Damaged(ValueError):
    """A PNG that is cut short or fails a checksum; the message says where."""


class Header(NamedTuple):
    """The IHDR chunk: sides in pixels, bits per sample, and the codes of the specification."""

    width: int
    height: int
    depth: int
    colour: int
    compression: int
    filtering: int
    interlace: int


def chunks(data: bytes) -> list[Chunk]:
    """The chunks up to IEND of a file that starts with SIGNATURE, lengths and checksums checked.

    Raises :class:`Damaged`.
    """
    view, size = memoryview(data), len(data)
    found: list[Chunk] = []
    start = len(SIGNATURE)
    kind = b""
    while kind != b"IEND":
        if start + 12 > size:
            raise Damaged(f"cut short: its {size} bytes end without an IEND chunk")
        length, kind = _CHUNK_START.unpack_from(data, start)
        if not (kind.isalpha() and kind[2:3].isupper()):
            raise Damaged(f"damaged: the name of its chunk at byte {start} is {kind!r}")
        end = start + 8 + length
        if end + 4 > size:
            raise Damaged(f"cut short: its {size} bytes end within the chunk {kind!r}")
        if deflate.crc32(view[start + 4 : end]) != _CHUNK_END.unpack_from(data, end)[0]:
            raise Damaged(f"damaged: its chunk {kind!r} at byte {start} fails the checksum")
        found.append((kind, view[start + 8 : end]))
        start = end + 4
    return found


def check(parts: list[Chunk]) -> Header:
    """Check the order and the content of the critical chunks, and return what IHDR announces.

    Parameters
    ----------
    parts : list of Chunk
        What :func:`chunks` returns.

    Raises
    ------
    Damaged
        For a file that OpenCV refuses, although Pillow may read it.
    """
    kind, content = parts[0]
    if kind != b"IHDR" or len(content) != _IHDR.size:
        raise Damaged(
            "damaged: its header is broken (it must begin with one IHDR chunk of 13 bytes)"
        )
    head = Header(*_IHDR.unpack(content))
    if head.depth not in _DEPTHS.get(head.colour, ()):
        raise Damaged(
            f"damaged: its header is broken (colour type {head.colour} with {head.depth} bits per sample)"
        )
    if head.compression or head.filtering or head.interlace > 1:
        raise Damaged(
            "damaged: its header is broken (unknown method of compression, filtering or interlacing)"
        )
    kinds = tuple(kind for kind, _ in parts)
    if fault := _fault_of_order(kinds):
        raise Damaged(fault)
    first = kinds.index(b"IDAT")
    if head.colour == PALETTE:
        _check_palette(parts[:first])
    elif head.colour in (RGB, RGBA) and any(part[0] == b"PLTE" and not part[1] for part in parts):
        raise Damaged("damaged: its suggested palette is empty")
    if b"acTL" in kinds:
        _check_animation(parts, head)
    return head


@lru_cache(1000)  # nearly all maps and masks of a method have the same few chunks
def _fault_of_order(kinds: tuple[bytes, ...]) -> str:
    """What is wrong with the chunks of a file, as far as their names and order tell; nothing for a sound file."""
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


def _check_animation(parts: list[Chunk], head: Header) -> None:
    """Check what a file says of its frames, of which only the still image is read, because OpenCV checks it, too."""
    animations = [content for kind, content in parts if kind == b"acTL"]
    if any(len(content) != 8 or not any(content[:4]) for content in animations):
        raise Damaged("damaged: it is announced as an animation (acTL chunk) without frames")
    for kind, content in parts:
        if kind == b"fcTL":
            if len(content) != _FCTL.size:
                raise Damaged("damaged: a frame's header (fcTL chunk) is too short or too long")
            _, width, height, x, y, _, _, disposal, blending = _FCTL.unpack(content)
            inside = x + width <= head.width and y + height <= head.height
            if not (inside and width and height and disposal <= 2 and blending <= 1):
                raise Damaged("damaged: a frame's header (fcTL chunk) is broken")


def _is_unknown(kind: bytes) -> bool:
    """Whether a decoder must know a chunk of this kind and no decoder does."""
    return not kind[0] & 32 and kind not in _CRITICAL


def _run_length(kinds: tuple[bytes, ...]) -> int:
    return next((i for i, kind in enumerate(kinds) if kind != kinds[0]), len(kinds))


def _check_palette(parts: list[Chunk]) -> None:
    """Check the palette among the chunks before the pixel data."""
    palettes = [content for kind, content in parts if kind == b"PLTE"]
    if len(palettes) != 1:
        raise Damaged(f"damaged: it has {len(palettes)} palettes before its pixel data, not one")
    size = len(palettes[0])
    if size % 3 or not 0 < size <= _LARGEST_PALETTE:
        raise Damaged(f"damaged: its palette has {size} bytes, which are no colours")


def orientation(parts: list[Chunk]) -> int:
    """Return the EXIF orientation, 1 to 8, or :data:`sodbench.images.exif.UNCLEAR`; XMP and text do not count, as in OpenCV."""
    values = {exif.orientation(bytes(content)) for kind, content in parts if kind == b"eXIf"} or {1}
    return values.pop() if len(values) == 1 else exif.UNCLEAR


class ColourSpace(NamedTuple):
    """What a PNG declares about its samples, as far as OpenCV's conversion to grey depends on it.

    gamma: in units of 1/:data:`UNIT`, or None; significant_bits: the largest of the sBIT chunk, or 0.
    has_profile: whether there is an ICC profile beside anything but a gamma of sRGB; some versions of OpenCV follow it.
    fault: what is contradictory or malformed, so that versions of OpenCV differ; or empty.
    """

    gamma: int | None = None
    significant_bits: int = 0
    has_profile: bool = False
    fault: str = ""


def colour_space(parts: list[Chunk], head: Header) -> ColourSpace:
    """Return what the chunks before the palette and the pixel data declare; later ones do not count."""
    declared: dict[bytes, list[bytes]] = {}
    for kind, content in parts:
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
    bits = _significant_bits(declared.get(b"sBIT", []), head)
    return ColourSpace(SRGB_GAMMA if intents else gamma, bits, has_profile, fault)


def _significant_bits(declared: list[bytes], head: Header) -> int:
    if head.colour not in (RGB, RGBA) or not declared or len(declared[0]) != _CHANNELS[head.colour]:
        return 0
    bits = declared[0]
    return max(bits[:3]) if all(0 < number <= head.depth for number in bits) else 0


def _is_sane_chromaticity(content: bytes) -> bool:
    """Whether the white point lies well within the triangle of the primaries, in positive coordinates."""
    if len(content) != 32:
        return False
    x, y = np.frombuffer(content, ">u4").astype(np.int64).reshape(4, 2).T
    points = np.stack([x, y, UNIT - x - y]) / UNIT  # the white point comes first
    white, primaries = points[:, 0], points[:, 1:]
    if (points < 0).any() or white[1] < 0.05 or abs(np.linalg.det(primaries)) < 1e-3:
        return False
    shares = np.linalg.solve(primaries, white)
    return bool((shares > 0.05).all())


def is_animated(parts: list[Chunk]) -> bool:
    """Whether there are further frames."""
    return any(kind == b"acTL" for kind, _ in parts)


def bare(parts: list[Chunk], head: Header) -> bytes:
    """Return a PNG of the header ``head``, and the palette and the pixel data of another one, and nothing else."""
    kept = {b"IDAT", b"PLTE"} if head.colour == PALETTE else {b"IDAT"}
    body = b"".join(_chunk(kind, bytes(content)) for kind, content in parts if kind in kept)
    return SIGNATURE + _chunk(b"IHDR", _IHDR.pack(*head)) + body + _chunk(b"IEND", b"")


def _is_harmless(chunk: Chunk) -> bool:
    kind, content = chunk
    if kind == b"tEXt":
        return bytes(content[:16]).startswith(_HARMLESS_TEXT)
    return len(content) == _HARMLESS.get(kind)


def is_plain(parts: list[Chunk], head: Header) -> bool:
    """Whether :func:`decode` may read this PNG, which passed :func:`check`.

    It may if the file is grey of 8 or 1 bit, not interlaced, and without odd chunks.
    """
    if head.colour != GREY or head.depth not in (1, 8) or head.interlace:
        return False
    return all(kind in _CRITICAL or _is_harmless((kind, content)) for kind, content in parts)


def decode(parts: list[Chunk], head: Header) -> NDArray[np.uint8] | None:
    """Grey pixels, uint8 [h, w], of a PNG that :func:`is_plain`; a bit becomes 0 or 255.

    None where the data do not fill the image exactly.  No more is inflated than the header announces, so the caller
    checks first whether that is a sane number.
    """
    row_bytes = (head.width * head.depth + 7) // 8
    filtered = _inflated(parts, head.height * (1 + row_bytes))
    if filtered is None:
        return None
    rows = np.empty((head.height, row_bytes), np.uint8)
    if not _unfilter()(np.frombuffer(filtered, np.uint8), rows):
        return None
    if head.depth == 8:
        return rows
    bits = np.unpackbits(rows, axis=1, count=head.width)
    return np.negative(bits, out=bits)  # modulo 256: 1 becomes 255


def _inflated(parts: list[Chunk], size: int) -> bytes | bytearray | None:
    """The pixel data, or None where they are not exactly ``size`` bytes in one sound stream."""
    pieces = [content for kind, content in parts if kind == b"IDAT"]
    data = pieces[0] if len(pieces) == 1 else b"".join(pieces)
    if size > _MOST_INFLATED * len(data):
        return None
    try:
        inflated = deflate.zlib_decompress(data, size)
    except deflate.DeflateError:
        return None
    # the stream's own checksum was right; that it comes last says that nothing follows it
    if len(inflated) != size or deflate.adler32(inflated) != int.from_bytes(data[-4:]):
        return None
    return inflated


@cache
def _unfilter() -> Callable[[NDArray[np.uint8], NDArray[np.uint8]], bool]:
    from sodbench.images.png_filters import unfilter  # numba: slow to import, and not always needed

    return unfilter  # type: ignore[no-any-return]


def check_data(parts: list[Chunk], head: Header) -> None:
    """Raise :class:`Damaged` where the pixel data of a PNG of any kind are broken or end before its last row.

    Pillow leaves missing rows black if the stream ends properly, and ignores the stream's checksum.
    """
    channels = _CHANNELS[head.colour]
    wanted = sum(
        height * (1 + (width * channels * head.depth + 7) // 8) for width, height in _passes(head)
    )
    if wanted <= _MUCH and _inflated(parts, wanted) is not None:
        return
    stream = zlib.decompressobj()
    size = 0
    try:
        for kind, content in parts:
            waiting: bytes | memoryview = content if kind == b"IDAT" and not stream.eof else b""
            while waiting and size <= wanted + _MOST_SPARE:
                size += len(stream.decompress(waiting, _PIECE))
                waiting = stream.unconsumed_tail
        size += len(stream.flush(_PIECE))
    except zlib.error as error:
        raise Damaged(f"damaged: its pixel data cannot be inflated ({error})") from None
    if size < wanted:
        raise Damaged(f"damaged: its pixel data end after {size} of {wanted} bytes")
    if size > wanted + _MOST_SPARE:
        raise Damaged(f"damaged: its pixel data have far more than the {wanted} bytes announced")
    if not stream.eof:
        raise Damaged("damaged: its pixel data have no end")


def _passes(head: Header) -> Iterator[tuple[int, int]]:
    """Width and height of the reduced pictures that the pixel data consist of: one, or Adam7's."""
    for x, y, step_x, step_y in _ADAM7 if head.interlace else ((0, 0, 1, 1),):
        width, height = -(-(head.width - x) // step_x), -(-(head.height - y) // step_y)
        if width > 0 and height > 0:
            yield width, height


def comment(parts: list[Chunk]) -> str:
    """The first text of a PNG under the keyword Comment, or nothing."""
    texts = (bytes(content) for kind, content in parts if kind == b"tEXt")
    found = (text.removeprefix(_COMMENT) for text in texts if text.startswith(_COMMENT))
    return next(found, b"").decode("latin-1")


def digest(parts: Iterable[tuple[bytes, bytes | memoryview]]) -> str:
    """A hash (hexadecimal) of the chunks other than text: equal for files that hold the same image data."""
    found = hashlib.blake2b(digest_size=8)
    for kind, content in parts:
        if kind != b"tEXt":
            found.update(kind + len(content).to_bytes(8, "big"))
            found.update(content)
    return found.hexdigest()


def encode(pixels: NDArray[np.uint8], comment: str | Callable[[str], str] = "") -> bytes:
    """An 8-bit grey PNG of ``pixels``, uint8 [h, w], with a ``comment`` in Latin-1 where one is given.

    A comment may be a function of the :func:`digest` of the file.

    Every row is stored as its difference from the row above: on saliency maps this, with libdeflate's
    level 1, takes a quarter to two fifths of the time of Pillow's level 4 for up to an eighth more bytes
    (benchmarks/images.py), and is the filter that is undone fastest.
    """
    height, width = pixels.shape
    filtered = np.empty((height, 1 + width), np.uint8)
    filtered[:, 0] = 2  # the filter "up"
    filtered[0, 1:] = pixels[0]
    np.subtract(pixels[1:], pixels[:-1], out=filtered[1:, 1:])
    head = _IHDR.pack(width, height, 8, 0, 0, 0, 0)
    data = bytes(deflate.zlib_compress(filtered, 1))
    if callable(comment):
        comment = comment(digest([(b"IHDR", head), (b"IDAT", data), (b"IEND", b"")]))
    text = _chunk(b"tEXt", _COMMENT + comment.encode("latin-1")) if comment else b""
    return SIGNATURE + _chunk(b"IHDR", head) + text + _chunk(b"IDAT", data) + _chunk(b"IEND", b"")


def _chunk(kind: bytes, content: bytes) -> bytes:
    body = kind + content
    return struct.pack(">I", len(content)) + body + struct.pack(">I", deflate.crc32(body))
