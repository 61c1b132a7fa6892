"""``sodbench data check``: each fault is named once, and nothing else is."""

import dataclasses
import itertools
import json
import os
import re
import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from sodbench.cli import main
from sodbench.datasets import WEIGHTS, dataset_from_folders, find_dataset, official_names
from sodbench.datasets.findings import DatasetReport
from sodbench.demo_data import CHARACTERS, DEMO_MARKER, draw
from sodbench.errors import SodbenchError
from sodbench.folders import list_names
from sodbench.runners.data.check import FAULTS, check_datasets, resolve_datasets
from sodbench.runners.data.duplicates import pairs_within
from sodbench.runners.data.items import find_level_problems

COUNT = 13


@pytest.fixture(scope="module", autouse=True)
def small_sample() -> Iterator[None]:
    """The sample, with fewer images in each dataset."""
    with pytest.MonkeyPatch.context() as patch:
        for name, character in CHARACTERS.items():
            patch.setitem(CHARACTERS, name, dataclasses.replace(character, count=COUNT))
        yield


@pytest.fixture(scope="module")
def clean(small_sample: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A part of the small sample: a test set, a set with grey masks, and a training set."""
    root = tmp_path_factory.mktemp("sample")
    (root / DEMO_MARKER).write_text("a sample")
    for name, images, masks in (
        ("ECSSD", "ECSSD/Imgs", "ECSSD/GT"),
        ("PASCAL-S", "PASCAL-S/Imgs", "PASCAL-S/GT"),
        ("DUTS-TR", "DUTS-TR/DUTS-TR-Image", "DUTS-TR/DUTS-TR-Mask"),
    ):
        (root / images).mkdir(parents=True)
        (root / masks).mkdir()
        for number in range(1, COUNT + 1):
            image, mask = draw(name, number)
            Image.fromarray(image).save(root / images / f"{number:04}.jpg", quality=92)
            Image.fromarray(mask).save(root / masks / f"{number:04}.png")
    (root / "ECSSD/test.lst").write_text("".join(f"{n:04}.jpg\n" for n in range(1, COUNT + 1)))
    return root


def reports(root: Path) -> dict[str, DatasetReport]:
    return {report.name: report for report in check_datasets(resolve_datasets([], root)[0], jobs=2)}


def grey(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.array(image)


def test_clean_sample_has_no_faults(clean: Path) -> None:
    checked = reports(clean)
    assert list(checked) == ["ECSSD", "PASCAL-S", "DUTS-TR"]
    for report in checked.values():
        assert report.faults == () and report.items == COUNT and report.content
        assert report.verdict.startswith(f"{report.name}: ok")
    assert [p.kind for p in checked["PASCAL-S"].remarks] == ["grey-mask"]
    assert checked["ECSSD"].remarks == ()


def test_every_fault_is_named_once_and_nothing_else(clean: Path, tmp_path: Path) -> None:
    root = tmp_path / "broken"
    shutil.copytree(clean, root)
    images, masks = root / "ECSSD/Imgs", root / "ECSSD/GT"

    (images / "0001.jpg").unlink()
    (masks / "0001.png").unlink()
    shutil.copy(images / "0002.jpg", images / "new.jpg")
    shutil.copy(masks / "0002.png", masks / "new.png")
    (masks / "0002.png").unlink()
    (images / "0003.jpg").unlink()
    shutil.copy(images / "0004.jpg", images / "0004.jpeg")
    whole = (images / "0005.jpg").read_bytes()
    (images / "0005.jpg").write_bytes(whole[: len(whole) * 2 // 3])
    mask = grey(masks / "0006.png")
    Image.fromarray(mask[:-2]).save(masks / "0006.png")
    mask = grey(masks / "0007.png")
    mask[:2, :3] = 37
    Image.fromarray(mask).save(masks / "0007.png")
    Image.fromarray(np.zeros_like(grey(masks / "0008.png"))).save(masks / "0008.png")
    Image.fromarray(np.full_like(grey(masks / "0009.png"), 255)).save(masks / "0009.png")
    Image.fromarray(grey(masks / "0013.png").astype(np.uint16)).save(masks / "0013.png")
    shutil.copy(images / "0011.jpg", images / "0010.jpg")
    shutil.copy(masks / "0011.png", masks / "0010.png")
    Image.fromarray((grey(masks / "0011.png") > 128).astype(np.uint8)).save(masks / "0011.png")
    (images / "gone.tga").write_bytes(b"")
    train = root / "DUTS-TR/DUTS-TR-Image"
    with Image.open(train / "0001.jpg") as image:  # encoded again and scaled
        image.resize((image.width * 3 // 4, image.height * 3 // 4)).save(
            images / "0012.jpg", quality=80
        )
        mask_size = (image.width * 3 // 4, image.height * 3 // 4)
    with Image.open(masks / "0012.png") as image:
        image.resize(mask_size, Image.Resampling.NEAREST).save(masks / "0012.png")

    checked = reports(root)
    named = [(p.kind, Path(p.file).stem) for p in checked["ECSSD"].faults]
    assert sorted(named) == [
        ("ambiguous", "0004"),
        ("duplicate", "0011"),
        ("empty-mask", "0008"),
        ("extra", "new"),
        ("full-mask", "0009"),
        ("grey-mask", "0007"),
        ("leak", "0012"),
        ("mask-coding", "0011"),
        ("mask-coding", "0013"),
        ("missing", "0001"),
        ("no-image", "0003"),
        ("no-mask", "0002"),
        ("not-read", "gone"),
        ("size", "0006"),
        ("unreadable", "0005"),
    ]
    assert {kind for kind, _ in named} == set(FAULTS)
    assert checked["ECSSD"].remarks == ()
    assert checked["DUTS-TR"].faults == checked["PASCAL-S"].faults == ()
    detail = {p.kind: p.detail for p in checked["ECSSD"].faults}  # the last of each kind
    assert "37" in detail["grey-mask"] and "DUTS-TR/0001" in detail["leak"]
    assert "values of 0..255 only" in detail["mask-coding"]
    assert "no content hash" in checked["ECSSD"].verdict
    assert "15 faults" in checked["ECSSD"].verdict


def test_missing_extra_and_copied_items_without_a_list(clean: Path, tmp_path: Path) -> None:
    """The sample's own names are known; an extra item that is a copy is reported once, as the copy."""
    root = tmp_path / "broken"
    shutil.copytree(clean, root)
    images, masks = root / "ECSSD/Imgs", root / "ECSSD/GT"
    train_images, train_masks = root / "DUTS-TR/DUTS-TR-Image", root / "DUTS-TR/DUTS-TR-Mask"
    (root / "ECSSD/test.lst").unlink()
    shutil.copy(images / "0003.jpg", images / "0000copy.jpg")
    shutil.copy(masks / "0003.png", masks / "0000copy.png")
    shutil.copy(train_images / "0002.jpg", images / "leaked.jpg")
    shutil.copy(train_masks / "0002.png", masks / "leaked.png")
    image, mask = draw("ECSSD", 99)
    Image.fromarray(image).save(images / "new.jpg")
    Image.fromarray(mask).save(masks / "new.png")
    (images / "0001.jpg").unlink()
    (masks / "0001.png").unlink()
    assert sorted((p.kind, Path(p.file).stem) for p in reports(root)["ECSSD"].faults) == [
        ("duplicate", "0000copy"),
        ("extra", "new"),
        ("leak", "leaked"),
        ("missing", "0001"),
    ]


@pytest.mark.parametrize(
    "content", [b"", b"not an image", b"\x89PNG\r\n\x1a\n"], ids=["empty", "text", "header"]
)
def test_files_that_are_no_images(content: bytes, clean: Path, tmp_path: Path) -> None:
    shutil.copytree(clean / "ECSSD", tmp_path / "ECSSD")
    (tmp_path / DEMO_MARKER).touch()
    (tmp_path / "ECSSD/GT/0001.png").write_bytes(content)
    (report,) = check_datasets([find_dataset("ECSSD", tmp_path)])
    assert [(p.kind, Path(p.file).name) for p in report.faults] == [("unreadable", "0001.png")]


def test_content_hash_is_of_the_content(clean: Path, tmp_path: Path) -> None:
    """Equal for another layout and another encoding of the masks; another for one changed pixel."""
    (before,) = check_datasets([find_dataset("ECSSD", clean)])
    (tmp_path / DEMO_MARKER).touch()
    shutil.copytree(clean / "ECSSD/Imgs", tmp_path / "ECSSD/images")
    (tmp_path / "ECSSD/masks").mkdir()
    for path in (clean / "ECSSD/GT").iterdir():
        with Image.open(path) as image:
            image.convert("1").save(tmp_path / "ECSSD/masks" / path.name)
    (same,) = check_datasets([find_dataset("ECSSD", tmp_path)])
    assert (same.content, same.masks_content) == (before.content, before.masks_content)
    first = tmp_path / "ECSSD/masks/0001.png"
    mask = grey(first).astype(np.uint8) * 255
    mask[0, 0] ^= 255
    Image.fromarray(mask).save(first)
    (other,) = check_datasets([find_dataset("ECSSD", tmp_path)])
    assert other.content != before.content and other.masks_content != before.masks_content
    with Image.open(tmp_path / "ECSSD/images/0002.jpg") as image:
        image.save(tmp_path / "ECSSD/images/0002.jpg", quality=50)
    (images,) = check_datasets([find_dataset("ECSSD", tmp_path)])
    assert images.masks_content == other.masks_content and images.content != other.content


def test_mask_of_zeros_and_ones(clean: Path, tmp_path: Path) -> None:
    shutil.copytree(clean / "ECSSD", tmp_path / "ECSSD")
    (tmp_path / DEMO_MARKER).touch()
    path = tmp_path / "ECSSD/GT/0001.png"
    Image.fromarray((grey(path) > 128).astype(np.uint8)).save(path)
    (report,) = check_datasets([find_dataset("ECSSD", tmp_path)])
    assert [p.kind for p in report.faults] == ["mask-coding"]
    assert "read as empty; write it again" in report.faults[0].detail


def noise(root: Path, stems: list[str], ext: str = ".jpg") -> None:
    rng = np.random.default_rng(1)
    for folder in ("images", "GT"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    for stem in stems:
        Image.fromarray(rng.integers(0, 256, (16, 16, 3), np.uint8)).save(
            root / f"images/{stem}{ext}"
        )
        mask = np.zeros((16, 16), np.uint8)
        mask[4:9, 4:9] = 255
        Image.fromarray(mask).save(root / f"GT/{stem}.png")


def test_official_names_counts_and_known_items(tmp_path: Path) -> None:
    official = sorted(official_names("SOD"))
    noise(tmp_path / "SOD", [*official[1:], "stranger"])
    noise(tmp_path / "HKU-IS", ["4777", "8205", "0001"], ".png")
    datasets = [find_dataset("SOD", tmp_path), find_dataset("HKU-IS/test", tmp_path)]
    sod, hku = check_datasets(datasets)
    assert [(p.kind, p.file) for p in sod.faults] == [
        ("missing", official[0]),
        ("extra", "stranger"),
    ]
    assert sod.verdict.startswith("SOD: 2 faults (1 missing, 1 extra)")
    assert Counter(p.kind for p in hku.faults) == {"missing": 1445}
    assert "2 of 1447 items" in hku.verdict


def test_known_items_are_explained(tmp_path: Path) -> None:
    noise(tmp_path / "DUTS-TR", ["n04442312_17818", "n01532829_13482"])
    Image.new("L", (16, 17), 255).save(tmp_path / "DUTS-TR/GT/n04442312_17818.png")
    (report,) = check_datasets([find_dataset("DUTS-TR", tmp_path)])
    (size,) = (p for p in report.faults if p.kind == "size")
    assert "the reference skips it" in size.detail
    assert [(p.kind, p.file) for p in report.remarks] == [("known", "n01532829_13482")]
    (missing,) = (p for p in report.faults if "00023530" in p.file)
    assert missing.kind == "missing" and "known" in missing.detail


def test_a_subset_and_its_set_share_files_without_being_copies(tmp_path: Path) -> None:
    noise(tmp_path / "HKU-IS", sorted(official_names("HKU-IS/test"))[:5], ".png")
    checked = check_datasets(
        [find_dataset("HKU-IS", tmp_path), find_dataset("HKU-IS/test", tmp_path)]
    )
    assert not {"duplicate", "leak", "shared"} & {
        p.kind for r in checked for p in (*r.faults, *r.remarks)
    }


def test_a_subset_without_any_item_lacks_all_of_them(clean: Path) -> None:
    (report,) = check_datasets([find_dataset("DUTS-TR/clean", clean)])
    assert Counter(p.kind for p in report.faults) == {"missing": 10550}
    assert report.content == report.masks_content == ""


def test_an_odd_folder_next_to_the_datasets_does_not_hide_them(
    clean: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(clean, tmp_path / "data")
    for folder in ("images", "imgs", "GT"):
        shutil.copytree(clean / "ECSSD/GT", tmp_path / "data/odd" / folder)
    root = ["--data-root", str(tmp_path / "data")]
    assert main(["data", "check", *root]) == 1
    captured = capsys.readouterr()
    assert captured.out.count(": ok") == 3
    assert "odd: several image folders (images, imgs)" in captured.err
    assert main(["data", "list", *root]) == 0
    listed = capsys.readouterr().out
    assert "Imgs + GT + test.lst" in listed and "odd: several image folders" in listed
    assert main(["data", "list", "--format", "json", *root]) == 0
    entry = json.loads(capsys.readouterr().out)["datasets"][-1]
    assert entry["name"] == "odd" and entry["found"] is None and "several" in entry["error"]


def test_list_shows_weights_and_a_missing_root(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    weights = WEIGHTS[0].path(tmp_path / "data")
    options = ["data", "list", "--data-root", str(tmp_path / "data")]
    assert main(options) == 0
    listed = capsys.readouterr().out
    assert f"{WEIGHTS[0].name} (not found)" in listed and "data does not exist" in listed
    weights.parent.mkdir(parents=True)
    weights.touch()
    assert main(options) == 0
    listed = capsys.readouterr().out
    assert f"{WEIGHTS[0].name} ({weights})" in listed and "does not exist" not in listed


def test_images_shared_by_two_test_sets_are_a_remark(clean: Path, tmp_path: Path) -> None:
    shutil.copytree(clean / "ECSSD", tmp_path / "ECSSD")
    shutil.copytree(clean / "ECSSD", tmp_path / "SOD")
    (tmp_path / DEMO_MARKER).touch()
    ecssd, sod = check_datasets([find_dataset("ECSSD", tmp_path), find_dataset("SOD", tmp_path)])
    assert not ecssd.faults and not ecssd.remarks and not sod.faults
    assert Counter(p.kind for p in sod.remarks) == {"shared": COUNT}


def test_many_copies_of_one_image(clean: Path, tmp_path: Path) -> None:
    (tmp_path / "Own/images").mkdir(parents=True)
    (tmp_path / "Own/masks").mkdir()
    image = (clean / "ECSSD/Imgs/0001.jpg").read_bytes()
    mask = (clean / "ECSSD/GT/0001.png").read_bytes()
    for number in range(100):
        (tmp_path / f"Own/images/{number:03}.jpg").write_bytes(image)
        (tmp_path / f"Own/masks/{number:03}.png").write_bytes(mask)
    (report,) = check_datasets([find_dataset(tmp_path / "Own")])
    assert Counter(p.kind for p in report.faults) == {"duplicate": 99}
    assert all("as 000 (masks equal)" in p.detail for p in report.faults)


@given(st.integers(0, 9999), st.integers(0, 60), st.floats(0, 40), st.integers(1, 20))
def test_points_near_one_another(seed: int, n: int, radius: float, dimensions: int) -> None:
    """The same pairs as comparing every point with every other."""
    points = np.random.default_rng(seed).integers(0, 12, (n, dimensions)).astype(float)
    away = np.linalg.norm(points[:, None] - points[None], axis=2)
    expected = [(a, b) for a, b in itertools.combinations(range(n), 2) if away[a, b] <= radius]
    assert sorted(map(tuple, pairs_within(points, radius).tolist())) == expected


def test_images_without_any_masks(clean: Path, tmp_path: Path) -> None:
    shutil.copytree(clean / "ECSSD/Imgs", tmp_path / "ECSSD/Imgs")
    (tmp_path / DEMO_MARKER).touch()
    (report,) = check_datasets([find_dataset("ECSSD", tmp_path)])
    assert [p.kind for p in report.faults] == ["no-mask"]


def test_command_line(clean: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = ["--data-root", str(clean)]
    assert main(["data", "check", *root]) == 0
    out = capsys.readouterr().out
    assert out.count(": ok") == 3
    output = tmp_path / "sub/check.md"
    assert main(["data", "check", "ecssd", "--format", "json", "-o", str(output), *root]) == 0
    (record,) = json.loads(capsys.readouterr().out)["sets"]
    assert (record["name"], record["ok"], record["items"], record["faults"]) == (
        "ECSSD",
        True,
        COUNT,
        [],
    )
    page = output.read_text()
    assert re.search(r"\| ECSSD +\| ok +\|", page)
    sizes = {Image.open(mask).size for mask in (clean / "ECSSD").rglob("*.png")}
    width, height = min(sizes, key=lambda size: (size[0] * size[1], size[1]))
    assert "sizes (w x h)" in page and f"| {width}x{height} to" in page
    assert main(["data", "check", "ECSSD", "DUTS-TE", *root]) == 1
    assert "DUTS-TE not found" in capsys.readouterr().err
    assert main(["data", "check", "DUTS-TE", *root]) == 2
    assert main(["data", "check", "-o", "x.txt", *root]) == 2
    assert main(["data", "list", *root]) == 0
    assert "ECSSD" in capsys.readouterr().out
    assert main(["data", "list", "PASCALS", *root]) == 0
    assert "li2014secrets" in capsys.readouterr().out
    assert main(["data", "list", "--format", "json", *root]) == 0
    names = [entry["name"] for entry in json.loads(capsys.readouterr().out)["datasets"]]
    assert names[:2] == ["ECSSD", "PASCAL-S"]


@pytest.mark.parametrize(
    ("name", "content"), [("c.md", "MINE"), ("c.json", '{"sets": []}'), ("c.json", "MINE")]
)
def test_report_writes_over_nothing_of_the_users(
    name: str, content: str, clean: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mine = tmp_path / name
    mine.write_text(content)
    check_ecssd = ["data", "check", "ECSSD", "--data-root", str(clean), "-o"]
    assert main([*check_ecssd, str(mine)]) == 2
    assert "was not written by sodbench;" in capsys.readouterr().err
    assert mine.read_text() == content
    mine.unlink()
    assert main([*check_ecssd, str(mine)]) == main([*check_ecssd, str(mine)]) == 0  # ours


def test_report_is_not_written_among_images(
    clean: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = clean / "ECSSD/Imgs/check.md"
    assert main(["data", "check", "ECSSD", "--data-root", str(clean), "-o", str(out)]) == 2
    assert "which holds images, masks or maps" in capsys.readouterr().err and not out.exists()


def test_16_bit_mask_with_8_bit_values_is_not_just_black(tmp_path: Path) -> None:
    noise(tmp_path / "Own", ["a", "b", "c"])
    values = np.zeros((16, 16), np.uint16)
    values[4:9, 4:9] = 255
    Image.fromarray(values).save(tmp_path / "Own/GT/a.png")
    Image.fromarray(values * 257).save(tmp_path / "Own/GT/b.png")
    (report,) = check_datasets([find_dataset(tmp_path / "Own")])
    (fault,) = report.faults
    assert (fault.kind, Path(fault.file).name) == ("mask-coding", "a.png")
    assert "16-bit" in fault.detail
    assert any("not plain 8-bit grey" in note and "16-bit" in note for note in report.notes)


def test_the_note_on_small_16_bit_values_is_its_own_kind() -> None:
    black, note = np.zeros((4, 4), np.uint8), "16-bit, but values of 0..255 only"
    (problem,) = find_level_problems(Path("a.png"), black, note)
    assert problem.kind == "mask-coding" and note in problem.detail
    (problem,) = find_level_problems(Path("a.png"), black, "1-bit")
    assert (problem.kind, problem.detail) == ("empty-mask", "all black: no object; 1-bit")


def test_a_mask_in_dark_levels_is_named_with_its_levels() -> None:
    mask = np.zeros((4, 4), np.uint8)
    mask[1:3] = 38
    (problem,) = find_level_problems(Path("a.png"), mask, "palette in colour (luminance taken)")
    assert problem.kind == "mask-coding"
    assert "values 0 and 38 only" in problem.detail and "palette in colour" in problem.detail


def test_files_that_are_not_read_are_counted(tmp_path: Path) -> None:
    root = tmp_path / "Own"
    noise(root, ["a", "b"])
    (root / "images/lost.tga").write_bytes(b"")
    (root / "GT/lost.tga").write_bytes(b"")
    (root / "GT/a.npy").write_bytes(b"")  # a has its mask
    for name in ("notes.txt", "more.txt", "README", "Thumbs.db", ".DS_Store", "._a.png"):
        (root / "images" / name).write_text("x")
    noise(root / "images/inner", ["c"])
    (root / "images/empty").mkdir()
    shutil.move(root / "images/inner/GT/c.png", root / "images/inner/c.png")
    (report,) = check_datasets([find_dataset(root)])
    assert [(p.kind, p.file) for p in report.faults] == [
        ("not-read", str(root / "GT/lost.tga")),
        ("not-read", str(root / "images/lost.tga")),
    ]
    assert [(p.kind, p.file, p.detail) for p in report.remarks] == [
        ("other-files", str(root / "GT"), "files that are not read: 1 .npy"),
        (
            "other-files",
            str(root / "images"),
            "files that are not read: 2 .txt, 1 sub-folder, 1 without extension",
        ),
    ]


def test_images_that_a_pair_list_leaves_out_are_counted(tmp_path: Path) -> None:
    noise(tmp_path / "Own", ["a", "b", "c"])
    (tmp_path / "Own/train_pair.lst").write_text("images/a.jpg GT/a.png\n")
    (report,) = check_datasets([find_dataset(tmp_path / "Own")])
    assert [p.kind for p in report.remarks] == ["not-listed", "not-listed"]
    assert report.remarks[0].detail == "2 images are not in train_pair.lst and not used"


def test_two_faults_of_one_kind_and_item_are_both_listed(tmp_path: Path) -> None:
    """An image and a mask that are claimed twice; both files of a listed pair missing."""
    noise(tmp_path / "Own", ["a", "b"])
    shutil.copy(tmp_path / "Own/images/a.jpg", tmp_path / "Own/images/a.jpeg")
    shutil.copy(tmp_path / "Own/GT/a.png", tmp_path / "Own/GT/a.bmp")
    (report,) = check_datasets([find_dataset(tmp_path / "Own")])
    assert Counter(p.kind for p in report.faults) == {"ambiguous": 2}
    lines = "images/b.jpg GT/b.png\nimages/x.jpg GT/x.png\n"
    (tmp_path / "Own/train_pair.lst").write_text(lines)
    (report,) = check_datasets([find_dataset(tmp_path / "Own")])
    assert Counter(p.kind for p in report.faults) == {"missing": 2}


def test_missing_items_of_images_without_masks_are_listed(clean: Path, tmp_path: Path) -> None:
    shutil.copytree(clean / "ECSSD/Imgs", tmp_path / "ECSSD/Imgs")
    (tmp_path / DEMO_MARKER).touch()
    (tmp_path / "ECSSD/Imgs/0005.jpg").unlink()
    (report,) = check_datasets([find_dataset("ECSSD", tmp_path)])
    assert [(p.kind, Path(p.file).name) for p in report.faults] == [
        ("no-mask", "ECSSD"),
        ("missing", "0005"),
    ]


def test_folders_with_images_that_are_no_dataset_are_reported(
    clean: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = tmp_path / "data"
    shutil.copytree(clean, root)
    shutil.copytree(clean / "ECSSD/GT", root / "Mine/left")
    (root / "weights").mkdir()
    for command in ("check", "stats"):
        assert main(["data", command, "--data-root", str(root)]) == 0
        message = capsys.readouterr().err
        assert f"not checked: {root / 'Mine'}: images, but" in message and "TOML" in message
    assert main(["data", "check", "ECSSD", "--data-root", str(root)]) == 0
    assert "not checked" not in capsys.readouterr().err


def test_problems_are_visible_under_quiet(
    clean: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = tmp_path / "data"
    shutil.copytree(clean, root)
    (root / "ECSSD/GT/0001.png").unlink()
    options = ["--data-root", str(root)]
    assert main(["--quiet", "data", "check", "ECSSD", "SOD", *options]) == 1
    captured = capsys.readouterr()
    assert "1 no-mask" in captured.out and "SOD not found" in captured.err
    assert main(["--quiet", "data", "stats", "ECSSD", *options]) == 1
    assert "ECSSD: not complete (1 no-mask)" in capsys.readouterr().err


HOSTILE = "\x1b]0;owned\x07\x1b[2J\nsodbench: ok | <b> \u202e"


def test_control_characters_in_names_are_shown_escaped(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    own = tmp_path / "data" / f"Own{HOSTILE}"
    noise(own, ["a", f"b{HOSTILE}"])
    (own / "images/b.txt").write_text("x")
    (own / f"images/x{HOSTILE}.tga").write_text("x")
    root = ["--data-root", str(tmp_path / "data")]
    for command in (["check"], ["check", "--format", "markdown"], ["list"], ["stats"]):
        main(["data", *command, *root])
        captured = capsys.readouterr()
        for line in (captured.out + captured.err).splitlines():
            assert line.isprintable() and not line.startswith("sodbench: ok"), line
    out = tmp_path / "check.md"
    assert main(["data", "check", *root, "-o", str(out)]) == 1
    page = out.read_text()
    assert "<b>" not in page and all(line.isprintable() for line in page.splitlines())


def test_a_name_that_is_not_utf_8_is_checked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    noise(tmp_path / "data/Own", ["a", "b"])
    latin = os.fsdecode(b"\xe9t\xe9")
    for folder, ending in (("images", ".jpg"), ("GT", ".png")):
        place = tmp_path / "data/Own" / folder
        (place / f"b{ending}").rename(place / f"{latin}{ending}")
    (tmp_path / "data/Own/GT" / f"{latin}.png").write_bytes(b"")
    root = ["--data-root", str(tmp_path / "data")]
    out = tmp_path / "check.md"
    assert main(["data", "check", *root, "-o", str(out)]) == 1
    assert "\\udce9t\\udce9.png" in capsys.readouterr().out
    assert "udce9t" in out.read_text()
    assert main(["data", "check", *root, "--format", "json"]) == 1
    assert main(["data", "stats", *root]) == 2
    assert main(["data", "prepare", "Own", *root, "-o", str(tmp_path / "lists")]) == 2
    message = capsys.readouterr().err
    assert "not UTF-8" in message and "Traceback" not in message
    assert not (tmp_path / "lists").exists()


@pytest.mark.parametrize("command", ["check", "stats", "prepare"])
def test_a_null_character_in_a_path_is_one_line(
    command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    toml = tmp_path / "own.toml"
    toml.write_text('name = "own"\nimages = "images\\u0000"\nmasks = "GT"\n')
    assert main(["data", command, str(toml)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"sodbench: error: {tmp_path}") and line.isprintable()
    with pytest.raises(SodbenchError, match="not a readable folder"):
        list_names(Path("images\0"))


def test_a_link_to_a_place_without_permission_is_no_folder(
    clean: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(clean / "ECSSD", tmp_path / "ECSSD")
    (tmp_path / "link").symlink_to(tmp_path / "private")
    stat = os.stat

    def refusing(path: object, **options: object) -> os.stat_result:
        if str(path).endswith("link") and options.get("follow_symlinks", True):
            raise PermissionError(13, "Permission denied", path)
        return stat(path, **options)  # type: ignore[call-overload, no-any-return]

    monkeypatch.setattr(os, "stat", refusing)
    (checked,), refused = resolve_datasets([], tmp_path)
    assert checked.name == "ECSSD" and not refused


def test_report_is_not_written_through_links(clean: Path, tmp_path: Path) -> None:
    check_ecssd = ["data", "check", "ECSSD", "--data-root", str(clean), "-o"]
    out = tmp_path / "ours.md"
    assert main([*check_ecssd, str(out)]) == 0
    link = tmp_path / "link.md"
    for target in (out, tmp_path / "unmounted"):
        link.symlink_to(target)
        assert main([*check_ecssd, str(link)]) == 2
        assert link.is_symlink()
        link.unlink()
    os.mkfifo(link)
    assert main([*check_ecssd, str(link)]) == 2


@pytest.mark.real
def test_real_sod_passes(shared: Path) -> None:
    (report,) = check_datasets([find_dataset("SOD", shared / "real")])
    assert report.faults == report.remarks == ()
    assert (report.items, report.sizes, report.smallest) == (300, 2, (321, 481))


@pytest.mark.real
def test_real_masks_with_quirks(shared: Path) -> None:
    edge = shared / "real/edge"
    folders = [edge / "F360iSOD3/GT", edge / "LFSD3/GT_1bit", edge / "pysodmetrics_test_data/masks"]
    checked = check_datasets([dataset_from_folders(None, folder) for folder in folders])
    assert [
        [(p.kind, Path(p.file).name) for p in r.faults if p.kind != "no-image"] for r in checked
    ] == [
        [("empty-mask", "011.png")],
        [],
        [("grey-mask", "19.png"), ("empty-mask", "aerial-1867541__340.png")],
    ]
    assert any(p.detail.startswith("7 grey levels") for p in checked[2].faults)
