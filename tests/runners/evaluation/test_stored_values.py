"""The numbers of a stored result: read back to the bit, and nothing left out of a mean without a note."""

import json

import numpy as np
import pytest

from sodbench.cli import main
from sodbench.images import write_grey
from sodbench.metrics import PROTOCOLS, catalogue
from sodbench.results import load_result
from sodbench.runners.evaluation.evaluate import evaluate


@pytest.fixture
def folders(tmp_path):
    """Forty pairs; the last four have a constant map, a black map, an empty mask and a full mask."""
    rng = np.random.default_rng(20)
    for i in range(40):
        map_ = rng.integers(0, 256, (11, 13), dtype=np.uint8)
        mask = np.zeros((11, 13), np.uint8)
        mask[2:9, 3 : 6 + i % 5] = 255
        if i == 36:
            map_[:] = 90
        elif i == 37:
            map_[:] = 0
        elif i == 38:
            mask[:] = 0
        elif i == 39:
            mask[:] = 255
        write_grey(tmp_path / f"maps/{i:02d}.png", map_)
        write_grey(tmp_path / f"gt/{i:02d}.png", mask)
    return tmp_path


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_stored_table_comes_back_to_the_bit(folders, protocol):
    fresh = evaluate(folders / "maps", folders / "gt", protocol)
    folder = evaluate(folders / "maps", folders / "gt", protocol, output=folders / "out").folder
    stored = load_result(folder).table
    assert list(stored.columns) == list(fresh.table.columns)
    for name in catalogue.per_image_names():
        values, expected = stored[name].to_numpy(), fresh.table[name].to_numpy()
        assert values.dtype == float and values.tobytes() == expected.tobytes(), name


def test_what_a_mean_leaves_out_is_noted_and_no_error(folders, capsys):
    command = [
        "--quiet",
        "eval",
        str(folders / "maps"),
        str(folders / "gt"),
        "--protocol",
        "matlab",
    ]
    assert main([*command, "--format", "json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    left_out = {
        (problem["file"], problem["detail"].split()[2])
        for problem in printed["problems"]
        if problem["kind"] == "left-out"
    }
    assert left_out == {
        ("36", "mae"),
        ("37", "mae"),
        ("38", "f_max"),
        ("38", "auc_roc"),
        ("39", "auc_roc"),
    }


def test_notes_of_a_protocol_are_not_kept_under_another(folders):
    result = evaluate(folders / "maps", folders / "gt", "matlab")
    kinds = {problem.kind for problem in result.rescored("salmetric").problems}
    assert "left-out" not in kinds and "left-out" in {problem.kind for problem in result.problems}


def test_the_curve_of_f_belongs_to_the_stored_max_f(folders):
    for protocol in PROTOCOLS:
        result = evaluate(folders / "maps", folders / "gt", protocol, output=folders / protocol)
        stored = json.loads((result.folder / "result.json").read_text())
        assert max(stored["curves"]["f"]) == stored["metrics"]["f_max"]
        assert sorted(stored["curves"]) == sorted(catalogue.curve_names())


def test_unknown_metrics_are_refused_with_a_suggestion(folders, capsys):
    command = ["eval", str(folders / "maps"), str(folders / "gt")]
    assert main([*command, "--metrics", "MAE,zzzz"]) == 2
    message = capsys.readouterr().err
    assert "did you mean mae?" in message and "'zzzz'" in message and "--metrics help" in message
    assert main([*command, "--show-worst", "3", "--sort-by", "FMax"]) == 2
    assert "did you mean f_max?" in capsys.readouterr().err


def test_all_leaves_out_uninformative_metrics_which_are_computed_by_name(folders, capsys):
    command = ["--quiet", "eval", str(folders / "maps"), str(folders / "gt"), "--format", "csv"]
    assert main([*command, "--metrics", "all"]) == 0
    header = capsys.readouterr().out.splitlines()[0].split(",")
    assert set(catalogue.listed_names()) < set(header) and not {"fpr_max", "auc_pr"} & set(header)
    assert main([*command, "--metrics", "fpr_max,auc_pr,mae"]) == 0
    assert capsys.readouterr().out.splitlines()[0].split(",")[4:7] == ["fpr_max", "auc_pr", "mae"]


def test_a_result_of_an_older_format_is_scored_again_from_its_counts(folders, capsys):
    """Its auc_roc was wrong, it has no ap, and its counts are what they were."""
    command = ["eval", str(folders / "maps"), str(folders / "gt"), "-o", str(folders / "out")]
    assert main(command) == 0
    (file,) = (folders / "out").rglob("result.json")
    content = json.loads(file.read_text())
    expected = content["metrics"]["auc_roc"]
    content["format"], content["metrics"] = 1, {"auc_roc": 0.1}
    file.write_text(json.dumps(content))
    capsys.readouterr()
    assert main([*command, "--metrics", "auc_roc,ap", "--format", "csv"]) == 0
    assert f",{expected!r}," in capsys.readouterr().out
    assert load_result(file.parent).metrics["auc_roc"] == expected
