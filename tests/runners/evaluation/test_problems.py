"""Files with problems: refused, reported, or treated as the policy says."""

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from evaluations import kinds, run
from PIL import Image
from synthetic import draw_pair, save_image

from sodbench.errors import ProblemsError
from sodbench.runners.evaluation.evaluate import evaluate


def test_all_problems_are_shown_together_and_nothing_is_scored(folders, capsys):
    (folders / "maps/img03.png").unlink()
    shutil.copy(folders / "maps/img04.png", folders / "maps/img04.jpg.png")
    Image.open(folders / "maps/img05.png").save(folders / "maps/img05.jpg")
    whole = (folders / "maps/img06.png").read_bytes()
    (folders / "maps/img06.png").write_bytes(whole[:-20])
    (folders / "gt/img00.png").write_bytes(b"")
    save_image(folders / "maps/img01.png", draw_pair(1, 9, 8)[0])
    assert run(folders, "-o", str(folders / "out")) == 2
    message = capsys.readouterr().err
    assert "unreadable (1)" in message and "img06.png: this PNG is cut short" in message
    assert "unreadable-mask (1)" in message and "img00.png: the file is empty" in message
    assert "size (" not in message  # it would be resized
    assert run(folders, "-o", str(folders / "out"), "--resize", "error", "--missing", "skip") == 2
    refused = capsys.readouterr().err
    assert "size (1)" in refused and "img01.png: 8x9, but its mask is 40x30" in refused
    assert "unreadable (" not in refused and "missing (" not in refused  # they would be skipped
    assert "missing (1)" in message and "img03" in message
    assert "ambiguous (1)" in message and "img05" in message
    assert "--missing skip" in message
    assert not list((folders / "out").rglob("result.json"))


def test_missing_maps_may_be_skipped_or_scored_as_black(folders):
    (folders / "maps/img03.png").unlink()
    with pytest.raises(ProblemsError) as error:
        evaluate(folders / "maps", folders / "gt")
    assert kinds(error) == ["missing"]
    skipped = evaluate(folders / "maps", folders / "gt", missing="skip")
    assert skipped.n == 7 and "missing:skip(1)" in str(skipped.signature)
    zero = evaluate(folders / "maps", folders / "gt", missing="zero")
    assert zero.n == 8 and "missing:zero(1)" in str(zero.signature)
    assert zero.table.loc["img03", "mae"] == pytest.approx(draw_pair(3)[1].mean() / 255)
    assert [p.kind for p in zero.problems] == ["missing"]


def test_extra_maps_are_reported(folders, capsys):
    save_image(folders / "maps/other.png", draw_pair(99)[0])
    assert run(folders, "--format", "json") == 1
    (problem,) = json.loads(capsys.readouterr().out)["problems"]
    assert problem["kind"] == "extra" and problem["file"].endswith("other.png")


def test_maps_of_another_size_are_resized_and_reported_or_refused(folders):
    save_image(folders / "maps/img02.png", draw_pair(2, 15, 20)[0])
    result = evaluate(folders / "maps", folders / "gt")
    assert "resize:bilinear(1)" in str(result.signature)
    (problem,) = result.problems
    assert problem.kind == "size" and "20x15" in problem.detail and "40x30" in problem.detail
    with pytest.raises(ProblemsError) as error:
        evaluate(folders / "maps", folders / "gt", resize="error")
    assert kinds(error) == ["size"]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", "empty (0 bytes)"),
        (b"a text file\n", "text"),
        (None, "IDAT"),
    ],
)
def test_unreadable_maps_are_named_and_the_rest_is_kept(folders, capsys, content, expected):
    broken = folders / "maps/img06.png"
    whole = broken.read_bytes()
    broken.write_bytes(whole[: len(whole) // 2] if content is None else content)
    assert run(folders, "-o", str(folders / "out")) == 2
    message = capsys.readouterr().err
    assert "img06.png" in message and expected in message and "--missing skip" in message
    assert run(folders, "-o", str(folders / "out"), "--missing", "skip", "--format", "json") == 1
    printed = json.loads(capsys.readouterr().out)
    assert (
        printed["results"][0]["n"] == 7 and "missing:skip(1)" in printed["results"][0]["signature"]
    )
    broken.write_bytes(whole)
    assert run(folders, "-o", str(folders / "out")) == 0


def test_an_unreadable_mask_is_never_skipped(folders):
    (folders / "gt/img01.png").write_bytes(b"GIF89a")
    with pytest.raises(ProblemsError) as error:
        evaluate(folders / "maps", folders / "gt", missing="skip")
    assert kinds(error) == ["unreadable-mask"]


def test_unreadable_maps_can_be_scored_as_black(folders):
    (folders / "maps/img03.png").unlink()
    (folders / "maps/img06.png").write_bytes(b"junk")
    result = evaluate(folders / "maps", folders / "gt", missing="zero")
    assert result.n == 8 and "missing:zero(2)" in str(result.signature)
    assert result.table.loc["img06", "mae"] == pytest.approx(draw_pair(6)[1].mean() / 255)
    assert [p.kind for p in result.problems] == ["missing", "unreadable"]


def test_conversions_are_reported_and_the_run_is_clean(folders, capsys):
    grey = Image.open(folders / "maps/img00.png")
    grey.convert("RGBA").save(folders / "maps/img00.png")
    grey.convert("P").save(folders / "maps/img01.png")
    pixels = np.asarray(grey).astype(np.uint16) * 257
    Image.fromarray(pixels).save(folders / "maps/img02.png")
    (folders / "maps/img03.png").unlink()
    grey.save(folders / "maps/img03.jpg")
    Image.open(folders / "gt/img04.png").convert("1").save(folders / "gt/img04.png")
    levels = np.asarray(Image.open(folders / "gt/img05.png")) // 255 * 200
    levels[:7, 0] = np.arange(7) * 30
    save_image(folders / "gt/img05.png", levels)
    save_image(folders / "gt/img06.png", np.zeros((30, 40), np.uint8))
    save_image(folders / "maps/img07.png", np.zeros((30, 40), np.uint8))
    assert run(folders, "--format", "json") == 0
    found = json.loads(capsys.readouterr().out)["problems"]
    by_stem = {(p["kind"], Path(p["file"]).name[:5]) for p in found}
    assert by_stem == {
        ("converted", "img00"),
        ("converted", "img01"),
        ("converted", "img02"),
        ("converted", "img03"),
        ("grey-mask", "img05"),
        ("empty-mask", "img06"),
        ("black-map", "img07"),
    }
    assert all("7 grey level(s)" in p["detail"] for p in found if p["kind"] == "grey-mask")


def test_a_mask_of_zeros_and_ones_is_a_problem(folders):
    save_image(folders / "gt/img05.png", np.asarray(Image.open(folders / "gt/img05.png")) // 255)
    result = evaluate(folders / "maps", folders / "gt")
    assert [p.kind for p in result.problems] == ["empty-mask", "mask-coding"]


@pytest.mark.parametrize("colours", [(0, 128, 0), (128, 0, 0, 0, 128, 0, 128, 128, 0)])
def test_palette_masks_in_dark_colours_are_a_problem(folders, capsys, colours):
    """DAVIS and VOC colour the first object (128, 0, 0), which is grey 38: all of it is background."""
    grey = np.asarray(Image.open(folders / "gt/img05.png"))
    classes = (grey > 128).astype(np.uint8) * np.arange(1, grey.shape[1] + 1, dtype=np.uint8)
    classes = np.where(classes, 1 + classes % (len(colours) // 3), 0).astype(np.uint8)
    image = Image.fromarray(classes, "P")
    image.putpalette([0, 0, 0, *colours])
    image.save(folders / "gt/img05.png")
    assert run(folders, "--format", "json", "--protocol", "all") == 1
    found = json.loads(capsys.readouterr().out)["problems"]
    problems = [p for p in found if p["kind"] == "mask-coding"]
    assert {p["file"] for p in problems} == {str(folders / "gt/img05.png")}
    levels = sorted(set(np.unique(np.asarray(Image.open(folders / "gt/img05.png").convert("L")))))
    shown = [str(level) for level in levels]
    named = " and ".join(shown) if len(shown) == 2 else ", ".join([*shown[:2], "..."])
    assert all(f"values {named}" in p["detail"] for p in problems)
    assert all("255 for the object" in p["detail"] for p in problems)
    assert "palette in colour" in str([p for p in found if p["kind"] == "converted"])


def test_a_mask_level_at_the_threshold_is_a_problem_only_where_it_is_background(folders):
    pixels = np.asarray(Image.open(folders / "gt/img05.png"))
    save_image(folders / "gt/img05.png", np.where(pixels > 128, np.uint8(128), np.uint8(0)))
    kinds = {
        protocol: [p.kind for p in evaluate(folders / "maps", folders / "gt", protocol).problems]
        for protocol in ("pysodmetrics", "matlab")
    }
    assert kinds == {"pysodmetrics": ["empty-mask", "mask-coding"], "matlab": ["grey-mask"]}


def test_maps_of_zeros_and_ones_are_a_problem(folders):
    save_image(folders / "maps/img05.png", np.asarray(Image.open(folders / "gt/img05.png")) // 255)
    result = evaluate(folders / "maps", folders / "gt")
    assert [p.kind for p in result.problems] == ["map-coding"]


@pytest.mark.parametrize(("folder", "kind"), [("gt", "mask-coding"), ("maps", "map-coding")])
def test_16_bit_files_with_values_of_8_bits_are_a_problem(folders, capsys, folder, kind):
    """Their high bytes are all 0, so they would be scored as black."""
    pixels = np.asarray(Image.open(folders / "gt/img05.png")).astype(np.uint16)
    Image.fromarray(pixels).save(folders / folder / "img05.png")
    assert run(folders, "--format", "json") == 1
    found = json.loads(capsys.readouterr().out)["problems"]
    (problem,) = [p for p in found if p["kind"] == kind]
    assert problem["file"] == str(folders / folder / "img05.png")
    assert "values of 0..255 only" in problem["detail"] and "multiply" in problem["detail"]


def test_maps_of_32_bit_integers_are_refused(folders, capsys):
    pixels = np.asarray(Image.open(folders / "gt/img05.png")).astype(np.int32)
    (folders / "maps/img05.png").unlink()
    Image.fromarray(pixels).save(folders / "maps/img05.tif")
    assert run(folders) == 2
    assert (
        "img05.tif: a TIFF of 32-bit signed integers is not read as a map"
        in capsys.readouterr().err
    )


def test_swapped_folders_are_refused(folders, capsys):
    assert run(folders, preds="gt", gt="maps") == 2
    assert "swapped" in capsys.readouterr().err
    assert run(folders, "--allow-swapped", preds="gt", gt="maps") == 0


def test_empty_and_absent_folders(folders, capsys):
    (folders / "none").mkdir()
    assert run(folders, preds="none") == 2
    assert run(folders, preds="nowhere") == 2
    assert run(folders, gt="none") == 2
    message = capsys.readouterr().err
    assert "no maps in it" in message and "no such folder" in message and "no masks" in message


def test_names_that_are_not_utf8_are_refused_before_anything_is_counted(original, tmp_path):
    name = os.fsdecode(b"\xe9t\xe9")
    for folder in ("preds", "gt"):
        save_image(tmp_path / folder / f"{name}.png", draw_pair(0, 30, 40)[folder == "gt"])
    assert evaluate(tmp_path / "preds", tmp_path / "gt").n == 1
    with pytest.raises(ProblemsError, match="is not UTF-8") as error:
        evaluate(tmp_path / "preds", tmp_path / "gt", output=tmp_path / "out")
    assert {problem.kind for problem in error.value.problems} == {"name"}
    assert not list((tmp_path / "out").rglob("*.npz"))
