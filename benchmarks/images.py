"""How long a grey image takes to be read and written, against Pillow, in one run.

    python benchmarks/images.py FOLDER [FOLDER ...] [-o benchmarks/results/images.json]

For each folder of PNG maps or masks (in the page cache), medians over files and rounds of processor time in
milliseconds, the contenders taking turns at each file: ``Image.open(...).load()`` and ``read_grey``; then, for 8-bit
maps, the encoding of the same pixels by Pillow at several levels and by ``sodbench.images.fast_png.encode``, with the median bytes.
"""

import argparse
import io
import json
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from PIL import Image
from record import describe_machine, seconds, store

from sodbench.images import fast_png, read_grey

LEVELS = (1, 4, 6)


def pillow_reads(path: Path) -> None:
    with Image.open(path) as image:
        image.load()


def pillow_writes(level: int) -> Callable[[Any], bytes]:
    def write(pixels: Any) -> bytes:
        content = io.BytesIO()
        Image.fromarray(pixels).save(content, "PNG", compress_level=level)
        return content.getvalue()

    return write


def milliseconds(
    contenders: dict[str, Callable[[Any], Any]], items: list[Any], rounds: int
) -> dict[str, float]:
    times: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(rounds):
        for item in items:
            for name, work in contenders.items():
                times[name].append(1e3 * seconds(lambda w=work, i=item: w(i)))
    return {name: median(taken) for name, taken in times.items()}


def measure(folder: Path, files: int, rounds: int) -> dict[str, Any]:
    paths = sorted(folder.glob("*.png"))[:files]
    images = [read_grey(path).pixels for path in paths]
    values: dict[str, Any] = {
        "files": len(paths),
        "median bytes": median(path.stat().st_size for path in paths),
        "median pixels": median(pixels.size for pixels in images),
        "read ms": milliseconds({"pillow": pillow_reads, "sodbench": read_grey}, paths, rounds),
    }
    if any(len(np.unique(pixels)) > 2 for pixels in images[:9]):
        writers = {f"pillow level {level}": pillow_writes(level) for level in LEVELS}
        writers["sodbench"] = fast_png.encode
        values["write ms"] = milliseconds(writers, images, rounds)
        values["written bytes"] = {
            name: median(len(write(pixels)) for pixels in images) for name, write in writers.items()
        }
    return values


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--files", type=int, default=60, help="how many of each folder")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("-o", "--output", type=Path, help="where to store the JSON")
    arguments = parser.parse_args()
    machine = describe_machine(("PIL", "numpy", "numba", "deflate"))
    values: dict[str, Any] = {"machine": machine}
    for folder in arguments.folders:
        name = "/".join(folder.parts[-2:])
        values[name] = measure(folder, arguments.files, arguments.rounds)
        print(json.dumps({name: values[name]}, indent=1), flush=True)
    store(values, arguments.output)


if __name__ == "__main__":
    main()
