import errno
import io
import json
import os
import struct
import subprocess
import sys
import warnings
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFile
from reference.images import pillow_grey
from reference.png import IEND, SIGNATURE, chunk, filtered, grey_png, ihdr

from sodbench.errors import ImageError, SodbenchError
from sodbench.images import (
    LOW_16_BIT,
    MAX_PIXELS,
    MAX_PIXELS_VARIABLE,
    image_size,
    is_image_name,
    read_grey,
    read_rgb,
    resize_grey,
    write_grey,
    write_image,
)


def noise(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)


def encoded(image: Image.Image, kind: str, **options) -> bytes:
    content = io.BytesIO()
    image.save(content, kind, **options)
    return content.getvalue()


@pytest.fixture
def file(tmp_path):
    """Writes bytes to a file and returns its path."""

    def write(content: bytes, name: str = "map.png") -> Path:
        path = tmp_path / name
        path.write_bytes(content)
        return path

    return write


@pytest.fixture(scope="module")
def opencv(data):
    """18 encoded files, each with what OpenCV 4.14's grey reader makes of it."""
    with np.load(data / "metrics_decode.npz") as stored:
        return {i: (stored[f"file_{i:02d}"], stored[f"cv2_gray_{i:02d}"]) for i in range(18)}


# --- what is decoded ------------------------------------------------------------------------------


@pytest.mark.parametrize("i", range(18))
def test_grey_values_equal_opencv(i, opencv, file):
    content, expected = opencv[i]
    path = file(content.tobytes(), "image")
    pixels = read_grey(path).pixels
    np.testing.assert_array_equal(pixels, expected)
    assert pixels.dtype == np.uint8 and pixels.flags.c_contiguous and pixels.flags.writeable
    assert image_size(path) == pixels.shape


def decoding_cases(data: Path) -> tuple[list[dict[str, str]], dict[str, np.ndarray]]:
    """The files of tests/reference/decoding.py: what each is and must become, and the arrays."""
    with np.load(data / "decoding.npz") as stored:
        arrays = dict(stored)
    return json.loads(str(arrays.pop("index")))["files"], arrays


CASES, ARRAYS = decoding_cases(Path(__file__).parents[1] / "data")


@pytest.mark.parametrize("i", range(len(CASES)), ids=[case["name"] for case in CASES])
def test_every_kind_of_file_equals_opencv_or_is_refused(i, file):
    path = file(ARRAYS[f"file_{i:03d}"].tobytes(), "map")
    if CASES[i]["must"] == "refused":
        error = refusal(read_grey, path)
        assert "save it as 8-bit" in str(error) or "this PNG is damaged" in str(error)
        return
    grey = read_grey(path)
    np.testing.assert_array_equal(grey.pixels, ARRAYS[f"grey_{i:03d}"])
    assert grey.pixels.flags.c_contiguous and grey.pixels.flags.writeable
    assert image_size(path) == grey.pixels.shape == read_rgb(path).shape[:2]


def test_kinds_refused_as_maps_are_read_as_photographs(file):
    names = [
        "PNG in colour, ICC profile",
        "TIFF RGBA",
        "BMP of 16 bits",
        "WebP with EXIF orientation",
        "JPEG with XMP, then EXIF",
        "GIF with transparency",
    ]
    for name in names:
        i = next(i for i, case in enumerate(CASES) if case["name"] == name)
        path = file(ARRAYS[f"file_{i:03d}"].tobytes())
        assert read_rgb(path).shape[:2] == image_size(path)


def test_magenta_with_srgb_is_foreground_as_for_every_opencv_user(file):
    """OpenCV 4.10 to 4.14: 147 and 170; without the conversion to linear light 76 and 105."""
    i = next(i for i, case in enumerate(CASES) if case["name"] == "PNG red and magenta, sRGB")
    pixels = read_grey(file(ARRAYS[f"file_{i:03d}"].tobytes())).pixels
    assert pixels[0, 0] == 147 and pixels[0, 1] == 170


@pytest.mark.parametrize(
    ("image", "note"),
    [
        (Image.fromarray(noise(4, 5)), ""),
        (Image.fromarray(noise(4, 5) > 99), "1-bit"),
        (Image.fromarray(noise(4, 5, 2), "LA"), "grey with alpha (alpha ignored)"),
        (Image.fromarray(noise(4, 5, 3)), "RGB in colour (luminance taken)"),
        (Image.fromarray(noise(4, 5)).convert("RGB"), "RGB grey"),
        (Image.fromarray(noise(4, 5, 4)), "RGBA in colour (luminance taken), alpha varies"),
        (Image.fromarray(noise(4, 5)).convert("P"), "palette grey"),
        (Image.fromarray(noise(4, 5).astype(np.uint16) * 257), "16-bit (high byte kept)"),
    ],
)
def test_the_note_names_the_conversion(image, note, file):
    data = encoded(image, "PNG")
    grey = read_grey(file(data))
    assert grey.note == note
    np.testing.assert_array_equal(grey.pixels, pillow_grey(data))


def test_a_mask_of_0_and_1_stays_so(file):
    pixels = noise(6, 7) % 2
    np.testing.assert_array_equal(
        read_grey(file(encoded(Image.fromarray(pixels), "PNG"))).pixels, pixels
    )


def test_transparency_changes_no_pixel_and_raises_no_warning(file):
    palette = Image.fromarray(noise(6, 7)).convert("P")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        opaque = read_grey(file(encoded(palette, "PNG"))).pixels
        path = file(encoded(palette, "PNG", transparency=bytes(range(256))))
        np.testing.assert_array_equal(read_grey(path).pixels, opaque)
        np.testing.assert_array_equal(read_rgb(path)[..., 0], opaque)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_an_exif_orientation_is_applied(kind, orientation, file):
    flat = np.zeros((24, 40), np.uint8)
    flat[:8, :16] = 255
    options = {"lossless": True} if kind == "WEBP" else {}
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = file(encoded(Image.fromarray(flat), kind, exif=exif, **options))
    turns = {2: "flipX", 3: "180", 4: "flipY", 5: "T", 6: "90", 7: "antiT", 8: "270"}
    upright = {
        None: flat,
        "flipX": flat[:, ::-1],
        "180": flat[::-1, ::-1],
        "flipY": flat[::-1],
        "T": flat.T,
        "90": np.rot90(flat, -1),
        "antiT": flat[::-1, ::-1].T,
        "270": np.rot90(flat),
    }[turns.get(orientation)]
    np.testing.assert_array_equal(read_rgb(path)[..., 1] > 127, upright > 127)
    assert image_size(path) == upright.shape
    if (kind == "WEBP" and orientation > 1) or (kind == "TIFF" and orientation > 4):
        refusal(read_grey, path)  # versions of OpenCV differ
        return
    grey = read_grey(path)
    np.testing.assert_array_equal(grey.pixels > 127, upright > 127)
    assert ("turned upright by its EXIF orientation" in grey.note) == (orientation > 1)


@pytest.mark.parametrize("mode", ["L", "RGB", "CMYK"])
def test_jpeg_is_called_lossy(mode, file):
    image = Image.fromarray(noise(24, 40, 3)).convert(mode)
    assert read_grey(file(encoded(image, "JPEG"))).note.startswith("JPEG (lossy)")


def test_jpeg_luminance_is_the_stored_one(file):
    data = encoded(Image.fromarray(noise(24, 40, 3)), "JPEG")
    with Image.open(io.BytesIO(data)) as image:
        image.draft("YCbCr", None)
        stored = np.asarray(image)[..., 0]
    np.testing.assert_array_equal(read_grey(file(data)).pixels, stored)


def test_a_multi_picture_jpeg_of_a_camera_is_read_as_its_first_image(file):
    first, second = (Image.fromarray(noise(24, 40, 3, seed=i)) for i in (1, 2))
    several = encoded(first, "MPO", save_all=True, append_images=[second])
    alone = encoded(first, "JPEG")
    grey = read_grey(file(several))
    np.testing.assert_array_equal(grey.pixels, read_grey(file(alone)).pixels)
    assert grey.note == "JPEG (lossy)"


@pytest.mark.parametrize("kind", ["PNG", "GIF", "WEBP"])
def test_the_first_frame_of_an_animation_is_read_and_noted(kind, file):
    frames = [Image.fromarray(np.full((8, 9), value, np.uint8)) for value in (200, 10)]
    options = {"lossless": True} if kind == "WEBP" else {}
    path = file(encoded(frames[0], kind, save_all=True, append_images=frames[1:], **options))
    grey = read_grey(path)
    assert (grey.pixels == 200).all() and grey.pixels.shape == (8, 9)
    assert "the first of several frames" in grey.note


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA"])
def test_every_mode_is_converted_to_rgb(mode, file):
    image = Image.fromarray(noise(6, 7, 3)).convert(mode)
    rgb = read_rgb(file(encoded(image, "PNG")))
    assert rgb.dtype == np.uint8 and rgb.flags.writeable
    np.testing.assert_array_equal(rgb, np.asarray(image.convert("RGB")))


def test_rgb_of_16_bit_grey(file):
    pixels = noise(6, 7)
    rgb = read_rgb(file(encoded(Image.fromarray(pixels.astype(np.uint16) << 8), "PNG")))
    np.testing.assert_array_equal(rgb, np.repeat(pixels[..., None], 3, axis=2))


def test_threads_read_the_same_pixels(file):
    paths = [file(grey_png(noise(40, 30, seed=i), i % 5), f"{i}.png") for i in range(20)]
    alone = [read_grey(path).pixels for path in paths]
    with ThreadPoolExecutor(8) as threads:
        for _ in range(5):
            for a, b in zip(alone, threads.map(read_grey, paths), strict=True):
                np.testing.assert_array_equal(a, b.pixels)


def test_stray_files_are_not_images():
    names = ["a.png", "b.JPG", "c.jpeg", "._a.png", ".DS_Store", "Thumbs.db", "a.png.tmp", ".1.tmp"]
    assert [name for name in names if is_image_name(name)] == ["a.png", "b.JPG", "c.jpeg"]


@pytest.mark.real
def test_real_oddities_are_read_as_pillow_reads_them(shared):
    paths = [*(shared / "real/edge").rglob("*.png"), *(shared / "real/edge").rglob("*.jpg")]
    notes = set()
    for path in paths:
        grey = read_grey(path)
        assert np.array_equal(grey.pixels, pillow_grey(path.read_bytes())), path
        assert image_size(path) == grey.pixels.shape
        notes.add(grey.note)
    assert {"", "1-bit", "16-bit (high byte kept)", "RGB grey", "RGBA grey"} <= notes


# --- what is refused ------------------------------------------------------------------------------

READERS = [read_grey, read_rgb, image_size]


def refusal(reader, path: Path) -> ImageError:
    with pytest.raises(ImageError) as caught:
        reader(path)
    assert str(caught.value).startswith(str(path))
    assert caught.value.problem.file == str(path)
    return caught.value


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "empty (0 bytes)"),
        (b"not found\n", "its content is text"),
        (b"\x00\x01\x02\x03" * 9, "not an image"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "its content is text"),
        (SIGNATURE, "cut short"),
        (SIGNATURE + IEND, "its header is broken"),
        (grey_png(noise(9, 9))[:-1], "cut short"),
        (SIGNATURE + ihdr(9, 9) + chunk(b"IDAT", b"x", checksum_off_by=1) + IEND, "checksum"),
    ],
)
def test_incomplete_images_are_refused_with_the_reason(reader, content, reason, file):
    assert reason in str(refusal(reader, file(content)))


@pytest.mark.parametrize("reader", [read_grey, read_rgb])
def test_a_truncated_jpeg_is_refused(reader, file, monkeypatch):
    content = encoded(Image.fromarray(noise(60, 80, 3)), "JPEG")
    path = file(content[: len(content) // 2], "map.jpg")
    assert "truncated" in str(refusal(reader, path))
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    assert "LOAD_TRUNCATED_IMAGES" in str(refusal(reader, path))


def bmp(width: int, height: int) -> bytes:
    head = struct.pack("<2sIHHI", b"BM", 54, 0, 0, 54)
    return head + struct.pack("<IiiHHIIiiII", 40, width, height, 1, 24, 0, 0, 0, 0, 0, 0)


def jpeg(width: int, height: int) -> bytes:
    content = encoded(Image.fromarray(noise(8, 8)), "JPEG")
    frame = content.index(b"\xff\xc0") + 5
    return content[:frame] + struct.pack(">HH", height, width) + content[frame + 4 :]


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("sides", [(10_000, 10_000), (60_000, 60_000)])
@pytest.mark.parametrize(
    "content",
    [
        lambda w, h: SIGNATURE + ihdr(w, h) + chunk(b"IDAT", b"") + IEND,
        lambda w, h: SIGNATURE + ihdr(w, h, 8, 2) + chunk(b"IDAT", b"") + IEND,
        bmp,
        jpeg,
    ],
)
@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_a_huge_declared_size_is_refused(reader, sides, content, file):
    assert "refused as unsafe" in str(refusal(reader, file(content(*sides))))


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("sides", [(0, 5), (5, 0)])
def test_an_image_without_pixels_is_refused(reader, sides, file):
    refusal(reader, file(SIGNATURE + ihdr(*sides) + chunk(b"IDAT", b"") + IEND))


@pytest.mark.parametrize("reader", READERS)
def test_a_file_too_large_to_be_an_image_is_refused(reader, tmp_path):
    path = tmp_path / "huge.png"
    with path.open("wb") as sparse:
        sparse.truncate(2**40)
    assert "refused as unsafe" in str(refusal(reader, path))


@pytest.mark.parametrize("reader", READERS)
def test_what_is_not_a_regular_file_is_refused(reader, tmp_path):
    folder, pipe, missing = (tmp_path / f"{name}.png" for name in ("folder", "pipe", "missing"))
    folder.mkdir()
    os.mkfifo(pipe)
    assert "it is a folder" in str(refusal(reader, folder))
    assert "not a regular file" in str(refusal(reader, pipe))
    error = refusal(reader, missing)
    assert "no such file" in str(error) and error.problem.kind == "missing"


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize(
    ("number", "reason"), [(errno.EACCES, "Permission denied"), (errno.EIO, "Input/output error")]
)
def test_a_file_that_cannot_be_opened_is_refused_with_the_reason(
    reader, number, reason, file, monkeypatch
):
    path = file(grey_png(noise(3, 3)))

    def refuse(*_, **__):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "open", refuse)
    assert reason in str(refusal(reader, path))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_without_permission_is_refused(file):
    path = file(grey_png(noise(3, 3)))
    path.chmod(0)
    assert "Permission denied" in str(refusal(read_grey, path))


@pytest.mark.parametrize("reader", [read_grey, read_rgb])
def test_floating_point_pixels_are_refused(reader, file):
    path = file(encoded(Image.fromarray(np.ones((3, 4), np.float32)), "TIFF"), "map.tif")
    assert "floating-point" in str(refusal(reader, path))


@pytest.mark.parametrize("reader", [read_grey, read_rgb])
def test_32_bit_integers_are_not_read_as_16_bit(reader, file):
    """OpenCV refuses them; their high byte of 16 bits is 0, so a mask would be black."""
    pixels = np.where(noise(5, 6) > 127, 255, 0).astype(np.int32)
    error = refusal(reader, file(encoded(Image.fromarray(pixels), "TIFF"), "map.tif"))
    assert "32" in str(error) and "save it as 8-bit grey PNG" in str(error)


def grey_alpha_16(samples: np.ndarray) -> bytes:
    alpha = np.full_like(samples, 65535)
    rows = np.stack([samples, alpha], axis=2).astype(">u2").view(np.uint8).reshape(len(samples), -1)
    data = zlib.compress(filtered(rows, [0] * len(rows)))
    return SIGNATURE + ihdr(samples.shape[1], len(rows), 16, 4) + chunk(b"IDAT", data) + IEND


@pytest.mark.parametrize("largest", [1, 255])
@pytest.mark.parametrize("kind", ["PNG", "TIFF", "PPM", "grey with alpha"])
def test_16_bit_files_with_values_of_8_bits_are_noted(kind, largest, file):
    pixels = np.where(noise(5, 6) > 127, largest, 0).astype(np.uint16)
    if kind == "grey with alpha":
        data = grey_alpha_16(pixels)
    elif kind == "PPM":
        data = b"P5\n6 5\n65535\n" + pixels.astype(">u2").tobytes()
    else:
        data = encoded(Image.fromarray(pixels), kind)
    grey = read_grey(file(data))
    assert not grey.pixels.any()
    assert f"{LOW_16_BIT}{largest} only" in grey.note and len(grey.note) <= 60


@pytest.mark.parametrize("pixels", [np.zeros((5, 6)), np.full((5, 6), 256)])
def test_16_bit_files_that_are_black_or_reach_the_high_byte_are_not(pixels, file):
    note = read_grey(file(encoded(Image.fromarray(pixels.astype(np.uint16)), "PNG"))).note
    assert note == "16-bit (high byte kept)"


def test_a_jpeg_is_read_although_pillow_fails_on_its_exif_segment(file):
    resolution = struct.pack("<HHII", 0x011A, 7, 1, 5000) + struct.pack("<HHII", 0x0128, 3, 1, 2)
    tiff = b"II*\0\x08\0\0\0\x02\0" + resolution + bytes(4)
    segment = b"\xff\xe1" + struct.pack(">H", len(tiff) + 8) + b"Exif\0\0" + tiff
    plain = encoded(Image.fromarray(noise(24, 40)), "JPEG")
    path = file(plain[:2] + segment + plain[2:])
    np.testing.assert_array_equal(read_grey(path).pixels, read_grey(file(plain, "plain")).pixels)


def test_a_large_image_is_read_where_the_environment_allows_it(file, monkeypatch):
    path = file(grey_png(noise(30, 40)))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", Image.MAX_IMAGE_PIXELS)  # put back in the end
    monkeypatch.setenv(MAX_PIXELS_VARIABLE, "1000")
    for reader in READERS:
        message = str(refusal(reader, path))
        assert "40x30 pixels" in message and MAX_PIXELS_VARIABLE in message
    monkeypatch.setenv(MAX_PIXELS_VARIABLE, "1200")
    assert read_grey(path).pixels.shape == (30, 40)
    side = 10_000  # beyond MAX_PIXELS, and beyond what Pillow opens
    assert side * side > MAX_PIXELS
    monkeypatch.setenv(MAX_PIXELS_VARIABLE, str(side * side))
    assert image_size(file(bmp(side, side))) == (side, side)
    monkeypatch.delenv(MAX_PIXELS_VARIABLE)
    assert "refused as unsafe" in str(refusal(image_size, path=file(bmp(side, side))))


@pytest.mark.parametrize("value", ["many", "-1", "0", "1e9", "\u0662", "9" * 5000])
def test_a_malformed_environment_variable_is_named(value, file, monkeypatch):
    monkeypatch.setenv(MAX_PIXELS_VARIABLE, value)
    with pytest.raises(SodbenchError, match=MAX_PIXELS_VARIABLE):
        read_grey(file(grey_png(noise(3, 4))))


# --- what is written ------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["map.png", "new/folders/map.PNG"])
def test_a_grey_image_is_read_back_unchanged(name, tmp_path):
    pixels = noise(30, 41)
    write_grey(tmp_path / name, pixels)
    assert read_grey(tmp_path / name).note == ""
    np.testing.assert_array_equal(read_grey(tmp_path / name).pixels, pixels)
    with Image.open(tmp_path / name) as image:
        np.testing.assert_array_equal(np.asarray(image), pixels)


def test_a_colour_image_is_read_back_unchanged(tmp_path):
    pixels = noise(30, 41, 3)
    write_image(tmp_path / "image.png", pixels)
    np.testing.assert_array_equal(read_rgb(tmp_path / "image.png"), pixels)
    write_image(tmp_path / "image.jpg", np.full((30, 41, 3), 90, np.uint8))
    assert np.abs(read_rgb(tmp_path / "image.jpg").astype(int) - 90).max() <= 1


def test_arrays_of_any_strides_are_written(tmp_path):
    pixels = noise(60, 41)[::-2, ::3]
    write_grey(tmp_path / "map.png", pixels)
    np.testing.assert_array_equal(read_grey(tmp_path / "map.png").pixels, pixels)


def test_threads_may_write_the_same_file(tmp_path):
    path = tmp_path / "map.png"
    with ThreadPoolExecutor(8) as threads:
        jobs = [threads.submit(write_grey, path, np.full((50, 60), i, np.uint8)) for i in range(64)]
        for job in jobs:
            job.result()
    pixels = read_grey(path).pixels
    assert pixels.shape == (50, 60) and len(np.unique(pixels)) == 1
    assert list(tmp_path.iterdir()) == [path]


def test_a_full_disk_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch):
    path = tmp_path / "map.png"
    write_grey(path, noise(5, 5, seed=1))

    def half(self: Path, content: bytes) -> int:
        with self.open("wb") as file:
            file.write(content[: len(content) // 2])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Path, "write_bytes", half)
    with pytest.raises(
        ImageError, match=r"map\.png: cannot be written \(No space left on device\)"
    ):
        write_grey(path, noise(5, 5, seed=2))
    np.testing.assert_array_equal(read_grey(path).pixels, noise(5, 5, seed=1))
    assert list(tmp_path.iterdir()) == [path]


def test_an_interrupted_write_leaves_no_file(tmp_path, monkeypatch):
    def interrupted(self: Path, target: Path) -> Path:
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "replace", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_grey(tmp_path / "map.png", noise(5, 5))
    assert list(tmp_path.iterdir()) == []


def test_places_that_cannot_be_written_are_named(tmp_path):
    (tmp_path / "file").touch()
    (tmp_path / "folder.png" / "inside").mkdir(parents=True)
    for path in (tmp_path / "file" / "map.png", tmp_path / "folder.png"):
        with pytest.raises(ImageError, match="cannot be written"):
            write_grey(path, noise(5, 5))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "folder.png"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_without_permission_is_named(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(ImageError, match="Permission denied"):
        write_grey(tmp_path / "map.png", noise(5, 5))


def test_arrays_and_extensions_that_are_no_image_are_not_written(tmp_path):
    for pixels in (np.zeros((3, 4)), np.zeros((3, 4, 2), np.uint8), np.zeros((0, 4), np.uint8)):
        with pytest.raises(ValueError, match="an image is uint8"):
            write_image(tmp_path / "map.png", pixels)
    with pytest.raises(ImageError, match=r"\.png, \.jpg or \.jpeg only"):
        write_image(tmp_path / "map.bmp", noise(3, 4))
    assert list(tmp_path.iterdir()) == []


def test_resizing_equals_pillow(data):
    with np.load(data / "metrics_decode.npz") as stored:
        for i in range(4):
            height, width = stored[f"resize_pil_bilinear_{i}"].shape
            resized = resize_grey(stored[f"resize_in_{i}"], (height, width), "bilinear")
            np.testing.assert_array_equal(resized, stored[f"resize_pil_bilinear_{i}"])
    assert set(np.unique(resize_grey(noise(9, 9) & 128, (20, 31), "nearest"))) <= {0, 128}


def test_resizing_as_opencv_does_gives_its_bytes(data):
    with np.load(data / "metrics_decode.npz") as stored:
        for i in range(4):
            expected = stored[f"resize_cv2_linear_{i}"]
            resized = resize_grey(stored[f"resize_in_{i}"], expected.shape, "opencv")
            np.testing.assert_array_equal(resized, expected)
    # one pixel, and an image that keeps its size
    assert (resize_grey(np.full((1, 1), 77, np.uint8), (5, 3), "opencv") == 77).all()
    assert (resize_grey(noise(9, 7), (9, 7), "opencv") == noise(9, 7)).all()


def test_bicubic_resizing_is_pillows():
    small = noise(9, 7)
    expected = Image.fromarray(small).resize((20, 11), Image.Resampling.BICUBIC)
    assert (resize_grey(small, (11, 20), "bicubic") == np.asarray(expected)).all()


KILLED = """
import os, signal, sys
from pathlib import Path
import numpy as np
from sodbench.images import write_grey

Path.replace = lambda self, target: os.kill(os.getpid(), signal.SIGKILL)
write_grey(Path(sys.argv[1]), np.zeros((5, 5), np.uint8))
"""


def test_temporary_files_of_a_killed_process_are_removed_by_the_next(tmp_path):
    ran = subprocess.run([sys.executable, "-c", KILLED, tmp_path / "a.png"], check=False)
    (leftover,) = tmp_path.iterdir()
    assert ran.returncode < 0 and leftover.suffix == ".tmp"
    alive = tmp_path / leftover.name.replace(leftover.name.split("-")[2], str(os.getpid()))
    alive.write_bytes(b"being written")
    foreign = tmp_path / ".sodbench-of-mine.tmp"
    foreign.write_bytes(b"not ours")
    write_grey(tmp_path / "b.png", noise(5, 5))
    assert set(tmp_path.iterdir()) == {tmp_path / "b.png", alive, foreign}
