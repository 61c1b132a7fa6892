"""The peer of benchmarks/evaluate.py: PySODMetrics in a loop over files decoded by OpenCV, one thread.

Runs under the peer's own Python.  Arguments: folder of maps, folder of masks.  Prints its versions, then
for each line on stdin, ``all`` or ``no-wf``, scores every pair and prints the seconds of processor time that took.
"""

import json
import sys
import time
import warnings
from importlib.metadata import version
from pathlib import Path

import cv2
from py_sod_metrics import MAE, Emeasure, Fmeasure, Smeasure, WeightedFmeasure


def score(pairs: list[tuple[str, str]], metrics: list[type]) -> None:
    counters = [measure() for measure in metrics]
    for map_path, mask_path in pairs:
        mask = cv2.imread(mask_path, cv2.IMREAD_GRAYSCALE)
        map_ = cv2.imread(map_path, cv2.IMREAD_GRAYSCALE)
        for counter in counters:
            counter.step(pred=map_, gt=mask)
    for counter in counters:
        counter.get_results()


def main() -> None:
    warnings.simplefilter("ignore")
    cv2.setNumThreads(1)
    maps, masks = map(Path, sys.argv[1:3])
    pairs = [(str(path), str(masks / path.name)) for path in sorted(maps.glob("*.png"))]
    metrics = {"no-wf": [MAE, Fmeasure, Smeasure, Emeasure]}
    metrics["all"] = [*metrics["no-wf"], WeightedFmeasure]
    score(pairs[:3], metrics["all"])
    packages = ("pysodmetrics", "opencv-python-headless", "numpy", "scipy")
    print(json.dumps({name: version(name) for name in packages}), flush=True)
    for line in sys.stdin:
        start = time.process_time()
        score(pairs, metrics[line.strip()])
        print(time.process_time() - start, flush=True)


if __name__ == "__main__":
    main()
