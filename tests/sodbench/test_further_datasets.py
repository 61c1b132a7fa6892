"""Datasets beyond the six test sets: their registry entries, subsets, unions, layouts, and groups of masks."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sodbench.cli import main
from sodbench.datasets import (
    DATASETS,
    TEST_SETS,
    canonical_name,
    find_dataset,
    find_masks,
    pair_files,
)
from sodbench.datasets.resolve import find_known_datasets
from sodbench.errors import SodbenchError

FURTHER = [name for name, info in DATASETS.items() if info.count is None]
PARTS = ("DIS-TE1", "DIS-TE2", "DIS-TE3", "DIS-TE4")


def touch(folder: Path, *names: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / name).touch()


def write(path: Path, share: float = 0.5, size: tuple[int, int] = (8, 10)) -> None:
    """Write a mask, or a map, whose left part is white."""
    pixels = np.zeros(size, np.uint8)
    pixels[:, : round(share * size[1])] = 255
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


# ---------------------------------------------------------------------------------------- the registry


def test_the_six_test_sets_are_unchanged() -> None:
    assert TEST_SETS == ("ECSSD", "PASCAL-S", "DUT-OMRON", "HKU-IS", "SOD", "DUTS-TE")


@pytest.mark.parametrize("name", FURTHER)
def test_a_count_without_a_list_is_not_verified(name: str, tmp_path: Path) -> None:
    info = DATASETS[name]
    assert info.citation and info.bibtex.strip().startswith("@") and info.reported
    for part in info.parts or (name,):
        touch(tmp_path / part / "im", "a.jpg")
        touch(tmp_path / part / "gt", "a.png")
    dataset = find_dataset(name, tmp_path)
    assert dataset.expected is None and not dataset.problems
    assert any("count not verified" in note for note in dataset.notes)


@pytest.mark.parametrize(
    ("written", "name"),
    [
        ("cod10k-v3", "COD10K"), ("COD10K/CAM", "COD10K/cam"), ("camo_test", "CAMO"),
        ("DIS5K-TE3", "DIS-TE3"), ("DIS-TE(1-4)", "DIS-TE"), ("UHRSD_test", "UHRSD-TE"),
        ("davis_s", "DAVIS-S"), ("THUS10000", "MSRA10K"), ("NJUD", "NJU2K"), ("STEREO", "STERE"),
        ("RGBD135", "DES"), ("DUTLF-Depth", "DUT-RGBD"),
    ],
)  # fmt: skip
def test_other_names_of_a_dataset(written: str, name: str) -> None:
    assert canonical_name(written) == name


def test_data_list_prints_that_a_count_is_not_verified(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["data", "list", "NJU2K", "--data-root", str(tmp_path)]) == 0
    assert "items      not verified (485, 498, 500 or 503 test images" in capsys.readouterr().out
    assert main(["data", "list", "DIS-TE", "--format", "json", "--data-root", str(tmp_path)]) == 0
    (entry,) = json.loads(capsys.readouterr().out)["datasets"]
    assert entry["count"] is None and entry["parts"] == list(PARTS)


def test_a_dataset_without_known_archives_is_not_part_of_all(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["data", "download", "--data-root", str(tmp_path)]) == 2
    assert "COD10K" not in capsys.readouterr().err
    assert main(["data", "download", "COD10K", "--data-root", str(tmp_path)]) == 2
    message = capsys.readouterr().err
    assert "COD10K: no address of its archives is known" in message and "COD10K/images/" in message
    assert main(["data", "download", "DIS-TE", "--data-root", str(tmp_path)]) == 2
    assert "union of DIS-TE1, DIS-TE2, DIS-TE3, DIS-TE4: download these" in capsys.readouterr().err


# ------------------------------------------------------------------------------------------- subsets


def test_the_camouflaged_part_of_cod10k(tmp_path: Path) -> None:
    names = ("COD10K-CAM-1-Aquatic-1-a-1", "COD10K-CAM-2-Flying-3-b-2", "COD10K-NonCAM-1-Bird-1")
    touch(tmp_path / "COD10K-v3/Test/Image", *(f"{name}.jpg" for name in names))
    touch(tmp_path / "COD10K-v3/Test/GT_Object", *(f"{name}.png" for name in names))
    for found in (
        find_dataset("COD10K/cam", tmp_path),
        *find_masks(tmp_path / "COD10K-v3/Test/cam"),
    ):
        assert found.name == "COD10K/cam" and found.stems == set(names[:2])
        assert found.expected is None and not found.problems and found.excluded == {names[2]}
    (whole,) = find_masks(tmp_path)
    assert whole.name == "COD10K" and len(whole) == 3


def test_a_disk_that_holds_the_camouflaged_part_only_is_named(tmp_path: Path) -> None:
    touch(tmp_path / "COD10K/Imgs", "COD10K-CAM-1.jpg")
    touch(tmp_path / "COD10K/GT", "COD10K-CAM-1.png")
    dataset = find_dataset("COD10K", tmp_path)
    assert "these are exactly COD10K/cam; ask for it by this name" in dataset.notes


def test_a_subset_whose_names_are_not_there_is_refused(tmp_path: Path) -> None:
    touch(tmp_path / "COD10K/GT", "1.png")
    with pytest.raises(SodbenchError, match=r"no item in .* has a name like COD10K-CAM-\*"):
        find_dataset("COD10K/cam", tmp_path)


# -------------------------------------------------------------------------------------------- unions


@pytest.fixture
def dis5k(tmp_path: Path) -> Path:
    for number, part in enumerate(PARTS):
        write(tmp_path / "DIS5K" / part / "im" / f"1#A#{number}.jpg")
        write(tmp_path / "DIS5K" / part / "gt" / f"1#A#{number}.png")
        write(tmp_path / "preds/net" / part / f"1#A#{number}.png", share=0.1 * number)
    return tmp_path


def test_a_union_holds_the_items_of_its_parts(dis5k: Path) -> None:
    assert [dataset.name for dataset in find_known_datasets(dis5k)] == list(PARTS)
    for union in (find_dataset("DIS-TE", dis5k), *find_masks(dis5k / "DIS5K/DIS-TE")):
        assert union.name == "DIS-TE"
        assert union.stems == {f"DIS-TE{n}/1#A#{n - 1}" for n in (1, 2, 3, 4)}
        assert union.groups == set(PARTS)


def test_a_union_needs_all_of_its_parts(dis5k: Path) -> None:
    (dis5k / "DIS5K/DIS-TE3").rename(dis5k / "DIS5K/other")
    with pytest.raises(SodbenchError, match=r"union of .*, but under .* there is no DIS-TE3"):
        find_dataset("DIS-TE", dis5k)


def test_a_union_is_scored_from_the_maps_of_its_parts(
    dis5k: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["eval", str(dis5k / "preds"), str(dis5k / "DIS5K/DIS-TE"), "--format", "json"]
    assert main([*command, "-o", str(dis5k / "out")]) == 0
    (union,) = json.loads(capsys.readouterr().out)["results"]
    assert (union["method"], union["dataset"], union["n"]) == ("net", "DIS-TE", 4)
    assert union["metrics"]["mae"] == pytest.approx((0.5 + 0.4 + 0.3 + 0.2) / 4)
    assert main([*command[:2], str(dis5k / "DIS5K"), "--format", "json"]) == 0
    parts = json.loads(capsys.readouterr().out)["results"]
    assert [part["dataset"] for part in parts] == list(PARTS)


# ------------------------------------------------------------------------------------------- layouts

PAIRS = [
    ("im", "gt"), ("RGB", "GT"), ("Image", "GT_Object"), ("images", "masks"), ("imgs", "gts"),
    ("Img", "GroundTruth"), ("JPEGImages", "Annotations"), ("Imgs", "GT"), ("image", "mask"),
]  # fmt: skip


@pytest.mark.parametrize(("images", "masks"), PAIRS)
def test_the_folder_names_of_further_datasets(images: str, masks: str, tmp_path: Path) -> None:
    touch(tmp_path / "NJU2K" / images, "a.jpg")
    touch(tmp_path / "NJU2K" / masks, "a.png")
    touch(tmp_path / "NJU2K" / "depth", "a.png")
    dataset = find_dataset("NJU2K", tmp_path)
    assert (dataset.images, dataset.masks) == (
        {"a": tmp_path / "NJU2K" / images / "a.jpg"},
        {"a": tmp_path / "NJU2K" / masks / "a.png"},
    )


@pytest.mark.parametrize(
    ("images", "masks", "name"),
    [
        ("HRSOD_test", "HRSOD_test_mask", "HRSOD-TE"),
        ("DAVIS-S", "DAVIS-S_mask", "DAVIS-S"),
        ("UHRSD_TE", "UHRSD_TE_mask", "UHRSD-TE"),
        ("Mine_test", "Mine_test_mask", "Mine_test"),
    ],
)
def test_images_and_masks_in_folders_next_to_each_other(
    images: str, masks: str, name: str, tmp_path: Path
) -> None:
    touch(tmp_path / images, "a.jpg")
    touch(tmp_path / masks, "a.png")
    (dataset,) = find_masks(tmp_path)
    assert dataset.name == name and dataset.masks == {"a": tmp_path / masks / "a.png"}
    assert dataset.images == {"a": tmp_path / images / "a.jpg"}


def test_a_tree_of_tasks_and_datasets(tmp_path: Path) -> None:
    for task, name in (("COD", "CAMO"), ("COD", "NC4K"), ("HRSOD", "DAVIS-S")):
        touch(tmp_path / task / name / "im", "a.jpg")
        touch(tmp_path / task / name / "gt", "a.png")
    assert [dataset.name for dataset in find_masks(tmp_path)] == ["CAMO", "NC4K", "DAVIS-S"]


def test_masks_and_maps_of_types_that_are_not_read_are_reported(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("a", "b"):
        write(tmp_path / f"maps/{name}.png")
        write(tmp_path / f"gt/{name}.png")
    touch(tmp_path / "gt", "b.mat", "c.mat", "readme.txt")
    assert main(["eval", str(tmp_path / "maps"), str(tmp_path / "gt")]) == 0
    assert f"{tmp_path}/gt: files that are not read: 2 .mat" in capsys.readouterr().err
    write(tmp_path / "maps/c.png")
    assert main(["eval", str(tmp_path / "maps"), str(tmp_path / "gt")]) == 1
    message = capsys.readouterr().err
    assert "not-read (1):" in message and f"{tmp_path}/gt/c.mat: .mat files are not read" in message
    (tmp_path / "maps/b.png").rename(tmp_path / "maps/b.npy")
    assert main(["eval", str(tmp_path / "maps"), str(tmp_path / "gt")]) == 2
    message = capsys.readouterr().err
    assert "missing (1):" in message and f"{tmp_path}/maps/b.npy: .npy files" in message


def test_maps_named_with_two_endings_are_paired() -> None:
    masks = [Path(f"gt/000{number}.png") for number in range(3)]
    maps = [Path(f"maps/000{number}.jpg.png") for number in range(3)]
    pairing = pair_files(masks, maps)
    assert len(pairing.pairs) == 3 and pairing.suffix == ".jpg" and pairing.complete
