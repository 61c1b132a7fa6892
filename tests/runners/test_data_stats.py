"""``sodbench data stats`` and ``prepare``, on a set whose numbers are known."""

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from sodbench.cli import main
from sodbench.datasets import find_dataset, listed_pairs
from sodbench.errors import SodbenchError
from sodbench.runners.data_prepare import prepare
from sodbench.runners.data_stats import describe, table, write_pages


@pytest.fixture
def four(tmp_path: Path) -> Path:
    """Four pictures: objects in the upper left quarter, in the lower half, two small ones, and none."""
    root = tmp_path / "Four"
    (root / "images").mkdir(parents=True)
    (root / "GT").mkdir()
    for number in range(4):
        mask = np.zeros((64, 128), np.uint8)
        if number == 0:
            mask[:32, :64] = 255
        elif number == 1:
            mask[32:] = 255
        elif number == 2:
            mask[20:25, 20:25] = mask[40:45, 100:105] = 255
        Image.fromarray(mask).save(root / f"GT/{number}.png")
        colour = np.repeat(mask[..., None], 3, axis=2)
        Image.fromarray(colour).save(root / f"images/{number}.bmp")
    return root


def test_summary(four: Path) -> None:
    summary = describe(find_dataset(four)).summary()
    assert summary == {
        "pictures": 4,
        "empty masks": 1,
        "image sizes": 1,
        "median height": 64,
        "median width": 128,
        "mean object size": pytest.approx((0.25 + 0.5 + 50 / 8192) / 3),
        "small objects": pytest.approx(1 / 3),
        "large objects": pytest.approx(1 / 3),
        "several objects": pytest.approx(1 / 3),
        "touching the border": pytest.approx(2 / 3),
        "off centre": pytest.approx(1 / 3),
        "median contrast": 1,
    }


def test_centre_map(four: Path) -> None:
    found = describe(find_dataset(four)).centre_map
    assert found.shape == (64, 64)
    assert found[4, 4] == 0.25 and found[60, 4] == 0.25 and found[4, 60] == 0


def test_pages(four: Path, tmp_path: Path) -> None:
    sets = [describe(find_dataset(four))]
    page = write_pages(sets, tmp_path / "out")
    assert sorted(p.name for p in page.parent.iterdir()) == [
        "Four.csv",
        "Four.png",
        "Four.svg",
        "stats.json",
        "stats.md",
    ]
    assert (
        table(sets, markdown=True) in page.read_text() and "![Four](Four.png)" in page.read_text()
    )
    frame = pd.read_csv(page.parent / "Four.csv", index_col="stem")
    assert frame.loc[1, "object_size"] == 0.5
    with Image.open(page.parent / "Four.png") as picture:
        assert picture.width > 1000


def test_masks_are_needed(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    Image.new("RGB", (4, 4)).save(tmp_path / "images/a.bmp")
    with pytest.raises(SodbenchError, match="no masks"):
        describe(find_dataset(tmp_path))


def test_a_picture_that_cannot_be_read_is_named(four: Path, tmp_path: Path) -> None:
    shutil.copytree(four, tmp_path / "broken")
    (tmp_path / "broken/images/2.bmp").write_bytes(b"")
    with pytest.raises(SodbenchError, match=r"2\.bmp.*'sodbench data check' lists"):
        describe(find_dataset(tmp_path / "broken"))


def test_prepare_writes_lists_that_are_read_again(four: Path, tmp_path: Path) -> None:
    dataset = find_dataset(four)
    tests, pairs = prepare(dataset, tmp_path / "lists")
    assert tests.file.read_text() == "0.bmp\n1.bmp\n2.bmp\n3.bmp\n"
    assert (tests.lines, tests.relative_to) == (4, four / "images")
    again = listed_pairs(pairs.file.replace(four / "train_pair.lst"))
    assert again.samples == dataset.samples
    assert prepare(dataset, tmp_path / "lists")[0].file == tests.file
    tests.file.write_text("mine\n")
    with pytest.raises(SodbenchError, match="not replaced"):
        prepare(dataset, tmp_path / "lists")


def test_prepare_refuses_what_lists_cannot_hold(four: Path, tmp_path: Path) -> None:
    (four / "GT/3.png").unlink()
    with pytest.raises(SodbenchError, match="not complete"):
        prepare(find_dataset(four), tmp_path)
    (four / "images/3.bmp").unlink()
    (four / "images/2.bmp").rename(four / "images/2 b.bmp")
    (four / "GT/2.png").rename(four / "GT/2 b.png")
    with pytest.raises(SodbenchError, match="space"):
        prepare(find_dataset(four), tmp_path)


@pytest.mark.parametrize(
    ("images", "masks", "line"),
    [
        (
            "DUTS/DUTS-TR/DUTS-TR-Image",
            "DUTS/DUTS-TR/DUTS-TR-Mask",
            "DUTS-TR-Image/a.jpg DUTS-TR-Mask/a.png",
        ),
        ("DUTS-TR/Imgs", "DUTS-TR/Imgs", "Imgs/a.jpg Imgs/a.png"),
        ("DUTS-TR", "DUTS-TR", "a.jpg a.png"),
    ],
)
def test_prepare_for_other_layouts(images: str, masks: str, line: str, tmp_path: Path) -> None:
    for folder, name in ((images, "a.jpg"), (masks, "a.png")):
        (tmp_path / folder).mkdir(parents=True, exist_ok=True)
        (tmp_path / folder / name).touch()
    tests, pairs = prepare(find_dataset("DUTS-TR", tmp_path), tmp_path / "lists")
    assert tests.file.read_text() == "a.jpg\n" and pairs.file.read_text() == f"{line}\n"


def test_stats_write_over_nothing_of_the_users(
    four: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stats = ["data", "stats", str(four), "-o"]
    mine = tmp_path / "mine"
    mine.mkdir()
    for name in ("stats.md", "Four.csv"):
        (mine / name).write_text("MINE")
        assert main([*stats, str(mine)]) == 2
        assert "holds other files" in capsys.readouterr().err
        assert (mine / name).read_text() == "MINE"
        (mine / name).unlink()
    for folder in (four / "images", four / "GT/sub"):
        assert main([*stats, str(folder)]) == 2
        assert "holds pictures of Four" in capsys.readouterr().err
    assert len(list((four / "images").iterdir())) == len(list((four / "GT").iterdir())) == 4
    assert main([*stats, str(mine)]) == main([*stats, str(mine)]) == 0  # ours may be renewed


def test_command_line(four: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = ["--data-root", str(four.parent)]
    assert main(["data", "stats", "--format", "json", *root]) == 0
    assert json.loads(capsys.readouterr().out)["sets"]["Four"]["pictures"] == 4
    assert main(["data", "stats", "Four", *root, "-o", str(tmp_path / "out")]) == 0
    assert "small objects" in capsys.readouterr().out
    assert main(["data", "stats", "SOD", *root]) == 2
    assert main(["data", "prepare", "Four", *root, "-o", str(tmp_path / "lists")]) == 0
    assert "4 lines, relative to" in capsys.readouterr().out
    assert (tmp_path / "lists/Four/test.lst").exists()
