"""Trees of maps as users have them: deep, linked together, broken."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from sodbench.cli import main
from sodbench.datasets import find_masks
from sodbench.errors import Problem, SodbenchError
from sodbench.images import write_grey
from sodbench.results import load_results
from sodbench.runners.evaluation.plan import EvaluationPlan, plan_evaluation

STEMS = ("a", "b", "c")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Ground truth of two sets in data/, and maps of one method for both in preds/."""
    mask = np.zeros((12, 16), np.uint8)
    mask[3:9, 4:12] = 255
    for name in ("ECSSD", "SOD"):
        for number, stem in enumerate(STEMS):
            write_grey(tmp_path / f"data/{name}/GT/{stem}.png", np.roll(mask, number))
            write_grey(tmp_path / f"preds/DSS/{name}/{stem}.png", np.roll(mask, number + 1))
    return tmp_path


def plan(root: Path, predictions: str = "preds") -> EvaluationPlan:
    return plan_evaluation(root / predictions, find_masks(root / "data"))


def found(what: EvaluationPlan) -> list[tuple[str, str]]:
    return [(task.method, task.dataset) for task in what.tasks]


def test_maps_many_folders_down(root: Path) -> None:
    deep = root / "preds/2024/ours/swin/seed-1/epoch-30"
    shutil.copytree(root / "preds/DSS/SOD", deep / "SOD")
    assert found(plan(root)) == [
        ("DSS", "ECSSD"),
        ("2024/ours/swin/seed-1/epoch-30", "SOD"),
        ("DSS", "SOD"),
    ]


def test_links_are_followed_and_loops_are_reported(root: Path) -> None:
    (root / "elsewhere").mkdir()
    shutil.move(root / "preds/DSS/SOD", root / "elsewhere/maps")
    (root / "preds/DSS/SOD").symlink_to(root / "elsewhere/maps")
    (root / "preds/DSS/all").symlink_to(root / "preds")
    (root / "preds/itself").symlink_to("itself")
    (root / "preds/gone").symlink_to(root / "nowhere")
    what = plan(root)
    assert found(what) == [("DSS", "ECSSD"), ("DSS", "SOD")]
    assert what.ignored == (f"{root}/preds/DSS/all: a link back to {root}/preds, which holds it",)
    assert what.problems == (
        Problem("broken-link", f"{root}/preds/gone", "a link that leads nowhere"),
        Problem("broken-link", f"{root}/preds/itself", "a link that leads nowhere"),
    )


def test_a_map_that_is_a_dead_link_is_an_unreadable_map(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (root / "preds/DSS/SOD/a.png").unlink()
    (root / "preds/DSS/SOD/a.png").symlink_to(root / "nowhere.png")
    assert plan(root).problems == ()
    options = ["--format", "json", "--datasets", "SOD"]
    assert main(["eval", str(root / "preds"), str(root / "data"), *options]) == 2
    (problem,) = json.loads(capsys.readouterr().out)["problems"]
    assert (
        problem["file"].endswith("SOD/a.png") and problem["detail"] == "a link that leads nowhere"
    )


def test_nothing_but_broken_links(root: Path) -> None:
    (root / "empty").mkdir()
    (root / "empty/DSS").symlink_to(root / "unmounted")
    with pytest.raises(SodbenchError, match=r"no maps in it(.|\n)*empty/DSS: a link that leads"):
        plan(root, "empty")


def test_results_are_found_behind_links_and_once(root: Path) -> None:
    options = ["-o", str(root / "out"), "--format", "json"]
    assert main(["eval", str(root / "preds"), str(root / "data"), *options]) == 0
    (root / "mine").mkdir()
    (root / "mine/linked").symlink_to(root / "out/DSS")
    (root / "mine/linked again").symlink_to(root / "out")
    (root / "out/loop").symlink_to(root / "mine")
    results = load_results([root / "mine", root / "out"])
    assert [(r.method, r.dataset) for r in results] == [("DSS", "ECSSD"), ("DSS", "SOD")]


def test_a_pair_list_with_missing_files_names_its_lines(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = [f"preds/DSS/SOD/{s}.png data/SOD/GT/{s}.png" for s in STEMS]
    pair_list = root / "pairs.lst"
    pair_list.write_text("\n\n".join([*lines[:2], lines[2].replace("DSS", "SSD")]))
    options = ["eval", "--pairs", str(pair_list), "--format", "json"]
    assert main(options) == 2
    message = capsys.readouterr().err
    assert f"SSD/SOD/c.png is named in {pair_list}, line 5, but not there" in message
    assert "no map named" not in message and "--missing skip" in message
    assert main([*options, "--missing", "skip"]) == 1
    (result,) = json.loads(capsys.readouterr().out)["results"]
    assert result["n"] == 2 and "missing:skip(1)" in result["signature"]
    pair_list.write_text("\n".join(lines).replace("data/SOD/GT/b", "data/SOD/GT/x"))
    assert main([*options, "--missing", "skip"]) == 2
    message = capsys.readouterr().err
    assert f"GT/x.png: named in {pair_list}, line 2, but not there" in message
    assert f"relative to the list's folder, {root}" in message


# ------------------------------------------------------------------- masks that are scored against themselves


def test_maps_that_are_links_to_their_masks_are_refused_by_name(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (root / "preds/DSS/SOD/a.png").unlink()
    (root / "preds/DSS/SOD/a.png").hardlink_to(root / "data/SOD/GT/a.png")
    (root / "preds/DSS/SOD/b.png").unlink()
    (root / "preds/DSS/SOD/b.png").symlink_to(root / "data/SOD/GT/b.png")
    assert main(["eval", str(root / "preds/DSS/SOD"), str(root / "data/SOD")]) == 2
    message = capsys.readouterr().err
    assert "same-file (2)" in message and "nothing was scored" in message
    assert f"DSS/SOD/a.png: is the same file as its mask {root}/data/SOD/GT/a.png" in message
    assert "give the folder or list of the saliency maps" in message


def test_a_pair_list_of_masks_with_themselves_is_refused_by_name(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = [f"data/SOD/GT/{s}.png data/SOD/GT/{s}.png" for s in STEMS]
    (root / "pairs.lst").write_text("\n".join(lines))
    assert main(["eval", "--pairs", str(root / "pairs.lst")]) == 2
    assert "same-file (3)" in capsys.readouterr().err


def test_swapped_columns_of_a_pair_list_are_named(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ramp = np.arange(192, dtype=np.uint8).reshape(12, 16)
    for stem in STEMS:
        write_grey(root / f"preds/DSS/SOD/{stem}.png", ramp)
    lines = [f"data/SOD/GT/{s}.png preds/DSS/SOD/{s}.png" for s in STEMS]
    (root / "pairs.lst").write_text("\n".join(lines))
    assert main(["eval", "--pairs", str(root / "pairs.lst")]) == 2
    message = capsys.readouterr().err
    assert f"{root}/pairs.lst" in message and "are the columns swapped?" in message
    assert "None" not in message


def test_two_pair_lists_have_different_signatures(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    signatures = []
    for stems in ("ab", "bc"):
        lines = [f"preds/DSS/SOD/{s}.png data/SOD/GT/{s}.png" for s in stems]
        (root / "pairs.lst").write_text("\n".join(lines))
        options = ["--pairs", str(root / "pairs.lst"), "--dataset-name", "Mine", "--format", "json"]
        assert main(["eval", *options]) == 0
        (result,) = json.loads(capsys.readouterr().out)["results"]
        assert result["dataset"].startswith("Mine/list-") and result["n"] == 2
        signatures.append(result["signature"])
    assert signatures[0] != signatures[1]


def test_results_may_be_stored_next_to_a_pair_list(root: Path) -> None:
    lines = [f"preds/DSS/SOD/{s}.png data/SOD/GT/{s}.png" for s in STEMS]
    (root / "pairs.lst").write_text("\n".join(lines))
    run = ["eval", "--pairs", str(root / "pairs.lst"), "-o"]
    assert main([*run, str(root / "out")]) == 0
    assert main([*run, str(root / "data/SOD/GT/out")]) == 2
    assert main([*run, str(root / "preds/DSS/SOD")]) == 2
