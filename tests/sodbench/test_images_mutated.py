"""2,000 broken images: each is decoded as Pillow decodes it, or refused by name; nothing else happens.

They are read in a process of their own, with a limit on its memory and time, so that a crash or a hang
would be seen.
"""

import json
import os
import resource
import subprocess
import sys
import zlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from sodbench.images import MAX_PIXELS

TESTS = Path(__file__).parents[1]
COPIES = 18
SECONDS = 180
MEMORY = 4 * 2**30


@pytest.fixture(scope="module")
def outcome(tmp_path_factory):
    """What the process below counted; a crash, a hang or an exhausted memory fails here."""
    finished = subprocess.run(
        [sys.executable, __file__, str(tmp_path_factory.mktemp("mutated"))],
        env={**os.environ, "PYTHONPATH": str(TESTS)},
        check=False,
        capture_output=True,
        text=True,
        timeout=SECONDS,
    )
    assert finished.returncode == 0, finished.stderr
    return json.loads(finished.stdout)


def test_every_file_is_decoded_as_pillow_does_or_refused_by_name(outcome):
    assert outcome["wrong"] == []
    assert sum(outcome["refused"].values()) + sum(outcome["decoded"].values()) >= 2000


def test_mutations_of_most_kinds_are_refused(outcome):
    for how in ("truncated", "zeroed", "huge", "wrong header"):
        assert outcome["refused"][how] > outcome["decoded"].get(how, 0)
    assert outcome["decoded"]["flipped, checksums repaired"] > 0
    assert outcome["refused"]["flipped, checksums repaired"] > 0


def test_memory_is_bounded_by_the_largest_allowed_image(outcome):
    assert outcome["grown MB"] < 5 * MAX_PIXELS / 2**20  # Pillow's four bytes a pixel, ours one


def originals() -> list[bytes]:
    """Small images of the kinds that occur; plain grey PNG most often, as in life."""
    import io

    from PIL import Image
    from reference.png import grey_png

    rng = np.random.default_rng(4)
    smooth = np.add.outer(np.arange(40), np.arange(60)).astype(np.uint8)
    grey = np.where(rng.random((40, 60)) < 0.2, rng.integers(0, 256, (40, 60)), smooth)
    grey = grey.astype(np.uint8)
    files = [grey_png(grey, rng.integers(0, 5, 40).tolist(), pieces=i) for i in (1, 2, 5)]
    files += [grey_png(grey, code, bits=True) for code in (0, 2, 4)]
    rgb = Image.fromarray(np.stack([grey, grey.T.reshape(40, 60), smooth], axis=2))
    exif = Image.Exif()
    exif[0x0112] = 6
    for image, kind, options in [
        (rgb, "PNG", {}),
        (rgb.convert("P"), "PNG", {"transparency": 3}),
        (Image.fromarray(grey.astype(np.uint16) * 257), "PNG", {}),
        (Image.fromarray(grey), "JPEG", {}),
        (rgb, "JPEG", {"exif": exif}),
        (rgb, "JPEG", {"progressive": True}),
        (rgb.convert("CMYK"), "JPEG", {}),
        (rgb, "MPO", {"save_all": True, "append_images": [rgb]}),
    ]:
        content = io.BytesIO()
        image.save(content, kind, **options)
        files.append(content.getvalue())
    return files


def mutants(data: bytes, rng: np.random.Generator) -> Iterator[tuple[str, bytes]]:
    """(how, file) for each way to break one file, once."""
    n = len(data)
    yield "truncated", data[: rng.integers(0, n)]
    flips = bytearray(data)
    for i in rng.integers(0, n, rng.integers(1, 9)):
        flips[i] ^= 1 << rng.integers(0, 8)
    yield "flipped", bytes(flips)
    yield "flipped, checksums repaired", with_checksums(bytes(flips))
    a, b = sorted(rng.integers(0, n, 2))
    yield "zeroed", data[:a] + bytes(b - a + 1) + data[b + 1 :]
    yield "cut out", data[:a] + data[b:]
    yield "wrong header", rng.bytes(rng.integers(1, 30)) + data[rng.integers(1, 30) :]
    yield "huge", with_sides(data, *rng.choice([0, 700, 20_000, 65_535, 2**31 - 1], 2))
    yield "rewritten", rewritten(data, rng)


def with_checksums(data: bytes) -> bytes:
    """A PNG whose chunks, as far as they can be walked, have right CRCs."""
    fixed = bytearray(data)
    start = 8
    while data.startswith(b"\x89PNG") and start + 12 <= len(data):
        end = start + 8 + int.from_bytes(data[start : start + 4])
        fixed[end : end + 4] = zlib.crc32(data[start + 4 : end]).to_bytes(4)[: len(data) - end]
        start = end + 4
    return bytes(fixed[: len(data)])


def with_sides(data: bytes, width: int, height: int) -> bytes:
    """The same file claiming another size."""
    if data.startswith(b"\x89PNG"):
        sides = int(width).to_bytes(4) + int(height).to_bytes(4)
        return with_checksums(data[:16] + sides + data[24:])
    frame = max(data.find(b"\xff\xc0"), data.find(b"\xff\xc2")) + 5
    sides = int(height % 65536).to_bytes(2) + int(width % 65536).to_bytes(2)
    return data[:frame] + sides + data[frame + 4 :]


def rewritten(data: bytes, rng: np.random.Generator) -> bytes:
    """A PNG whose pixel data are well compressed, but too long, too short or of unknown filters."""
    if not data.startswith(b"\x89PNG"):
        return data[: len(data) // 2] + data
    from reference.png import IEND, chunk

    first = data.index(b"IDAT") - 4
    rows = bytearray(zlib.decompress(data[first + 8 : -16]) if data.count(b"IDAT") == 1 else b"x")
    for i in rng.integers(0, len(rows), 3):
        rows[i] = rng.integers(0, 256)
    rows = rows[: rng.integers(len(rows) // 2, len(rows) + 1)] + bytes(rng.integers(0, 2) * 999)
    return data[:first] + chunk(b"IDAT", zlib.compress(bytes(rows))) + IEND


def main(folder: Path) -> None:
    """Reads every mutant with sodbench and with Pillow; prints the counts as JSON."""
    import warnings

    from reference.images import pillow_grey

    from sodbench.errors import ImageError
    from sodbench.images import read_grey

    warnings.simplefilter("ignore")
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    rng = np.random.default_rng(11)
    path = folder / "mutant.png"
    decoded: Counter[str] = Counter()
    refused: Counter[str] = Counter()
    wrong = []
    files = originals()
    for data in files:
        path.write_bytes(data)
        if not np.array_equal(read_grey(path).pixels, pillow_grey(data)):
            wrong.append("an original")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for data in files * COPIES:
        for how, mutant in mutants(data, rng):
            path.write_bytes(mutant)
            try:
                pixels = read_grey(path).pixels
            except ImageError as error:
                refused[how] += 1
                if not str(error).startswith(str(path)):
                    wrong.append(f"{how}: does not name the file: {error}")
                continue
            decoded[how] += 1
            try:
                same = np.array_equal(pixels, pillow_grey(mutant))
            except Exception as error:  # noqa: BLE001  whatever Pillow raises
                wrong.append(f"{how}: decoded, but Pillow says {error!r}")
            else:
                if not same:
                    wrong.append(f"{how}: other pixels than Pillow's")
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    print(json.dumps({"decoded": decoded, "refused": refused, "wrong": wrong, "grown MB": grown}))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
