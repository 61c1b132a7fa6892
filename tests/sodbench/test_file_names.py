"""Names, folders and numbers of files as texts: what `pathlib` and `os.stat` say, in less time."""

import os
from pathlib import Path

import numpy as np
import pytest

from sodbench.datasets import find_masks
from sodbench.datasets.pairing import pair_files
from sodbench.folders import (
    count_files,
    list_file_numbers,
    list_folders,
    list_names,
    list_paths,
    listing_once,
    name_stem,
    scan,
    split_path,
)
from sodbench.images import write_grey
from sodbench.runners.evaluation.plan import plan_evaluation
from sodbench.runners.evaluation.task import find_same_files


@pytest.mark.parametrize(
    "text", ["a.png", "x/a.b.png", "./x/a", "/a.png", "/x/y/.png", "x/ä ö.PNG"]
)
def test_folder_name_and_stem_are_those_of_the_path(text):
    path = Path(text)
    folder, name = split_path(path)
    assert (Path(folder), name) == (path.parent, path.name)
    assert name_stem(name) == path.stem


def test_paths_are_in_the_order_of_their_names(tmp_path):
    names = ["b.png", "a.png", "a b.png", "A.png", "a-1.png", "é.png"]
    for name in names:
        (tmp_path / name).touch()
    assert [path.name for path in list_paths(tmp_path)] == sorted(names)


def test_two_names_of_one_file_have_one_number(tmp_path):
    for name in ("a.png", "c.png"):
        (tmp_path / name).touch()
    os.link(tmp_path / "a.png", tmp_path / "b.png")
    a, b, c = ((tmp_path / f"{name}.png").stat().st_ino for name in "abc")
    assert a == b != c and list_file_numbers(str(tmp_path)) == {a, c}


def test_a_folder_with_links_or_none_has_no_numbers(tmp_path):
    assert list_file_numbers(str(tmp_path / "missing")) is None
    (tmp_path / "d.png").symlink_to(tmp_path / "a.png")
    assert list_file_numbers(str(tmp_path)) is None


@pytest.mark.parametrize("how", ["hard link", "symbolic link", "linked folder"])
def test_a_map_that_is_its_own_mask_is_found_whatever_the_link(tmp_path, how):
    masks, maps = tmp_path / "masks", tmp_path / "maps"
    masks.mkdir()
    for name in ("a.png", "b.png"):
        (masks / name).touch()
    if how == "linked folder":
        maps.symlink_to(masks)
    else:
        maps.mkdir()
        (maps / "b.png").touch()
        link = os.link if how == "hard link" else os.symlink
        link(masks / "a.png", maps / "a.png")
    pairing = pair_files(list_paths(masks), list_paths(maps))
    problems = find_same_files(pairing, [str(maps)], [str(masks)])
    expected = ["a.png", "b.png"] if how == "linked folder" else ["a.png"]
    assert [Path(problem.file).name for problem in problems] == expected


def test_a_folder_is_read_once_where_that_is_asked_for(tmp_path):
    (tmp_path / "a.png").touch()
    (tmp_path / "below").mkdir()
    with listing_once():
        assert sorted(list_names(tmp_path)) == ["a.png", "below"]
        (tmp_path / "b.png").touch()
        with listing_once():
            assert sorted(list_names(tmp_path)) == ["a.png", "below"]
            assert list_folders(tmp_path) == [tmp_path / "below"]
        # the end of the inner one does not forget what was read
        assert [entry.name for entry in scan(tmp_path)] == ["a.png", "below"]
    assert sorted(list_names(tmp_path)) == ["a.png", "b.png", "below"]


def test_planning_reads_each_folder_no_more_than_twice(tmp_path, monkeypatch):
    maps, masks = tmp_path / "maps", tmp_path / "masks"
    for folder in (maps, masks):
        write_grey(folder / "1.png", np.zeros((2, 2), np.uint8))
    listed = []

    def recorded(read):
        def read_and_record(folder="."):
            listed.append(str(folder))
            return read(folder)

        return read_and_record

    monkeypatch.setattr(os, "scandir", recorded(os.scandir))
    monkeypatch.setattr(os, "listdir", recorded(os.listdir))
    with listing_once():
        plan = plan_evaluation(maps, find_masks(masks))
    assert len(plan.tasks[0].stems) == 1
    # once for its entries, and once by pathlib
    assert {str(folder): listed.count(str(folder)) for folder in (maps, masks)} == {
        str(maps): 2,
        str(masks): 2,
    }


def test_files_are_counted_until_there_are_enough(tmp_path):
    for name in ("a/1", "a/2", "b/c/3", "b/c/4"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    assert count_files(tmp_path, 100) == 4
    assert count_files(tmp_path, 1) == 2
    assert count_files(tmp_path / "missing", 100) == 0
