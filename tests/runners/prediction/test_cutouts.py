"""``sodbench predict --cutout``: images without their background."""

import numpy as np
import pytest
from PIL import Image

from sodbench.cli import main
from sodbench.images import read_grey, read_rgb

SIZES = {"a": (30, 41), "b": (17, 64)}


@pytest.fixture
def predict(images, tmp_path):
    def run(*options):
        maps = ["-o", str(tmp_path / "maps"), "--model", "centre-prior"]
        return main(["predict", str(images), *maps, *map(str, options)])

    return run


def test_the_map_is_the_alpha_of_the_image(images, tmp_path, predict):
    assert predict("--cutout", tmp_path / "cut") == 0
    for stem, size in SIZES.items():
        with Image.open(tmp_path / f"cut/{stem}.png") as image:
            assert image.mode == "RGBA"
            pixels = np.asarray(image)
        assert pixels.shape == (*size, 4)
        assert np.array_equal(pixels[..., :3], read_rgb(images / f"{stem}.png"))
        assert np.array_equal(pixels[..., 3], read_grey(tmp_path / f"maps/{stem}.png").pixels)
    # again, over its own files
    assert predict("--cutout", tmp_path / "cut") == 0


def test_files_of_others_are_not_replaced(images, tmp_path, predict, capsys):
    (tmp_path / "cut").mkdir()
    other = tmp_path / "cut/a.png"
    Image.new("RGB", (3, 3)).save(other)
    before = other.read_bytes()
    assert predict("--cutout", tmp_path / "cut") == 2
    assert "a.png: not a cut-out of sodbench" in capsys.readouterr().err
    assert other.read_bytes() == before and not (tmp_path / "maps").exists()
    assert predict("--cutout", tmp_path / "maps") == 2
    assert predict("--cutout", images) == 2
    assert predict("--cutout", tmp_path / "cut", "--force") == 0
    assert other.read_bytes() != before
