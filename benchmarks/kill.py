"""Kill an evaluation at random moments and compare the resumed run's files with an uninterrupted run's.

    python benchmarks/kill.py preds/ data/SOD --kills 30 --seed 0

Each of the kills (SIGKILL) hits a run of its own, at a moment drawn uniformly from the time that the part of a run takes
which reads pictures; then the same command is run to its end, and every file it leaves is compared byte by byte.
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
        "-m",
        "sodbench",
        "--quiet",
        "eval",
        arguments.predictions,
        arguments.truth,
        "-o",
    ]
    with tempfile.TemporaryDirectory() as scratch:
        whole = Path(scratch) / "whole"
        began = time.perf_counter()
        finish(command, whole)
        duration = time.perf_counter() - began
        expected = content(whole)
        during = 0
        for number in range(arguments.kills):
            output = Path(scratch) / "killed"
            process = subprocess.Popen([*command, str(output)], stdout=subprocess.DEVNULL)
            time.sleep(rng.uniform(0.1, duration))
            process.send_signal(signal.SIGKILL)
            killed = process.wait() == -signal.SIGKILL
            left = [p for p in output.rglob("*.pairs")] if output.exists() else []
            during += killed and bool(left)
            finish(command, output)
            found = content(output)
            if found != expected:
                wrong = sorted(
                    k for k in found.keys() | expected.keys() if found.get(k) != expected.get(k)
                )
                print(f"kill {number + 1}: these files differ: {', '.join(wrong)}")
                return 1
            shutil.rmtree(output)
    print(
        f"{arguments.kills} runs killed within {duration:.1f} s, {during} of them while pairs were being counted; "
        f"every resumed run left the same {len(expected)} files, byte for byte"
    )
    return 0


def finish(command: list[str], output: Path) -> None:
    subprocess.run([*command, str(output)], check=True, stdout=subprocess.DEVNULL)


def content(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


if __name__ == "__main__":
    sys.exit(main())
