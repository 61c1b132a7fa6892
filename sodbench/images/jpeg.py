"""The segments of a JPEG file before its pixels: orientation, and a copy without what makes Pillow fail.

Definition: ITU-T T.81, annex B.
"""

from dataclasses import dataclass

from sodbench.images import exif

JPEG_SIGNATURE = b"\xff\xd8"

_APP0, _APP1, _APP14, _APP15 = 0xE0, 0xE1, 0xEE, 0xEF
_FIRST_SEGMENT, _SCAN = 0xC0, 0xDA
_EXIF = b"Exif\0\0"
# Bytes of a segment's name that older versions of OpenCV skip without looking at them
_UNCHECKED_NAME = 6

# Frame headers of baseline, extended and progressive Huffman coding
_FRAMES = (0xC0, 0xC1, 0xC2)

# The type of a segment, 0xC0 to 0xFE, and its content without the length
Segment = tuple[int, bytes]


def read_segments(data: bytes) -> tuple[list[Segment], int]:
    """Read the segments before the first scan.

    Parameters
    ----------
    data : bytes
        The content of a file that starts with `JPEG_SIGNATURE`.

    Returns
    -------
    segments : list of Segment
    scan : int
        Where in the file the scan starts; no segments and 0 where that is unclear.
    """
    segments: list[Segment] = []
    start = len(JPEG_SIGNATURE)
    while start + 4 <= len(data) and data[start] == 0xFF:
        kind = data[start + 1]
        # fill byte
        if kind == 0xFF:
            start += 1
            continue
        if kind < _FIRST_SEGMENT:
            break
        if kind == _SCAN:
            return segments, start
        end = start + 2 + int.from_bytes(data[start + 2 : start + 4])
        if end < start + 4 or end > len(data):
            break
        segments.append((kind, data[start + 4 : end]))
        start = end
    return [], 0


@dataclass(frozen=True)
class Frame:
    """What a JPEG states about its pixels.

    Attributes
    ----------
    height, width : int
        As stored, before the orientation is applied.
    components : int
        1 for grey, 3 for colour, 4 for CMYK.
    """

    height: int
    width: int
    components: int


def find_frame(segments: list[Segment]) -> Frame | None:
    """Find the frame header of a usual JPEG: 8 bits, Huffman coding, one frame, its height known in advance.

    Parameters
    ----------
    segments : list of Segment

    Returns
    -------
    Frame or None
        None for other files.
    """
    # 0xC4, 0xC8 and 0xCC are no frames
    frames = [s for s in segments if 0xC0 <= s[0] <= 0xCF and s[0] not in (0xC4, 0xC8, 0xCC)]
    if len(frames) != 1:
        return None
    kind, content = frames[0]
    if kind not in _FRAMES or len(content) < 6 or content[0] != 8:
        return None
    height, width = int.from_bytes(content[1:3]), int.from_bytes(content[3:5])
    if height * width == 0 or len(content) != 6 + 3 * content[5]:
        return None
    return Frame(height, width, content[5])


def strip_jpeg(data: bytes, segments: list[Segment], scan: int) -> bytes:
    """Return the file without metadata; of the application segments, only those on how colours are stored remain.

    Where ``scan``, the start of the first scan, is 0, the file is returned as it is.

    Parameters
    ----------
    data : bytes
    segments : list of Segment
    scan : int
        As `read_segments` returns them.

    Returns
    -------
    bytes
    """
    if not scan:
        return data
    remaining = [s for s in segments if not _APP0 < s[0] <= _APP15 or s[0] == _APP14]
    body = b"".join(
        bytes([0xFF, kind]) + (len(content) + 2).to_bytes(2) + content
        for kind, content in remaining
    )
    return JPEG_SIGNATURE + body + data[scan:]


def find_jpeg_orientation(segments: list[Segment]) -> int:
    """Find the EXIF orientation, 1 to 8 or `exif.UNCLEAR`.

    It is unclear if several segments hold different ones, because versions of OpenCV choose differently among them.

    Parameters
    ----------
    segments : list of Segment

    Returns
    -------
    int
    """
    if not segments:
        return exif.UNCLEAR
    candidates = [content for kind, content in segments if kind == _APP1]
    named = [content for content in candidates if content.startswith(_EXIF)]
    values = {exif.read_orientation(content[len(_EXIF) :]) for content in named} or {1}
    values |= {exif.read_orientation(content[_UNCHECKED_NAME:]) for content in candidates[:1]}
    return values.pop() if len(values) == 1 else exif.UNCLEAR
