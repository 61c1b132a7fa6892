"""Exported networks against torch: the maps of every model that sodbench exports, on real images.

    python benchmarks/onnx_parity.py IMAGES [--weights WEIGHTS] [--count 20] [--models csf-res2net50 ...]

``WEIGHTS`` holds checkpoints called ``NAME.pth`` or ``NAME.pth.tar``; a model without one has the weights that it starts
with. Images are spread evenly over the folder. It exits with status 1 if a map differs by more than one grey level, or if
more than one pixel in 10,000 differs.
"""

import argparse
import sys
import tempfile
from pathlib import Path

import numpy as np

from sodbench.models import model_names
from sodbench.models.source import ModelSource
from sodbench.runners.export import export_onnx
from sodbench.runners.prediction.inputs import find_images
from sodbench.runners.prediction.predictors import load_predictor

MAX_LEVELS = 1
MAX_SHARE = 1e-4


def compare(source: ModelSource, images: list[Path], folder: Path) -> dict[str, float]:
    """Export a model; return how its maps differ from those of torch."""
    exported = folder / f"{source.name}.onnx"
    export_onnx(source, None, exported)
    torch_predictor = load_predictor(source, device="cpu")
    onnx_predictor = load_predictor(str(exported), device="cpu")
    levels, differing, pixels, spread = 0, 0, 0, 0
    for image in images:
        expected = torch_predictor(image).astype(int)
        difference = np.abs(onnx_predictor(image) - expected)
        levels = max(levels, int(difference.max()))
        differing += int((difference > 0).sum())
        pixels += difference.size
        spread = max(spread, int(np.ptp(expected)))
    return {"levels": levels, "share": differing / pixels, "pixels": pixels, "spread": spread}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("images", type=Path)
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--count", type=int, default=20)
    parser.add_argument("--models", nargs="+", default=model_names(), metavar="NAME")
    arguments = parser.parse_args()
    found = [path for _, path in find_images([arguments.images])]
    count = min(arguments.count, len(found))
    images = [found[i * len(found) // count] for i in range(count)]
    print(
        "| model | weights | images | levels in a map | largest difference | pixels that differ |"
    )
    print("|---|---|--:|--:|--:|--:|")
    status = 0
    for name in arguments.models:
        names = [f"{name}.pth", f"{name}.pth.tar"] if arguments.weights else []
        files = [path for file in names if (path := arguments.weights / file).is_file()]
        source = ModelSource(name, files[0] if files else None)
        with tempfile.TemporaryDirectory() as folder:
            found_difference = compare(source, images, Path(folder))
        weights = files[0].name if files else "as drawn"
        print(
            f"| {name} | {weights} | {count} | {found_difference['spread']} | {found_difference['levels']} | "
            f"{found_difference['share']:.4%} |",
            flush=True,
        )
        if found_difference["levels"] > MAX_LEVELS or found_difference["share"] > MAX_SHARE:
            status = 1
    return status


if __name__ == "__main__":
    sys.exit(main())
