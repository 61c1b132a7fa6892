import io
import itertools
import struct
import subprocess
import sys
import tracemalloc
import warnings
import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image
from reference.images import pillow_grey
from reference.png import IEND, SIGNATURE, chunk, filtered, grey_png, ihdr
from reference.png import paeth as paeth_of_the_specification

from sodbench.errors import ImageError
from sodbench.images import fast_png, png, read_grey, read_rgb
from sodbench.images.png_filters import paeth

SIZES = [(1, 1), (1, 2), (2, 1), (1, 9), (9, 1), (3, 7), (4, 8), (5, 17), (33, 31)]


def decoded(data: bytes) -> np.ndarray | None:
    parts = png.read_chunks(data)
    head = png.check_chunks(parts)
    return fast_png.decode(parts, head) if fast_png.is_plain(parts, head) else None


def noise(height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width), np.uint8)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("bits", [False, True])
@pytest.mark.parametrize("code", range(5))
def test_every_filter(size, bits, code):
    pixels = noise(*size)
    data = grey_png(pixels, code, bits=bits)
    expected = np.where(pixels > 127, 255, 0) if bits else pixels
    got = decoded(data)
    assert got.dtype == np.uint8 and got.flags.c_contiguous and got.flags.writeable
    np.testing.assert_array_equal(got, expected)
    np.testing.assert_array_equal(got, pillow_grey(data))


@pytest.mark.parametrize(
    "size", [(31, 40), (32, 16), (63, 15), (64, 47), (65, 100), (96, 1), (129, 33), (200, 150)]
)
@pytest.mark.parametrize(
    "codes", [[0, 1, 2, 3, 4], [4], [3], [1], [2, 2, 2, 2, 4, 2], [2, 2, 2, 1], [0, 0, 3, 0, 4, 1]]
)
def test_many_rows_of_any_filters(size, codes):
    """Rows are undone many at a time or, where few of them wait for their left neighbours, one by one."""
    rng = np.random.default_rng(size)
    for pixels in (
        noise(*size),
        noise(*size) // 86 * 85,
        np.minimum.accumulate(noise(*size), axis=1),
        np.where(noise(*size) > 253, 255, 0).cumsum(axis=1).cumsum(axis=0).astype(np.uint8),
        (noise(*size) > 253).astype(np.uint8) * noise(*size, seed=1),
    ):
        data = grey_png(pixels, rng.choice(codes, len(pixels)).tolist())
        np.testing.assert_array_equal(decoded(data), pixels)
        np.testing.assert_array_equal(decoded(data), pillow_grey(data))


WIDE = """
import resource, sys
import numpy as np
from sodbench.images import fast_png, png

def black(*shape):
    return png.read_chunks(fast_png.encode(np.zeros(shape, np.uint8)))

parts = black(64, 9)
assert not fast_png.decode(parts, png.check_chunks(parts)).any()  # loads the kernel
parts = black(1, 8_000_000)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
assert not fast_png.decode(parts, png.check_chunks(parts)).any()
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024)
"""


def test_a_wide_row_does_not_allocate_scratch_for_many_rows():
    pytest.importorskip("resource", reason="this system does not report how much memory was used")
    ran = subprocess.run([sys.executable, "-c", WIDE], capture_output=True, text=True, check=True)
    assert float(ran.stdout) < 100  # MB; the image has 8


def test_without_the_compiled_kernel_pillow_reads_the_same_pixels(monkeypatch, tmp_path):
    pixels = noise(21, 34)
    (tmp_path / "map.png").write_bytes(grey_png(pixels, 4))
    monkeypatch.setitem(sys.modules, "sodbench.images.png_filters", None)
    fast_png.load_kernel.cache_clear()
    try:
        with pytest.warns(RuntimeWarning, match="fast PNG reader cannot be compiled"):
            grey = read_grey(tmp_path / "map.png")
        np.testing.assert_array_equal(grey.pixels, pixels)
        assert grey.note == ""
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # one warning is enough
            read_grey(tmp_path / "map.png")
    finally:
        fast_png.load_kernel.cache_clear()


def test_an_unknown_filter_in_any_row_is_left_to_pillow():
    pixels = noise(40, 9)
    for row in (0, 17, 39):
        raw = bytearray(filtered(pixels, [0] * 40))
        raw[row * 10] = 5
        head = png.Header(9, 40, 8, 0, 0, 0, 0)
        assert fast_png.decode([(b"IDAT", memoryview(zlib.compress(raw)))], head) is None


@given(
    pixels=arrays(np.uint8, st.tuples(st.integers(1, 12), st.integers(1, 12))),
    bits=st.booleans(),
    level=st.integers(0, 9),
    pieces=st.integers(1, 4),
    data=st.data(),
)
def test_any_filters_levels_and_pieces(pixels, bits, level, pieces, data):
    codes = data.draw(st.lists(st.integers(0, 4), min_size=len(pixels), max_size=len(pixels)))
    file = grey_png(pixels, codes, bits=bits, level=level, pieces=pieces)
    np.testing.assert_array_equal(decoded(file), pillow_grey(file))


def test_paeth_equals_the_specification():
    values = [*range(0, 256, 9), 1, 254, 255]
    for a, b, c in itertools.product(values, repeat=3):
        assert paeth.py_func(a, b, c) == paeth_of_the_specification(a, b, c)


def test_chunks_that_cannot_change_a_pixel_are_ignored():
    before = b"".join(
        [
            chunk(b"gAMA", struct.pack(">I", 45455)),
            chunk(b"sBIT", b"\x04"),
            chunk(b"bKGD", b"\x00\x09"),
            chunk(b"pHYs", struct.pack(">IIB", 2835, 2835, 1)),
            chunk(b"tEXt", b"Software\x00a program"),
        ]
    )
    after = chunk(b"tIME", struct.pack(">HBBBBB", 2020, 1, 2, 3, 4, 5))
    data = grey_png(noise(5, 6), 4, before=before, after=after)
    np.testing.assert_array_equal(decoded(data), pillow_grey(data))


EXIF = Image.Exif()
EXIF[0x0112] = 6
ODD = {
    "transparency": chunk(b"tRNS", b"\x00\x05"),
    "an orientation": chunk(b"eXIf", EXIF.tobytes()[6:]),
    "an animation": chunk(b"acTL", struct.pack(">II", 1, 0)),
    "a profile": chunk(b"iCCP", b"x\x00\x00" + zlib.compress(b"profile")),
    "XMP": chunk(b"iTXt", b"XML:com.adobe.xmp" + bytes(5) + b'<x tiff:Orientation="6"/>'),
    "compressed text": chunk(b"zTXt", b"k\x00\x00" + zlib.compress(b"text")),
    "a private chunk": chunk(b"prVt", b"?"),
}


@pytest.mark.parametrize("what", ODD)
def test_odd_chunks_are_removed_before_pillow_decodes(what, tmp_path):
    data = grey_png(noise(5, 6), 4, before=ODD[what])
    assert decoded(data) is None
    path = tmp_path / "odd.png"
    path.write_bytes(data)
    np.testing.assert_array_equal(read_grey(path).pixels, pillow_grey(data))


@pytest.mark.parametrize(("depth", "colour", "interlace"), [(16, 0, 0), (4, 0, 0), (8, 3, 0)])
def test_other_kinds_are_not_plain(depth, colour, interlace):
    palette = chunk(b"PLTE", bytes(6)) if colour == 3 else b""
    data = SIGNATURE + ihdr(4, 4, depth, colour, interlace) + palette + chunk(b"IDAT", b"") + IEND
    parts = png.read_chunks(data)
    assert not fast_png.is_plain(parts, png.check_chunks(parts))


def test_a_file_cut_anywhere_is_damaged():
    data = grey_png(noise(9, 8), 4, pieces=2, after=chunk(b"tIME", bytes(7)))
    png.read_chunks(data)
    for end in range(len(SIGNATURE), len(data)):
        with pytest.raises(png.DamagedPng, match="cut short"):
            png.read_chunks(data[:end])


def test_a_bit_flipped_anywhere_is_damaged():
    data = grey_png(noise(9, 8), 4, pieces=2, after=chunk(b"tIME", bytes(7)))
    for i, bit in itertools.product(range(len(SIGNATURE), len(data)), (0, 7)):
        flipped = bytearray(data)
        flipped[i] ^= 1 << bit
        with pytest.raises(png.DamagedPng):
            png.read_chunks(bytes(flipped))


PIXELS = noise(20, 30)
ROWS = filtered(PIXELS, [1] * 20)
STREAM = zlib.compress(ROWS)
SHORT = {
    "too few rows": zlib.compress(ROWS[:-31]),
    "half a row too few": zlib.compress(ROWS[:-15]),
    "a byte too few": zlib.compress(ROWS[:-1]),
    "nothing in the stream": zlib.compress(b""),
    "no stream": b"",
}
SPARE = {
    "a row too many": zlib.compress(ROWS + ROWS[:31]),
    "one byte too many": zlib.compress(ROWS + b"x"),
    "bytes after the stream": STREAM + b"xyz",
}
BROKEN = {
    "no checksum of the stream": STREAM[:-4],
    "a wrong checksum of the stream": STREAM[:-1] + bytes([STREAM[-1] ^ 1]),
    "half a stream": STREAM[: len(STREAM) // 2],
    "no zlib": b"certainly not a zlib stream",
    "an unknown filter": zlib.compress(ROWS[:310] + b"\x05" + ROWS[311:]),
    "far too many bytes": zlib.compress(ROWS + bytes(2_000_000)),
}


@pytest.mark.parametrize("what", SPARE)
def test_bytes_after_the_last_row_change_nothing(what, tmp_path):
    data = SIGNATURE + ihdr(30, 20) + chunk(b"IDAT", SPARE[what]) + IEND
    assert decoded(data) is None
    path = tmp_path / "map.png"
    path.write_bytes(data)
    np.testing.assert_array_equal(read_grey(path).pixels, PIXELS)


@pytest.mark.parametrize("what", BROKEN)
@pytest.mark.parametrize("colour", [0, 3])
def test_a_broken_stream_is_refused(what, colour, tmp_path):
    palette = chunk(b"PLTE", bytes(768)) if colour == 3 else b""
    data = SIGNATURE + ihdr(30, 20, 8, colour) + palette + chunk(b"IDAT", BROKEN[what]) + IEND
    path = tmp_path / "map.png"
    path.write_bytes(data)
    for read in (read_grey, read_rgb):
        with pytest.raises(ImageError, match=r"map\.png: (this PNG is damaged|cannot be decoded)"):
            read(path)


@pytest.mark.parametrize("what", SHORT)
def test_pixel_data_that_end_too_early_are_refused(what, tmp_path):
    """Pillow leaves black what is missing, if the stream ends as it should."""
    path = tmp_path / "map.png"
    path.write_bytes(SIGNATURE + ihdr(30, 20) + chunk(b"IDAT", SHORT[what]) + IEND)
    for read in (read_grey, read_rgb):
        with pytest.raises(ImageError, match=r"map\.png: this PNG is damaged: its .* of 620 bytes"):
            read(path)


@pytest.mark.parametrize("interlace", [0, 1])
@pytest.mark.parametrize(
    ("depth", "colour"),
    [(1, 0), (2, 0), (16, 0), (8, 2), (16, 2), (1, 3), (4, 3), (8, 3), (8, 4), (16, 4), (8, 6)],
)
@pytest.mark.parametrize("sides", [(13, 9), (1, 1), (3, 2), (8, 5)])
def test_pixel_data_of_every_kind_are_counted(sides, depth, colour, interlace, tmp_path):
    """What Pillow takes to be the whole image is enough, and a byte less is not."""
    rows = sum(
        height * (1 + -(-width * {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[colour] * depth // 8))
        for width, height in ([sides] if not interlace else passes(*sides))
    )
    path = tmp_path / "map.png"
    palette = chunk(b"PLTE", bytes(range(6))) if colour == 3 else b""
    start = SIGNATURE + ihdr(*sides, depth, colour, interlace) + palette
    for number in (rows, rows + 5):
        path.write_bytes(start + chunk(b"IDAT", zlib.compress(bytes(number))) + IEND)
        assert read_grey(path).pixels.shape == sides[::-1]
    path.write_bytes(start + chunk(b"IDAT", zlib.compress(bytes(rows - 1))) + IEND)
    with pytest.raises(ImageError, match=f"end after {rows - 1} of {rows} bytes"):
        read_grey(path)


def passes(width, height):
    """The sides of Adam7's reduced images, from the pattern that the specification draws."""
    pattern = np.array(
        [
            list(map(int, row.split()))
            for row in (
                "1 6 4 6 2 6 4 6",
                "7 7 7 7 7 7 7 7",
                "5 6 5 6 5 6 5 6",
                "7 7 7 7 7 7 7 7",
                "3 6 4 6 3 6 4 6",
                "7 7 7 7 7 7 7 7",
                "5 6 5 6 5 6 5 6",
                "7 7 7 7 7 7 7 7",
            )
        ]
    )
    whole = np.tile(pattern, (-(-height // 8), -(-width // 8)))[:height, :width]
    for number in range(1, 8):
        there = whole == number
        if there.any():
            yield int(there.any(axis=0).sum()), int(there.any(axis=1).sum())


def test_idat_chunks_with_another_between_them_are_refused():
    between = chunk(b"IDAT", STREAM[:50]) + chunk(b"tIME", bytes(7)) + chunk(b"IDAT", STREAM[50:])
    with pytest.raises(png.DamagedPng, match="interrupted by another chunk"):
        decoded(SIGNATURE + ihdr(30, 20) + between + IEND)


def test_no_more_is_inflated_than_announced():
    bomb = zlib.compress(bytes(200_000_000))
    data = SIGNATURE + ihdr(10, 10) + chunk(b"IDAT", bomb) + IEND
    parts = png.read_chunks(data)
    head = png.check_chunks(parts)
    assert fast_png.is_plain(parts, head)
    decoded(grey_png(PIXELS))  # compiles what has to be compiled
    tracemalloc.start()
    try:
        assert fast_png.decode(parts, head) is None
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 2 * len(bomb)


@given(arrays(np.uint8, st.tuples(st.integers(1, 20), st.integers(1, 20))))
def test_an_encoded_image_is_decoded_equally_by_pillow_and_sodbench(pixels):
    data = fast_png.encode(pixels)
    with Image.open(io.BytesIO(data)) as image:
        assert (image.format, image.mode) == ("PNG", "L")
        np.testing.assert_array_equal(np.asarray(image), pixels)
    np.testing.assert_array_equal(decoded(data), pixels)


def test_arrays_of_any_strides_can_be_encoded():
    pixels = noise(40, 60)[::2, ::-3]
    np.testing.assert_array_equal(decoded(fast_png.encode(pixels)), pixels)


@pytest.mark.real
def test_real_maps_and_masks_are_plain_and_equal_pillows_pixels(shared):
    folders = [
        *sorted((shared / "real/preds").iterdir()),
        shared / "real/SOD",
        shared / "real/CSSD18",
    ]
    paths = [path for folder in folders for path in sorted(folder.rglob("*.png"))]
    assert len(paths) > 1000
    for path in paths:
        data = path.read_bytes()
        got = decoded(data)
        assert got is not None, path
        assert np.array_equal(got, pillow_grey(data)), path
