"""``sodbench agree``: how far methods agree, without ground truth."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from synthetic import save_image

from sodbench.cli import main
from sodbench.metrics.agreement import compare_maps


def left(columns: int, height: int = 8, width: int = 10) -> np.ndarray:
    """A map whose first columns are white."""
    pixels = np.zeros((height, width), np.uint8)
    pixels[:, :columns] = 255
    return pixels


@pytest.fixture
def maps(tmp_path: Path) -> Path:
    for method, columns in (("a", (5, 5)), ("b", (5, 2)), ("c", (4, 8))):
        for stem, number in zip(("x", "y"), columns, strict=True):
            save_image(tmp_path / "maps" / method / f"{stem}.png", left(number))
    return tmp_path / "maps"


def agree(capsys: pytest.CaptureFixture[str], *arguments: object, status: int = 0) -> dict:
    assert main(["agree", *map(str, arguments), "--format", "json"]) == status
    return json.loads(capsys.readouterr().out)


def test_known_values(maps, capsys):
    result = agree(capsys, maps)
    assert result["methods"] == ["a", "b", "c"] and result["n"] == 2
    # x: 5, 5 and 4 of 10 columns; y: 5, 2 and 8
    expected_iou = {
        (0, 1): (1 + 2 / 5) / 2,
        (0, 2): (4 / 5 + 5 / 8) / 2,
        (1, 2): (4 / 5 + 2 / 8) / 2,
    }
    expected_mae = {(0, 1): 0.15, (0, 2): 0.2, (1, 2): 0.35}
    for (i, j), value in expected_iou.items():
        assert result["iou"][i][j] == result["iou"][j][i] == pytest.approx(value)
        assert result["mae"][i][j] == result["mae"][j][i] == pytest.approx(expected_mae[i, j])
    assert [image["stem"] for image in result["images"]] == ["y", "x"]
    assert result["images"][0]["mae"] == pytest.approx((0.3 + 0.3 + 0.6) / 3)


def test_two_empty_maps_agree():
    mae, iou = compare_maps([left(0), left(0), left(3)])
    assert (mae[0, 1], iou[0, 1]) == (0, 1) and iou[0, 2] == 0


def test_folders_of_methods_with_suffixes_and_subsets_of_images(maps, tmp_path, capsys):
    for path in list((maps / "c").iterdir()):
        path.rename(path.with_stem(f"{path.stem}_net"))
    save_image(tmp_path / "photos/y.jpg", np.zeros((8, 10, 3), np.uint8))
    result = agree(capsys, maps / "a", maps / "b", maps / "c", "--images", tmp_path / "photos")
    assert result["n"] == 1 and result["images"][0]["stem"] == "y"


def test_a_missing_map_leaves_its_image_out_and_is_reported(maps, capsys):
    (maps / "b/x.png").unlink()
    assert main(["agree", str(maps)]) == 1
    streams = capsys.readouterr()
    assert "x: b has no map of this image; it is not compared" in streams.err
    assert main(["agree", str(maps), "--exit-zero"]) == 0


def test_two_maps_of_one_name_are_reported_and_not_compared(maps, capsys):
    save_image(maps / "b/x.jpg", left(1))
    assert main(["agree", str(maps), "--format", "json"]) == 1
    printed = capsys.readouterr()
    assert json.loads(printed.out)["n"] == 1
    assert "ambiguous" in printed.err and "x: b has x.jpg and x.png" in printed.err


def test_trees_of_datasets_are_not_taken_for_methods(maps, tmp_path, capsys):
    save_image(tmp_path / "other/a/x.png", left(3))
    assert main(["agree", str(maps), str(tmp_path / "other")]) == 2
    assert "hold a, as trees of datasets do" in capsys.readouterr().err
    assert agree(capsys, maps, tmp_path / "other/a", status=1)["n"] == 1


def test_an_unreadable_map_is_reported(maps, capsys):
    (maps / "b/x.png").write_text("junk")
    assert main(["agree", str(maps)]) == 1
    assert f"{maps}/b/x.png: not an image" in capsys.readouterr().err


def test_maps_of_several_sizes_are_resized(maps, capsys):
    save_image(maps / "b/x.png", left(10, 16, 20))
    assert main(["agree", str(maps), "--jobs", "1"]) == 1
    assert "several sizes (10x8, 20x16), resized to the largest" in capsys.readouterr().err


def test_cutouts_are_compared_by_their_alpha(maps, capsys):
    grey = agree(capsys, maps)
    for path in maps.rglob("*.png"):
        columns = {"a": (5, 5), "b": (5, 2), "c": (4, 8)}[path.parent.name][path.stem == "y"]
        rgba = np.dstack([np.full((8, 10, 3), 70, np.uint8), left(columns)])
        save_image(path, rgba)
    assert agree(capsys, maps, "--channel", "alpha") == grey


def test_tables(maps, capsys):
    assert main(["agree", str(maps), "--show", "1"]) == 0
    text = capsys.readouterr().out
    assert "IoU" in text and "MAE" in text and "most disputed" in text
    assert "\ny " in text and "\nx " not in text
    assert main(["agree", str(maps), "--format", "markdown"]) == 0
    assert "| IoU" in capsys.readouterr().out
    assert main(["agree", str(maps), "--format", "csv"]) == 0
    rows = list(csv.DictReader(capsys.readouterr().out.splitlines()))
    assert [(row["first"], row["second"]) for row in rows] == [("a", "b"), ("a", "c"), ("b", "c")]
    assert float(rows[0]["mae"]) == pytest.approx(0.15)


def test_folders_of_the_same_name_are_told_apart_by_what_differs(maps, tmp_path, capsys):
    for place in ("one/SOD", "two/SOD"):
        save_image(tmp_path / place / "x.png", left(5))
    same_dataset = agree(capsys, tmp_path / "one/SOD", tmp_path / "two/SOD")
    assert same_dataset["methods"] == ["one", "two"], "no path of this machine"
    mixed = agree(capsys, tmp_path / "one/SOD", tmp_path / "two/SOD", maps / "a", status=1)
    assert mixed["methods"] == ["one/SOD", "two/SOD", "a"]


def test_the_page_shows_the_most_disputed_images(maps, tmp_path, capsys):
    save_image(tmp_path / "photos/x.png", np.zeros((8, 10, 3), np.uint8))
    save_image(tmp_path / "photos/y.png", np.zeros((8, 10, 3), np.uint8))
    page = tmp_path / "page.html"
    command = ["agree", str(maps), "--images", str(tmp_path / "photos"), "-o", str(page)]
    assert main([*command, "--show", "1"]) == 0
    text = page.read_text()
    assert text.count("<figure>") == 1 and text.count("data:image/webp") == 4
    assert "y: mean MAE 0.4000" in text and "Agreement is not accuracy" in text
    assert main(command) == 0  # sodbench's own page is replaced
    page.write_text("mine")
    assert main(command) == 2
    assert "was not written by sodbench" in capsys.readouterr().err
    assert page.read_text() == "mine"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["maps/a"], "a single method; agreement needs the maps of two or more"),
        (["maps/a", "maps/a"], "a single method"),
        (["maps/a", "empty"], "no maps in it; give a folder of maps for each method"),
        (["maps/a", "nowhere"], "nowhere"),
        (["maps/a", "other"], "no image has a map of every method"),
        (["maps", "-o", "page.txt"], "its name must end in .html"),
        (["maps", "-o", "maps/a/page.html"], "maps/a"),
    ],
)
def test_what_cannot_be_compared_is_refused(
    arguments, message, maps, tmp_path, capsys, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    save_image(tmp_path / "other/z.png", left(1))
    assert main(["agree", *arguments]) == 2
    assert message in capsys.readouterr().err
