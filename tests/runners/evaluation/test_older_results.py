"""Results that were stored before a metric was added: they can be read, and what they lack is computed."""

import numpy as np
import pytest
from evaluations import assert_restored, content, edit_json, set_hash

from sodbench.cli import main
from sodbench.results import load_results, to_frame
from sodbench.results.consistency import find_differences
from sodbench.results.older import names_added_since
from sodbench.runners.evaluation.verify import verify_results

# the calibration error with its curves, and a metric that single images have, too
ADDED_METRICS = ("ece", "iou_adp")
ADDED_CURVES = ("calibration", "level_share", "level_foreground")


def remove_added(folder):
    """Leave a stored result as a version without the added metrics would have stored it."""

    def remove(stored):
        for name in ADDED_METRICS:
            del stored["metrics"][name]
        for name in ADDED_CURVES:
            del stored["curves"][name]

    edit_json(folder, remove, forge=True)
    rows = [line.split(",") for line in (folder / "scores.csv").read_text().splitlines()]
    column = rows[0].index("iou_adp")
    text = "".join(",".join([*row[:column], *row[column + 1 :]]) + "\n" for row in rows)
    (folder / "scores.csv").write_text(text)
    set_hash(folder, "scores.csv")


@pytest.fixture
def older(stored):
    """Results of two methods, of which A's are older."""
    remove_added(stored)
    return stored


def commands(older, tmp_path):
    out = str(older.parents[1])
    return {
        "report": ["report", out, "-o", str(tmp_path / "report.md"), "--metrics", "mae"],
        "compare": ["compare", f"{out}/A", f"{out}/B", "--metrics", "mae,f_max"],
        "table": ["table", out, "--metrics", "mae", "ece"],
    }


@pytest.mark.usefixtures("one_figure_format")
@pytest.mark.parametrize("command", ["report", "compare", "table"])
def test_an_older_result_is_read_and_left_as_it_is(older, tmp_path, capsys, command):
    before = content(older)
    assert main(commands(older, tmp_path)[command]) == 0
    message = capsys.readouterr().err
    assert "iou_adp, ece, calibration, level_share, level_foreground, which were added" in message
    assert content(older) == before


def test_what_an_older_result_lacks_is_computed_from_its_counts(original, older):
    (completed,) = load_results(older)
    (now,) = load_results(original / "out/A")
    assert names_added_since(completed) == ()
    assert find_differences(completed, now) == []
    assert np.isfinite(completed.metrics["ece"])
    assert len(completed.counts) == completed.n
    (verified,) = (one for one in verify_results(older) if one.folder == older)
    assert verified.differences == ()


@pytest.mark.parametrize("is_read_before", [False, True])
def test_evaluating_again_completes_an_older_result_without_counting(
    original, older, capsys, is_read_before
):
    if is_read_before:
        # which notes that its numbers follow from its counts
        load_results(older)
    assert_restored(original, older)
    assert "scored again" not in capsys.readouterr().err


@pytest.mark.parametrize("command", ["report", "compare", "table"])
def test_an_older_result_with_a_modified_value_is_refused(older, tmp_path, capsys, command):
    edit_json(older, lambda content: content["metrics"].update(f_max=0.9439), forge=True)
    assert main(commands(older, tmp_path)[command]) == 2
    assert "at least one of them was modified (metrics.f_max is 0.9439" in capsys.readouterr().err


def test_an_older_result_without_counts_has_no_value_of_what_was_added(older, capsys):
    (older / "counts.npz").unlink()
    (result,) = load_results(older)
    assert capsys.readouterr().err == ""
    assert "ece" not in result.metrics
    assert np.isnan(to_frame([result], ["mae", "ece"])["ece"]).all()
