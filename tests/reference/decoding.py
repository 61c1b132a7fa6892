"""Make tests/data/decoding.npz: small files of many kinds, and the grey values that OpenCV reads from them.

    python tests/reference/decoding.py make tests/data/decoding.npz    # with the newest OpenCV
    python tests/reference/decoding.py check tests/data/decoding.npz   # with others

Needs numpy, Pillow (to encode what is not PNG) and opencv-python-headless, which is no dependency of sodbench.  All images
are drawn from a seed.  ``index`` is JSON: the versions that made the file, and of each file its name and whether sodbench
must read it as OpenCV does (``equal``) or refuse it (``refused``).  ``file_000`` is the file, ``grey_000`` what OpenCV
gives; it is absent where OpenCV refuses the file.
"""

import argparse
import io
import json
import struct
import tempfile
import warnings
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image

SIGNATURE = b"\x89PNG\r\n\x1a\n"
CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
ADAM7 = (
    (0, 0, 8, 8),
    (4, 0, 8, 8),
    (0, 4, 4, 8),
    (2, 0, 4, 4),
    (0, 2, 2, 4),
    (1, 0, 2, 2),
    (0, 1, 1, 2),
)
EQUAL, REFUSED = "equal", "refused"
HEIGHT, WIDTH = 9, 13
File = tuple[str, str, bytes]


def chunk(kind: bytes, content: bytes) -> bytes:
    checksum = zlib.crc32(kind + content)
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", checksum)


IEND = chunk(b"IEND", b"")


def ihdr(width: int, height: int, depth: int, colour: int, *codes: int) -> bytes:
    return chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, *codes))


def pixel_data(samples: np.ndarray, depth: int, interlaced: bool) -> bytes:
    """Rows of [h, w, channels] by the filters 0 (none) and 2 (up) in turn, compressed."""
    data = b""
    for x, y, step_x, step_y in ADAM7 if interlaced else ((0, 0, 1, 1),):
        part = samples[y::step_y, x::step_x]
        if part.size == 0:
            continue
        rows = part.reshape(len(part), -1)
        if depth == 16:
            rows = rows.astype(">u2").view(np.uint8)
        elif depth < 8:
            bits = (rows[..., None] >> np.arange(depth)[::-1]) & 1
            rows = np.packbits(bits.reshape(len(rows), -1).astype(np.uint8), axis=1)
        rows = rows.astype(np.uint8).reshape(len(part), -1)
        for i, row in enumerate(rows):
            up = i % 2 == 1
            data += bytes([2 if up else 0]) + (row - rows[i - 1] if up else row).tobytes()
    return zlib.compress(data)


def png(
    samples: np.ndarray,
    depth: int,
    colour: int,
    *,
    interlaced: bool = False,
    before: bytes = b"",
    palette: np.ndarray | None = None,
    after: bytes = b"",
) -> bytes:
    height, width = samples.shape[:2]
    plte = b"" if palette is None else chunk(b"PLTE", palette.astype(np.uint8).tobytes())
    head = ihdr(width, height, depth, colour, 0, 0, int(interlaced))
    idat = chunk(b"IDAT", pixel_data(samples, depth, interlaced))
    return SIGNATURE + head + before + plte + idat + after + IEND


def drawn(rng: np.random.Generator, depth: int, channels: int) -> np.ndarray:
    """Noise, with a quarter of the pixels equal in all channels."""
    samples = rng.integers(0, 2**depth, (HEIGHT, WIDTH, channels))
    if channels >= 3:
        grey = rng.random((HEIGHT, WIDTH)) < 0.25
        samples[grey, 1] = samples[grey, 2] = samples[grey, 0]
    return samples


def exif(orientation: int, magic: bytes = b"II*\0") -> bytes:
    entry = struct.pack("<HHIHH", 0x0112, 3, 1, orientation, 0)
    return magic + struct.pack("<IH", 8, 1) + entry + bytes(4)


def gamma(value: int) -> bytes:
    return chunk(b"gAMA", struct.pack(">I", value))


SRGB = chunk(b"sRGB", b"\0")
XMP = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:Description tiff:Orientation="6"/></x:xmpmeta>'
PROFILE = chunk(b"iCCP", b"profile\0\0" + zlib.compress(bytes(200)))
CHROMATICITY = struct.pack(">8I", 31270, 32900, 64000, 33000, 30000, 60000, 15000, 6000)


def png_kinds(rng: np.random.Generator) -> Iterator[File]:
    """All colour types and depths, plain and interlaced, with all that may touch a grey value."""
    spaces = {
        "": b"",
        "sRGB": SRGB,
        "gAMA 45455": gamma(45455),
        "gAMA 100000": gamma(100_000),
        "gAMA 95000": gamma(95_000),
        "gAMA 16": gamma(16),
        "gAMA 220000": gamma(220_000),
        "gAMA 50000, sRGB": gamma(50_000) + SRGB,
        "sRGB, cHRM": SRGB + chunk(b"cHRM", CHROMATICITY),
    }
    for colour, depths in {
        2: (8, 16),
        3: (1, 2, 4, 8),
        6: (8, 16),
        0: (1, 2, 4, 8, 16),
        4: (8, 16),
    }.items():
        for depth in depths:
            coloured = colour in (2, 3, 6)
            for name, before in spaces.items():
                if not coloured and name not in ("", "sRGB", "gAMA 220000"):
                    continue
                samples = drawn(rng, depth, CHANNELS[colour])
                palette = rng.integers(0, 256, (2**depth, 3)) if colour == 3 else None
                content = png(samples, depth, colour, before=before, palette=palette)
                yield f"PNG colour {colour}, {depth} bits, {name}", EQUAL, content
            palette = rng.integers(0, 256, (2**depth, 3)) if colour == 3 else None
            content = png(
                drawn(rng, depth, CHANNELS[colour]), depth, colour, interlaced=True, palette=palette
            )
            yield f"PNG colour {colour}, {depth} bits, interlaced", EQUAL, content
    for bits in (1, 8, 12, 16):
        before = gamma(45455) + chunk(b"sBIT", bytes([bits] * 3))
        yield f"PNG 16-bit RGB, sBIT {bits}", EQUAL, png(drawn(rng, 16, 3), 16, 2, before=before)
    few = rng.integers(0, 256, (3, 3))
    yield "PNG indices beyond the palette", EQUAL, png(drawn(rng, 4, 1), 4, 3, palette=few)
    red = np.tile(np.array([[[255, 0, 0], [255, 0, 255]]]), (2, 2, 1))
    yield "PNG red and magenta, sRGB", EQUAL, png(red, 8, 2, before=SRGB)


def png_metadata(rng: np.random.Generator) -> Iterator[File]:
    grey, rgb = drawn(rng, 8, 1), drawn(rng, 8, 3)
    for orientation in range(1, 10):
        chunk_ = chunk(b"eXIf", exif(orientation))
        yield f"PNG eXIf orientation {orientation}", EQUAL, png(grey, 8, 0, before=chunk_)
    raw = b"\nexif\n      44\n" + (b"Exif\0\0" + exif(6)).hex().encode() + b"\n"
    for name, extra in {
        "XMP orientation": chunk(b"iTXt", b"XML:com.adobe.xmp" + bytes(5) + XMP),
        "malformed eXIf": chunk(b"eXIf", b"\0\0junkjunk"),
        "eXIf with a JPEG's prefix": chunk(b"eXIf", b"Exif\0\0" + exif(6)),
        "EXIF as text": chunk(b"tEXt", b"Raw profile type exif\0" + raw),
        "malformed EXIF as text": chunk(b"tEXt", b"Raw profile type exif\0\nexif\n  9\nzz\n"),
        "a short gAMA": chunk(b"gAMA", b"\0\0\1"),
        "transparency": chunk(b"tRNS", b"\0\5"),
    }.items():
        yield f"PNG {name}", EQUAL, png(grey, 8, 0, before=extra)
        yield f"PNG {name}, after the pixels", EQUAL, png(grey, 8, 0, after=extra)
    bad = exif(6).replace(struct.pack("<HI", 3, 1), struct.pack("<HI", 99, 1))
    yield (
        "PNG eXIf orientation of a wrong type",
        REFUSED,
        png(grey, 8, 0, before=chunk(b"eXIf", bad)),
    )
    yield "PNG eXIf cut short", REFUSED, png(grey, 8, 0, before=chunk(b"eXIf", exif(6)[:20]))
    for name, before in {
        "two gammas": gamma(45455) + gamma(50_000),
        "no gamma": gamma(0),
        "malformed sRGB": gamma(45455) + chunk(b"sRGB", b"\7"),
        "impossible primaries": gamma(45455) + chunk(b"cHRM", bytes(32)),
        "ICC profile": PROFILE,
        "cICP, sRGB": chunk(b"cICP", b"\1\4\0\1") + SRGB,
    }.items():
        yield f"PNG in colour, {name}", REFUSED, png(rgb, 8, 2, before=before)
    same = np.repeat(grey, 3, axis=2)
    yield "PNG R = G = B, ICC profile", EQUAL, png(same, 8, 2, before=PROFILE)
    yield (
        "PNG in colour, ICC profile and gAMA",
        EQUAL,
        png(rgb, 8, 2, before=PROFILE + gamma(45455)),
    )


def damaged_png(rng: np.random.Generator) -> Iterator[File]:
    """Files that OpenCV refuses, or some of its versions, although every checksum of a chunk is right."""
    samples = drawn(rng, 8, 1)
    data = pixel_data(samples, 8, False)
    head, idat = ihdr(WIDTH, HEIGHT, 8, 0, 0, 0, 0), chunk(b"IDAT", data)
    wrong = data[:-1] + bytes([data[-1] ^ 1])
    time = chunk(b"tIME", bytes(7))
    bodies = {
        "checksum of the stream": head + chunk(b"IDAT", wrong),
        "no checksum of the stream": head + chunk(b"IDAT", data[:-4]),
        "compression method": ihdr(WIDTH, HEIGHT, 8, 0, 1, 0, 0) + idat,
        "filter method": ihdr(WIDTH, HEIGHT, 8, 0, 0, 64, 0) + idat,
        "interlace method": ihdr(WIDTH, HEIGHT, 8, 0, 0, 0, 2) + idat,
        "two headers": head + head + idat,
        "a header after the pixels": head + idat + head,
        "a long header": chunk(b"IHDR", head[8:-4] + b"\0") + idat,
        "interrupted pixels": head + chunk(b"IDAT", data[:9]) + time + chunk(b"IDAT", data[9:]),
        "unknown critical chunk": head + chunk(b"QRST", b"x") + idat,
        "name of a chunk": head + chunk(b"aB1D", b"x") + idat,
        "late palette": ihdr(WIDTH, HEIGHT, 8, 3, 0, 0, 0) + idat + chunk(b"PLTE", bytes(768)),
        "odd palette": ihdr(WIDTH, HEIGHT, 8, 3, 0, 0, 0) + chunk(b"PLTE", bytes(5)) + idat,
        "no frames": head + chunk(b"acTL", bytes(8)) + idat,
    }
    for name, body in bodies.items():
        yield f"PNG damaged: {name}", REFUSED, SIGNATURE + body + IEND


def encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    content = io.BytesIO()
    image.save(content, kind, **options)
    return content.getvalue()


def bmp(
    bits: int, data: bytes, *, palette: bytes = b"", masks: bytes = b"", top_down: bool = False
) -> bytes:
    start = 54 + len(masks) + len(palette)
    head = struct.pack("<2sIHHI", b"BM", start + len(data), 0, 0, start)
    height = -HEIGHT if top_down else HEIGHT
    method = 3 if masks else 0
    info = struct.pack(
        "<IiiHHIIiiII", 40, WIDTH, height, 1, bits, method, len(data), 0, 0, len(palette) // 4, 0
    )
    return head + info + masks + palette + data


def other_formats(rng: np.random.Generator) -> Iterator[File]:
    def image(mode: str) -> Image.Image:
        channels = {"L": 1, "LA": 2, "RGB": 3, "RGBA": 4, "CMYK": 4}[mode]
        pixels = drawn(rng, 8, channels).astype(np.uint8)
        return Image.fromarray(pixels[..., 0] if mode == "L" else pixels, mode)

    def palette() -> Image.Image:
        image = Image.fromarray(drawn(rng, 8, 1)[..., 0].astype(np.uint8), "P")
        image.putpalette(rng.integers(0, 256, 768).astype(np.uint8).tobytes())
        return image

    bits = Image.fromarray(rng.random((HEIGHT, WIDTH)) < 0.5)
    for kind in ("BMP", "TIFF", "GIF"):
        yield f"{kind} of 1 bit", EQUAL, encoded(bits, kind)
        yield f"{kind} grey", EQUAL, encoded(image("L"), kind)
        yield f"{kind} palette", EQUAL, encoded(palette(), kind)
    for kind in ("BMP", "TIFF", "PPM"):
        yield f"{kind} RGB", EQUAL, encoded(image("RGB"), kind)
    yield "PPM grey", EQUAL, encoded(image("L"), "PPM")
    yield "PPM with another largest value", REFUSED, b"P5\n2 2\n100\n\1\2\3\4"
    yield "PPM of 16-bit colour", REFUSED, b"P6\n1 1\n65535\n\1\2\3\4\5\6"

    row = -(-WIDTH * 4 // 4) * 4
    yield "BMP of 32 bits", EQUAL, bmp(32, rng.bytes(row * HEIGHT))
    yield "BMP top down", EQUAL, bmp(24, rng.bytes((WIDTH * 3 + 1) * HEIGHT), top_down=True)
    yield "BMP of 4 bits", EQUAL, bmp(4, rng.bytes(8 * HEIGHT), palette=rng.bytes(64))
    yield "BMP of 16 bits", REFUSED, bmp(16, rng.bytes((WIDTH * 2 + 2) * HEIGHT))
    masks = struct.pack("<III", 0xF800, 0x7E0, 0x1F)
    yield "BMP of 16 bits, 565", REFUSED, bmp(16, rng.bytes((WIDTH * 2 + 2) * HEIGHT), masks=masks)
    masks = struct.pack("<III", 0xFF000000, 0xFF0000, 0xFF00)
    yield "BMP with unusual masks", REFUSED, bmp(32, rng.bytes(row * HEIGHT), masks=masks)

    seen = palette()
    transparent = encoded(seen, "GIF", transparency=seen.getpixel((0, 0)))
    yield "GIF with transparency", REFUSED, transparent

    for lossless in (True, False):
        for mode in ("L", "RGB", "RGBA"):
            content = encoded(image(mode), "WEBP", lossless=lossless, exact=True)
            yield f"WebP {mode}, {'lossless' if lossless else 'lossy'}", EQUAL, content
    yield "WebP with XMP orientation", EQUAL, encoded(image("RGB"), "WEBP", lossless=True, xmp=XMP)
    turned = encoded(image("RGB"), "WEBP", lossless=True, exif=exif(6))
    yield "WebP with EXIF orientation", REFUSED, turned

    for mode in ("L", "RGB", "CMYK"):
        yield f"JPEG {mode}", EQUAL, encoded(image(mode), "JPEG")
        yield f"JPEG {mode}, progressive", EQUAL, encoded(image(mode), "JPEG", progressive=True)
    yield "JPEG stored as RGB", EQUAL, encoded(image("RGB"), "JPEG", keep_rgb=True)
    plain = encoded(image("L"), "JPEG")
    by_exif = struct.pack(">BBH", 0xFF, 0xE1, 36 - 2) + b"Exif\0\0" + exif(6)
    by_xmp = b"http://ns.adobe.com/xap/1.0/\0" + XMP
    by_xmp = struct.pack(">BBH", 0xFF, 0xE1, len(by_xmp) + 2) + by_xmp
    yield "JPEG with EXIF orientation", EQUAL, plain[:2] + by_exif + plain[2:]
    yield "JPEG with XMP orientation", EQUAL, plain[:2] + by_xmp + plain[2:]
    yield "JPEG with EXIF, then XMP", EQUAL, plain[:2] + by_exif + by_xmp + plain[2:]
    yield "JPEG with XMP, then EXIF", REFUSED, plain[:2] + by_xmp + by_exif + plain[2:]

    for compression in (None, "tiff_lzw", "tiff_adobe_deflate", "packbits", "jpeg"):
        content = encoded(image("RGB"), "TIFF", compression=compression)
        yield f"TIFF RGB, {compression}", EQUAL, content
    for mode in ("LA", "CMYK"):
        yield f"TIFF {mode}", EQUAL, encoded(image(mode), "TIFF")
    opaque = image("RGB")
    opaque.putalpha(255)
    yield "TIFF RGBA, opaque", EQUAL, encoded(opaque, "TIFF")
    yield "TIFF RGBA", REFUSED, encoded(image("RGBA"), "TIFF")
    yield "TIFF YCbCr", REFUSED, encoded(image("RGB").convert("YCbCr"), "TIFF")
    yield "TIFF LAB", REFUSED, encoded(Image.merge("LAB", image("RGB").split()), "TIFF")
    deep = Image.fromarray(drawn(rng, 16, 1)[..., 0].astype(np.uint16))
    yield "TIFF of 16 bits", EQUAL, encoded(deep, "TIFF")
    integers = Image.fromarray(drawn(rng, 8, 1)[..., 0].astype(np.int32))
    yield "TIFF of 32-bit integers", REFUSED, encoded(integers, "TIFF")
    yield "TIFF of floats", REFUSED, encoded(integers.convert("F"), "TIFF")
    for orientation in range(2, 9):
        options = Image.Exif()
        options[0x0112] = orientation
        must = EQUAL if orientation < 5 else REFUSED
        yield f"TIFF orientation {orientation}", must, encoded(image("L"), "TIFF", exif=options)


def read_by_opencv(content: bytes, folder: Path) -> np.ndarray | None:
    import cv2

    path = folder / "image"
    path.write_bytes(content)
    try:
        return cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
    except cv2.error:
        return None


def make(target: Path) -> None:
    import cv2
    import PIL

    rng = np.random.default_rng(16)
    warnings.simplefilter("ignore")
    kinds = (png_kinds, png_metadata, damaged_png, other_formats)
    files = [file for kind in kinds for file in kind(rng)]
    arrays: dict[str, np.ndarray] = {}
    with tempfile.TemporaryDirectory() as folder:
        for i, (name, must, content) in enumerate(files):
            arrays[f"file_{i:03d}"] = np.frombuffer(content, np.uint8)
            grey = read_by_opencv(content, Path(folder))
            if grey is not None:
                arrays[f"grey_{i:03d}"] = grey
            elif must == EQUAL:
                raise SystemExit(f"{name}: OpenCV does not read it")
    index = {
        "versions": {"opencv": cv2.__version__, "pillow": PIL.__version__},
        "files": [{"name": name, "must": must} for name, must, _ in files],
    }
    np.savez_compressed(target, index=np.array(json.dumps(index)), **arrays)
    print(f"{len(files)} files, {target.stat().st_size} bytes, OpenCV {cv2.__version__}")


def check(stored: Path) -> None:
    """Print what this version of OpenCV reads otherwise than the one that made the file."""
    import cv2

    with np.load(stored) as data, tempfile.TemporaryDirectory() as folder:
        index = json.loads(str(data["index"]))
        for i, file in enumerate(index["files"]):
            before = data.get(f"grey_{i:03d}")
            now = read_by_opencv(data[f"file_{i:03d}"].tobytes(), Path(folder))
            same = (before is None) == (now is None)
            if not (same and (now is None or np.array_equal(now, before))):
                print(f"{file['must']}: {file['name']}")
        print(f"compared {len(index['files'])} files with OpenCV {cv2.__version__}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=("make", "check"))
    parser.add_argument("file", type=Path)
    arguments = parser.parse_args()
    {"make": make, "check": check}[arguments.what](arguments.file)
