"""The registry, official name lists, and the layouts that datasets have on disk."""

import dataclasses
import hashlib
import json
import sys
import types
from collections.abc import Iterable, Iterator
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from sodbench import plugins
from sodbench.cli import build_parser, main
from sodbench.cli.eval import read_truths
from sodbench.datasets import (
    DATASETS,
    TEST_SETS,
    TRAIN_SET,
    Dataset,
    DatasetInfo,
    DatasetNotFound,
    canonical_name,
    check_unique_names,
    dataset_from_folders,
    dataset_from_list,
    deduplicate,
    expected_stems,
    find_dataset,
    find_masks,
    infer_dataset_name,
    list_images,
    official_names,
    register_dataset,
    registry,
)
from sodbench.datasets.resolve import find_known_datasets
from sodbench.errors import SodbenchError


def touch(folder: Path, names: Iterable[str]) -> None:
    """Create empty files: resolution never opens an image."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / name).touch()


def pairs(
    root: Path, images: str, masks: str, stems: Iterable[str] = ("a", "b"), ext: str = ".jpg"
) -> None:
    stems = list(stems)
    touch(root / images, (stem + ext for stem in stems))
    touch(root / masks, (stem + ".png" for stem in stems))


# ------------------------------------------------------------------------------------- the registry


@pytest.mark.parametrize(
    ("written", "name"),
    [
        ("PASCALS", "PASCAL-S"),
        ("pascal", "PASCAL-S"),
        ("dut_omron", "DUT-OMRON"),
        ("DUTO", "DUT-OMRON"),
        ("DUT-O", "DUT-OMRON"),
        ("omron", "DUT-OMRON"),
        ("hkuis", "HKU-IS"),
        ("DUTS", "DUTS-TE"),
        ("duts_tr", "DUTS-TR"),
        ("hku-is/TEST", "HKU-IS/test"),
        ("DUTS/clean", "DUTS-TE/clean"),
    ],
)
def test_aliases(written: str, name: str) -> None:
    assert canonical_name(written) == name


@pytest.mark.parametrize(
    ("written", "hint"),
    [
        ("ECSD", "ECSSD"),
        ("PASKAL-S", "PASCAL-S"),
        ("DUTS-TX", "DUTS-T"),
        ("HKU-IS/tset", "HKU-IS/test"),
        ("SOD/clean", "none"),
    ],
)
def test_unknown_names_suggest_the_nearest(written: str, hint: str) -> None:
    with pytest.raises(SodbenchError, match=hint):
        canonical_name(written)


def test_reference_order_and_codes() -> None:
    assert "".join(DATASETS[name].code for name in TEST_SETS) == "epdhst"
    assert DATASETS[TRAIN_SET].count == 10553


def test_official_lists_have_the_official_counts() -> None:
    assert {name: len(official_names(name)) or None for name in DATASETS} == {
        name: info.count for name, info in DATASETS.items()
    }
    counts = {
        "HKU-IS/train": 2500,
        "HKU-IS/val": 500,
        "HKU-IS/test": 1447,
        "HKU-IS/4445": 4445,
        "DUTS-TE/clean": 5017,
        "DUTS-TR/clean": 10550,
        "DUT-OMRON/5166": 5166,
    }
    offered = {
        f"{name}/{s}"
        for name, info in DATASETS.items()
        for s in info.subsets
        if s not in info.patterns
    }
    assert {name: len(official_names(name)) for name in offered} == counts


def test_known_items_are_items() -> None:
    for name, info in DATASETS.items():
        # datasets without a list may have known items, too
        assert info.count is None or official_names(name) >= info.known.keys()


@pytest.fixture
def registered() -> Iterator[DatasetInfo]:
    """A dataset of another package, known until the test ends."""
    info = DatasetInfo(
        "CoCA", 3, aliases=("Co-CA",), subsets={"clean": "without b"}, known={"b": "wrong mask"},
        items=frozenset("abc"),
    )  # fmt: skip
    before = dict(registry._datasets), dict(registry._name_by_key)
    register_dataset(info)
    yield info
    for content, old in zip((registry._datasets, registry._name_by_key), before, strict=True):
        content.clear()
        content.update(old)


def test_a_registered_dataset_is_found_like_a_built_in_one(
    registered: DatasetInfo, tmp_path: Path
) -> None:
    register_dataset(registered)  # twice is once
    assert canonical_name("coca/CLEAN") == "CoCA/clean"
    assert official_names("co-ca/clean") == {"a", "c"}
    pairs(tmp_path, "data/CoCA/image", "data/CoCA/mask", ["a", "b", "d"])
    dataset = find_dataset("coca", tmp_path / "data")
    assert (dataset.name, dataset.expected) == ("CoCA", 3)
    assert [d.name for d in find_known_datasets(tmp_path / "data")] == ["CoCA"]
    assert infer_dataset_name("preds/ours/coca-mask") == "CoCA"
    assert expected_stems(dataset) == {"a", "b", "c"}
    (clean,) = find_masks("CoCA/clean", data_root=tmp_path / "data")
    assert list(clean.masks) == ["a"] and [p.file for p in clean.problems] == ["c"]


def test_a_plug_in_brings_its_datasets_to_the_command_line(
    registered: DatasetInfo, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    mine = DatasetInfo("Mine", 7, about="seven images")
    module = types.ModuleType("plugin_of_mine")
    module.register = lambda: register_dataset(mine)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "plugin_of_mine", module)
    entry = EntryPoint("mine", "plugin_of_mine:register", "sodbench.datasets")
    monkeypatch.setattr(plugins, "_find_entry_points", lambda group: [entry])
    monkeypatch.setattr(plugins, "_loaded", set())
    assert main(["data", "list", "mine"]) == 0
    printed = capsys.readouterr().out
    assert printed.startswith("Mine: seven images") and "cite       unknown" in printed


def test_a_registered_dataset_takes_no_name_of_another(registered: DatasetInfo) -> None:
    with pytest.raises(SodbenchError, match="PASCAL-S already has this name or alias"):
        register_dataset(DatasetInfo("Mine", 1, aliases=("pascals",)))
    with pytest.raises(SodbenchError, match="CoCA already has"):
        register_dataset(dataclasses.replace(registered, count=4))


def test_a_registered_dataset_needs_no_item_names(registered: DatasetInfo, tmp_path: Path) -> None:
    registry._datasets["CoCA"] = dataclasses.replace(registered, items=None)
    pairs(tmp_path, "data/CoCA/image", "data/CoCA/mask", ["a"])
    dataset = find_dataset("CoCA", tmp_path / "data")
    assert expected_stems(dataset) is None and dataset.expected == 3
    with pytest.raises(SodbenchError, match="CoCA/clean: the names of its items are not known"):
        find_dataset("CoCA/clean", tmp_path / "data")


@pytest.mark.real
@pytest.mark.parametrize("name", [name for name, info in DATASETS.items() if info.count])
def test_public_lists_are_matched_exactly(name: str, shared: Path, tmp_path: Path) -> None:
    listing = shared / "lists" / "fastsaliency" / f"{name.replace('PASCAL-S', 'PASCALS')}.txt"
    rows = [line.split() for line in listing.read_text().splitlines()]
    folder = tmp_path / rows[0][0].split("/")[0]
    folder.mkdir()
    for image, mask in rows:
        (tmp_path / image).touch()
        (tmp_path / mask).touch()
    dataset = find_dataset(name, tmp_path)
    assert {sample.stem for sample in dataset.samples} == official_names(name)
    assert len(dataset) == dataset.expected == DATASETS[name].count
    assert all(sample.image and sample.mask for sample in dataset.samples)
    assert not dataset.notes and not dataset.problems


@pytest.mark.real
def test_hku_is_splits_match_the_public_ones(shared: Path) -> None:
    for split in ("train", "val", "test"):
        listing = (shared / "lists" / "hku_is_split" / f"{split}.txt").read_text().split()
        assert official_names(f"HKU-IS/{split}") == {name.removesuffix(".png") for name in listing}


@pytest.mark.real
def test_real_sod_is_recognised(shared: Path) -> None:
    dataset = find_dataset("sod", shared / "real")
    assert (dataset.name, len(dataset), dataset.expected) == ("SOD", 300, 300)
    assert dataset.layout == "Imgs + GT + test.lst"
    assert not dataset.problems and not dataset.notes
    assert {sample.stem for sample in dataset.samples} == official_names("SOD")


# ------------------------------------------------------------------------------------------ layouts

LAYOUTS = [
    # reference: Imgs/ with the masks next to the images, or in gt/
    ("ECSSD", "ECSSD/Imgs", "ECSSD/Imgs", ".jpg"),
    ("PASCAL-S", "PASCALS/Imgs", "PASCALS/gt", ".jpg"),
    ("DUT-OMRON", "DUTOMRON/Imgs", "DUTOMRON/gt", ".jpg"),
    ("HKU-IS", "HKU-IS/Imgs", "HKU-IS/gt", ".png"),
    ("SOD", "SOD/Imgs", "SOD/Imgs", ".jpg"),
    ("DUTS-TE", "DUTS-TE/Imgs", "DUTS-TE/gt", ".jpg"),
    # CSNet
    ("ECSSD", "ECSSD/images", "ECSSD/GT", ".jpg"),
    ("HKU-IS", "HKU_IS/images", "HKU_IS/GT", ".png"),
    # as distributed
    ("DUTS-TR", "DUTS-TR/DUTS-TR-Image", "DUTS-TR/DUTS-TR-Mask", ".jpg"),
    ("DUTS-TE", "DUTS-TE/DUTS-TE-Image", "DUTS-TE/DUTS-TE-Mask", ".jpg"),
    ("DUTS-TR", "DUTS/DUTS-TR/DUTS-TR-Image", "DUTS/DUTS-TR/DUTS-TR-Mask", ".jpg"),
    ("DUTS-TE", "DUTS/DUTS-TE/DUTS-TE-Image", "DUTS/DUTS-TE/DUTS-TE-Mask", ".jpg"),
    ("DUTS-TR", "DUTS/DUTS-TR-Image", "DUTS/DUTS-TR-Mask", ".jpg"),
    ("DUTS-TE", "DUTS/DUTS-TE-Image", "DUTS/DUTS-TE-Mask", ".jpg"),
    ("DUTS-TR", "DUTS-TR-Image", "DUTS-TR-Mask", ".jpg"),
    ("DUTS-TE", "DUTS-TE/DUTS-TE/DUTS-TE-Image", "DUTS-TE/DUTS-TE/DUTS-TE-Mask", ".jpg"),
    ("ECSSD", "ECSSD/images", "ECSSD/ground_truth_mask", ".jpg"),
    ("DUT-OMRON", "DUT-OMRON/DUT-OMRON-image", "DUT-OMRON/pixelwiseGT-new-PNG", ".jpg"),
    ("HKU-IS", "HKU-IS/imgs", "HKU-IS/gt", ".png"),
    ("PASCAL-S", "PASCAL-S/datasets/imgs/pascal", "PASCAL-S/datasets/masks/pascal", ".jpg"),
    ("ECSSD", "ECSSD/images/images", "ECSSD/ground_truth_mask/ground_truth_mask", ".jpg"),
    # other common pairs
    ("SOD", "SOD/Imgs", "SOD/GT", ".jpg"),
    ("SOD", "sod/image", "sod/mask", ".jpg"),
    ("SOD", "SOD/img", "SOD/gt", ".jpg"),
    ("SOD", "SOD/Image", "SOD/GroundTruth", ".JPG"),
    ("ECSSD", "ECSSD", "ECSSD", ".jpg"),
]


@pytest.mark.parametrize(("name", "images", "masks", "ext"), LAYOUTS)
def test_every_layout(name: str, images: str, masks: str, ext: str, tmp_path: Path) -> None:
    pairs(tmp_path, images, masks, ext=ext)
    for stray in (".DS_Store", "._a.jpg", "._a.png", "Thumbs.db"):
        touch(tmp_path / images, [stray])
        touch(tmp_path / masks, [stray])
    touch(tmp_path / "__MACOSX" / images, ["._a.jpg"])
    dataset = find_dataset(name, tmp_path)
    assert dataset.name == name
    assert [(s.stem, s.image, s.mask) for s in dataset.samples] == [
        (stem, tmp_path / images / f"{stem}{ext}", tmp_path / masks / f"{stem}.png")
        for stem in ("a", "b")
    ]
    assert not dataset.problems
    assert dataset.expected == DATASETS[name].count
    assert any("2 items found" in note for note in dataset.notes)
    assert [found.name for found in find_known_datasets(tmp_path)] == [name]
    (masks_found,) = find_masks(tmp_path)
    assert masks_found.masks == dataset.masks


def select_again(dataset: Dataset) -> Dataset:
    """What the command line makes of the arguments that a dataset records."""
    arguments = build_parser().parse_args(["eval", "PREDS", *dataset.source])
    (found,), _ = read_truths(arguments)
    return found


def assert_selected_again(*datasets: Dataset) -> None:
    for dataset in datasets:
        again = select_again(dataset)
        assert (again.name, again.masks) == (dataset.name, dataset.masks)
        assert [s.stem for s in again.samples] == [s.stem for s in dataset.samples]
        assert (again.excluded, again.source) == (dataset.excluded, dataset.source)


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A working folder that holds other folders of the datasets' names."""
    for name in (*DATASETS, "Own", "data"):
        touch(tmp_path / "elsewhere" / name, ["other.png"])
    monkeypatch.chdir(tmp_path / "elsewhere")


@pytest.mark.usefixtures("elsewhere")
@pytest.mark.parametrize(("name", "images", "masks", "ext"), LAYOUTS)
def test_every_layout_is_selected_again_by_its_source(
    name: str, images: str, masks: str, ext: str, tmp_path: Path
) -> None:
    data = tmp_path / "data"
    pairs(data, images, masks, ["a", "b", "c"], ext=ext)
    (data / "some.lst").write_text("a\nc\n")
    whole = find_dataset(name, data)
    listed = whole.select_listed(data / "some.lst")
    assert_selected_again(
        whole, *find_masks(data), whole.select_first(2), listed, listed.select_first(1)
    )
    (plain,) = find_masks(data / masks)
    assert_selected_again(plain)


@pytest.mark.usefixtures("elsewhere")
def test_every_selection_is_selected_again_by_its_source(tmp_path: Path) -> None:
    data = tmp_path / "data"
    pairs(data, "HKU-IS/imgs", "HKU-IS/gt", sorted(official_names("HKU-IS/val"))[:4], ext=".png")
    pairs(data, "DUTS/DUTS-TE-Image", "DUTS/DUTS-TE-Mask")
    pairs(data, "Own/images", "Own/masks")
    touch(data / "flat", ["a.png", "b.png"])
    (data / "Own/test.lst").write_text("a.jpg\n")
    (data / "own.toml").write_text('name = "Mine"\nmasks = "flat"\nlist = "own.lst"\n')
    (data / "own.lst").write_text("b.png\n")
    assert_selected_again(*find_masks(data))
    assert_selected_again(*find_masks(data / "Own"), find_dataset("DUTS-TE/clean", data))
    assert_selected_again(find_dataset("HKU-IS/test", data), find_dataset(data / "HKU-IS/val"))
    assert_selected_again(*find_masks(data / "own.toml"), *find_masks(data / "own.toml", "Other"))
    assert_selected_again(*find_masks(data / "flat", "Other"), *find_masks(data / "Own", "Other"))
    assert_selected_again(*find_masks(data / "HKU-IS/val", "Other"))
    # a folder of the subset's name would be read in its place
    (data / "HKU-IS/test").mkdir()
    assert_selected_again(find_dataset("HKU-IS/test", data))


def test_samples_chosen_in_python_have_no_source(tmp_path: Path) -> None:
    pairs(tmp_path, "SOD/Imgs", "SOD/GT")
    chosen = find_dataset("SOD", tmp_path).select(["a"], "mine")
    assert chosen.source == () and chosen.select_first(1).source == ()


def test_a_dataset_can_be_named_on_the_command_line(
    hku: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--dataset-name", "Mine", "--format", "json", "--limit", "3"]
    assert main(["eval", str(hku / "maps"), str(hku / "HKU-IS/val"), *options]) == 0
    (result,) = json.loads(capsys.readouterr().out)["results"]
    assert result["dataset"] == "Mine/val/first3"
    options[1] = ""
    with pytest.raises(SystemExit, match="2"):
        main(["eval", str(hku / "maps"), str(hku / "HKU-IS/val"), *options])
    assert "argument --dataset-name: is empty" in capsys.readouterr().err
    for name in ("..", "a/b", "a\\b", "a\nb", "x" * 300):
        options[1] = name
        assert main(["eval", str(hku / "maps"), str(hku / "HKU-IS/val"), *options]) == 2
        assert "--dataset-name = " in capsys.readouterr().err
    pairs(hku, "several/SOD/Imgs", "several/SOD/GT")
    pairs(hku, "several/Own/Imgs", "several/Own/GT")
    options[1] = "Mine"
    assert main(["eval", str(hku / "maps"), str(hku / "several"), *options]) == 2
    assert "it names one dataset" in capsys.readouterr().err


@pytest.mark.parametrize(
    "name", ["HKU-IS/test", " ", "", ".", "..", r"a\\b", r"a\nb", r"\u001b[2J", "x" * 300]
)
def test_names_that_no_dataset_can_have_are_refused_where_the_toml_is_read(
    name: str, tmp_path: Path
) -> None:
    pairs(tmp_path, "photos", "drawn")
    (tmp_path / "mine.toml").write_text(f'name = "{name}"\nimages = "photos"\n')
    with pytest.raises(SodbenchError, match=r"mine\.toml: name = '") as caught:
        find_dataset(tmp_path / "mine.toml")
    assert str(caught.value).isprintable()


def test_duts_holds_both_sets(tmp_path: Path) -> None:
    for part in ("TR", "TE"):
        pairs(
            tmp_path,
            f"DUTS/DUTS-{part}/DUTS-{part}-Image",
            f"DUTS/DUTS-{part}/DUTS-{part}-Mask",
            [part],
        )
    assert [s.stem for s in find_dataset("DUTS-TR", tmp_path).samples] == ["TR"]
    assert [s.stem for s in find_dataset("DUTS", tmp_path).samples] == ["TE"]


def test_data_root_may_be_the_set_itself(tmp_path: Path) -> None:
    pairs(tmp_path, "SOD/Imgs", "SOD/GT")
    assert len(find_dataset("SOD", tmp_path / "SOD")) == 2
    assert find_dataset(tmp_path / "SOD").name == "SOD"


def test_test_list_decides_what_belongs(tmp_path: Path) -> None:
    pairs(tmp_path, "SOD/Imgs", "SOD/GT", ["a", "b", "c.d"])
    (tmp_path / "SOD/test.lst").write_text("a.jpg\n\nc.d.jpg\nz.jpg\n")
    dataset = find_dataset("SOD", tmp_path)
    assert [sample.stem for sample in dataset.samples] == ["a", "c.d"]
    assert dataset.excluded == {"b"}
    assert "test.lst" in dataset.layout
    assert [(p.kind, p.file) for p in dataset.problems] == [("missing", "z"), ("extra", "b")]
    assert any("1 other items on disk are left out" in note for note in dataset.notes)


def test_masks_in_their_folder_win_over_masks_next_to_the_images(tmp_path: Path) -> None:
    pairs(tmp_path, "SOD/Imgs", "SOD/gt")
    touch(tmp_path / "SOD/Imgs", ["a.png", "b.png"])
    dataset = find_dataset("SOD", tmp_path)
    assert dataset.masks["a"] == tmp_path / "SOD/gt/a.png"
    assert dataset.images["a"] == tmp_path / "SOD/Imgs/a.jpg"
    assert any("2 masks next to the images" in note for note in dataset.notes)


def test_training_list(tmp_path: Path) -> None:
    pairs(tmp_path, "DUTS-TR/DUTS-TR-Image", "DUTS-TR/DUTS-TR-Mask", ["a", "b", "c"])
    (tmp_path / "DUTS-TR/train_pair.lst").write_text(
        "DUTS-TR-Image/b.jpg DUTS-TR-Mask/b.png DUTS-TR-Edge/b.png\n"
        "DUTS-TR-Image/a.jpg DUTS-TR-Mask/a.png\n"
        "DUTS-TR-Image/z.jpg DUTS-TR-Mask/c.png\n"
    )
    dataset = find_dataset("DUTS-TR", tmp_path)
    assert dataset.layout == "train_pair.lst"
    assert [sample.stem for sample in dataset.samples] == ["a", "b", "z"]
    assert dataset.masks["b"] == tmp_path / "DUTS-TR/DUTS-TR-Mask/b.png"
    assert [p.kind for p in dataset.problems] == ["missing"]
    with pytest.raises(SodbenchError, match="line 1"):
        (tmp_path / "bad.lst").write_text("only-one-column.jpg\n")
        dataset_from_list(tmp_path / "bad.lst")


def test_incomplete_items_are_problems(tmp_path: Path) -> None:
    pairs(tmp_path, "SOD/Imgs", "SOD/GT", ["a", "b"])
    touch(tmp_path / "SOD/Imgs", ["c.jpg", "a.jpeg"])
    touch(tmp_path / "SOD/GT", ["d.png"])
    dataset = find_dataset("SOD", tmp_path)
    assert sorted((p.kind, Path(p.file).name) for p in dataset.problems) == [
        ("ambiguous", "a.jpeg"),
        ("no-image", "d.png"),
        ("no-mask", "c.jpg"),
    ]


def test_images_only_and_masks_only(tmp_path: Path) -> None:
    touch(tmp_path / "SOD/Imgs", ["a.jpg"])
    assert find_dataset("SOD", tmp_path).masks == {}
    touch(tmp_path / "other/ECSSD/GT", ["a.png"])
    assert find_dataset("ECSSD", tmp_path / "other").images == {}


def test_not_found_lists_what_was_looked_for(tmp_path: Path) -> None:
    (tmp_path / "PASCALS" / "stuff").mkdir(parents=True)
    with pytest.raises(DatasetNotFound) as caught:
        find_dataset("PASCAL-S", tmp_path)
    message = str(caught.value)
    for part in (
        str(tmp_path),
        "PASCALS",
        "stuff",
        "train_pair.lst",
        "run --sample",
        "sodbench data",
    ):
        assert part in message
    with pytest.raises(DatasetNotFound, match="does not exist"):
        find_dataset("SOD", tmp_path / "nowhere")


def test_two_places_are_refused(tmp_path: Path) -> None:
    pairs(tmp_path, "PASCALS/Imgs", "PASCALS/GT")
    pairs(tmp_path, "PASCAL-S/images", "PASCAL-S/masks")
    with pytest.raises(SodbenchError, match="several places"):
        find_dataset("PASCAL-S", tmp_path)
    touch(tmp_path / "SOD/Imgs", ["a.jpg"])
    touch(tmp_path / "SOD/images", ["a.jpg"])
    with pytest.raises(SodbenchError, match="several image folders"):
        find_dataset("SOD", tmp_path)


# ------------------------------------------------------------------------------------------ subsets


def test_named_subset(tmp_path: Path) -> None:
    test = sorted(official_names("HKU-IS/test"))
    pairs(tmp_path, "HKU-IS/imgs", "HKU-IS/gt", [*test, "9999x"], ext=".png")
    subset = find_dataset("HKUIS/test", tmp_path)
    assert (subset.name, len(subset), subset.expected) == ("HKU-IS/test", 1447, 1447)
    assert subset.excluded == {"9999x"}
    assert not subset.problems
    for path in (tmp_path / "HKU-IS/test", "HKU-IS/TEST"):
        (found,) = find_masks(path, data_root=tmp_path)
        assert (found.name, len(found.masks), found.excluded) == ("HKU-IS/test", 1447, {"9999x"})
    assert find_dataset(tmp_path / "HKU-IS/test").samples == subset.samples
    with pytest.raises(DatasetNotFound, match="no such folder"):
        find_masks(tmp_path / "HKU-IS/tset")
    (tmp_path / "HKU-IS/imgs/9999x.png").unlink()
    (tmp_path / "HKU-IS/gt/9999x.png").unlink()
    assert any("exactly HKU-IS/test" in note for note in find_dataset("HKU-IS", tmp_path).notes)
    (tmp_path / f"HKU-IS/imgs/{test[0]}.png").unlink()
    (tmp_path / f"HKU-IS/gt/{test[0]}.png").unlink()
    lacking = find_dataset("HKU-IS/test", tmp_path)
    assert [(p.kind, p.file) for p in lacking.problems] == [("missing", test[0])]
    assert lacking.expected == 1447 and len(lacking) == 1446


def test_limit_and_list(tmp_path: Path) -> None:
    pairs(tmp_path, "SOD/Imgs", "SOD/GT", ["a", "b", "c"])
    whole = find_dataset("SOD", tmp_path)
    assert [s.stem for s in whole.select_first(2).samples] == ["a", "b"]
    assert whole.select_first(2).name == "SOD/first2"
    assert whole.select_first(3) is whole
    (tmp_path / "mine.txt").write_text("c.jpg\nfolder/a.png\n")
    (tmp_path / "same.txt").write_text("a\nc\n")
    mine = whole.select_listed(tmp_path / "mine.txt")
    assert [s.stem for s in mine.samples] == ["a", "c"]
    assert mine.name == whole.select_listed(tmp_path / "same.txt").name != whole.name
    (tmp_path / "wrong.txt").write_text("a\nq\n")
    assert [p.file for p in whole.select_listed(tmp_path / "wrong.txt").problems] == ["q"]
    (tmp_path / "other.txt").write_text("q\nr\n")
    with pytest.raises(SodbenchError, match=r"other.txt: none of its 2 names is an item of SOD"):
        whole.select_listed(tmp_path / "other.txt")


@pytest.mark.parametrize(
    ("options", "dataset", "n"),
    [
        ([], "HKU-IS/val", 500),
        (["--limit", "3"], "HKU-IS/val/first3", 3),
        (["--items", "mine.txt"], "HKU-IS/val/list-b522b7fe", 2),
    ],
)
def test_the_subset_is_part_of_the_signature(
    options: list[str],
    dataset: str,
    n: int,
    hku: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(hku)
    two = "\n".join(sorted(official_names("HKU-IS/val"))[7:9])
    assert hashlib.sha256(two.encode()).hexdigest().startswith("b522b7fe")
    Path("mine.txt").write_text(two)
    assert main(["eval", "maps", "HKU-IS/val", "--format", "json", *options]) == 0
    (result,) = json.loads(capsys.readouterr().out)["results"]
    assert (result["dataset"], result["n"]) == (dataset, n)
    assert f"|subset:{dataset.partition('/')[2]}|n:{n}|" in result["signature"]


def test_item_of_a_subset_without_mask_is_refused(
    hku: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (hku / "mine.txt").write_text("nobody.png\n")
    run = ["eval", str(hku / "maps"), str(hku / "HKU-IS/val"), "--items", str(hku / "mine.txt")]
    assert main(run) == 2
    assert "nobody" in capsys.readouterr().err


@pytest.mark.parametrize("find", [find_dataset, find_masks])
def test_a_path_that_is_no_subset_lists_the_subsets(hku: Path, find: Any) -> None:
    with pytest.raises(DatasetNotFound, match=r"no named subset of HKU-IS \(these are: train, "):
        find(hku / "HKU-IS/tset")


def test_subset_without_any_item_lists_what_is_missing(hku: Path) -> None:
    for empty in (find_dataset(hku / "HKU-IS/test"), *find_masks(hku / "HKU-IS/test")):
        assert (empty.name, len(empty)) == ("HKU-IS/test", 0)
        assert len(empty.problems) == empty.expected == len(official_names("HKU-IS/test"))


@pytest.fixture(scope="module")
def hku(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The validation split of HKU-IS with one tiny image for all, and maps of it."""
    root = tmp_path_factory.mktemp("hku")
    mask = np.zeros((8, 8), np.uint8)
    mask[2:5, 2:5] = 255
    Image.fromarray(mask).save(root / "one.png")
    content = (root / "one.png").read_bytes()
    for folder in ("maps", "HKU-IS/imgs", "HKU-IS/gt"):
        (root / folder).mkdir(parents=True)
        for stem in official_names("HKU-IS/val"):
            (root / folder / f"{stem}.png").write_bytes(content)
    return root


# --------------------------------------------------------------------------------------- your own


def test_own_folder_and_toml(tmp_path: Path) -> None:
    pairs(tmp_path, "data/MySet/images", "data/MySet/masks")
    for name in (tmp_path / "data/MySet", "MySet"):
        own = find_dataset(name, tmp_path / "data")
        assert (own.name, len(own), own.expected) == ("MySet", 2, None)
    pairs(tmp_path, "photos", "drawn", ["x", "y"])
    (tmp_path / "mine.toml").write_text('name = "Mine"\nimages = "photos"\nmasks = "drawn"\n')
    mine = find_dataset(tmp_path / "mine.toml")
    assert (mine.name, len(mine), mine.layout) == ("Mine", 2, "photos + drawn")
    assert find_masks(tmp_path / "mine.toml")[0].masks == mine.masks
    (tmp_path / "mine.toml").write_text('nam = "Mine"\nimages = "photos"\n')
    with pytest.raises(SodbenchError, match="expected"):
        find_dataset(tmp_path / "mine.toml")
    (tmp_path / "mine.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(SodbenchError, match="cannot be read as TOML"):
        find_dataset(tmp_path / "mine.toml")
    with pytest.raises(DatasetNotFound, match="no such file"):
        find_dataset(tmp_path / "gone.toml")
    with pytest.raises(SodbenchError, match="unknown dataset"):
        find_dataset("Gone", tmp_path / "data")


def test_the_list_of_a_toml_file_is_a_choice(tmp_path: Path) -> None:
    pairs(tmp_path, "photos", "drawn", ["x", "y", "z"])
    (tmp_path / "mine.toml").write_text('images = "photos"\nmasks = "drawn"\nlist = "mine.lst"\n')
    (tmp_path / "mine.lst").write_text("x.jpg\nw.jpg\n")
    mine = find_dataset(tmp_path / "mine.toml")
    assert list(mine.masks) == ["x"] and mine.excluded == {"y", "z"}
    assert [(p.kind, p.file) for p in mine.problems] == [("missing", "w")]


def test_a_listed_name_with_a_space_never_selects_another_item(tmp_path: Path) -> None:
    pairs(tmp_path, "data/Cats/Imgs", "data/Cats/GT", ["cat", "cat 2", "dog"])
    (tmp_path / "cats.toml").write_text('masks = "data/Cats/GT"\nlist = "cats.lst"\n')
    own_list, toml_list = tmp_path / "data/Cats/test.lst", tmp_path / "cats.lst"
    dataset = find_dataset(tmp_path / "data/Cats")
    for line, stem in (('"cat 2.png"', "cat 2"), ("cat 2.png", ""), ("dog.png", "dog")):
        toml_list.write_text(f"{line}\n")
        own_list.write_text(f"{line}\n")
        ways = (
            lambda: dataset.select_listed(toml_list),
            lambda: find_masks(tmp_path / "cats.toml")[0],
            lambda: find_masks(tmp_path / "data/Cats")[0],
        )
        for find in ways:
            if stem:
                assert [sample.stem for sample in find().samples] == [stem]
            else:
                with pytest.raises(
                    SodbenchError, match=r"cats.lst|test.lst, line 1: 'cat 2.png' is"
                ):
                    find()


def test_every_way_to_give_a_list_names_the_subset_alike(tmp_path: Path) -> None:
    pairs(tmp_path, "data/Mine/Imgs", "data/Mine/GT", ["x", "y", "z"])
    (tmp_path / "two.lst").write_text("x.jpg\nz.jpg\n")
    (tmp_path / "other.lst").write_text("x.jpg\ny.jpg\n")
    toml = 'name = "Mine"\nimages = "data/Mine/Imgs"\nmasks = "data/Mine/GT"\nlist = "{}"\n'
    for file in ("two", "other"):
        (tmp_path / f"{file}.toml").write_text(toml.format(f"{file}.lst"))
    by_option = find_dataset(tmp_path / "data/Mine").select_listed(tmp_path / "two.lst")
    assert by_option.name.startswith("Mine/list-")
    assert find_dataset(tmp_path / "two.toml").name == by_option.name
    assert find_dataset(tmp_path / "other.toml").name != by_option.name
    (tmp_path / "data/Mine/test.lst").write_text("z\nx\n")
    (own,) = find_masks(tmp_path / "data/Mine")
    assert (own.name, own.excluded, list(own.masks)) == (by_option.name, {"y"}, ["x", "z"])
    (tmp_path / "data/Mine/test.lst").write_text("x\ny\nz\n")  # all there is: no subset
    assert find_masks(tmp_path / "data/Mine")[0].name == "Mine"


def test_a_list_of_pairs_that_leaves_out_items_is_a_subset(tmp_path: Path) -> None:
    pairs(tmp_path, "Mine/Imgs", "Mine/GT", ["x", "y", "z"])
    names = {}
    for stems in ("xyz", "xy", "xz"):
        lines = [f"Imgs/{stem}.jpg GT/{stem}.png" for stem in stems]
        (tmp_path / "Mine/train_pair.lst").write_text("\n".join(lines))
        (found,) = find_masks(tmp_path / "Mine")
        assert found.layout == "train_pair.lst" and "".join(found.masks) == stems
        assert_selected_again(found)
        names[stems] = found.name
    assert names["xyz"] == "Mine" and len(set(names.values())) == 3
    (tmp_path / "xy.lst").write_text("x\ny\n")
    assert names["xy"] == find_dataset(tmp_path / "Mine").select_listed(tmp_path / "xy.lst").name


def test_the_own_list_of_a_known_set_may_be_an_official_subset(tmp_path: Path) -> None:
    names = sorted(official_names("HKU-IS"))
    pairs(tmp_path, "HKU-IS/imgs", "HKU-IS/gt", [*names, "more"], ext=".png")
    own_list = tmp_path / "HKU-IS/test.lst"
    own_list.write_text("\n".join(official_names("HKU-IS/test")))
    for name in ("HKU-IS", "HKU-IS/test"):
        (found,) = find_masks(tmp_path / name)
        assert (found.name, len(found)) == ("HKU-IS/test", 1447)
        assert_selected_again(found)
    own_list.write_text("\n".join(names))
    assert find_masks(tmp_path / "HKU-IS")[0].name == "HKU-IS"
    own_list.write_text("\n".join(names[:9]))
    assert find_masks(tmp_path / "HKU-IS")[0].name.startswith("HKU-IS/list-")


def test_sets_named_twice_and_namesakes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pairs(tmp_path, "data/MySet/images", "data/MySet/masks")
    pairs(tmp_path, "old/MySet/images", "old/MySet/masks")
    mine, again, other = (
        find_dataset(name, tmp_path / "data")
        for name in ("MySet", tmp_path / "data/MySet", tmp_path / "old/MySet")
    )
    assert deduplicate([mine, again]) == [mine]
    assert "MySet is named several times" in capsys.readouterr().err
    assert deduplicate([mine, other]) == [mine, other] and not capsys.readouterr().err
    check_unique_names([mine])
    with pytest.raises(SodbenchError, match=r"two datasets are called MySet.*old/MySet"):
        check_unique_names([mine, other])


def test_mask_suffix_of_own_set_is_recognised(tmp_path: Path) -> None:
    touch(tmp_path / "images", ["a_1.jpg", "b.jpg"])
    touch(tmp_path / "masks", ["a_1_mask.png", "b_mask.png"])
    own = dataset_from_folders(tmp_path / "images", tmp_path / "masks", name="own")
    assert own.masks.keys() == {"a_1", "b"} and not own.problems
    assert any("_mask" in note for note in own.notes)


def test_empty_folder_is_refused(tmp_path: Path) -> None:
    touch(tmp_path / "images", ["notes.txt"])
    with pytest.raises(SodbenchError, match="holds no images"):
        dataset_from_folders(tmp_path / "images", None)
    with pytest.raises(SodbenchError, match="not a readable folder"):
        dataset_from_folders(None, tmp_path / "gone")


# ------------------------------------------------------------------------------------- find_masks


def test_masks_of_one_folder_or_of_many(tmp_path: Path) -> None:
    pairs(tmp_path, "data/SOD/Imgs", "data/SOD/GT", ["a"])
    pairs(tmp_path, "data/Own/images", "data/Own/masks", ["b"])
    touch(tmp_path / "data/ECSSD", ["c.png"])
    touch(tmp_path / "data/notes", ["readme.txt"])
    found = find_masks(tmp_path / "data")
    assert [(d.name, list(d.masks)) for d in found] == [
        ("ECSSD", ["c"]),
        ("SOD", ["a"]),
        ("Own", ["b"]),
    ]
    (alone,) = find_masks(tmp_path / "data/SOD/GT")
    assert (alone.name, alone.expected, list(alone.masks)) == ("SOD", 300, ["a"])
    assert find_masks(tmp_path / "data/Own/masks", name="x")[0].name == "x"
    with pytest.raises(DatasetNotFound, match="no masks found"):
        find_masks(tmp_path / "data/notes")


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("x/SOD/GT", "SOD"),
        ("preds/DSS/pascals", "PASCAL-S"),
        ("DUTS/DUTS-TE-Mask", "DUTS-TE"),
        ("PASCAL-S/datasets/masks/pascal", "PASCAL-S"),
        ("MySet/ground_truth", "MySet"),
        ("SOD-project/MySet", "MySet"),
    ],
)
def test_names_read_off_paths(path: str, name: str, tmp_path: Path) -> None:
    assert infer_dataset_name(tmp_path / path) == name


def test_list_images_ignores_strays_and_keeps_case(tmp_path: Path) -> None:
    touch(tmp_path, ["b.PNG", "a.x.png", "._b.png", ".DS_Store", "Thumbs.db", "c.txt"])
    assert [path.name for path in list_images(tmp_path)] == ["a.x.png", "b.PNG"]
