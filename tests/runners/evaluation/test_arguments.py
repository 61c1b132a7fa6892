"""Arguments of `evaluate` and `evaluate_tree` that cannot be used: refused before anything is counted."""

from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor

import numpy as np
import pytest
from evaluations import run
from synthetic import draw_pair, save_image

from sodbench import evaluate
from sodbench.errors import SodbenchError
from sodbench.results import Policy, load_results
from sodbench.runners.evaluation.evaluate import evaluate_tree
from sodbench.runners.evaluation.merge import merge


def test_a_misspelled_option_is_not_ignored(folders):
    with pytest.raises(TypeError, match="resise"):
        evaluate(folders / "maps", folders / "gt", resise="nearest")  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="shard"):
        evaluate(folders / "maps", folders / "gt", shard=(1, 2))  # type: ignore[call-arg]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"protocol": "sal"}, "unknown protocol 'sal'; known are salmetric, "),
        ({"protocol": ["salmetric"]}, r"unknown protocol \['salmetric'\]; known are "),
        ({"jobs": 0}, "jobs is 0, but must be a whole number of at least 1"),
        ({"jobs": "2"}, "jobs is '2', but"),
        ({"jobs": 1.5}, "jobs is 1.5, but"),
        ({"weighted": "no"}, "weighted is 'no', but must be True or False"),
        ({"missing": "black"}, "missing is 'black', but must be one of error, skip, zero"),
        ({"output": ""}, "output is empty; give a folder, or None"),
    ],
)
def test_an_unusable_argument_is_refused_before_anything_is_stored(folders, options, message):
    given = {"output": folders / "out", **options}
    with pytest.raises(SodbenchError, match=message):
        evaluate(folders / "maps", folders / "gt", **given)
    assert not (folders / "out").exists()


def test_protocols_may_be_one_name_but_not_none(folders):
    (result,) = evaluate_tree(folders / "maps", folders / "gt", "matlab").results
    assert result.protocol == "matlab"
    with pytest.raises(SodbenchError, match="no protocol; known are salmetric"):
        evaluate_tree(folders / "maps", folders / "gt", [], output=folders / "out")
    assert not (folders / "out").exists()


def test_numpy_booleans_are_stored_as_plain_ones(folders):
    evaluate(folders / "maps", folders / "gt", output=folders / "out", weighted=np.bool_(False))  # type: ignore[arg-type]
    (result,) = load_results(folders / "out")
    assert result.policy.weighted is False


@pytest.mark.parametrize("kind", [ThreadPoolExecutor, ProcessPoolExecutor])
def test_an_executor_that_was_shut_down_is_named(folders, kind):
    executor = kind(1)
    executor.shutdown()
    with pytest.raises(SodbenchError, match="the executor was shut down"):
        evaluate(folders / "maps", folders / "gt", executor=executor)


def test_a_shard_that_no_result_can_state_is_refused_before_anything_is_stored(folders, capsys):
    assert run(folders, "-o", str(folders / "out"), "--shard", f"1/{10**9}") == 2
    assert "shard 1/1000000000: I must be between 1 and N, and N at most" in capsys.readouterr().err
    assert not (folders / "out").exists()
    assert Policy(shard=(1, 10**9 - 1)).shard_text == "1/999999999"


def test_methods_and_datasets_whose_names_read_alike_are_kept_apart(tmp_path):
    pairs = {"x on a/b": [1, 2, 3, 4], "x/a on b": [5, 6, 7, 8]}
    for place, seeds in pairs.items():
        for seed in seeds:
            map_, mask = draw_pair(seed)
            save_image(tmp_path / f"preds/{place}/{seed}.png", map_)
            save_image(tmp_path / f"data/{place.split('/')[1]}/GT/{seed}.png", mask)
    found = evaluate_tree(tmp_path / "preds", tmp_path / "data", output=tmp_path / "out").results
    expected = {("x on a", "b"): ["1", "2", "3", "4"], ("x", "a on b"): ["5", "6", "7", "8"]}
    assert {(r.method, r.dataset): list(r.table.index) for r in found} == expected
    for number in ("1", "2"):
        options = ["--shard", f"{number}/2", "-o", str(tmp_path / f"part{number}")]
        assert run(tmp_path, *options, preds="preds", gt="data") == 0
    merge([tmp_path / "part1", tmp_path / "part2"], tmp_path / "merged")
    files = [file.relative_to(tmp_path / "out") for file in (tmp_path / "out").rglob("*.*")]
    assert len(files) == 6
    for name in files:
        assert (tmp_path / "out" / name).read_bytes() == (tmp_path / "merged" / name).read_bytes()
