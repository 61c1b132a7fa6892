"""Shared fixtures: where the test data and the real files are."""

import gc
import importlib.util
import os
import re
import signal
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path

import pytest

from sodbench.console import show_messages

# Read when PyTorch and NumPy are imported. The networks of the tests are tiny, and with several test processes the threads of each
# would spin while they wait for those of another.
for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

# Until all tests are collected: what modules and tests consist of stays, and looking through it takes a third of the time.
gc.disable()

# A shell that starts the tests in the background (nohup, &) makes them and their processes ignore Ctrl-C, which some tests send.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

ROOT = Path(__file__).resolve().parents[1]

# An installation for scoring has no PyTorch; the tests of networks are left out there.
HAS_TORCH = importlib.util.find_spec("torch") is not None
# training imports it, whatever a test needs of it
_IMPORTS_TORCH = re.compile(r"^(import|from) (torch|sodbench\.runners\.training)\b", re.MULTILINE)


def pytest_configure(config: pytest.Config) -> None:
    # pytest-xdist starts with the files of many tests, and ends with the long ones of few; one of several processes then works alone
    # at the end. In alphabetical order the last files are short.
    config.option.loadscopereorder = False


def pytest_collection_finish() -> None:
    gc.enable()


def pytest_report_header() -> str | None:
    return None if HAS_TORCH else "without PyTorch: tests of networks are left out"


def pytest_ignore_collect(collection_path: Path) -> bool | None:
    if HAS_TORCH:
        return None
    file = collection_path / "conftest.py" if collection_path.is_dir() else collection_path
    if file.suffix == ".py" and file.is_file():
        return bool(_IMPORTS_TORCH.search(file.read_text(encoding="utf-8"))) or None
    return None


@pytest.fixture(scope="session", autouse=True)
def own_cache_folder(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Keep what tests note for later runs out of the user's cache folder."""
    os.environ["SODBENCH_CACHE"] = str(tmp_path_factory.mktemp("cache"))


@pytest.fixture(autouse=True)
def messages(request: pytest.FixtureRequest) -> Iterator[None]:
    """Show messages, as the command line does, wherever a test reads what is printed."""
    reads = {"capsys", "capfd"} & set(request.fixturenames)
    with show_messages() if reads else nullcontext():
        yield


@pytest.fixture
def one_figure_format(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reports save their figures as SVG only; drawing them in three formats takes most of a report's time."""
    from sodbench.reports import plot_style

    monkeypatch.setattr(plot_style, "FORMATS", ("svg",))


@pytest.fixture
def no_file_beyond() -> Callable[[int], AbstractContextManager[None]]:
    """``with no_file_beyond(size)``: as a full disk is. A write takes what there is room for, and the next one nothing."""
    resource = pytest.importorskip("resource", reason="this system does not limit files' sizes")

    @contextmanager
    def limited(size: int) -> Iterator[None]:
        assert signal.getsignal(signal.SIGXFSZ) == signal.SIG_IGN
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)

    return limited


@pytest.fixture(scope="session")
def data() -> Path:
    """The committed fixtures."""
    return ROOT / "tests" / "data"


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real files that may not be committed: $SODBENCH_REAL, else ../shared."""
    folder = Path(os.environ.get("SODBENCH_REAL") or ROOT.parent / "shared")
    if not (folder / "real").is_dir():
        message = f"real files not found: no folder {folder}/real (set SODBENCH_REAL)"
        pytest.fail(message) if os.environ.get("SODBENCH_REQUIRE_REAL") else pytest.skip(message)
    return folder


@pytest.fixture(scope="session")
def ruled_csf():
    """CSF with the weights of tests/reference/model_rule.py, seed 0, in eval mode; leave it as it is."""
    from reference import model_rule

    from sodbench.models import create_model

    model = create_model("csf-res2net50")
    model_rule.load(model)
    return model.eval()
