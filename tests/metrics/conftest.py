"""PySODMetrics itself, where it is installed."""

import os
from collections.abc import Iterator
from importlib.util import find_spec
from types import ModuleType

import numpy as np
import pytest


@pytest.fixture(scope="session")
def library() -> Iterator[ModuleType]:
    """PySODMetrics; with SODBENCH_REQUIRE_PYSODMETRICS=1 tests fail, instead of skipping, where it is not installed."""
    if find_spec("py_sod_metrics") is None:
        message = "PySODMetrics is not installed"
        required = os.environ.get("SODBENCH_REQUIRE_PYSODMETRICS")
        pytest.fail(message) if required else pytest.skip(message)
    import py_sod_metrics

    with pytest.MonkeyPatch.context() as patch:
        # it was written for an older numpy
        patch.setattr(np, "trapz", np.trapezoid, raising=False)
        yield py_sod_metrics
