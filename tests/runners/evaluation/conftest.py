"""Small folders of maps and masks, and their results."""

import shutil

import numpy as np
import pytest
from evaluations import STEMS, STORED_STEMS
from synthetic import draw_pair, save_image

from sodbench.runners.evaluation.evaluate import evaluate


@pytest.fixture
def folders(tmp_path):
    root = tmp_path / "toys"
    for seed, stem in enumerate(STEMS):
        map_, mask = draw_pair(seed)
        save_image(root / "maps" / f"{stem}.png", map_)
        save_image(root / "gt" / f"{stem}.png", mask)
    return root


@pytest.fixture
def tree(tmp_path):
    for seed, stem in enumerate(STEMS):
        for name in ("ECSSD", "SOD"):
            map_, mask = draw_pair(seed + len(name))
            save_image(tmp_path / f"data/{name}/GT/{stem}.png", mask)
            save_image(tmp_path / f"data/{name}/Imgs/{stem}.jpg", np.dstack([map_] * 3))
            save_image(tmp_path / f"by_method/A/{name}/{stem}_A.png", map_)
            save_image(tmp_path / f"by_method/B/{name}/{stem}.png", 255 - map_)
            save_image(tmp_path / f"by_set/{name}/A/{stem}.png", map_)
            save_image(tmp_path / f"one/{name}/{stem}.png", map_)
    return tmp_path


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    """Two methods on six pairs, one of them with a grey mask and a resized map, and their results."""
    root = tmp_path_factory.mktemp("stored")
    for seed, stem in enumerate(STORED_STEMS):
        map_, mask = draw_pair(seed, 30, 40)
        save_image(root / f"preds/A/{stem}.png", map_)
        save_image(root / f"preds/B/{stem}.png", 255 - map_)
        save_image(root / f"gt/{stem}.png", mask)
    grey = np.where(draw_pair(2, 30, 40)[1] > 0, 200, 60).astype(np.uint8)
    save_image(root / "gt/img02.png", grey)
    save_image(root / "preds/A/img03.png", draw_pair(3, 15, 20)[0])
    for method in "AB":
        evaluate(root / "preds" / method, root / "gt", output=root / "out", name=method)
    return root


@pytest.fixture
def stored(original, tmp_path):
    """A copy of the results, which a test may edit: the folder of method A."""
    shutil.copytree(original / "out", tmp_path / "out")
    (dataset,) = (tmp_path / "out/A").iterdir()
    return dataset
