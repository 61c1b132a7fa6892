"""Fixtures of the tests of prediction."""

from pathlib import Path

import numpy as np
import pytest

from sodbench.images import write_image


@pytest.fixture
def images(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A folder of random images: a stem and a size for each entry of the test module's ``SIZES``."""
    folder = tmp_path / "images"
    rng = np.random.default_rng(5)
    for stem, size in request.module.SIZES.items():
        write_image(folder / f"{stem}.png", rng.integers(0, 256, (*size, 3), np.uint8))
    return folder
