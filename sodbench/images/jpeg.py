"""The segments of a JPEG file before its pixels: orientation, and a copy without what makes Pillow fail.

Definition: ITU-T T.81, annex B.
"""

from sodbench.images import exif

SIGNATURE = b"\xff\xd8"

_APP0, _APP1, _APP14, _APP15 = 0xE0, 0xE1, 0xEE, 0xEF
_FIRST_SEGMENT, _SCAN = 0xC0, 0xDA
_EXIF = b"Exif\0\0"
_EXIF_OR_NOT = 6
"""Bytes of name that older versions of OpenCV skip without a look at them."""

Segment = tuple[int, bytes]
"""The type of a segment, 0xC0 to 0xFE, and its content without the length."""


def segments(data: bytes) -> tuple[list[Segment], int]:
    """Return the segments before the first scan, and where in the file it begins; (nothing, 0) where that is unclear."""
    found: list[Segment] = []
    start = len(SIGNATURE)
    while start + 4 <= len(data) and data[start] == 0xFF:
        kind = data[start + 1]
        if kind == 0xFF:  # fill byte
            start += 1
            continue
        if kind < _FIRST_SEGMENT:
            break
        if kind == _SCAN:
            return found, start
        end = start + 2 + int.from_bytes(data[start + 2 : start + 4])
        if end < start + 4 or end > len(data):
            break
        found.append((kind, data[start + 4 : end]))
        start = end
    return [], 0


def bare(data: bytes, parts: list[Segment], scan: int) -> bytes:
    """Return the file without metadata: of the application segments only those that say how colours are stored."""
    if not scan:
        return data
    kept = [part for part in parts if not _APP0 < part[0] <= _APP15 or part[0] == _APP14]
    body = b"".join(
        bytes([0xFF, kind]) + (len(content) + 2).to_bytes(2) + content for kind, content in kept
    )
    return SIGNATURE + body + data[scan:]


def orientation(parts: list[Segment]) -> int:
    """Return the EXIF orientation, 1 to 8, or :data:`sodbench.images.exif.UNCLEAR`.

    Versions of OpenCV choose differently among several segments that may hold it.
    """
    if not parts:
        return exif.UNCLEAR
    candidates = [content for kind, content in parts if kind == _APP1]
    named = [content for content in candidates if content.startswith(_EXIF)]
    values = {exif.orientation(content[len(_EXIF) :]) for content in named} or {1}
    values |= {exif.orientation(content[_EXIF_OR_NOT:]) for content in candidates[:1]}
    return values.pop() if len(values) == 1 else exif.UNCLEAR
