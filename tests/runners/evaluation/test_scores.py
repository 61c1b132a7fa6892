"""Folders of maps against folders of masks: the numbers, and how they are printed."""

import gc
import json

import numpy as np
import pytest
from evaluations import (
    STEMS,
    content,
    run,
)
from synthetic import draw_pair, save_image

import sodbench
from sodbench.cli import main
from sodbench.datasets import find_masks
from sodbench.errors import SodbenchError
from sodbench.images import write_grey
from sodbench.metrics import Evaluator
from sodbench.metrics import scores as scores_module
from sodbench.metrics.scores import score_block
from sodbench.parallel import CallingThread
from sodbench.results import Policy, store
from sodbench.runners.evaluation import workers as workers_module
from sodbench.runners.evaluation.evaluate import evaluate, evaluate_plan, evaluate_tree
from sodbench.runners.evaluation.plan import plan_evaluation
from sodbench.runners.evaluation.workers import Workers


def test_a_folder_gives_the_numbers_of_its_arrays(folders):
    result = evaluate(folders / "maps", folders / "gt", "pysodmetrics")
    evaluator = Evaluator("pysodmetrics")
    for seed, stem in enumerate(STEMS):
        evaluator.update(*draw_pair(seed), name=stem)
    assert result.metrics == evaluator.compute().metrics
    assert str(result.signature) == (
        f"sodbench:{sodbench.__version__}|protocol:pysodmetrics|n:8|missing:error|resize:none|gt:>128"
    )
    assert list(result.table.index) == STEMS
    assert not result.problems


def test_json_is_complete(folders, capsys):
    assert run(folders, "--format", "json", "--name", "ours") == 0
    printed = json.loads(capsys.readouterr().out)
    (row,) = printed["results"]
    assert (row["method"], row["dataset"], row["protocol"], row["n"]) == (
        "ours",
        "toys",
        "salmetric",
        8,
    )
    assert {"mae", "f_max", "s", "wf", "e_max", "iou_mean"} <= row["metrics"].keys()
    assert printed["problems"] == []


@pytest.mark.parametrize("style", ["table", "markdown", "csv"])
def test_other_formats_show_the_signature(folders, capsys, style):
    assert run(folders, "--format", style) == 0
    assert "protocol:salmetric|n:8" in capsys.readouterr().out


def test_all_protocols_are_printed_together(folders, capsys):
    assert run(folders, "--protocol", "all") == 0
    printed = capsys.readouterr().out
    assert "pysodmetrics - salmetric" in printed and printed.count("sodbench:") == 5


def test_unknown_metrics_are_refused(folders, capsys):
    assert run(folders, "--metrics", "mae,fmax") == 2
    assert "fmax" in capsys.readouterr().err


def test_results_do_not_depend_on_the_number_of_jobs(tree):
    for jobs in (1, 3):
        evaluate_tree(tree / "by_method", tree / "data", output=tree / f"out{jobs}", jobs=jobs)
    assert content(tree / "out1") == content(tree / "out3")


def test_images_of_the_dataset_are_part_of_the_result(tree):
    plan = plan_evaluation(tree / "by_method/B/SOD", find_masks(tree / "data"))
    result = evaluate_plan(plan, output=tree / "out").results[0]
    assert result.files("img03")["image"] == tree / "data/SOD/Imgs/img03.jpg"
    assert result.files("img03")["map"] == tree / "by_method/B/SOD/img03.png"


def test_a_pair_list(tree, capsys):
    lines = [f"by_method/A/SOD/{s}_A.png data/SOD/GT/{s}.png" for s in STEMS]
    (tree / "pairs.txt").write_text("\n".join(lines))
    assert main(["--quiet", "eval", "--pairs", str(tree / "pairs.txt"), "--format", "json"]) == 0
    listed = json.loads(capsys.readouterr().out)["results"][0]
    direct = evaluate(tree / "by_method/A/SOD", tree / "data/SOD/GT")
    assert listed["metrics"] == pytest.approx(direct.metrics, nan_ok=True)


def test_without_an_output_folder_counts_are_kept_only_on_request(folders):
    plan = plan_evaluation(folders / "maps", find_masks(folders / "gt"))
    held = evaluate_plan(plan).results[0]
    bare = evaluate_plan(plan, keep_counts=False).results[0]
    assert bare.metrics == held.metrics and bare.table.equals(held.table)
    assert held.rescored("matlab").protocol == "matlab"
    with pytest.raises(SodbenchError, match="score it with an output folder"):
        bare.rescored("matlab")


def test_counts_without_an_output_folder_move_to_a_temporary_file_when_they_grow(
    folders, monkeypatch
):
    in_memory = evaluate(folders / "maps", folders / "gt")
    monkeypatch.setattr(store, "PAIRS_IN_MEMORY", 3)
    spilled = evaluate(folders / "maps", folders / "gt")
    assert spilled.table.equals(in_memory.table)
    assert np.array_equal(spilled.counts.histogram, in_memory.counts.histogram)


def test_objects_that_a_program_has_frozen_stay_frozen(folders):
    gc.freeze()
    try:
        evaluate(folders / "maps", folders / "gt")
        assert gc.get_freeze_count()
    finally:
        gc.unfreeze()
    evaluate(folders / "maps", folders / "gt")
    assert not gc.get_freeze_count()


def test_notes_about_masks_are_those_of_the_protocol(original):
    """A mask with values up to 60 is empty above 128 and not empty above 25."""
    folder = original / "dark"
    save_image(folder / "gt/a.png", np.where(draw_pair(0, 30, 40)[1], 60, 0).astype(np.uint8))
    save_image(folder / "preds/a.png", draw_pair(0, 30, 40)[0])
    plan = plan_evaluation(folder / "preds", find_masks(folder / "gt"))
    first, second = evaluate_plan(plan, ["salmetric", "matlab"]).results
    assert [p.kind for p in first.problems] == ["empty-mask", "mask-coding"]
    assert [p.kind for p in second.problems] == ["grey-mask"]
    assert "foreground is >25 under matlab" in second.problems[0].detail
    assert first.rescored("matlab").problems == second.problems


def test_a_set_whose_masks_are_half_empty_is_hinted_at(tmp_path, capsys):
    for i in range(12):
        mask = np.zeros((9, 9), np.uint8)
        mask[2:6, 3:7] = 255 * (i % 2)
        write_grey(tmp_path / "gt" / f"{i}.png", mask)
        write_grey(tmp_path / "maps" / f"{i}.png", np.full((9, 9), 20 * i + 9, np.uint8))
    evaluate(tmp_path / "maps", tmp_path / "gt")
    messages = capsys.readouterr().err
    assert ": 6 of 12 masks are empty. Is it COD10K?" in messages and "--items FILE" in messages
    for i in range(0, 12, 4):
        (tmp_path / "gt" / f"{i}.png").unlink()
        (tmp_path / "maps" / f"{i}.png").unlink()
    evaluate(tmp_path / "maps", tmp_path / "gt")
    assert "COD10K" not in capsys.readouterr().err


@pytest.mark.parametrize("missing", ["error", "skip", "zero"])
def test_what_workers_score_is_what_one_thread_scores(tmp_path, monkeypatch, missing):
    """Whole blocks are scored by workers, the last ones and those after a map that is left out here."""
    rng = np.random.default_rng(0)
    for number in range(220):
        mask = np.where(rng.random((8, 9)) < 0.3, 255, 0)
        mask[0] = 60 * (number % 5 == 0)
        save_image(tmp_path / f"gt/{number:03d}.png", mask.astype(np.uint8))
        save_image(tmp_path / f"maps/{number:03d}.png", rng.integers(0, 256, (8, 9), np.uint8))
    if missing != "error":
        (tmp_path / "maps/060.png").write_bytes(b"no image")
    plan = plan_evaluation(
        tmp_path / "maps",
        find_masks(tmp_path / "gt"),
        policy=Policy(missing=missing, metrics=("iou@0.5",)),
    )
    protocols = ["salmetric", "matlab", "codtoolbox"]
    alone = evaluate_plan(plan, protocols, workers=Workers(1), output=tmp_path / "alone")
    monkeypatch.setattr(workers_module, "MIN_MAPS_FOR_PROCESSES", 1)
    monkeypatch.setattr(workers_module, "_process_executor", lambda number: CallingThread())
    monkeypatch.setattr(Workers, "start_early", lambda *_: None)
    here = []
    monkeypatch.setattr(
        scores_module,
        "score_block",
        lambda *arguments: here.append(arguments) or score_block(*arguments),
    )
    # of five blocks; without its counts, no pair after one that is left out could be scored
    for output, n_here in ((None, 5), (tmp_path / "out", 4)):
        here.clear()
        workers = Workers(2, processes=True)
        several = evaluate_plan(plan, protocols, workers=workers, output=output, keep_counts=False)
        assert len(here) == len(protocols) * (n_here if missing == "skip" else 3)
        assert several.problems == alone.problems
        for one, other in zip(several.results, alone.results, strict=True):
            assert repr(one.metrics) == repr(other.metrics) and one.signature == other.signature
            for name, curve in other.curves.items():
                assert one.curves[name].tobytes() == curve.tobytes()
            for name, column in other.pair_table.columns.items():
                assert one.pair_table.columns[name].tobytes() == column.tobytes()
    assert content(tmp_path / "out") == content(tmp_path / "alone")
