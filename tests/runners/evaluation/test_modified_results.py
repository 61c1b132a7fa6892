"""Stored results that were edited, damaged or made up: nothing wrong is used, and everything is named."""

import json
import shutil
from functools import reduce
from operator import getitem

import numpy as np
import pytest
from evaluations import (
    altered,
    assert_named,
    assert_restored,
    content,
    edit_counts,
    edit_json,
    leaves,
    put,
    set_hash,
)
from synthetic import draw_pair, save_image

from sodbench.cli import main
from sodbench.datasets import find_masks
from sodbench.errors import SodbenchError, StoredFileError
from sodbench.results import Policy, find_differences, load_result, load_results
from sodbench.results.result_file import _digest
from sodbench.runners.evaluation.evaluate import evaluate, evaluate_plan
from sodbench.runners.evaluation.plan import plan_evaluation
from sodbench.runners.evaluation.verify import verify_results


@pytest.mark.parametrize("damage", ["truncate", "flip", "text"])
def test_damaged_counts_are_reported_and_rebuilt(folders, capsys, damage):
    first = evaluate(folders / "maps", folders / "gt", output=folders / "out")
    counts = folders / "out/maps/toys/counts.npz"
    whole = bytearray(counts.read_bytes())
    whole[len(whole) // 3] ^= 0xFF
    counts.write_bytes({"truncate": whole[:-200], "flip": whole, "text": b"hello"}[damage])
    (folders / "out/maps/toys/result.json").unlink()
    again = evaluate(folders / "maps", folders / "gt", output=folders / "out")
    assert again.metrics == first.metrics
    assert "damaged" in capsys.readouterr().err


@pytest.mark.parametrize("options", [[], ["--force"]])
def test_a_damaged_result_is_reported_and_written_again(folders, capsys, options):
    first = evaluate(folders / "maps", folders / "gt", output=folders / "out")
    (folders / "out/maps/toys/result.json").write_text("{")
    command = ["eval", str(folders / "maps"), str(folders / "gt"), "-o", str(folders / "out")]
    assert main([*command, *options]) == 0
    if not options:  # --force does not read what is there
        assert "it is written again now" in capsys.readouterr().err
    assert load_result(folders / "out/maps/toys").metrics == first.metrics


@pytest.mark.parametrize("damage", ["cut short", "one bit", "gone"])
@pytest.mark.parametrize("name", ["scores.csv", "counts.npz"])
def test_a_damaged_file_next_to_a_result_is_reported_and_written_again(
    folders, capsys, name, damage
):
    """Though the aggregates in result.json are whole, so that nothing else would have to be done."""
    command = ["eval", str(folders / "maps"), str(folders / "gt"), "-o", str(folders / "out")]
    assert main(command) == 0
    folder = folders / "out/maps/toys"
    stored = content(folder)
    damaged = bytearray(stored[name])
    damaged[len(damaged) // 2] ^= 1
    (folder / name).write_bytes(stored[name][:-50] if damage == "cut short" else damaged)
    if damage == "gone":
        (folder / name).unlink()
    assert load_result(folder).is_table_modified() == (name == "scores.csv")
    if name == "scores.csv":
        with pytest.raises(
            SodbenchError,
            match=r"scores\.csv: (was modified after it was written; run|cannot be read \(No such)",
        ):
            _ = load_result(folder).table
    capsys.readouterr()
    assert main(command) == 0
    message = capsys.readouterr().err
    assert content(folder) == stored
    assert f"{name}: " in message and "again now" in message
    assert main(command) == 0
    assert "1 of 1 results are up to date and were reused" in capsys.readouterr().err


def test_sound_results_are_verified(original, capsys):
    assert main(["verify", str(original / "out")]) == 0
    assert "2 of 2 result(s) verified" in capsys.readouterr().out
    again = ["verify", str(original / "out"), str(original / "preds"), str(original / "gt")]
    assert main(again) == 0
    assert capsys.readouterr().out.count("agree with their counts and images") == 2


@pytest.mark.parametrize("forge", [False, True], ids=["edited", "digest forged, too"])
def test_every_field_of_a_result_is_guarded(original, stored, forge):
    """Without a forged digest every edit is named; with one, whatever the counts and names decide."""
    whole = (stored / "result.json").read_text()
    fields = list(leaves(json.loads(whole)))
    assert len(fields) > 35
    unnoticed = []
    for path, value in fields:
        if forge and path in (("digest",), ("format",)):
            continue
        edit_json(stored, lambda content, p=path, v=value: put(content, p, altered(v)), forge=forge)
        (verified,) = (one for one in verify_results(stored) if one.folder == stored)
        if not verified.differences:
            unnoticed.append(".".join(map(str, path)))
        if not (forge and path[-1] in ("method", "dataset", "shard")):
            assert_restored(original, stored)  # those three are refused: another result is there
        (stored / "result.json").write_text(whole)
    # nothing in the folder can decide these; a run of eval does, and wrote them again above
    undecidable = {
        "method",
        "dataset",
        "folders.maps",
        "folders.masks",
        "folders.images",
        "policy.resize",
        "policy.missing",
        "policy.undefined",
        "provenance.maps",
        "provenance.sample",
        "provenance.scored_by",
        "provenance.suffix",
    }
    versions = {
        f"provenance.versions.{name}" for name in json.loads(whole)["provenance"]["versions"]
    }
    assert set(unnoticed) <= (undecidable | versions if forge else set())


ODD_VALUES = [
    None,
    True,
    -1,
    1e308,
    10**30,
    "",
    "\ud800",
    "\x1b[2J",
    [[]],
    {"a": {"b": 1}},
]


def test_no_value_in_a_result_ends_in_a_traceback(stored):
    content = json.loads((stored / "result.json").read_text())
    paths = {tuple(path) for path, _ in leaves(content)}
    assert len(paths) > 35
    for path in sorted(paths | {path[:1] for path in paths}, key=str):
        value = reduce(getitem, path, content)
        for odd in ODD_VALUES:
            if odd == value:
                continue
            put(content, path, odd)
            if path != ("digest",):
                del content["digest"]
                content["digest"] = _digest(content)
            (stored / "result.json").write_text(json.dumps(content))
            try:
                _ = load_result(stored).counts
            except StoredFileError as error:
                assert str(stored) in str(error)
        put(content, path, value)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "null",
        '"text"',
        "[" * 100_000,
        '{"format": 3, "format": 3}',
        '{"format": 3, "n": NaN}',
        "\ufeff{}",
        '{"format": 1}',
    ],
)
def test_a_file_that_is_no_result_is_named(original, stored, text):
    (stored / "result.json").write_text(text)
    with pytest.raises(StoredFileError, match=r"result\.json: "):
        load_result(stored)
    assert_restored(original, stored)


def test_cells_of_the_table_are_guarded(original, stored):
    whole = (stored / "scores.csv").read_text()
    header, first, *_ = whole.splitlines()
    for column, cell in enumerate(first.split(",")):
        cells = first.split(",")
        cells[column] = str(float(cell) + 1) if cell.replace(".", "").isdigit() else f"{cell}x"
        (stored / "scores.csv").write_text(whole.replace(first, ",".join(cells)))
        assert_named(stored, "scores.csv: was modified")
        set_hash(stored, "scores.csv")  # now the hash fits, and the number still does not follow
        name = header.split(",")[column]
        (verified,) = (one for one in verify_results(stored) if one.folder == stored)
        assert verified.differences, name
        if column % 15:  # restoring is the same for every column, and slow
            (stored / "scores.csv").write_text(whole)
            set_hash(stored, "scores.csv")
        else:
            assert_restored(original, stored)


def test_bytes_of_the_counts_are_guarded(original, stored):
    whole = (stored / "counts.npz").read_bytes()
    for at in np.linspace(0, len(whole) - 1, 30).astype(int):
        damaged = bytearray(whole)
        damaged[at] ^= 0xFF
        (stored / "counts.npz").write_bytes(damaged)
        assert_named(stored, "counts.npz: was modified")
        (stored / "counts.npz").write_bytes(whole)
    (stored / "counts.npz").write_bytes(damaged)
    assert_restored(original, stored)


@pytest.fixture(scope="module")
def of_real_files(shared, tmp_path_factory):
    """Results of real maps: FT and RC on CSSD18, DSS on SOD."""
    out = tmp_path_factory.mktemp("real")
    for method, dataset in (("FT", "CSSD18"), ("RC", "CSSD18"), ("DSS", "SOD")):
        preds = shared / "real/preds" / method / dataset
        evaluate(preds, shared / "real" / dataset, "pysodmetrics", output=out, name=method)
    return out


@pytest.mark.real
def test_results_of_real_files_are_verified(of_real_files, shared):
    real = shared / "real"
    for method, n in (("FT", 18), ("RC", 18), ("DSS", 300)):
        (verified,) = verify_results(of_real_files / method, real / "preds" / method, real)
        assert (verified.differences, verified.n, verified.from_images) == ((), n, True)


@pytest.mark.real
def test_thirty_edits_of_results_of_real_files_are_named(of_real_files, tmp_path):
    """Ten values of result.json, ten cells of scores.csv, ten bytes of counts.npz."""
    shutil.copytree(of_real_files / "DSS", tmp_path / "DSS")
    (folder,) = (tmp_path / "DSS").iterdir()
    whole = content(folder)
    rng = np.random.default_rng(0)
    values = list(leaves(json.loads(whole["result.json"])))
    edits = []
    for i in rng.choice(len(values), 10, replace=False):
        path, value = values[i]
        edits.append(
            (
                "result.json",
                lambda p=path, v=value: edit_json(folder, lambda c: put(c, p, altered(v))),
            )
        )
    lines = whole["scores.csv"].decode().split("\n")
    for row in rng.choice(range(1, 301), 10, replace=False):
        cells = lines[row].split(",")
        cells[-1 - row % 20] = repr(rng.random())
        text = "\n".join([*lines[:row], ",".join(cells), *lines[row + 1 :]])
        edits.append(("scores.csv", lambda t=text: (folder / "scores.csv").write_text(t)))
    for at in rng.choice(len(whole["counts.npz"]), 10, replace=False):
        data = bytearray(whole["counts.npz"])
        data[at] ^= 1 << int(rng.integers(8))
        edits.append(("counts.npz", lambda d=bytes(data): (folder / "counts.npz").write_bytes(d)))
    for name, edit in edits:
        edit()
        (verified,) = verify_results(folder)
        assert any(name in text for text in verified.differences), (name, verified)
        (folder / name).write_bytes(whole[name])
    assert len(edits) == 30 and not verify_results(folder)[0].differences


def test_swapped_counts_are_refused(original, stored):
    other = stored.parents[1] / "B" / stored.name
    ours, theirs = (folder / "counts.npz" for folder in (stored, other))
    (data, instead) = ours.read_bytes(), theirs.read_bytes()
    ours.write_bytes(instead)
    theirs.write_bytes(data)
    assert_named(stored, "counts.npz: was modified")
    set_hash(stored, "counts.npz")
    assert_named(stored, "metrics.mae is ")
    assert_restored(original, stored)
    assert_restored(original, other)


@pytest.mark.parametrize("command", ["report", "compare", "merge"])
def test_modified_results_are_refused_by_every_command(stored, tmp_path, capsys, command):
    edit_json(stored, lambda content: content["metrics"].update(f_max=0.9439))
    out = str(stored.parents[1])
    options = {
        "report": [out, "-o", str(tmp_path / "report.md")],
        "compare": [f"{out}/A", f"{out}/B"],
        "merge": [out, "-o", str(tmp_path / "merged")],
    }
    assert main([command, *options[command]]) == 2
    assert "result.json: was modified after it was written" in capsys.readouterr().err


def test_counts_that_contradict_themselves_are_not_used(original, stored):
    """The counts are edited, and all digests fit: what they imply about themselves does not."""

    def halve(arrays):
        arrays["absolute_error"] //= 2

    edit_counts(stored, halve, forge=True)
    assert_named(stored, "absolute_error is not what its counts give")
    assert_restored(original, stored)
    edit_counts(stored, halve, forge=True)
    (stored / "result.json").unlink()  # as if a run had been killed
    assert_restored(original, stored)


def test_a_complete_forgery_is_found_with_the_images(original, stored):
    """Counts, table and aggregates agree with each other; only the images do not."""
    forged = original / "forged"
    shutil.copytree(original / "preds/A", forged / "A", dirs_exist_ok=True)
    save_image(forged / "A/img00.png", draw_pair(0, 30, 40)[1])
    evaluate(forged / "A", original / "gt", output=forged / "out", name="A")
    (folder,) = (forged / "out/A").iterdir()
    shutil.copytree(folder, stored, dirs_exist_ok=True)
    assert not verify_results(stored)[0].differences
    (verified,) = verify_results(stored, original / "preds/A", original / "gt")
    assert verified.from_images and len(verified.differences) == 1
    assert verified.differences[0].startswith("img00: the images give another ")
    again = evaluate(original / "preds/A", original / "gt", output=stored.parents[1], name="A")
    assert again.metrics == load_result(original / "out/A" / stored.name).metrics


def test_results_of_an_earlier_format_are_reported_and_written_again(original, stored, capsys):
    path = stored / "result.json"
    content_ = json.loads(path.read_text())
    content_["format"] = 1
    path.write_text(json.dumps(content_))
    with pytest.raises(StoredFileError, match="written by another version"):
        load_result(stored)
    assert_restored(original, stored)
    assert "written by another version of sodbench; it is written again now" in (
        capsys.readouterr().err
    )


def test_a_digest_depends_on_every_value():
    one = {"a": 1.0, "b": [1, 2]}
    assert len({_digest(one), _digest({**one, "a": 1}), _digest({**one, "b": [2, 1]})}) == 3


def test_all_results_of_a_tree_are_verified_at_once(stored):
    assert len(load_results([stored.parents[1]])) == 2
    (stored / "scores.csv").unlink()
    wrong = {one.folder.parent.name: one.differences for one in verify_results(stored.parents[1])}
    assert not wrong["B"] and "cannot be read" in wrong["A"][0]


def test_counts_that_contradict_their_result_are_not_used_for_other_pairs(original, stored, capsys):
    """Another map is missing now, so that the stored counts are used in part only."""
    preds = original / "fewer"
    shutil.copytree(original / "preds/A", preds, dirs_exist_ok=True)
    (preds / "img05.png").unlink(missing_ok=True)

    def forge(arrays):
        arrays["metric_wf_raw_128"][0] = 0.999

    edit_counts(stored, forge, forge=True)
    policy = Policy(missing="skip")
    task = plan_evaluation(preds, find_masks(original / "gt"), name="A", policy=policy)
    capsys.readouterr()
    (again,) = evaluate_plan(task, output=stored.parents[1]).results
    assert "contradicts the counts it is stored with" in capsys.readouterr().err
    (fresh,) = evaluate_plan(task).results
    assert not [text for text in find_differences(again, fresh) if "knife" in text or "wf" in text]
    assert again.metrics == fresh.metrics


def test_a_problem_that_is_listed_twice_is_named(stored):
    edit_json(stored, lambda c: c["problems"].append(c["problems"][0]), forge=True)
    assert_named(stored, "2 times, expected 1")


def test_readable_maps_that_a_result_leaves_out_are_named(original, tmp_path):
    """The worst image is left out and called missing; the numbers, counts and digests all agree."""
    preds = original / "best"
    shutil.copytree(original / "preds/A", preds, dirs_exist_ok=True)
    (preds / "img04.png").unlink(missing_ok=True)
    (preds / "img01.png").write_text("no image")
    policy = Policy(missing="skip")
    task = plan_evaluation(preds, find_masks(original / "gt"), name="A", policy=policy)
    evaluate_plan(task, output=tmp_path / "out")
    (sound,) = verify_results(tmp_path / "out", preds, original / "gt")
    assert sound.from_images and not sound.differences
    (verified,) = verify_results(tmp_path / "out", original / "preds/A", original / "gt")
    assert verified.differences == (
        "img01: is left out, but its map is there and can be read",
        "img04: is left out, but its map is there and can be read",
    )
