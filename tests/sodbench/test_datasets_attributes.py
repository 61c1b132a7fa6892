"""Attributes of images, on hand-made masks whose values are known."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sodbench.datasets import attribute_groups, measure_attributes
from sodbench.datasets.attributes import COLUMNS, colour_contrast, mask_attributes


def box(
    top: int, left: int, bottom: int, right: int, size: tuple[int, int] = (40, 60)
) -> np.ndarray:
    mask = np.zeros(size, bool)
    mask[top:bottom, left:right] = True
    return mask


def test_central_box() -> None:
    attributes = mask_attributes(box(10, 15, 30, 45))
    assert attributes == {
        "height": 40,
        "width": 60,
        "object_size": 0.25,
        "objects": 1,
        "border": False,
        "centre_distance": 0.0,
    }


def test_corner_pixel_is_one_half_diagonal_away_and_a_speck() -> None:
    attributes = mask_attributes(box(0, 0, 1, 1))
    assert attributes["centre_distance"] == pytest.approx(1)
    assert attributes["border"] and attributes["objects"] == 0


@pytest.mark.parametrize(
    "side", [(0, 20, 5, 30), (35, 20, 40, 30), (10, 0, 20, 5), (10, 55, 20, 60)]
)
def test_each_border(side: tuple[int, int, int, int]) -> None:
    assert mask_attributes(box(*side))["border"]


def test_objects_are_counted_with_diagonal_neighbours() -> None:
    assert mask_attributes(box(5, 5, 10, 10) | box(10, 10, 15, 15))["objects"] == 1
    assert mask_attributes(box(5, 5, 10, 10) | box(11, 11, 15, 15))["objects"] == 2


def test_empty_and_full() -> None:
    empty = mask_attributes(np.zeros((4, 5), bool))
    assert (empty["object_size"], empty["objects"], empty["border"]) == (0, 0, False)
    assert np.isnan(empty["centre_distance"])
    assert mask_attributes(np.ones((1, 1), bool))["centre_distance"] == 0


def test_contrast() -> None:
    mask = box(0, 0, 40, 30)
    image = np.zeros((40, 60, 3), np.uint8)
    assert colour_contrast(image, mask) == 0
    image[mask] = (250, 0, 0)
    assert colour_contrast(image, mask) == 1
    image[:20, 30:] = (250, 0, 0)  # half of the background has the object's colour
    # 0.5 * ((1 - 1/2)^2 / (3/2) + (1/2)^2 / (1/2)) = 1/3
    assert colour_contrast(image, mask) == pytest.approx(1 / 3)
    assert np.isnan(colour_contrast(image, np.ones((40, 60), bool)))
    assert np.isnan(colour_contrast(image[1:], mask))


def test_frame_and_groups(tmp_path: Path) -> None:
    masks, images = {}, {}
    drawn = {"small": box(18, 28, 22, 32), "large": box(0, 0, 40, 30), "none": box(0, 0, 0, 0)}
    for stem, mask in drawn.items():
        masks[stem] = tmp_path / f"{stem}.png"
        Image.fromarray(np.where(mask, np.uint8(255), np.uint8(0))).save(masks[stem])
        images[stem] = tmp_path / f"{stem}.bmp"
        Image.fromarray(np.full((40, 60, 3), mask[..., None] * 255, np.uint8)).save(images[stem])
    frame = measure_attributes(masks, images)
    assert tuple(frame.columns) == COLUMNS and list(frame.index) == list(masks)
    assert frame.loc["large", "object_size"] == 0.5 and frame.loc["large", "border"]
    assert frame.loc["small", "contrast"] == 1
    groups = attribute_groups(frame)
    assert groups.loc["small"].tolist()[:4] == ["small (to 10%)", "one", "free", "central"]
    assert groups.loc["large"].tolist()[:4] == [
        "large (above 30%)",
        "one",
        "touching",
        "off centre",
    ]
    assert groups.loc["none"].isna().tolist() == [True, True, False, True, True]
    assert measure_attributes(masks)["contrast"].isna().all()
