"""Small folders of maps and masks that several modules score."""

import numpy as np
import pytest
from synthetic import draw_pair, save_image

from sodbench.images import write_grey


@pytest.fixture
def folders(tmp_path):
    """Three maps in maps/, and the dataset data/toys with images."""
    for seed, stem in enumerate("abc"):
        map_, mask = draw_pair(seed, 30, 40)
        save_image(tmp_path / f"maps/{stem}.png", map_)
        save_image(tmp_path / f"data/toys/GT/{stem}.png", mask)
        save_image(tmp_path / f"data/toys/images/{stem}.jpg", mask)
    return tmp_path


@pytest.fixture
def maps(tmp_path):
    """Two perfect maps in preds/, and their masks in gt/."""
    mask = np.zeros((12, 16), np.uint8)
    mask[:, :8] = 255
    for stem in ("a", "b"):
        write_grey(tmp_path / f"gt/{stem}.png", mask)
        write_grey(tmp_path / f"preds/{stem}.png", mask)
    return tmp_path
