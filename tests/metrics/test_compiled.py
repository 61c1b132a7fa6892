"""The kernels without numba's compiler, without a cache folder, and the message before they are compiled."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from sodbench.images import write_grey

ROOT = Path(__file__).resolve().parents[2]

EVERYTHING = """
import sys
import numpy as np
from sodbench.images import png
from sodbench.metrics import Evaluator, PROTOCOLS, catalogue, compile_kernels
from sodbench.metrics.compiled import JIT
from sodbench.metrics.statistics.bootstrap import weighted_sums

compile_kernels()
rng = np.random.default_rng(7)
evaluator = Evaluator(pixel_metrics=[m.name for m in catalogue.METRICS.values() if m.needs_pixels])
height, width = 41, 37
for kind in range(6):
    smooth = np.add.outer(np.sin(np.arange(height) / 5 + kind), np.cos(np.arange(width) / 7))
    mask = np.where(smooth > 0.4, 255, 0).astype(np.uint8)
    if kind == 1:
        mask[:, :9] = 70  # grey: the rules differ
    if kind == 2:
        mask[:] = 0
    if kind == 3:
        mask[:] = 0
        mask[-1, 5] = 255
    map_ = np.clip(90 + 60 * smooth + rng.normal(0, 25, mask.shape), 0, 255).astype(np.uint8)
    if kind == 4:
        map_[:] = 128
    if kind == 5:
        map_[:] = 0
    evaluator.update(map_, mask)
digits = []
for name in PROTOCOLS:
    scores = evaluator.compute(name)
    digits += [scores.per_image.to_numpy().tobytes(), np.array(list(scores.metrics.values())).tobytes()]
    digits += [curve.tobytes() for curve in scores.curves.values()]
draws = rng.integers(0, 3, (5, 80)).astype(np.uint8)
digits.append(weighted_sums(draws, rng.random((80, 9)).astype(np.float32)).tobytes())

# each of PNG's filters, in as many rows as are undone together
from sodbench.images.png_filters import unfilter
stored = rng.integers(0, 256, (70, 31), dtype=np.uint8)
stored[:, 0] = rng.integers(0, 5, 70)
for first in (0, 4):
    stored[:35, 0] = first or stored[:35, 0]
    rows = np.empty((70, 30), np.uint8)
    assert unfilter(stored.reshape(-1), rows)
    digits.append(rows.tobytes())
sys.stdout.buffer.write(bytes([JIT]) + b"".join(digits))
"""


def ran(code, *arguments, **environment):
    done = subprocess.run(
        [sys.executable, "-W", "always", "-c", code, *arguments],
        env={**os.environ, "NUMBA_DISABLE_JIT": "0", **environment},
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout.decode(errors="replace") + done.stderr.decode()
    return done.stdout, done.stderr.decode()


def test_plain_python_and_compiled_kernels_agree_bit_by_bit():
    """NUMBA_DISABLE_JIT=1, the way to debug a kernel and to measure its coverage."""
    plain, warned = ran(EVERYTHING, NUMBA_DISABLE_JIT="1")
    compiled, _ = ran(EVERYTHING)
    assert not warned
    assert (plain[0], compiled[0]) == (0, 1)
    assert plain[1:] == compiled[1:]


def test_the_metrics_have_their_known_values_without_the_compiler():
    """As a debugger or a coverage run sees them."""
    tests = ["test_known_values.py", "test_boundary.py", "test_catalogue.py"]
    ran(
        "import sys, pytest; sys.exit(pytest.main(sys.argv[1:]))",
        *("-q", "-p", "no:cacheprovider", *(str(Path(__file__).parent / name) for name in tests)),
        NUMBA_DISABLE_JIT="1",
    )


NO_FOLDER = """
from numba.core import caching

def refused(self):
    raise OSError("read-only file system")

# as for a read-only installation whose user has no home
caching._CacheLocator.ensure_cache_path = refused
import numpy as np
import sodbench.metrics
from sodbench.images import png_filters
from sodbench.metrics import threshold_metrics as curves
from sodbench.metrics.statistics import bootstrap as resampling

assert curves.f_measure(np.array([0.5]), np.array([1.0]))[0] == 0.5 * 1.3 / (0.3 * 0.5 + 1)
"""


def test_without_a_cache_folder_kernels_are_compiled_with_one_warning():
    _, warned = ran(NO_FOLDER)
    assert warned.count("RuntimeWarning") == 1
    assert "numba finds no writable folder" in warned and "NUMBA_CACHE_DIR" in warned


FOLDER = """
import numpy as np
from sodbench.metrics import threshold_metrics as curves

curves.f_measure(np.array([0.5]), np.array([1.0]))
"""


FULL_DISK = """
import resource, signal
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
from sodbench.metrics.compiled import compiled, have_cache

def double(x):
    return 2 * x

print(compiled()(double)(21), have_cache())
"""


@pytest.mark.skipif(sys.platform == "win32", reason="this system does not limit files' sizes")
def test_a_full_disk_costs_the_cache_and_not_the_result(tmp_path):
    (tmp_path / "full_disk.py").write_text(FULL_DISK)
    done = subprocess.run(
        [sys.executable, tmp_path / "full_disk.py"],
        env={**os.environ, "NUMBA_CACHE_DIR": str(tmp_path / "cache"), "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == "42 False\n", done.stderr
    assert "numba cannot write its cache (File too large)" in done.stderr


def test_numba_cache_dir_is_the_folder_of_compiled_kernels(tmp_path):
    _, warned = ran(FOLDER, NUMBA_CACHE_DIR=str(tmp_path))
    assert not warned and list(tmp_path.rglob("*.nbc"))


def test_eval_announces_compilation_only_when_it_compiles(tmp_path):
    for folder in ("maps", "gt"):
        write_grey(tmp_path / folder / "a.png", np.eye(9, dtype=np.uint8) * 255)

    command = [sys.executable, "-m", "sodbench", "eval"]
    empty = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path / "cache")}

    def printed(*arguments, env=None):
        done = subprocess.run(
            [*command, *arguments], env=env, capture_output=True, text=True, check=False
        )
        return done.returncode, done.stderr

    folders = [str(tmp_path / "maps"), str(tmp_path / "gt")]
    # a wrong name or folder is reported before anything is compiled
    status, err = printed(str(tmp_path / "nope"), str(tmp_path / "gt"), env=empty)
    assert status == 2 and "compiling" not in err
    status, err = printed(*folders, "--metrics", "MAE", env=empty)
    assert status == 2 and "did you mean mae" in err
    assert not list(tmp_path.rglob("*.nbc"))

    # the announcement comes first; the 20 s of compiling it announces need no waiting for
    with subprocess.Popen(
        [*command, *folders], env=empty, stderr=subprocess.PIPE, text=True
    ) as process:
        assert any("compiling the kernels" in line for line in process.stderr)
        process.kill()
    assert len(list(tmp_path.rglob("*.nbc"))) < 25  # of 35: killed long before the end

    printed(*folders)  # fills the cache of these tests, if nothing has yet
    status, err = printed(*folders)
    assert status == 0 and "compiling" not in err
