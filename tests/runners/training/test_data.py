"""Training data: problems found before the first step, updates as the reference counts them, augmentation."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sodbench.datasets import Dataset, dataset_from_folders, dataset_from_list
from sodbench.errors import ProblemsError, SodbenchError
from sodbench.images import read_grey, read_rgb, write_grey, write_image
from sodbench.runners.training.data import (
    check_pairs,
    count_updates,
    draw_scale,
    load_augmented,
    plan_epoch,
    prefetch_updates,
    shard_indices,
)
from sodbench.runners.training.recipe import Recipe, change_recipe


def ends(recipe: Recipe, count: int, epochs: int) -> list[list[int]]:
    """After which image of the epoch each update is made."""
    return [
        np.cumsum([len(update) for update in plan_epoch(recipe, epoch, count)]).tolist()
        for epoch in range(epochs)
    ]


def test_the_reference_keeps_counting_images_over_epochs() -> None:
    assert ends(Recipe(), 12, 5) == [[10], [8], [6], [4], [2, 12]]
    duts = ends(Recipe(), 10553, 2)
    assert (len(duts[0]), duts[0][-1]) == (1055, 10550)
    assert (duts[1][0], duts[1][-1]) == (7, 10547)


def test_other_remainders() -> None:
    assert ends(change_recipe(Recipe(), {"remainder": "drop"}), 25, 2) == [[10, 20]] * 2
    assert ends(change_recipe(Recipe(), {"remainder": "flush"}), 25, 2) == [[10, 20, 25]] * 2
    assert ends(change_recipe(Recipe(), {"remainder": "flush"}), 20, 1) == [[10, 20]]
    assert ends(change_recipe(Recipe(), {"remainder": "flush"}), 3, 1) == [[3]]
    assert ends(change_recipe(Recipe(), {"remainder": "drop"}), 3, 1) == [[]]
    assert ends(Recipe(), 3, 4) == [[], [], [], [1]]
    assert count_updates(Recipe(), 12) == 24 * 12 // 10


def test_every_image_once_an_epoch_in_another_order() -> None:
    recipe = change_recipe(Recipe(), {"remainder": "flush"})
    first, second = (np.concatenate(plan_epoch(recipe, epoch, 57)) for epoch in (0, 1))
    assert sorted(first) == sorted(second) == list(range(57))
    assert not np.array_equal(first, second)
    again = np.concatenate(plan_epoch(recipe, 1, 57))
    assert np.array_equal(second, again)


def test_all_problems_are_reported_together(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for number in range(6):
        size = (20, 30)
        write_image(tmp_path / f"i/{number}.jpg", rng.integers(0, 255, (*size, 3), np.uint8))
        write_grey(tmp_path / f"m/{number}.png", np.full(size, 255, np.uint8))
    write_grey(tmp_path / "m/1.png", np.zeros((30, 20), np.uint8))
    whole = (tmp_path / "i/2.jpg").read_bytes()
    (tmp_path / "i/2.jpg").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "m/3.png").write_text("not an image")
    (tmp_path / "m/4.png").unlink()
    dataset = dataset_from_folders(tmp_path / "i", tmp_path / "m")
    with pytest.raises(ProblemsError) as caught:
        check_pairs(dataset)
    kinds = sorted((p.kind, Path(p.file).name) for p in caught.value.problems)
    assert kinds == [
        ("no-mask", "4.jpg"),
        ("size", "1.jpg"),
        ("unreadable", "2.jpg"),
        ("unreadable", "3.png"),
    ]
    assert "30x20, but its mask is 20x30" in str(caught.value)
    assert "--skip-invalid" in str(caught.value)

    checked = check_pairs(dataset, skip_invalid=True)
    assert [s.stem for s in checked.samples] == ["0", "5"]
    assert len(checked.skipped) == 4


def test_a_16_bit_mask_with_values_of_8_bits_is_no_mask_to_learn(tmp_path: Path) -> None:
    """Its high bytes are all 0, so a network would learn black."""
    for number in range(2):
        write_image(tmp_path / f"i/{number}.png", np.zeros((9, 8, 3), np.uint8))
        write_grey(tmp_path / f"m/{number}.png", np.full((9, 8), 255, np.uint8))
    Image.fromarray(np.full((9, 8), 255, np.uint16)).save(tmp_path / "m/1.png")
    with pytest.raises(ProblemsError) as caught:
        check_pairs(dataset_from_folders(tmp_path / "i", tmp_path / "m"))
    (problem,) = caught.value.problems
    assert problem.kind == "mask-coding" and problem.file.endswith("m/1.png")


def test_differing_sizes_alone_are_named_and_left_out(
    twelve: Dataset, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = [f"{s.image} {s.mask}" for s in twelve.samples]
    lines[3] = f"{twelve.samples[3].image} {twelve.samples[4].mask}"
    (tmp_path / "train_pair.lst").write_text("\n".join(lines))
    checked = check_pairs(dataset_from_list(tmp_path / "train_pair.lst"))
    assert len(checked) == 11
    (problem,) = checked.skipped
    assert problem.kind == "size" and twelve.samples[3].stem in problem.file
    assert f"left out: size: {twelve.samples[3].image}" in capsys.readouterr().err


def test_no_pair_is_an_error(tmp_path: Path) -> None:
    write_image(tmp_path / "i/a.jpg", np.zeros((8, 8, 3), np.uint8))
    write_grey(tmp_path / "m/a.png", np.zeros((9, 8), np.uint8))
    with pytest.raises(SodbenchError, match="no pair of image and mask"):
        check_pairs(dataset_from_folders(tmp_path / "i", tmp_path / "m"))


def test_flips_mirror_image_and_mask_together(twelve: Dataset) -> None:
    flipped = []
    for index, pair in enumerate(twelve.samples):
        assert pair.image and pair.mask
        pixels, mask = read_rgb(pair.image), read_grey(pair.mask).pixels
        item = load_augmented(pair, index, 0, 1.0, Recipe())
        mirrored = not np.array_equal(item.pixels, pixels)
        flipped.append(mirrored)
        step = -1 if mirrored else 1
        assert np.array_equal(item.pixels, pixels[:, ::step])
        assert np.array_equal(item.mask, mask[:, ::step])
    assert 0 < sum(flipped) < len(flipped)
    still = change_recipe(Recipe(), {"flip": False})
    first = twelve.samples[0]
    assert first.image
    for epoch in range(8):
        assert np.array_equal(
            load_augmented(first, 0, epoch, 1.0, still).pixels, read_rgb(first.image)
        )


def test_crops_are_squares_of_the_image_at_one_place(twelve: Dataset) -> None:
    recipe = change_recipe(Recipe(), {"crop": 0.5, "flip": False})
    pair = twelve.samples[0]
    assert pair.image and pair.mask
    pixels, mask = read_rgb(pair.image), read_grey(pair.mask).pixels
    sides = set()
    for epoch in range(20):
        item = load_augmented(pair, 0, epoch, 1.0, recipe)
        side = item.mask.shape[0]
        sides.add(side)
        assert item.mask.shape == (side, side) and min(mask.shape) / 2 <= side <= min(mask.shape)
        places = [
            (top, left)
            for top in range(mask.shape[0] - side + 1)
            for left in range(mask.shape[1] - side + 1)
            if np.array_equal(pixels[top : top + side, left : left + side], item.pixels)
        ]
        assert any(
            np.array_equal(mask[top : top + side, left : left + side], item.mask)
            for top, left in places
        )
    assert len(sides) > 5


def test_size_and_scales(twelve: Dataset) -> None:
    recipe = change_recipe(Recipe(), {"size": 24, "scales": [0.5, 1.0, 1.5]})
    scales = {draw_scale(recipe, 0, update) for update in range(30)}
    assert scales == {0.5, 1.0, 1.5}
    assert draw_scale(Recipe(), 0, 3) == 1.0
    item = load_augmented(twelve.samples[0], 0, 0, 1.5, recipe)
    assert item.pixels.shape == (36, 36, 3) and item.mask.shape == (36, 36)
    assert item.pixels.dtype == item.mask.dtype == np.uint8


def test_updates_do_not_depend_on_the_threads(twelve: Dataset) -> None:
    data = check_pairs(twelve)
    recipe = change_recipe(Recipe(), {"accumulate": 4, "crop": 0.6})
    plan = list(enumerate(plan_epoch(recipe, 1, len(data))))
    one, many = (list(prefetch_updates(data, recipe, 1, plan, workers)) for workers in (1, 5))
    for left, right in zip(one, many, strict=True):
        for a, b in zip(left, right, strict=True):
            assert a.stem == b.stem and np.array_equal(a.pixels, b.pixels)


def test_the_processes_share_an_update(twelve: Dataset) -> None:
    data = check_pairs(twelve)
    (update, *_) = plan_epoch(Recipe(), 0, len(data))
    for ranks in (1, 2, 3, 16):
        shares = [shard_indices(data, update, rank, ranks) for rank in range(ranks)]
        assert sorted(np.concatenate(shares)) == sorted(update)
