"""Kill an evaluation at random moments and compare the resumed run's files with an uninterrupted run's.

    python benchmarks/kill.py preds/ data/SOD --kills 30 --seed 0

Each of the kills (SIGKILL) hits a run of its own, at a moment drawn uniformly from the time between the first part of
the counts and the end of an uninterrupted run, which is when images are read and results written; then the same command
is run to its end, and every file it leaves is compared byte by byte.  Parts are written after a few pairs, so that many
kills hit a run with parts.
"""

import argparse
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

# The command line, with parts of a few pairs
IN_SMALL_PARTS = """
import sys
from sodbench.cli import main
from sodbench.results import store
from sodbench.runners.evaluation import count

store.PAIRS_PER_PART = count.MIN_ITEM = 16
sys.exit(main(sys.argv[1:]))
"""


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("predictions")
    parser.add_argument("truth")
    parser.add_argument("--kills", type=int, default=30)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    rng = random.Random(arguments.seed)
    command = [
        sys.executable,
        "-c",
        IN_SMALL_PARTS,
        "--quiet",
        "eval",
        arguments.predictions,
        arguments.truth,
        "-o",
    ]
    with tempfile.TemporaryDirectory() as scratch:
        whole = Path(scratch) / "whole"
        process = begin(command, whole)
        began = time.perf_counter()
        if process.wait():
            return 1
        duration = time.perf_counter() - began
        expected = content(whole)
        during = 0
        for number in range(arguments.kills):
            output = Path(scratch) / "killed"
            process = begin(command, output)
            time.sleep(rng.uniform(0, duration))
            process.send_signal(signal.SIGKILL)
            killed = process.wait() == -signal.SIGKILL
            during += killed and any(output.rglob("part-*.npz"))
            subprocess.run([*command, str(output)], check=True, stdout=subprocess.DEVNULL)
            left = content(output)
            if left != expected:
                wrong = sorted(
                    k for k in left.keys() | expected.keys() if left.get(k) != expected.get(k)
                )
                print(f"kill {number + 1}: these files differ: {', '.join(wrong)}")
                return 1
            shutil.rmtree(output)
    print(
        f"{arguments.kills} runs killed within {duration:.2f} s, {during} of them while there were parts; "
        f"every resumed run left the same {len(expected)} files, byte for byte"
    )
    return 0


def begin(command: list[str], output: Path) -> "subprocess.Popen[bytes]":
    """A run that has just started to count."""
    process = subprocess.Popen([*command, str(output)], stdout=subprocess.DEVNULL)
    while process.poll() is None and not any(output.rglob("part-*.npz")):
        time.sleep(0.001)
    return process


def content(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


if __name__ == "__main__":
    sys.exit(main())
