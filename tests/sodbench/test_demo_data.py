"""The built-in sample: the same images every time, exact masks, and no folder of a user touched."""

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.ndimage import binary_dilation

from sodbench import demo_data
from sodbench.errors import SodbenchError
from sodbench.images import image_size, read_grey


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The sample with at most ten images a dataset."""
    few = {name: replace(c, count=min(10, c.count)) for name, c in demo_data.CHARACTERS.items()}
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(demo_data, "CHARACTERS", few)
        yield demo_data.write_demo_data(tmp_path_factory.mktemp("data") / "sample")


def test_an_image_follows_from_its_name_alone() -> None:
    image, mask = demo_data.draw("HKU-IS", 3)
    demo_data.draw("SOD", 1)
    again, mask_again = demo_data.draw("HKU-IS", 3)
    assert np.array_equal(image, again) and np.array_equal(mask, mask_again)
    others = [demo_data.draw("HKU-IS", number)[0] for number in (1, 2, 4)]
    assert not any(np.array_equal(image, other) for other in others)


def test_every_image_has_a_mask_of_its_size_with_an_object(root: Path) -> None:
    for name, character in demo_data.CHARACTERS.items():
        images, masks = (root / folder.format(name) for folder in character.folders)
        stems = sorted(path.stem for path in images.iterdir())
        assert stems == sorted(path.stem for path in masks.iterdir())
        assert len(stems) == character.count
        for path in images.iterdir():
            mask = read_grey(masks / f"{path.stem}.png").pixels
            assert image_size(path) == mask.shape
            share = (mask > 128).mean()
            assert 0.01 < share < 0.6, f"{name}/{path.name}: {share:.3f} of the pixels are salient"


def test_only_pascal_s_has_grey_levels(root: Path) -> None:
    levels = {}
    for name, character in demo_data.CHARACTERS.items():
        masks = (root / character.folders[1].format(name)).iterdir()
        levels[name] = {int(v) for path in masks for v in np.unique(read_grey(path).pixels)}
    assert levels.pop("PASCAL-S") == {0, 85, 170, 255}
    assert set(map(frozenset, levels.values())) == {frozenset({0, 255})}


def test_the_mask_is_exactly_what_was_painted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without its objects the same image differs inside the mask, and outside it only
    along the soft outline."""
    image, mask = demo_data.draw("ECSSD", 7)
    bare = dict(
        demo_data.CHARACTERS, ECSSD=replace(demo_data.CHARACTERS["ECSSD"], contrast=(0.0, 0.0))
    )
    monkeypatch.setattr(demo_data, "CHARACTERS", bare)
    hidden, same_mask = demo_data.draw("ECSSD", 7)
    assert np.array_equal(mask, same_mask)
    touched = (image != hidden).any(-1)
    near = binary_dilation(mask == 255, np.ones((3, 3)), iterations=2)
    assert not touched[~near].any()
    assert touched[mask == 255].mean() > 0.95


def test_a_complete_sample_is_left_as_it_is(root: Path) -> None:
    files = {p: p.stat().st_mtime_ns for p in root.rglob("*") if p.is_file()}
    demo_data.write_demo_data(root)
    assert {p: p.stat().st_mtime_ns for p in root.rglob("*") if p.is_file()} == files
    assert demo_data.is_demo_data(root) and demo_data.is_demo_data(root / "ECSSD")


def test_a_damaged_sample_is_drawn_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    few = {name: replace(character, count=1) for name, character in demo_data.CHARACTERS.items()}
    monkeypatch.setattr(demo_data, "CHARACTERS", few)
    root = demo_data.write_demo_data(tmp_path / "sample")
    marker = (root / demo_data.DEMO_MARKER).read_text("utf-8")
    victim = root / "ECSSD" / "GT" / "0001.png"
    victim.write_bytes(victim.read_bytes()[:100])
    demo_data.write_demo_data(root)
    assert (root / demo_data.DEMO_MARKER).read_text("utf-8") == marker
    assert read_grey(victim).pixels.any()


def test_a_folder_of_the_user_is_never_written_to(tmp_path: Path) -> None:
    precious = tmp_path / "ECSSD" / "Imgs" / "0001.jpg"
    precious.parent.mkdir(parents=True)
    precious.write_bytes(b"mine")
    with pytest.raises(SodbenchError, match=re.escape(demo_data.DEMO_MARKER)):
        demo_data.write_demo_data(tmp_path)
    assert precious.read_bytes() == b"mine"
    assert sorted(p.name for p in tmp_path.rglob("*")) == ["0001.jpg", "ECSSD", "Imgs"]
