"""Where results are stored, and what is never touched there."""

import os
import shutil

import pytest
from evaluations import content, run

from sodbench.cli import main
from sodbench.datasets import find_masks
from sodbench.errors import SodbenchError
from sodbench.runners.evaluation.evaluate import evaluate
from sodbench.runners.evaluation.plan import plan_evaluation


def test_an_output_that_cannot_be_written(folders, capsys):
    (folders / "file").write_text("")
    assert run(folders, "-o", str(folders / "file/out")) == 2
    assert "choose another output folder" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("place", "message"),
    [
        ("maps", "is PREDS, too; choose an output folder of its own"),
        ("gt", "is GT, too; choose an output folder of its own"),
        ("maps/results", "which holds images, masks or maps; choose another output folder"),
    ],
)
def test_results_are_never_written_among_the_data(folders, capsys, place, message):
    before = content(folders)
    assert run(folders, "-o", str(folders / place)) == 2
    assert message in capsys.readouterr().err
    assert content(folders) == before


@pytest.mark.parametrize("name", ["result.json", "scores.csv", "counts.npz", "parts"])
@pytest.mark.parametrize("kind", ["a folder", "a named pipe"])
@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="named pipes")
def test_files_of_another_kind_are_named_and_nothing_waits(original, stored, name, kind):
    (stored / name).unlink(missing_ok=True)
    (stored / name).mkdir() if kind == "a folder" else os.mkfifo(stored / name)
    method = stored.parent.name
    try:
        evaluate(
            original / "preds" / method, original / "gt", output=stored.parents[1], name=method
        )
    except SodbenchError as error:
        assert name in str(error)
    else:
        assert content(stored) == content(original / "out" / method / stored.name)


@pytest.mark.parametrize(
    "name",
    ["parts", "counts.npz", "scores.csv", "result.json"],
)
def test_links_in_an_output_folder_do_not_lead_out_of_it(original, stored, tmp_path, name):
    mine = tmp_path / "mine.txt"
    mine.write_text("mine")
    (stored / "result.json").unlink()
    (stored / name).unlink(missing_ok=True)
    (stored / name).symlink_to(mine)
    method = stored.parent.name
    try:
        evaluate(
            original / "preds" / method, original / "gt", output=stored.parents[1], name=method
        )
    except SodbenchError as error:
        assert "is a link" in str(error)
    assert mine.read_text() == "mine"


@pytest.mark.parametrize("force", [False, True])
def test_files_that_only_have_the_names_of_parts_are_not_deleted(original, stored, force):
    options = {"output": stored.parents[1], "name": "A", "force": force}
    (stored / "parts").write_text("a diary")
    with pytest.raises(SodbenchError, match="parts: is not a folder"):
        evaluate(original / "preds/A", original / "gt", **options)
    assert (stored / "parts").read_text() == "a diary"
    (stored / "parts").unlink()
    for name in ("part-0001.npz", "notes.txt"):
        (stored / "parts").mkdir(exist_ok=True)
        (stored / "parts" / name).write_text("a diary")
        try:
            evaluate(original / "preds/A", original / "gt", **options)
        except SodbenchError as error:
            assert "has the name of a part of sodbench, but is none" in str(error)
        assert (stored / "parts" / name).read_text() == "a diary"
        (stored / "parts" / name).unlink()


@pytest.mark.parametrize("force", [[], ["--force"]])
def test_a_replaced_result_is_reported(original, stored, capsys, force):
    options = ["--protocol", "pysodmetrics", "--name", "A", "-o", str(stored.parents[1]), *force]
    assert main(["eval", str(original / "preds/A"), str(original / "gt"), *options]) == 1
    message = capsys.readouterr().err
    assert "replaces the stored result, which was sodbench:" in message
    assert "protocol:salmetric" in message


@pytest.mark.parametrize("folder", ["preds", "data"])
def test_the_output_folder_cannot_be_the_predictions_or_the_ground_truth(
    original, tmp_path, capsys, folder
):
    shutil.copytree(original / "preds/A", tmp_path / "preds/gt/A")
    shutil.copytree(original / "gt", tmp_path / "data/gt/GT")
    folders = [str(tmp_path / "preds"), str(tmp_path / "data/gt")]
    place = {"preds": folders[0], "data": folders[1]}[folder]
    before = sorted(tmp_path.rglob("*"))
    assert main(["eval", *folders, "-o", place]) == 2
    assert f"{place}: is {'PREDS' if folder == 'preds' else 'GT'}, too" in capsys.readouterr().err
    assert sorted(tmp_path.rglob("*")) == before


def test_results_below_the_maps_are_not_taken_for_maps_of_another_format(original, tmp_path):
    shutil.copytree(original / "preds/A", tmp_path / "preds/gt/A")
    shutil.copytree(original / "gt", tmp_path / "data/gt/GT")
    run = ["eval", str(tmp_path / "preds"), str(tmp_path / "data"), "--quiet"]
    assert main([*run, "-o", str(tmp_path / "preds/results")]) == 1  # of a resized map
    plan = plan_evaluation(tmp_path / "preds", find_masks(tmp_path / "data"))
    assert len(plan.tasks) == 1 and not plan.problems


def test_a_name_that_is_too_long_for_a_folder_is_named(original, tmp_path, capsys):
    """A colon takes three characters in the name of a folder."""
    options = ["--name", ":" * 120, "-o", str(tmp_path / "out")]
    assert main(["eval", str(original / "preds/A"), str(original / "gt"), *options]) == 2
    assert "(File name too long); choose a shorter name" in capsys.readouterr().err
