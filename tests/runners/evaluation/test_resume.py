"""Runs that are repeated, interrupted or killed: nothing is counted twice, and the files end up the same."""

import os
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from evaluations import STEMS, assert_restored, content, edit_arrays, run
from synthetic import draw_pair, save_image

from sodbench import images
from sodbench.cli import main
from sodbench.datasets import find_masks
from sodbench.errors import ProblemsError, SodbenchError
from sodbench.files import checksum, lock_folder
from sodbench.images import decode_grey, read_file, read_grey
from sodbench.results import counts_file, load_result, store
from sodbench.results.counts_file import CountsFile, write_counts
from sodbench.runners.evaluation import count as counting
from sodbench.runners.evaluation.evaluate import evaluate, evaluate_plan
from sodbench.runners.evaluation.plan import plan_evaluation


@pytest.mark.parametrize("how", ["bicubic", "opencv"])
def test_the_way_of_resizing_is_stored_and_in_the_signature(how, folders, tmp_path):
    save_image(folders / "maps/img00.png", draw_pair(0, 15, 20)[0])
    places = folders / "maps", folders / "gt"
    first = evaluate(*places, output=tmp_path / "out", resize=how)
    assert first.signature.resize == f"{how}(1)"
    assert (
        "resized to its mask's" in first.problems[0].detail
        and f"({how})" in first.problems[0].detail
    )
    stored = load_result(tmp_path / "out/maps/toys")
    assert stored.counts is not None and stored.policy.resize == how
    # another way counts that pair again
    other = evaluate(*places, output=tmp_path / "out", resize="bilinear")
    assert other.signature.resize == "bilinear(1)" and other.metrics != first.metrics


def note_reads(monkeypatch):
    """The list in which the files are noted that are decoded from now on."""
    read = []

    def decode(data, path):
        read.append(path)
        return decode_grey(data, path)

    monkeypatch.setattr(images, "decode_grey", decode)
    monkeypatch.setattr(images, "read_grey", lambda path: read.append(path) or read_grey(path))
    return read


def test_asking_for_fewer_metrics_on_request_loses_none_and_reads_nothing(
    folders, monkeypatch, caplog
):
    def run(*metrics, protocol="salmetric"):
        places = folders / "maps", folders / "gt"
        return evaluate(*places, protocol, output=folders / "out", metrics=metrics)

    first = run("mba", "iou@0.5", protocol="torch")
    read = note_reads(monkeypatch)
    for metrics in ((), ("f_max(b2=1)",), ("mba",)):
        again = run(*metrics)
        assert again.policy.metrics[0] == "mba" and {*metrics} <= {*again.policy.metrics}
        assert again.metrics["mba"] == first.metrics["mba"]
        assert load_result(folders / "out/maps/toys").metrics["mba"] == first.metrics["mba"]
    assert again.rescored("torch").metrics["f_max"] == first.metrics["f_max"]
    assert not read
    with caplog.at_level("INFO"):
        other = run("biou_max")
    assert read and other.policy.metrics == ("biou_max",)
    assert (
        "counted again without mba, which the stored result has; name in --metrics" in caplog.text
    )


def test_what_was_scored_is_not_read_again(folders, monkeypatch):
    first = evaluate(folders / "maps", folders / "gt", output=folders / "out")
    read = note_reads(monkeypatch)

    again = evaluate(folders / "maps", folders / "gt", output=folders / "out")
    other = evaluate(folders / "maps", folders / "gt", "pysodmetrics", output=folders / "out")
    assert again.metrics == first.metrics and other.protocol == "pysodmetrics" and not read

    os.utime(folders / "maps/img00.png", (1, 1))  # touched, but the same bytes
    evaluate(folders / "maps", folders / "gt", "pysodmetrics", output=folders / "out")
    assert not read
    save_image(folders / "maps/img01.png", draw_pair(55)[0])
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


def test_other_files_of_the_same_size_and_time_are_recognised(tmp_path):
    for seed, stem in enumerate(STEMS):
        map_, mask = draw_pair(seed)
        save_image(tmp_path / f"set/gt/{stem}.png", mask)
        for name, pixels in (("p1", map_), ("p2", 255 - map_)):
            save_image(tmp_path / f"{name}/{stem}.bmp", pixels)
            os.utime(tmp_path / f"{name}/{stem}.bmp", (1, 1))
    for name in ("p1", "p2"):
        kept = evaluate(tmp_path / name, tmp_path / "set/gt", output=tmp_path / "out", name="X")
        assert kept.metrics == evaluate(tmp_path / name, tmp_path / "set/gt", name="X").metrics


def test_a_damaged_part_is_reported_and_counted_again(folders, capsys):
    (folders / "gt/img07.png").write_bytes(b"broken")
    with pytest.raises(ProblemsError):
        evaluate(folders / "maps", folders / "gt", output=folders / "out")
    (part,) = (folders / "out/maps/toys/parts").iterdir()
    data = bytearray(part.read_bytes())
    data[3000] ^= 0xFF
    part.write_bytes(data)
    save_image(folders / "gt/img07.png", draw_pair(7)[1])
    result = evaluate(folders / "maps", folders / "gt", output=folders / "out")
    message = capsys.readouterr().err
    assert f"{part}: damaged counts file" in message and "its pairs are scored again" in message
    assert result.n == 8 and not part.parent.exists()


IN_SMALL_PARTS = """
import sys
from sodbench.cli import main
from sodbench.results import store
from sodbench.runners.evaluation import count

store.PAIRS_PER_PART = count.MIN_ITEM = 4
sys.exit(main(sys.argv[1:]))
"""


def test_killed_runs_resume_to_the_same_bytes(tmp_path, monkeypatch):
    """SIGKILL at a few moments; the runs over the real set are in benchmarks/kill.py."""
    for seed in range(60):
        map_, mask = draw_pair(seed, 120, 160)
        save_image(tmp_path / f"toys/maps/{seed:03d}.png", map_)
        save_image(tmp_path / f"toys/gt/{seed:03d}.png", mask)
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
from sodbench.runners.evaluation import count
from sodbench.runners.evaluation.evaluate import evaluate

store.PAIRS_PER_PART = count.MIN_ITEM = 3

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
def test_a_run_killed_before_any_step_resumes_to_the_same_bytes(folders):
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
def test_ctrl_c_ends_a_run_and_explains_how_to_resume(tmp_path, options):
    (tmp_path / "toys/maps").mkdir(parents=True)
    (tmp_path / "toys/gt").mkdir()
    map_, mask = draw_pair(0, 300, 400)
    save_image(tmp_path / "map.png", map_)
    save_image(tmp_path / "mask.png", mask)
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
        os.killpg(process.pid, signal.SIGINT)
        message = process.communicate(timeout=60)[1]
    assert process.returncode == 130, message
    assert message.count("\n") == 1 and "resumes where it stopped" in message
    assert ("nothing was stored" in message) == (not options)
    if options:
        assert 0 < sum(len(CountsFile(part)) for part in parts.glob("part-*.npz")) < 3000


def test_an_interrupted_run_leaves_no_old_numbers(folders, monkeypatch):
    from sodbench.runners.evaluation import assemble

    evaluate(folders / "maps", folders / "gt", output=folders / "out")
    save_image(folders / "maps/img01.png", draw_pair(55)[0])
    with monkeypatch.context() as broken:
        broken.setattr(assemble, "save_result", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            evaluate(folders / "maps", folders / "gt", output=folders / "out")
    again = evaluate(folders / "maps", folders / "gt", output=folders / "out")
    assert again.metrics == evaluate(folders / "maps", folders / "gt").metrics


@pytest.mark.parametrize(
    ("limit", "file", "kept"),
    [(12_000, "parts/part-0001.npz", 0), (30_000, "parts/part-0002.npz", 2)],
)
def test_a_full_disk_ends_a_run_which_resumes_where_it_stopped(
    folders, capsys, no_file_beyond, monkeypatch, limit, file, kept
):
    monkeypatch.setattr(store, "PAIRS_PER_PART", 2)
    monkeypatch.setattr(counting, "MIN_ITEM", 2)
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


def test_a_forced_run_respects_the_lock_of_another(original, stored):
    """It used to delete the journal of the run under way, and both wrote their files into one folder."""
    before = content(stored)
    with lock_folder(stored), pytest.raises(SodbenchError, match="another process is scoring into"):
        evaluate_plan(
            plan_evaluation(original / "preds/A", find_masks(original / "gt")),
            output=stored.parents[1],
            force=True,
        )
    assert content(stored) == before


def test_a_replaced_file_is_noticed_though_its_time_is_in_the_future(original, tmp_path):
    """A wrong clock, or a ZIP from another time zone: both files have the same size and the same time."""
    later = 2_000_000_000
    for folder, pixels in (("first", 40), ("second", 200)):
        save_image(tmp_path / folder / "a.bmp", np.full((30, 40), pixels, np.uint8))
        os.utime(tmp_path / folder / "a.bmp", (later, later))
    save_image(tmp_path / "gt/a.png", draw_pair(0, 30, 40)[1])
    shutil.copytree(tmp_path / "first", tmp_path / "preds")
    evaluate(tmp_path / "preds", tmp_path / "gt", output=tmp_path / "out")
    (tmp_path / "second/a.bmp").replace(tmp_path / "preds/a.bmp")
    os.utime(tmp_path / "preds/a.bmp", (later, later))
    again = evaluate(tmp_path / "preds", tmp_path / "gt", output=tmp_path / "out")
    assert again.metrics["mae"] == evaluate(tmp_path / "preds", tmp_path / "gt").metrics["mae"]


def test_a_file_written_within_the_same_tick_of_the_clock_is_read_once_more(tmp_path, monkeypatch):
    save_image(tmp_path / "a.png", draw_pair(0, 30, 40)[0])
    reads = []

    def read_and_replace(path):
        data, status = read_file(path)
        if not reads:  # changed after it was read; its time may not show that
            save_image(path, draw_pair(1, 30, 40)[0])
        reads.append(path)
        return data, status

    monkeypatch.setattr(images, "read_file", read_and_replace)
    facts, decoded = counting._decode_file(tmp_path / "a.png", None)
    assert len(reads) == 2 and np.array_equal(decoded.pixels, draw_pair(1, 30, 40)[0])
    assert facts.content == checksum((tmp_path / "a.png").read_bytes())


def leave_part(folder, change):
    """A part of the stored pairs with arrays changed by ``change`` and a seal that fits; no result."""
    part = folder / "parts/part-0001.npz"
    write_counts(part, CountsFile(folder / "counts.npz"), compressed=False)
    edit_arrays(part, change)
    for name in ("result.json", "scores.csv", "counts.npz"):
        (folder / name).unlink()


def add_foreground(arrays):
    arrays["histogram"][1, :, 1, 255] += 100


def give_counts_of_another_map(arrays):
    arrays["rule1_histogram"] = arrays["rule1_histogram"][..., ::-1]


def claim_an_impossible_kind(arrays):
    arrays["fitted"][2] = 7


def claim_another_rule(arrays):
    arrays["rules"][1] = "25 half-odd"


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (add_foreground, "the number of counted pixels is not its size"),
        (give_counts_of_another_map, "its counts under two rules are of different maps"),
        (claim_an_impossible_kind, "fitted cannot be 7"),
        (claim_another_rule, "is not a counting rule"),
    ],
)
@pytest.mark.parametrize("block", [128, 3])
def test_parts_that_hold_what_no_counting_gives_are_not_used(
    original, stored, capsys, monkeypatch, change, fault, block
):
    monkeypatch.setattr(counts_file, "PAIRS_PER_BLOCK", block)
    leave_part(stored, change)
    assert_restored(original, stored)
    message = capsys.readouterr().err
    assert fault in message and "its pairs are scored again" in message


def test_sound_parts_are_used(original, stored, monkeypatch):
    leave_part(stored, lambda arrays: None)
    monkeypatch.setattr(images, "decode_grey", lambda *_: 1 / 0)
    assert_restored(original, stored)


def test_parts_of_a_run_without_weighted_f_are_not_mixed_with_others(original, stored):
    """The counts of the whole result are current, and the newer part holds other columns."""
    out = stored.parents[1] / "without"
    without = evaluate(original / "preds/A", original / "gt", output=out, name="A", weighted=False)
    write_counts(stored / "parts/part-0001.npz", CountsFile(without.folder / "counts.npz"))
    shutil.rmtree(out)
    assert_restored(original, stored)


@pytest.mark.usefixtures("one_figure_format")
def test_an_unfinished_run_without_a_result_is_reported(stored, tmp_path, capsys):
    leave_part(stored, lambda arrays: None)
    out = stored.parents[1]
    assert main(["verify", str(out)]) == 1
    assert "parts: a run was not finished" in capsys.readouterr().out
    main(["report", str(out), "-o", str(tmp_path / "report.md"), "--metrics", "mae", "--quiet"])
    assert f"{stored}: has no result yet" in capsys.readouterr().err
