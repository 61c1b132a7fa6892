"""Methods and datasets in trees of folders."""

import shutil
from pathlib import Path

import pytest
from evaluations import STEMS
from synthetic import draw_pair, save_image

from sodbench.cli import main
from sodbench.datasets import find_masks
from sodbench.errors import SodbenchError
from sodbench.runners.evaluation.evaluate import evaluate, evaluate_plan, evaluate_tree
from sodbench.runners.evaluation.plan import plan_evaluation


@pytest.mark.parametrize(
    ("root", "expected"),
    [
        ("by_method", {("A", "ECSSD"), ("A", "SOD"), ("B", "ECSSD"), ("B", "SOD")}),
        ("by_set", {("A", "ECSSD"), ("A", "SOD")}),
        ("one", {("one", "ECSSD"), ("one", "SOD")}),
        ("by_method/A", {("A", "ECSSD"), ("A", "SOD")}),
        ("by_method/A/SOD", {("A", "SOD")}),
    ],
)
def test_folders_of_maps_are_matched_with_datasets(tree, root, expected):
    plan = plan_evaluation(tree / root, find_masks(tree / "data"))
    assert {(task.method, task.dataset) for task in plan.tasks} == expected
    assert all(len(task.pairing.pairs) == 8 for task in plan.tasks)


def test_methods_below_one_flat_ground_truth(tree):
    plan = plan_evaluation(tree / "by_set/SOD", find_masks(tree / "data/SOD/GT"))
    assert [(t.method, t.dataset) for t in plan.tasks] == [("A", "SOD")]
    plan = plan_evaluation(tree / "by_method", find_masks(tree / "data/SOD/GT"))
    assert [(t.method, t.dataset) for t in plan.tasks] == [("A", "SOD"), ("B", "SOD")]
    assert [(p.kind, Path(p.file).name) for p in plan.problems] == [
        ("unscored-maps", "ECSSD"),
        ("unscored-maps", "ECSSD"),
    ]


def test_a_common_suffix_is_recognised_and_reported(tree, capsys):
    assert main(["eval", str(tree / "by_method/A"), str(tree / "data"), "--dry-run"]) == 0
    captured = capsys.readouterr()
    assert "suffix '_A'" in captured.out and captured.err == ""


def test_methods_and_datasets_can_be_selected(tree):
    truths = find_masks(tree / "data")
    plan = plan_evaluation(tree / "by_method", truths, methods=["b"], datasets=["sod"])
    assert [(t.method, t.dataset) for t in plan.tasks] == [("B", "SOD")]


def test_a_tree_needs_evaluate_tree(tree):
    with pytest.raises(SodbenchError, match="evaluate_tree"):
        evaluate(tree / "by_method", tree / "data")
    evaluation = evaluate_tree(tree / "by_method", tree / "data", ["salmetric", "matlab"])
    assert [(r.method, r.dataset, r.protocol) for r in evaluation.results[:3]] == [
        ("A", "ECSSD", "salmetric"),
        ("A", "ECSSD", "matlab"),
        ("B", "ECSSD", "salmetric"),
    ]
    assert len(evaluation.results) == 8 and evaluation.clean


def test_other_datasets_of_a_tree_are_left_alone_and_reported(tree):
    shutil.copytree(tree / "by_method/A/SOD", tree / "by_method/A/Unheard18")
    plan = plan_evaluation(tree / "by_method", find_masks(tree / "data/SOD/GT"))
    assert [(t.method, t.dataset) for t in plan.tasks] == [("A", "SOD"), ("B", "SOD")]
    assert f"{tree}/by_method/A/Unheard18" in [p.file for p in plan.problems]


def test_methods_with_similar_names_have_different_folders(tmp_path):
    for seed, stem in enumerate(STEMS):
        map_, mask = draw_pair(seed)
        save_image(tmp_path / f"gt/{stem}.png", mask)
        save_image(tmp_path / f"preds/a/b/{stem}.png", map_)
        save_image(tmp_path / f"preds/a@b/{stem}.png", 255 - map_)
    plan = plan_evaluation(tmp_path / "preds", find_masks(tmp_path / "gt"))
    first, second = evaluate_plan(plan, output=tmp_path / "out").results
    assert (first.method, second.method) == ("a/b", "a@b") and first.folder != second.folder
    assert first.metrics["mae"] != second.metrics["mae"]


def test_unknown_methods_and_datasets_are_refused_with_the_known_ones(tree, capsys):
    for option, name, there in (
        ("--methods", "nope", "A, B"),
        ("--datasets", "nope", "ECSSD, SOD"),
    ):
        assert (
            main(["--quiet", "eval", str(tree / "by_method"), str(tree / "data"), option, name])
            == 2
        )
        message = capsys.readouterr().err
        assert "nope" in message and there in message
