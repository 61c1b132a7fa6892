"""``sodbench data stats`` and ``prepare``, on a set whose numbers are known."""

import dataclasses
import json
import os
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from PIL import Image

from sodbench.cli import main
from sodbench.datasets import dataset_from_list, find_dataset
from sodbench.errors import SodbenchError
from sodbench.reports import dataset_pages
from sodbench.reports.dataset_pages import format_stats, write_stats_pages
from sodbench.runners.data.prepare import prepare
from sodbench.runners.data.stats import compute_stats


@pytest.fixture
def four(tmp_path: Path) -> Path:
    """Four images: objects in the upper left quarter, in the lower half, two small ones, and none."""
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


@pytest.fixture
def empty_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is drawn where only the files count."""
    monkeypatch.setattr(dataset_pages, "draw_stats", lambda _: Figure((1, 1)))


def test_summary(four: Path) -> None:
    summary = compute_stats(find_dataset(four)).summary()
    assert summary == {
        "images": 4,
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
    centre_map = compute_stats(find_dataset(four)).centre_map
    assert centre_map.shape == (64, 64)
    assert centre_map[4, 4] == 0.25 and centre_map[60, 4] == 0.25 and centre_map[4, 60] == 0


def test_pages(four: Path, tmp_path: Path) -> None:
    sets = [compute_stats(find_dataset(four))]
    page = write_stats_pages(sets, tmp_path / "out")
    assert sorted(p.name for p in page.parent.iterdir()) == [
        "Four.csv",
        "Four.pdf",
        "Four.png",
        "Four.svg",
        "stats.json",
        "stats.md",
    ]
    assert (
        format_stats(sets, "markdown") in page.read_text()
        and "![Four](Four.png)" in page.read_text()
    )
    frame = pd.read_csv(page.parent / "Four.csv", index_col="stem")
    assert frame.loc[1, "object_size"] == 0.5
    with Image.open(page.parent / "Four.png") as image:
        assert image.width > 1000


def test_masks_are_needed(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    Image.new("RGB", (4, 4)).save(tmp_path / "images/a.bmp")
    with pytest.raises(SodbenchError, match="no masks"):
        compute_stats(find_dataset(tmp_path))


def test_an_image_that_cannot_be_read_is_named(four: Path, tmp_path: Path) -> None:
    shutil.copytree(four, tmp_path / "broken")
    (tmp_path / "broken/images/2.bmp").write_bytes(b"")
    with pytest.raises(SodbenchError, match=r"2\.bmp.*'sodbench data check' lists"):
        compute_stats(find_dataset(tmp_path / "broken"))


def test_prepare_writes_lists_that_are_read_again(four: Path, tmp_path: Path) -> None:
    dataset = find_dataset(four)
    tests, pairs = prepare([dataset], tmp_path / "lists")
    assert tests.file.read_text() == "0.bmp\n1.bmp\n2.bmp\n3.bmp\n"
    assert (len(tests.lines), tests.relative_to) == (4, four / "images")
    again = dataset_from_list(pairs.file.replace(four / "train_pair.lst"))
    assert again.samples == dataset.samples
    assert prepare([dataset], tmp_path / "lists")[0].file == tests.file
    tests.file.write_text("mine\n")
    with pytest.raises(SodbenchError, match="not replaced"):
        prepare([dataset], tmp_path / "lists")


def test_prepare_refuses_what_lists_cannot_hold(four: Path, tmp_path: Path) -> None:
    (four / "GT/3.png").unlink()
    with pytest.raises(SodbenchError, match="not complete"):
        prepare([find_dataset(four)], tmp_path / "lists")
    (four / "images/3.bmp").unlink()
    (four / "images/2.bmp").rename(four / "images/2 b.bmp")
    (four / "GT/2.png").rename(four / "GT/2 b.png")
    with pytest.raises(SodbenchError, match="space"):
        prepare([find_dataset(four)], tmp_path / "lists")


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
    tests, pairs = prepare([find_dataset("DUTS-TR", tmp_path)], tmp_path / "lists")
    assert tests.file.read_text() == "a.jpg\n" and pairs.file.read_text() == f"{line}\n"


@pytest.mark.usefixtures("empty_figures")
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
        assert "holds images, masks or maps" in capsys.readouterr().err
    assert len(list((four / "images").iterdir())) == len(list((four / "GT").iterdir())) == 4
    assert main([*stats, str(mine)]) == main([*stats, str(mine)]) == 0  # ours may be renewed


@pytest.mark.usefixtures("empty_figures")
def test_command_line(four: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = ["--data-root", str(four.parent)]
    assert main(["data", "stats", "--format", "json", *root]) == 0
    assert json.loads(capsys.readouterr().out)["sets"]["Four"]["images"] == 4
    assert main(["data", "stats", "Four", *root, "-o", str(tmp_path / "out")]) == 0
    assert "small objects" in capsys.readouterr().out
    assert main(["data", "stats", "SOD", *root]) == 2
    assert main(["data", "prepare", "Four", *root, "-o", str(tmp_path / "lists")]) == 0
    assert "4 lines, relative to" in capsys.readouterr().out
    assert (tmp_path / "lists/Four/test.lst").exists()


def snapshot(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@pytest.mark.parametrize(
    "name", ["..", ".", "a/../../b", "/", "a\\b", "a\nb", "\x1b[2J", "x" * 300]
)
def test_no_name_of_a_dataset_leads_outside_the_output(
    name: str, four: Path, tmp_path: Path
) -> None:
    dataset = dataclasses.replace(find_dataset(four), name=name)
    before = snapshot(tmp_path)
    with pytest.raises(SodbenchError, match="cannot be written to disk"):
        prepare([dataset], tmp_path / "own/lists")
    with pytest.raises(SodbenchError, match="cannot be written to disk"):
        write_stats_pages(
            [dataclasses.replace(compute_stats(dataset), name=name)], tmp_path / "own/pages"
        )
    assert snapshot(tmp_path) == before and not (tmp_path / "own").exists()


def test_prepare_with_the_name_of_the_folder_above(
    four: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The name comes from a TOML file of someone else."""
    toml = tmp_path / "theirs.toml"
    toml.write_text(f'name = ".."\nimages = "{four}/images"\nmasks = "{four}/GT"\n')
    mine = tmp_path / "own/test.lst"
    mine.parent.mkdir()
    mine.write_text("mine")
    assert main(["data", "prepare", str(toml), "-o", str(tmp_path / "own/lists")]) == 2
    assert str(capsys.readouterr().err)
    assert mine.read_text() == "mine" and list(mine.parent.iterdir()) == [mine]


def test_prepare_checks_everything_before_it_writes(four: Path, tmp_path: Path) -> None:
    other = four.rename(tmp_path / "Other")
    shutil.copytree(other, four)
    datasets = [find_dataset(four), find_dataset(other)]
    lists = tmp_path / "lists"
    (lists / "Other").mkdir(parents=True)
    for name in ("mine.txt", "test.lst", "train_pair.lst"):
        file = lists / "Other" / name
        file.write_text("mine")
        with pytest.raises(SodbenchError, match=f"Other.*{'mine' if 'mine' in name else name}"):
            prepare(datasets, lists)
        assert file.read_text() == "mine" and not (lists / "Four").exists()
        file.unlink()
        file.symlink_to(tmp_path / "nowhere")
        with pytest.raises(SodbenchError, match="Other"):
            prepare(datasets, lists)
        assert not (tmp_path / "nowhere").exists() and not (lists / "Four").exists()
        file.unlink()
    os.mkfifo(lists / "Other/test.lst")
    with pytest.raises(SodbenchError, match="not replaced"):
        prepare(datasets, lists)


def test_prepare_never_writes_into_the_data(four: Path, tmp_path: Path) -> None:
    before = snapshot(tmp_path)
    dataset = find_dataset(four)
    for out in (tmp_path, four / "images"):
        with pytest.raises(SodbenchError, match="choose another output folder"):
            prepare([dataset], out)
    theirs = shutil.copytree(four, tmp_path / "data/Mine")  # another dataset under this name
    with pytest.raises(SodbenchError, match="holds other files"):
        prepare([dataclasses.replace(dataset, name="Mine")], tmp_path / "data")
    shutil.rmtree(theirs.parent)
    assert snapshot(tmp_path) == before


@pytest.mark.parametrize("space", [" ", "\t", "\u00a0", "\u2028", "\x85", "\n"])
def test_prepare_refuses_every_kind_of_space(space: str, four: Path, tmp_path: Path) -> None:
    for file in (four / "images/2.bmp", four / "GT/2.png"):
        file.rename(file.with_name(f"2{space}b{file.suffix}"))
    with pytest.raises(SodbenchError, match="cannot hold a name with a space"):
        prepare([find_dataset(four)], tmp_path / "lists")
    assert not (tmp_path / "lists").exists()


def test_prepare_reports_missing_official_items(
    four: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    four.rename(tmp_path / "SOD")
    root = ["--data-root", str(tmp_path), "-o", str(tmp_path / "lists")]
    assert main(["--quiet", "data", "prepare", "SOD", *root]) == 1
    assert "SOD: not complete (300 missing, 4 extra)" in capsys.readouterr().err


def test_a_full_disk_leaves_no_part_of_a_list(
    four: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sodbench.runners.data.prepare.ListFile.content", Full())
    with pytest.raises(SodbenchError, match="cannot be written"):
        prepare([find_dataset(four)], tmp_path / "lists")
    assert snapshot(tmp_path / "lists") == {}


class Full:
    """Content that ends in ENOSPC."""

    def __get__(self, *_: object) -> bytes:
        raise OSError(28, "No space left on device")


@pytest.mark.usefixtures("empty_figures")
def test_pages_replace_only_what_they_wrote(
    four: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A file of the user, and a link in a folder of someone else, in a folder that holds our page."""
    stats = ["data", "stats", "-o", str(tmp_path / "out")]
    shutil.copytree(four, tmp_path / "Other")
    assert main([*stats, str(tmp_path / "Other")]) == 0
    mine = tmp_path / "mine.csv"
    mine.write_text("mine")
    for place in ("Four.csv", "Four.png"):
        (tmp_path / "out" / place).symlink_to(mine)
        assert main([*stats, str(four)]) == 2
        assert f"{place}: exists and was not written by" in capsys.readouterr().err
        (tmp_path / "out" / place).unlink()
        (tmp_path / "out" / place).write_text("mine too")
        assert main([*stats, str(four)]) == 2
        assert (tmp_path / "out" / place).read_text() == "mine too"
        (tmp_path / "out" / place).unlink()
    (tmp_path / "out/Other.csv").unlink()
    (tmp_path / "out/Other.csv").symlink_to(mine)
    assert main([*stats, str(tmp_path / "Other")]) == 2
    assert mine.read_text() == "mine"
    (tmp_path / "out/Other.csv").unlink()
    assert main([*stats, str(four)]) == main([*stats, str(tmp_path / "Other")]) == 0
    assert main([*stats, str(four)]) == 0  # written two runs ago


def test_two_names_never_share_a_page(four: Path, tmp_path: Path) -> None:
    stats = compute_stats(find_dataset(four))
    sets = [dataclasses.replace(stats, name=name) for name in ("HKU-IS/test", "HKU-IS-test")]
    with pytest.raises(SodbenchError, match="same files"):
        write_stats_pages(sets, tmp_path / "out")


def test_items_that_are_not_measured_are_reported(
    four: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stats = ["--quiet", "data", "stats", str(four)]
    assert main(stats) == 0
    assert capsys.readouterr().err == ""
    Image.new("RGB", (5, 5)).save(four / "images/0.bmp")
    Image.new("RGB", (5, 5)).save(four / "images/9.bmp")
    (four / "GT/gone.tga").write_bytes(b"")
    assert main(stats) == 1
    message = capsys.readouterr().err
    for line in ("1 no-mask", "1 files of types that are not read", "the contrast of 1 items"):
        assert f"Four: {line}" in message or line in message


def test_a_name_is_escaped_once_and_what_has_no_value_is_a_dash(tmp_path: Path) -> None:
    (tmp_path / "my_set/GT").mkdir(parents=True)
    Image.fromarray(np.zeros((9, 9), np.uint8)).save(tmp_path / "my_set/GT/a.png")
    stats = compute_stats(find_dataset(tmp_path / "my_set"))
    markdown = [
        [cell.strip() for cell in line.split("|")]
        for line in format_stats([stats], "markdown").splitlines()
    ]
    assert markdown[0][2] == "my\\_set"
    assert {row[1]: row[2] for row in markdown[2:]}["mean object size"] == "-"
    plain = format_stats([dataclasses.replace(stats, name="a\x1bb")], "table")
    assert "a\\x1bb" in plain.splitlines()[0] and "nan" not in plain
