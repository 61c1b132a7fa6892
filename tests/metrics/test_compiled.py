"""The kernels without numba's compiler, where their code is kept, and the message before they are compiled."""

import errno
import os
import re
import signal
import subprocess
import sys
import threading
import warnings
from pathlib import Path

import numba
import numpy as np
import pytest
from numba.core import caching

from sodbench.cli import main
from sodbench.images import write_grey
from sodbench.metrics import compiled as compiled_module
from sodbench.metrics.cache_folder import user_cache_folder
from sodbench.runners import warm_up as warm_up_module

ROOT = Path(__file__).resolve().parents[2]

EVERYTHING = """
import sys
import numpy as np
from sodbench.images import png
from sodbench.metrics import Evaluator, PROTOCOLS, catalogue
from sodbench.metrics.compiled import JIT, _KernelCache
from sodbench.metrics.statistics.bootstrap import weighted_sums
from sodbench.runners.warm_up import compile_everything

compile_everything()
loaded = []
_KernelCache.load_overload = lambda self, signature, _: loaded.append((self._function, signature))
rng = np.random.default_rng(7)
evaluator = Evaluator(pixel_metrics=[m.name for m in catalogue.METRICS.values() if m.needs_pixels])
height, width = 29, 26
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
for name in [name for name, protocol in PROTOCOLS.items() if not protocol.on_request]:
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
assert not loaded, loaded  # 'sodbench warmup' leaves nothing to compile
sys.stdout.buffer.write(bytes([JIT]) + b"".join(digits))
"""


needs_numpy_2 = pytest.mark.skipif(
    np.lib.NumpyVersion(np.__version__) < "2.0.0",
    reason="without the compiler, unsigned indices plus integers are floating-point numbers before numpy 2",
)


def ran(code, *arguments, **environment):
    done = subprocess.run(
        [sys.executable, "-W", "always", "-c", code, *arguments],
        env={**os.environ, "NUMBA_DISABLE_JIT": "0", **environment},
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout.decode(errors="replace") + done.stderr.decode()
    return done.stdout, done.stderr.decode()


@needs_numpy_2
def test_plain_python_and_compiled_kernels_agree_bit_by_bit():
    """NUMBA_DISABLE_JIT=1, the way to debug a kernel and to measure its coverage."""
    plain, warned = ran(EVERYTHING, NUMBA_DISABLE_JIT="1")
    compiled, _ = ran(EVERYTHING)
    assert not warned
    assert (plain[0], compiled[0]) == (0, 1)
    assert plain[1:] == compiled[1:]


@needs_numpy_2
def test_the_metrics_have_their_known_values_without_the_compiler():
    """As a debugger or a coverage run sees them."""
    ran(
        "import sys, pytest; sys.exit(pytest.main(sys.argv[1:]))",
        *("-q", "-p", "no:cacheprovider", str(Path(__file__).with_name("test_known_values.py"))),
        NUMBA_DISABLE_JIT="1",
    )


DOUBLE = """
from sodbench.metrics.compiled import compiled

@compiled()
def double(x):
    return 2 * x
"""


@pytest.fixture
def kernel_in(tmp_path, monkeypatch):
    """A new module with a kernel, whose code is kept in the folders that are given."""

    def make(*folders):
        monkeypatch.setattr(compiled_module, "cache_folders", lambda _: list(folders))
        monkeypatch.setattr(compiled_module, "_no_cache", threading.Event())
        compiled_module._is_writable.cache_clear()
        file = tmp_path / "double.py"
        file.write_text(DOUBLE)
        names = {"__name__": "double", "__file__": str(file)}
        exec(compile(DOUBLE, file, "exec"), names)  # noqa: S102
        return names["double"]

    yield make
    compiled_module._is_writable.cache_clear()


def compilations(kernel):
    assert kernel(21) == 42
    return sum(kernel.stats.cache_misses.values())


def test_code_is_kept_in_the_first_writable_folder_and_read_from_any(kernel_in, tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("")
    nowhere, first, second = blocked / "below", tmp_path / "first", tmp_path / "second"
    assert compilations(kernel_in(nowhere, first, second)) == 1
    assert len(list(first.glob("*.nbc"))) == 1 and not second.exists()
    # as in a container: the code is in a folder that cannot be written, or is not the first
    assert compilations(kernel_in(second, first)) == 0
    assert not second.exists()


def test_without_a_writable_folder_kernels_are_compiled_with_one_warning(kernel_in, tmp_path):
    (tmp_path / "file").write_text("")
    kernel = kernel_in(tmp_path / "file" / "below")
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        assert (kernel(21), kernel(1.5)) == (42, 3.0)
    (warning,) = warned
    assert re.search(r"no folder .* NUMBA_CACHE_DIR", str(warning.message))
    assert not compiled_module.have_cache()


def test_a_damaged_file_of_code_is_compiled_again(kernel_in, tmp_path):
    assert compilations(kernel_in(tmp_path / "cache")) == 1
    (code,) = (tmp_path / "cache").glob("*.nbc")
    whole = code.read_bytes()
    code.write_bytes(whole[: len(whole) // 2])
    assert compilations(kernel_in(tmp_path / "cache")) == 1
    assert len(code.read_bytes()) == len(whole)


def test_a_full_disk_costs_the_code_and_not_the_result(kernel_in, tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    kernel = kernel_in(tmp_path / "cache")
    monkeypatch.setattr(caching.IndexDataCacheFile, "save", full)
    with pytest.warns(RuntimeWarning, match="cannot be kept .No space left"):
        assert kernel(21) == 42
    assert not compiled_module.have_cache()


@pytest.mark.skipif(sys.platform == "win32", reason="folders are not locked there")
def test_a_process_waits_for_the_code_that_another_one_compiles(kernel_in, tmp_path, monkeypatch):
    import fcntl

    folder, aside = tmp_path / "cache", tmp_path / "aside"
    assert compilations(kernel_in(aside)) == 1
    folder.mkdir()
    other = os.open(folder, os.O_RDONLY)
    fcntl.flock(other, fcntl.LOCK_EX)

    def finish_as_the_other_process(*_):
        for file in aside.iterdir():
            file.rename(folder / file.name)
        # the lock is given free when the kernel waits for it
        threading.Timer(0.05, os.close, [other]).start()

    kernel = kernel_in(folder)
    monkeypatch.setattr(compiled_module, "_announce", finish_as_the_other_process)
    assert compilations(kernel) == 0


@pytest.mark.skipif(sys.platform == "win32", reason="folders are not locked there")
def test_the_folder_is_free_again_after_a_kernel_that_cannot_be_compiled(kernel_in, tmp_path):
    import fcntl

    kernel = kernel_in(tmp_path / "cache")
    with pytest.raises(numba.TypingError):
        kernel(object)
    number = os.open(tmp_path / "cache", os.O_RDONLY)
    fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
    os.close(number)


@pytest.mark.parametrize("moment", ["_load", "save_overload"])
def test_ctrl_c_waits_for_the_end_of_a_compilation(kernel_in, tmp_path, monkeypatch, moment):
    """An interrupted call of LLVM loses the interruption, or frees an object twice."""
    kernel = kernel_in(tmp_path / "cache")
    real = getattr(compiled_module._KernelCache, moment)

    def interrupted(*arguments):
        signal.raise_signal(signal.SIGINT)
        return real(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(compiled_module._KernelCache, moment, interrupted)
        with pytest.raises(KeyboardInterrupt):
            kernel(21)
    assert len(kernel.signatures) == 1 and list((tmp_path / "cache").glob("*.nbc"))
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert compilations(kernel) == 1


def test_numba_cache_dir_is_the_one_folder_of_compiled_kernels(monkeypatch, tmp_path):
    source = Path(compiled_module.__file__)
    monkeypatch.setenv("SODBENCH_CACHE", str(tmp_path / "user"))
    package, user = compiled_module.cache_folders(source)
    assert package == source.resolve().parent / "__pycache__"
    assert user.is_relative_to(tmp_path / "user")
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "own"))
    (own,) = compiled_module.cache_folders(source)
    assert own.parent == tmp_path / "own"


def test_warmup_prints_where_the_code_is_and_refuses_when_it_is_not_kept(monkeypatch, capsys):
    assert main(["warmup"]) == 0
    folder = Path(compiled_module.__file__).resolve().parent
    assert str(folder) in capsys.readouterr().out
    monkeypatch.setattr(warm_up_module, "have_cache", lambda: False)
    assert main(["warmup"]) == 2
    assert "set NUMBA_CACHE_DIR to a writable folder" in capsys.readouterr().err


def test_a_user_without_a_home_has_no_cache_folder(monkeypatch):
    def no_home():
        raise RuntimeError("Could not determine home directory.")

    for variable in ("SODBENCH_CACHE", "XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setattr(Path, "home", no_home)
    assert user_cache_folder() is None


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

    assert main(["eval", *folders]) == 0  # fills the cache of these tests, if nothing has yet
    status, err = printed(*folders)
    assert status == 0 and "compiling" not in err


def test_two_threads_that_end_a_compilation_at_once_close_its_lock_once(monkeypatch):
    cache = compiled_module._KernelCache(lambda: None)
    cache._writable_folder = None
    cache._lock = 999_999
    closed = []

    def close(file):
        closed.append(file)
        if len(closed) == 1:
            cache._unlock_folder()  # the other thread comes before the file is closed

    monkeypatch.setattr(compiled_module.os, "close", close)
    cache._unlock_folder()
    monkeypatch.undo()
    assert closed == [999_999]
