"""Plain grey PNG, the format of nearly all maps and masks: read in a quarter to a half of Pillow's time, written in a third.

`is_plain` accepts 8-bit and 1-bit grey, not interlaced, without odd chunks. libdeflate inflates the pixel data, and
`sodbench.images.png_filters` undoes the filters in compiled code. Where that cannot be imported or compiled, and for
every other PNG, `decode` returns None, and the caller decodes with Pillow.

Definition: Portable Network Graphics Specification, third edition, W3C.
"""

import warnings
from collections.abc import Callable
from functools import cache

import deflate
import numpy as np
from numpy.typing import NDArray

from sodbench.images.png import (
    COMMENT,
    CRITICAL,
    GREY,
    IHDR,
    PNG_SIGNATURE,
    Chunk,
    Header,
    digest,
    encode_chunk,
    inflate,
)

# Chunks, with their lengths, that leave the pixels of a grey PNG as they are
_HARMLESS = {b"tIME": 7, b"pHYs": 9, b"gAMA": 4, b"sRGB": 1, b"cHRM": 32, b"sBIT": 1, b"bKGD": 2}
# The most frequent texts
_HARMLESS_TEXT = (b"Software\0", COMMENT, b"date:create\0", b"date:modify\0")

_FILTER_UP = 2
_COMPRESSION_LEVEL = 1

_Unfilter = Callable[[NDArray[np.uint8], NDArray[np.uint8]], bool]


def is_plain(chunks: list[Chunk], header: Header) -> bool:
    """Return whether `decode` may read this PNG, which passed `sodbench.images.png.check_chunks`.

    Parameters
    ----------
    chunks : list of Chunk
    header : Header

    Returns
    -------
    bool
    """
    if header.colour != GREY or header.depth not in (1, 8) or header.interlace:
        return False
    return all(kind in CRITICAL or _is_harmless(kind, content) for kind, content in chunks)


def _is_harmless(kind: bytes, content: memoryview) -> bool:
    if kind == b"tEXt":
        return bytes(content[:16]).startswith(_HARMLESS_TEXT)
    return len(content) == _HARMLESS.get(kind)


def decode(chunks: list[Chunk], header: Header) -> NDArray[np.uint8] | None:
    """Decode a PNG that `is_plain`.

    Parameters
    ----------
    chunks : list of Chunk
    header : Header
        No more is inflated than it announces, so the caller checks first whether that is a reasonable size.

    Returns
    -------
    ndarray of uint8, shape (h, w), or None
        A bit becomes 0 or 255. None where the data do not fill the image exactly, or the kernel is not available.
    """
    unfilter = load_kernel()
    if unfilter is None:
        return None
    row_bytes = (header.width * header.depth + 7) // 8
    filtered = inflate(chunks, header.height * (1 + row_bytes))
    if filtered is None:
        return None
    rows = np.empty((header.height, row_bytes), np.uint8)
    if not unfilter(np.frombuffer(filtered, np.uint8), rows):
        return None
    if header.depth == 8:
        return rows
    bits = np.unpackbits(rows, axis=1, count=header.width)
    # modulo 256: 1 becomes 255
    return np.negative(bits, out=bits)


@cache
def load_kernel() -> _Unfilter | None:
    """Compile the filters or load their code; None where numba cannot compile them: Pillow reads the same pixels.

    Returns
    -------
    callable or None
        Takes the inflated pixel data and the rows that it fills.
    """
    try:
        from sodbench.images.png_filters import (
            # numba: slow to import, and not always needed
            unfilter,
        )

        unfilter(np.zeros(2, np.uint8), np.empty((1, 1), np.uint8))
    except Exception as error:  # noqa: BLE001  LLVM's errors have many classes
        warnings.warn(
            f"the fast PNG reader cannot be compiled ({type(error).__name__}); Pillow reads PNG files instead, which is slower",
            RuntimeWarning,
            stacklevel=2,
        )
        return None
    return unfilter  # type: ignore[no-any-return]


def encode(pixels: NDArray[np.uint8], comment: str | Callable[[str], str] = "") -> bytes:
    """Encode an 8-bit grey PNG.

    Every row is stored as its difference from the row above. On saliency maps this, with libdeflate's level 1, takes
    a quarter to two fifths of the time of Pillow's level 4 for up to an eighth more bytes (benchmarks/images.py),
    and is the filter that is undone fastest.

    Parameters
    ----------
    pixels : ndarray of uint8, shape (h, w)
    comment : str or callable
        Text in Latin-1, or a function of the `digest` of the file.

    Returns
    -------
    bytes
    """
    height, width = pixels.shape
    filtered = np.empty((height, 1 + width), np.uint8)
    filtered[:, 0] = _FILTER_UP
    filtered[0, 1:] = pixels[0]
    np.subtract(pixels[1:], pixels[:-1], out=filtered[1:, 1:])
    header = IHDR.pack(width, height, 8, 0, 0, 0, 0)
    data = bytes(deflate.zlib_compress(filtered, _COMPRESSION_LEVEL))
    if callable(comment):
        comment = comment(digest([(b"IHDR", header), (b"IDAT", data), (b"IEND", b"")]))
    chunks = [(b"IHDR", header), (b"IDAT", data), (b"IEND", b"")]
    if comment:
        chunks.insert(1, (b"tEXt", COMMENT + comment.encode("latin-1")))
    return PNG_SIGNATURE + b"".join(encode_chunk(kind, content) for kind, content in chunks)
