"""Plain grey PNG without Pillow: read in a quarter to a half of its time, written in a third.

Nearly all saliency maps and masks are PNG of colour type 0 (grey), 8 or 1 bit deep, not interlaced.
:func:`decode` reads exactly those and leaves the rest to Pillow: other kinds of PNG, chunks that may
turn or animate the picture, and any stream about which there is the least doubt.

Pillow takes a PNG whose pixel data fail their checksum or whose end is missing, if enough of it can be
inflated; OpenCV refuses such a file, and so does :func:`chunks`, which reads every PNG first.

Definition: Portable Network Graphics Specification, third edition, W3C.
"""

import struct
from collections.abc import Callable, Iterator
from functools import cache
from typing import NamedTuple

import deflate
import numpy as np
from numpy.typing import NDArray

SIGNATURE = b"\x89PNG\r\n\x1a\n"

_HARMLESS = {b"tIME": 7, b"pHYs": 9, b"gAMA": 4, b"sRGB": 1, b"cHRM": 32, b"sBIT": 1, b"bKGD": 2}
"""Chunks of a grey PNG, with their lengths, that neither Pillow nor OpenCV lets touch a pixel."""

_COMMENT = b"Comment\0"
_HARMLESS_TEXT = (b"Software\0", _COMMENT, b"date:create\0", b"date:modify\0")
"""Text with another keyword may carry an orientation, which Pillow honours."""

_TURNING = {b"eXIf", b"tEXt", b"zTXt", b"iTXt"}

Chunk = tuple[bytes, memoryview]
"""The type of a chunk, e.g. ``b"IDAT"``, and its content."""

_CHUNK_START = struct.Struct(">I4s")
_CHUNK_END = struct.Struct(">I")
_IHDR = struct.Struct(">IIBBBBB")
_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
"""Samples of a pixel for each colour type."""
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
        end = start + 8 + length
        if end + 4 > size:
            raise Damaged(f"cut short: its {size} bytes end within the chunk {kind!r}")
        if deflate.crc32(view[start + 4 : end]) != _CHUNK_END.unpack_from(data, end)[0]:
            raise Damaged(f"damaged: its chunk {kind!r} at byte {start} fails the checksum")
        found.append((kind, view[start + 8 : end]))
        start = end + 4
    return found


def header(parts: list[Chunk]) -> Header | None:
    """What the first of the :func:`chunks` announces, or None where that is no proper IHDR."""
    kind, content = parts[0]
    if kind != b"IHDR" or len(content) != _IHDR.size:
        return None
    return Header(*_IHDR.unpack(content))


def is_upright(parts: list[Chunk]) -> bool:
    """Whether no chunk can carry an orientation, so that the header's sides are the picture's."""
    return all(_is_harmless(chunk) for chunk in parts if chunk[0] in _TURNING)


def _is_harmless(chunk: Chunk) -> bool:
    kind, content = chunk
    if kind == b"tEXt":
        return bytes(content[:16]).startswith(_HARMLESS_TEXT)
    return len(content) == _HARMLESS.get(kind)


def plain_header(parts: list[Chunk]) -> Header | None:
    """The header of a PNG that :func:`decode` reads, else None.

    Such a one is grey of 8 or 1 bit, not interlaced, with one run of IDAT and no odd chunk.
    """
    head = header(parts)
    if head is None or head.depth not in (1, 8) or any(head[3:]) or 0 in head[:2]:
        return None
    data = [i for i, (kind, _) in enumerate(parts) if kind == b"IDAT"]
    if not data or data[-1] - data[0] >= len(data):
        return None
    others = parts[1 : data[0]] + parts[data[-1] + 1 : -1]
    return head if all(map(_is_harmless, others)) else None


def decode(parts: list[Chunk], head: Header) -> NDArray[np.uint8] | None:
    """Grey pixels, uint8 [h, w], of a PNG with a :func:`plain_header`; a bit becomes 0 or 255.

    None where Pillow must decide, because the data do not fill the picture exactly.  No more is
    inflated than the header announces; whoever calls has looked whether that is a sane number.
    """
    pieces = [content for kind, content in parts if kind == b"IDAT"]
    data = pieces[0] if len(pieces) == 1 else b"".join(pieces)
    row_bytes = (head.width * head.depth + 7) // 8
    size = head.height * (1 + row_bytes)
    if size > _MOST_INFLATED * len(data):
        return None
    try:
        filtered = deflate.zlib_decompress(data, size)
    except deflate.DeflateError:
        return None
    # the stream's own checksum was right; that it comes last says that nothing follows it
    if len(filtered) != size or deflate.adler32(filtered) != int.from_bytes(data[-4:]):
        return None
    rows = np.empty((head.height, row_bytes), np.uint8)
    if not _unfilter()(np.frombuffer(filtered, np.uint8), rows):
        return None
    if head.depth == 8:
        return rows
    bits = np.unpackbits(rows, axis=1, count=head.width)
    return np.negative(bits, out=bits)  # modulo 256: 1 becomes 255


@cache
def _unfilter() -> Callable[[NDArray[np.uint8], NDArray[np.uint8]], bool]:
    from sodbench.png_filters import unfilter  # numba: slow to import, and not always needed

    return unfilter  # type: ignore[no-any-return]


def check_filled(parts: list[Chunk]) -> None:
    """Raise :class:`Damaged` where the pixel data of a PNG of any kind end before its last row.

    Pillow leaves the rows that are missing black if the stream ends as it should; one that does not it refuses.
    """
    head = header(parts)
    channels = _CHANNELS.get(head.colour) if head else None
    if head is None or channels is None:
        return
    wanted = sum(
        height * (1 + (width * channels * head.depth + 7) // 8) for width, height in _passes(head)
    )
    data = b"".join(content for kind, content in parts if kind == b"IDAT")
    try:
        found = len(deflate.zlib_decompress(data, min(wanted, _MOST_INFLATED * len(data))))
    except deflate.DeflateError:  # more than enough, or broken
        return
    if found < wanted:
        raise Damaged(f"damaged: its pixel data end after {found} of {wanted} bytes")


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


def encode(pixels: NDArray[np.uint8], comment: str = "") -> bytes:
    """An 8-bit grey PNG of ``pixels``, uint8 [h, w], with a ``comment`` in Latin-1 where one is given.

    Every row is stored as its difference from the row above: on saliency maps this, with libdeflate's
    level 1, takes a quarter to two fifths of the time of Pillow's level 4 for up to an eighth more bytes
    (benchmarks/pictures.py), and is the filter that is undone fastest.
    """
    height, width = pixels.shape
    filtered = np.empty((height, 1 + width), np.uint8)
    filtered[:, 0] = 2  # the filter "up"
    filtered[0, 1:] = pixels[0]
    np.subtract(pixels[1:], pixels[:-1], out=filtered[1:, 1:])
    head = _IHDR.pack(width, height, 8, 0, 0, 0, 0)
    data = bytes(deflate.zlib_compress(filtered, 1))
    text = _chunk(b"tEXt", _COMMENT + comment.encode("latin-1")) if comment else b""
    return SIGNATURE + _chunk(b"IHDR", head) + text + _chunk(b"IDAT", data) + _chunk(b"IEND", b"")


def _chunk(kind: bytes, content: bytes) -> bytes:
    body = kind + content
    return struct.pack(">I", len(content)) + body + struct.pack(">I", deflate.crc32(body))
