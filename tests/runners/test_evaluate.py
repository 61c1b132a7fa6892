"""Folders against folders: pairing, policies, problems, trees, resuming, sharding."""

import gc
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import sodbench
from sodbench.cli import main
from sodbench.datasets import find_masks
from sodbench.errors import ProblemsError, SodbenchError
from sodbench.files import lock_folder
from sodbench.images import read_grey
from sodbench.metrics import Evaluator
from sodbench.results import load_result, store
from sodbench.results.counts_file import CountsFile
from sodbench.runners.evaluation.evaluate import evaluate, evaluate_plan, evaluate_tree
from sodbench.runners.evaluation.plan import plan_evaluation

STEMS = [f"img{i:02d}" for i in range(8)]


def draw(seed, height=30, width=40):
    rng = np.random.default_rng(seed)
    mask = np.zeros((height, width), np.uint8)
    y, x = rng.integers(0, height // 2), rng.integers(0, width // 2)
    mask[y : y + height // 2, x : x + width // 2] = 255
    noise = rng.integers(-60, 60, mask.shape)
    return np.clip(mask * 0.7 + 40 + noise, 0, 255).astype(np.uint8), mask


def save(path, pixels):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


@pytest.fixture
def folders(tmp_path):
    root = tmp_path / "toys"
    for seed, stem in enumerate(STEMS):
        map_, mask = draw(seed)
        save(root / "maps" / f"{stem}.png", map_)
        save(root / "gt" / f"{stem}.png", mask)
    return root


def run(folders, *options, preds="maps", gt="gt"):
    return main(["--quiet", "eval", str(folders / preds), str(folders / gt), *options])


def kinds(error):
    return sorted({problem.kind for problem in error.value.problems})


def test_a_folder_gives_the_numbers_of_its_arrays(folders):
    result = evaluate(folders / "maps", folders / "gt", "pysodmetrics")
    evaluator = Evaluator("pysodmetrics")
    for seed, stem in enumerate(STEMS):
        evaluator.update(*draw(seed), name=stem)
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


def test_all_protocols_stand_side_by_side(folders, capsys):
    assert run(folders, "--protocol", "all") == 0
    printed = capsys.readouterr().out
    assert "pysodmetrics - salmetric" in printed and printed.count("sodbench:") == 3


# -- problems ---------------------------------------------------------------------------------------


def test_all_problems_are_shown_together_and_nothing_is_scored(folders, capsys):
    (folders / "maps/img03.png").unlink()
    shutil.copy(folders / "maps/img04.png", folders / "maps/img04.jpg.png")
    Image.open(folders / "maps/img05.png").save(folders / "maps/img05.jpg")
    whole = (folders / "maps/img06.png").read_bytes()
    (folders / "maps/img06.png").write_bytes(whole[:-20])
    (folders / "gt/img00.png").write_bytes(b"")
    save(folders / "maps/img01.png", draw(1, 9, 8)[0])
    assert run(folders, "-o", str(folders / "out")) == 2
    message = capsys.readouterr().err
    assert "unreadable (1)" in message and "img06.png: this PNG is cut short" in message
    assert "unreadable-mask (1)" in message and "img00.png: the file is empty" in message
    assert "size (" not in message  # it would be resized
    assert run(folders, "-o", str(folders / "out"), "--resize", "error", "--missing", "skip") == 2
    refused = capsys.readouterr().err
    assert "size (1)" in refused and "img01.png: 9x8, but its mask is 30x40" in refused
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
    assert zero.table.loc["img03", "mae"] == pytest.approx(draw(3)[1].mean() / 255)
    assert [p.kind for p in zero.problems] == ["missing"]


def test_extra_maps_are_reported(folders, capsys):
    save(folders / "maps/other.png", draw(99)[0])
    assert run(folders, "--format", "json") == 1
    (problem,) = json.loads(capsys.readouterr().out)["problems"]
    assert problem["kind"] == "extra" and problem["file"].endswith("other.png")


def test_maps_of_another_size_are_resized_and_reported_or_refused(folders):
    save(folders / "maps/img02.png", draw(2, 15, 20)[0])
    result = evaluate(folders / "maps", folders / "gt")
    assert "resize:bilinear(1)" in str(result.signature)
    (problem,) = result.problems
    assert problem.kind == "size" and "15x20" in problem.detail and "30x40" in problem.detail
    with pytest.raises(ProblemsError) as error:
        evaluate(folders / "maps", folders / "gt", resize="error")
    assert kinds(error) == ["size"]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "empty (0 bytes)"),
        (b"a text file\n", "text"),
        (None, "IDAT"),
    ],
)
def test_unreadable_maps_are_named_and_the_rest_is_kept(folders, capsys, content, says):
    broken = folders / "maps/img06.png"
    whole = broken.read_bytes()
    broken.write_bytes(whole[: len(whole) // 2] if content is None else content)
    assert run(folders, "-o", str(folders / "out")) == 2
    message = capsys.readouterr().err
    assert "img06.png" in message and says in message and "--missing skip" in message
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


def test_what_was_converted_is_said_and_counts_as_clean(folders, capsys):
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
    save(folders / "gt/img05.png", levels)
    save(folders / "gt/img06.png", np.zeros((30, 40), np.uint8))
    save(folders / "maps/img07.png", np.zeros((30, 40), np.uint8))
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
    save(folders / "gt/img05.png", np.asarray(Image.open(folders / "gt/img05.png")) // 255)
    result = evaluate(folders / "maps", folders / "gt")
    assert [p.kind for p in result.problems] == ["empty-mask", "mask-coding"]


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


def test_an_output_that_cannot_be_written(folders, capsys):
    (folders / "file").write_text("")
    assert run(folders, "-o", str(folders / "file/out")) == 2
    assert "choose another output folder" in capsys.readouterr().err


def test_unknown_measures_are_refused_with_the_known_ones(folders, capsys):
    assert run(folders, "--metrics", "mae,fmax") == 2
    assert "fmax" in capsys.readouterr().err


# -- trees ------------------------------------------------------------------------------------------


@pytest.fixture
def tree(tmp_path):
    for seed, stem in enumerate(STEMS):
        for name in ("ECSSD", "SOD"):
            map_, mask = draw(seed + len(name))
            save(tmp_path / f"data/{name}/GT/{stem}.png", mask)
            save(tmp_path / f"data/{name}/Imgs/{stem}.jpg", np.dstack([map_] * 3))
            save(tmp_path / f"by_method/A/{name}/{stem}_A.png", map_)
            save(tmp_path / f"by_method/B/{name}/{stem}.png", 255 - map_)
            save(tmp_path / f"by_set/{name}/A/{stem}.png", map_)
            save(tmp_path / f"one/{name}/{stem}.png", map_)
    return tmp_path


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


def test_a_common_suffix_is_recognised_and_said(tree, capsys):
    assert main(["eval", str(tree / "by_method/A"), str(tree / "data"), "--dry-run"]) == 0
    captured = capsys.readouterr()
    assert "suffix '_A'" in captured.out and captured.err == ""


def test_methods_and_sets_can_be_chosen(tree):
    truths = find_masks(tree / "data")
    plan = plan_evaluation(tree / "by_method", truths, methods=["b"], datasets=["sod"])
    assert [(t.method, t.dataset) for t in plan.tasks] == [("B", "SOD")]


def test_images_of_the_set_are_found_for_the_report(tree):
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


# -- results, resuming, sharding --------------------------------------------------------------------


def content(folder):
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_results_do_not_depend_on_the_number_of_jobs(tree):
    for jobs in (1, 3):
        evaluate_tree(tree / "by_method", tree / "data", output=tree / f"out{jobs}", jobs=jobs)
    assert content(tree / "out1") == content(tree / "out3")


def test_a_stored_result_comes_back_as_it_was(folders):
    result = evaluate(folders / "maps", folders / "gt", output=folders / "out")
    stored = load_result(folders / "out/maps/toys")
    assert stored.metrics == result.metrics
    fresh = evaluate(folders / "maps", folders / "gt")
    assert (stored.table.columns == fresh.table.columns).all()
    np.testing.assert_allclose(stored.table["wf"], fresh.table["wf"], rtol=0, atol=0)
    assert (
        stored.rescored("matlab").metrics
        == evaluate(folders / "maps", folders / "gt", "matlab").metrics
    )


def test_what_was_scored_is_not_read_again(folders, monkeypatch):
    from sodbench.runners.evaluation import count as counting
    from sodbench.runners.evaluation import preflight

    first = evaluate(folders / "maps", folders / "gt", output=folders / "out")
    read = []
    monkeypatch.setattr(
        counting, "decode_grey", lambda data, path: read.append(path) or real(data, path)
    )
    real = sodbench.images.decode_grey
    monkeypatch.setattr(preflight, "read_grey", lambda path: read.append(path) or read_grey(path))

    again = evaluate(folders / "maps", folders / "gt", output=folders / "out")
    other = evaluate(folders / "maps", folders / "gt", "pysodmetrics", output=folders / "out")
    assert again.metrics == first.metrics and other.protocol == "pysodmetrics" and not read

    os.utime(folders / "maps/img00.png", (1, 1))  # touched, but the same bytes
    evaluate(folders / "maps", folders / "gt", "pysodmetrics", output=folders / "out")
    assert not read
    save(folders / "maps/img01.png", draw(55)[0])
    changed = evaluate(folders / "maps", folders / "gt", output=folders / "out")
    assert {path.name for path in read} == {"img01.png"} and changed.metrics != first.metrics
    read.clear()
    evaluate_plan(
        plan_evaluation(folders / "maps", find_masks(folders / "gt")),
        output=folders / "out",
        force=True,
        allow_swapped=True,
    )
    assert len(read) == 16


@pytest.mark.parametrize("damage", ["truncate", "flip", "text"])
def test_a_damaged_cache_is_said_and_rebuilt(folders, capsys, damage):
    first = evaluate(folders / "maps", folders / "gt", output=folders / "out")
    counts = folders / "out/maps/toys/counts.npz"
    whole = bytearray(counts.read_bytes())
    whole[len(whole) // 3] ^= 0xFF
    counts.write_bytes({"truncate": whole[:-200], "flip": whole, "text": b"hello"}[damage])
    (folders / "out/maps/toys/result.json").unlink()
    again = evaluate(folders / "maps", folders / "gt", output=folders / "out")
    assert again.metrics == first.metrics
    assert "damaged" in capsys.readouterr().err


def test_a_damaged_part_is_reported_and_counted_again(folders, capsys):
    (folders / "gt/img07.png").write_bytes(b"broken")
    with pytest.raises(ProblemsError):
        evaluate(folders / "maps", folders / "gt", output=folders / "out")
    (part,) = (folders / "out/maps/toys/parts").iterdir()
    data = bytearray(part.read_bytes())
    data[3000] ^= 0xFF
    part.write_bytes(data)
    save(folders / "gt/img07.png", draw(7)[1])
    result = evaluate(folders / "maps", folders / "gt", output=folders / "out")
    message = capsys.readouterr().err
    assert f"{part}: damaged counts file" in message and "its pairs are scored again" in message
    assert result.n == 8 and not part.parent.exists()


IN_SMALL_PARTS = """
import sys
from sodbench.cli import main
from sodbench.results import store

store.PAIRS_PER_PART = 4
sys.exit(main(sys.argv[1:]))
"""


def test_killed_runs_resume_to_the_same_bytes(tmp_path, monkeypatch):
    """SIGKILL at a few moments; the runs over the real set are in benchmarks/kill.py."""
    for seed in range(60):
        map_, mask = draw(seed, 120, 160)
        save(tmp_path / f"toys/maps/{seed:03d}.png", map_)
        save(tmp_path / f"toys/gt/{seed:03d}.png", mask)
    arguments = ["--quiet", "eval", "toys/maps", "toys/gt", "-o"]
    command = [sys.executable, "-c", IN_SMALL_PARTS, *arguments]
    monkeypatch.chdir(tmp_path)
    assert main([*arguments, "whole"]) == 0
    parts = tmp_path / "killed/maps/toys/parts"
    kills = 0
    for number in (2, 6, 10):
        process = subprocess.Popen([*command, "killed"], cwd=tmp_path, stdout=subprocess.DEVNULL)
        while process.poll() is None and len(list(parts.glob("part-*.npz"))) < number:
            time.sleep(0.001)
        process.send_signal(signal.SIGKILL)
        kills += process.wait() == -signal.SIGKILL
    assert kills
    assert main([*arguments, "killed"]) == 0
    assert content(tmp_path / "killed") == content(tmp_path / "whole")


KILLED_AT_EVERY_STEP = """
import itertools, os, shutil, sys
from pathlib import Path
from sodbench.results import store
from sodbench.runners.evaluation.evaluate import evaluate

store.PAIRS_PER_PART = 3

def content(folder):
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}

def score(output, protocol="salmetric"):
    evaluate("toys/maps", "toys/gt", protocol, output=output, jobs=1)

def step(event, arguments):
    global left
    if event in ("open", "os.rename", "os.remove") and "killed" in str(arguments[0]):
        left -= 1
        if not left:
            os._exit(9)  # as SIGKILL does: nothing is closed, flushed or removed

score("whole")
score("scored before", "pysodmetrics")
for start in (None, Path("scored before")):
    for number in itertools.count(1):
        shutil.rmtree("killed", ignore_errors=True)
        if start:
            shutil.copytree(start, "killed")
        process = os.fork()
        if not process:
            left = number
            sys.addaudithook(step)
            score("killed")
            os._exit(0)
        status = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
        left_over = content(Path("killed")) if Path("killed").exists() else {}
        if "maps/toys/result.json" in left_over:  # then all that belongs to it is of the same run
            runs = [content(Path(run)) for run in ("whole", start) if run]
            assert any(run.items() <= left_over.items() for run in runs), (start, number)
        score("killed")
        assert content(Path("killed")) == content(Path("whole")), (start, number)
        if status == 0:
            break
        assert status == 9
    print(number)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")
def test_a_run_killed_before_any_step_leaves_nothing_behind_when_resumed(folders):
    """Before each file it opens, moves or removes in its output, the first time and over an older result."""
    ran = subprocess.run(
        [sys.executable, "-c", KILLED_AT_EVERY_STEP],
        check=False,
        cwd=folders.parent,
        capture_output=True,
        text=True,
    )
    assert ran.returncode == 0, ran.stderr
    assert [int(number) > 10 for number in ran.stdout.split()] == [True, True]


@pytest.mark.skipif(sys.platform == "win32", reason="signals of a terminal")
@pytest.mark.parametrize("options", [[], ["-o", "out"], ["-o", "out", "--jobs", "1"]])
def test_ctrl_c_ends_at_once_and_says_how_to_go_on(tmp_path, options):
    (tmp_path / "toys/maps").mkdir(parents=True)
    (tmp_path / "toys/gt").mkdir()
    map_, mask = draw(0, 300, 400)
    save(tmp_path / "map.png", map_)
    save(tmp_path / "mask.png", mask)
    for number in range(3000):
        os.link(tmp_path / "map.png", tmp_path / f"toys/maps/{number:04d}.png")
        os.link(tmp_path / "mask.png", tmp_path / f"toys/gt/{number:04d}.png")
    command = [sys.executable, "-m", "sodbench", "eval", "toys/maps", "toys/gt", *options]
    with subprocess.Popen(
        command, cwd=tmp_path, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        assert process.stderr.readline() == "maps on toys: 3000 pairs\n"
        parts = tmp_path / "out/maps/toys/parts"
        while options and not any(parts.glob("part-*.npz")):
            time.sleep(0.01)
        began = time.monotonic()
        os.killpg(process.pid, signal.SIGINT)
        message = process.communicate(timeout=60)[1]
        assert (
            time.monotonic() - began < 10
        )  # within a second on a machine that has nothing else to do
    assert process.returncode == 130, message
    assert message.count("\n") == 1 and "resumes where it stopped" in message
    assert ("nothing was stored" in message) == (not options)
    if options:
        assert 0 < sum(len(CountsFile(part)) for part in parts.glob("part-*.npz")) < 3000


def test_shards_merge_into_what_one_run_writes(folders):
    save(folders / "maps/img02.png", draw(2, 15, 20)[0])
    save(folders / "maps/other.png", draw(99)[0])
    (folders / "maps/img03.png").unlink()
    options = ["--missing", "skip", "-o"]
    assert run(folders, *options, str(folders / "whole")) == 1
    for i in (1, 2, 3):
        run(folders, *options, str(folders / f"part{i}"), "--shard", f"{i}/3")
    parts = [str(folders / f"part{i}") for i in (1, 2, 3)]
    assert main(["--quiet", "merge", *parts, "-o", str(folders / "merged")]) == 1
    assert content(folders / "merged") == content(folders / "whole")


def test_a_shard_behind_a_link_is_merged(folders):
    for i in (1, 2):
        run(folders, "-o", str(folders / f"part{i}"), "--shard", f"{i}/2")
    run(folders, "-o", str(folders / "whole"))
    (folders / "link").mkdir()
    (folders / "link/maps").symlink_to(folders / "part1/maps")
    parts = [str(folders / name) for name in ("link", "part2")]
    assert main(["merge", *parts, "-o", str(folders / "merged")]) == 0
    merged, whole = (load_result(folders / name / "maps/toys") for name in ("merged", "whole"))
    assert merged.metrics == whole.metrics


def test_more_shards_than_pairs(folders, capsys):
    number = len(STEMS) + 2
    run(folders, "-o", str(folders / "whole"))
    for i in range(1, number + 1):
        assert run(folders, "-o", str(folders / f"part{i}"), "--shard", f"{i}/{number}") == 0
    assert (
        main(
            [
                "eval",
                str(folders / "maps"),
                str(folders / "gt"),
                "--shard",
                f"{number}/{number}",
                "-o",
                str(folders / "none"),
            ]
        )
        == 0
    )
    assert "pair(s) are in other shards" in capsys.readouterr().err
    parts = [str(folders / f"part{i}") for i in range(1, len(STEMS) + 1)]
    assert main(["merge", *parts[:-1], "-o", str(folders / "gap")]) == 2
    assert f"shard(s) {len(STEMS)} of {number} are missing" in capsys.readouterr().err
    assert main(["merge", *parts, str(folders / "none"), "-o", str(folders / "merged")]) == 0
    for name in ("result.json", "scores.csv", "counts.npz"):
        file = Path("maps/toys") / name
        assert (folders / "merged" / file).read_bytes() == (folders / "whole" / file).read_bytes()


def test_shards_that_do_not_belong_together_are_refused(folders, capsys):
    for i in (1, 2, 3):
        run(folders, "-o", str(folders / f"part{i}"), "--shard", f"{i}/3")
    shutil.copytree(folders / "part2", folders / "part2-again")
    run(folders, "-o", str(folders / "other"), "--shard", "2/3", "--resize", "nearest")
    run(folders, "-o", str(folders / "all"))

    def merged(*parts):
        return main(["merge", *(str(folders / p) for p in parts), "-o", str(folders / "merged")])

    for parts, says in (
        (("part1", "part3"), "shard(s) 2 of 3 are missing"),
        (("part1", "part2", "part2-again", "part3"), "there twice"),
        (("part1", "other", "part3"), "--resize"),
        (("part1", "all"), "no shard but a whole result"),
    ):
        assert merged(*parts) == 2
        assert says in capsys.readouterr().err
    save(folders / "maps/img00b.png", draw(1)[0])
    save(folders / "gt/img00b.png", draw(1)[1])
    run(folders, "-o", str(folders / "part2"), "--shard", "2/3")
    assert merged("part1", "part2", "part3") == 2


def test_a_tree_needs_evaluate_tree(tree):
    with pytest.raises(SodbenchError, match="evaluate_tree"):
        evaluate(tree / "by_method", tree / "data")
    found = evaluate_tree(tree / "by_method", tree / "data", ["salmetric", "matlab"])
    assert [(r.method, r.dataset, r.protocol) for r in found.results[:3]] == [
        ("A", "ECSSD", "salmetric"),
        ("A", "ECSSD", "matlab"),
        ("B", "ECSSD", "salmetric"),
    ]
    assert len(found.results) == 8 and found.clean


def test_other_sets_of_a_tree_are_left_alone_and_named(tree):
    shutil.copytree(tree / "by_method/A/SOD", tree / "by_method/A/Unheard18")
    plan = plan_evaluation(tree / "by_method", find_masks(tree / "data/SOD/GT"))
    assert [(t.method, t.dataset) for t in plan.tasks] == [("A", "SOD"), ("B", "SOD")]
    assert f"{tree}/by_method/A/Unheard18" in [p.file for p in plan.problems]


# -- what fresh eyes broke --------------------------------------------------------------------------


def test_unreadable_maps_count_as_black_where_that_is_asked_for(folders):
    (folders / "maps/img03.png").unlink()
    (folders / "maps/img06.png").write_bytes(b"junk")
    result = evaluate(folders / "maps", folders / "gt", missing="zero")
    assert result.n == 8 and "missing:zero(2)" in str(result.signature)
    assert result.table.loc["img06", "mae"] == pytest.approx(draw(6)[1].mean() / 255)
    assert [p.kind for p in result.problems] == ["missing", "unreadable"]


def test_methods_whose_folders_look_alike_stay_apart(tmp_path):
    for seed, stem in enumerate(STEMS):
        map_, mask = draw(seed)
        save(tmp_path / f"gt/{stem}.png", mask)
        save(tmp_path / f"preds/a/b/{stem}.png", map_)
        save(tmp_path / f"preds/a@b/{stem}.png", 255 - map_)
    plan = plan_evaluation(tmp_path / "preds", find_masks(tmp_path / "gt"))
    first, second = evaluate_plan(plan, output=tmp_path / "out").results
    assert (first.method, second.method) == ("a/b", "a@b") and first.folder != second.folder
    assert first.metrics["mae"] != second.metrics["mae"]


def test_a_run_broken_off_before_its_result_leaves_no_old_numbers(folders, monkeypatch):
    from sodbench.runners.evaluation import assemble

    evaluate(folders / "maps", folders / "gt", output=folders / "out")
    save(folders / "maps/img01.png", draw(55)[0])
    with monkeypatch.context() as broken:
        broken.setattr(assemble, "save_result", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            evaluate(folders / "maps", folders / "gt", output=folders / "out")
    again = evaluate(folders / "maps", folders / "gt", output=folders / "out")
    assert again.metrics == evaluate(folders / "maps", folders / "gt").metrics


def test_other_files_of_the_same_size_and_time_are_told_apart(tmp_path):
    for seed, stem in enumerate(STEMS):
        map_, mask = draw(seed)
        save(tmp_path / f"set/gt/{stem}.png", mask)
        for name, pixels in (("p1", map_), ("p2", 255 - map_)):
            save(tmp_path / f"{name}/{stem}.bmp", pixels)
            os.utime(tmp_path / f"{name}/{stem}.bmp", (1, 1))
    for name in ("p1", "p2"):
        kept = evaluate(tmp_path / name, tmp_path / "set/gt", output=tmp_path / "out", name="X")
        assert kept.metrics == evaluate(tmp_path / name, tmp_path / "set/gt", name="X").metrics


def test_what_a_program_keeps_from_the_collector_stays_so(folders):
    gc.freeze()
    try:
        evaluate(folders / "maps", folders / "gt")
        assert gc.get_freeze_count()
    finally:
        gc.unfreeze()
    evaluate(folders / "maps", folders / "gt")
    assert not gc.get_freeze_count()


@pytest.mark.parametrize(
    ("limit", "file", "kept"),
    [(12_000, "parts/part-0001.npz", 0), (30_000, "parts/part-0002.npz", 2)],
)
def test_a_full_disk_ends_a_run_which_resumes_where_it_stopped(
    folders, capsys, no_file_beyond, monkeypatch, limit, file, kept
):
    monkeypatch.setattr(store, "PAIRS_PER_PART", 2)
    out = folders / "out"
    with no_file_beyond(limit):
        assert run(folders, "-o", str(out), "--jobs", "1") == 2
    message = capsys.readouterr().err
    assert f"{file}: cannot be written (File too large); make room" in message
    assert main(["eval", str(folders / "maps"), str(folders / "gt"), "-o", str(out)]) == 0
    assert (f"{kept} of 8 pairs" in capsys.readouterr().err) == bool(kept)
    assert not (out / "maps/toys/parts").exists()
    expected = evaluate(folders / "maps", folders / "gt")
    assert load_result(out / "maps/toys").metrics == expected.metrics


def test_two_runs_into_one_folder_do_not_mix(folders):
    with (
        lock_folder(folders / "out/maps/toys"),
        pytest.raises(SodbenchError, match="another process"),
    ):
        evaluate(folders / "maps", folders / "gt", output=folders / "out")
    assert evaluate(folders / "maps", folders / "gt", output=folders / "out").n == 8


def test_maps_of_zeros_and_ones_are_a_problem(folders):
    save(folders / "maps/img05.png", np.asarray(Image.open(folders / "gt/img05.png")) // 255)
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


@pytest.mark.parametrize("place", ["maps", "gt", "maps/results"])
def test_results_are_never_written_among_the_users_files(folders, capsys, place):
    before = content(folders)
    assert run(folders, "-o", str(folders / place)) == 2
    assert "an output folder of its own" in capsys.readouterr().err
    assert content(folders) == before


def test_a_shard_does_not_replace_another_and_masks_are_not_scored_against_themselves(
    folders, capsys
):
    run(folders, "-o", str(folders / "out"), "--shard", "1/2")
    assert run(folders, "-o", str(folders / "out"), "--shard", "2/2") == 2
    assert "holds shard 1/2" in capsys.readouterr().err
    assert run(folders, preds="gt") == 2
    assert "same folder" in capsys.readouterr().err


def test_names_that_match_nothing_are_refused_with_what_there_is(tree, capsys):
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
def test_a_damaged_file_beside_a_result_is_reported_and_written_again(
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
    assert load_result(folder).modified_files() == [folder / name]
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


def test_without_an_output_folder_counts_are_held_only_if_asked_for(folders):
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
