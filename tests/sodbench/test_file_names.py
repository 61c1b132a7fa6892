"""Names, folders and numbers of files as texts: what `pathlib` and `os.stat` say, in less time."""

import os
from pathlib import Path

import pytest

from sodbench.datasets.pairing import pair_files
from sodbench.folders import list_file_numbers, list_paths, name_stem, split_path
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
