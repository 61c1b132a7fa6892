"""JPEG photographs through simplejpeg: Pillow's pixels, and Pillow's judgement of every file that is not plain."""

import io
import itertools

import numpy as np
import pytest
from PIL import Image

from sodbench.errors import ImageError
from sodbench.images import decode_rgb, fast_jpeg, image_size, jpeg, reading

simplejpeg = pytest.importorskip("simplejpeg")


def draw(height, width, seed=0):
    """Coloured blobs under noise."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 220, (-(-height // 8), -(-width // 8), 3)).repeat(8, 0).repeat(8, 1)
    noise = rng.integers(0, 36, (height, width, 3))
    return Image.fromarray((coarse[:height, :width] + noise).astype(np.uint8))


def encode(image, **options):
    file = io.BytesIO()
    image.save(file, "JPEG", **options)
    return file.getvalue()


@pytest.fixture
def without(monkeypatch):
    """Decode with Pillow alone."""

    def decode(data):
        with monkeypatch.context() as patch:
            patch.setattr(fast_jpeg, "_load_decoder", lambda: None)
            return decode_rgb(data, "x.jpg")

    return decode


@pytest.mark.parametrize("size", [(1, 1), (7, 5), (33, 17), (64, 80)])
def test_pixels_are_pillows(size, without, monkeypatch):
    decoded = []
    real = fast_jpeg.decode_photograph
    monkeypatch.setattr(
        fast_jpeg, "decode_photograph", lambda *a: decoded.append(real(*a)) or decoded[-1]
    )
    for quality, subsampling, progressive, rows in itertools.product(
        (10, 95), ("4:4:4", "4:2:2", "4:2:0", "4:1:1"), (False, True), (0, 2)
    ):
        options = {"quality": quality, "subsampling": subsampling, "progressive": progressive}
        data = encode(draw(*size), **options, restart_marker_rows=rows)
        np.testing.assert_array_equal(decode_rgb(data, "x.jpg"), without(data))
        assert decoded[0] is not None and decoded[-1] is None
        decoded.clear()


@pytest.mark.parametrize(
    ("options", "fast"),
    [({}, True), ({"mode": "L"}, True), ({"mode": "CMYK"}, False), ({"keep_rgb": True}, True)],
)
def test_other_colours_are_pillows(options, fast, without):
    image = draw(40, 50).convert(options.pop("mode", "RGB"))
    data = encode(image, **options)
    frame = jpeg.find_frame(jpeg.read_segments(data)[0])
    assert (fast_jpeg.decode_photograph(data, frame) is not None) == fast
    np.testing.assert_array_equal(decode_rgb(data, "x.jpg"), without(data))


def test_every_damage_is_judged_by_pillow(without):
    data, rng = encode(draw(48, 64), quality=90), np.random.default_rng(0)
    outcomes = set()
    for i in range(150):
        damaged = bytearray(data[: rng.integers(20, len(data))] if i % 3 else data)
        for place in rng.integers(0, len(damaged), 1 + i % 3):
            damaged[place] = rng.integers(0, 256)
        try:
            expected = without(bytes(damaged))
        except ImageError as error:
            with pytest.raises(ImageError) as caught:
                decode_rgb(bytes(damaged), "x.jpg")
            assert str(caught.value) == str(error)
            outcomes.add("refused")
        else:
            np.testing.assert_array_equal(decode_rgb(bytes(damaged), "x.jpg"), expected)
            outcomes.add("decoded")
    assert outcomes == {"refused", "decoded"}


def test_memory_is_used_where_it_fits(without):
    data = encode(draw(48, 64))
    canvas = np.zeros((48, 80, 3), np.uint8)
    whole, narrow, small = canvas[:, :, :].reshape(60, 64, 3)[:48], canvas[:, :64], canvas[:9]
    assert decode_rgb(data, "x.jpg", whole) is whole
    for memory in (narrow, small):
        pixels = decode_rgb(data, "x.jpg", memory)
        assert pixels is not memory
        np.testing.assert_array_equal(pixels, without(data))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_is_applied(orientation, without):
    exif = Image.Exif()
    exif[274] = orientation
    for size in ((24, 40), (32, 32)):
        data = encode(draw(*size), exif=exif.tobytes())
        memory = np.zeros((*size, 3), np.uint8)
        np.testing.assert_array_equal(decode_rgb(data, "x.jpg", memory), without(data))


def test_too_many_pixels_are_refused_before_they_are_decoded(monkeypatch):
    monkeypatch.setenv("SODBENCH_MAX_PIXELS", "100")
    with pytest.raises(ImageError, match="more than 100 may be an attack"):
        decode_rgb(encode(draw(20, 30)), "x.jpg")


def test_the_size_is_read_from_the_start_of_the_file(tmp_path, monkeypatch):
    read = []
    real = reading.read_bytes
    monkeypatch.setattr(reading, "read_bytes", lambda path: read.append(path.name) or real(path))
    monkeypatch.setattr(reading, "_HEADER_BYTES", 1000)
    exif = Image.Exif()
    exif[274] = 6
    plain = encode(draw(60, 80), quality=98, exif=exif.tobytes())
    assert len(plain) > 3000
    (tmp_path / "plain.jpg").write_bytes(plain)
    # a long comment before the frame header
    (tmp_path / "long.jpg").write_bytes(
        plain[:2] + b"\xff\xfe" + (3000).to_bytes(2) + b"c" * 2998 + plain[2:]
    )
    (tmp_path / "none.jpg").write_bytes(plain[:150])
    assert image_size(tmp_path / "plain.jpg") == image_size(tmp_path / "long.jpg") == (80, 60)
    with pytest.raises(ImageError):
        image_size(tmp_path / "none.jpg")
    assert read == ["long.jpg", "none.jpg"]
