"""Shards and what merge makes of them."""

import shutil
from pathlib import Path

import pytest
from evaluations import STEMS, assert_named, content, edit_json, run
from synthetic import draw_pair, save_image

from sodbench.cli import main
from sodbench.datasets import find_masks
from sodbench.errors import SodbenchError
from sodbench.results import Policy, load_result, load_results
from sodbench.results.counts_file import write_counts
from sodbench.runners.evaluation.evaluate import evaluate_plan
from sodbench.runners.evaluation.merge import merge
from sodbench.runners.evaluation.plan import plan_evaluation
from sodbench.runners.evaluation.verify import verify_results


def test_shards_merge_into_what_one_run_writes(folders):
    save_image(folders / "maps/img02.png", draw_pair(2, 15, 20)[0])
    save_image(folders / "maps/other.png", draw_pair(99)[0])
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

    for parts, expected in (
        (("part1", "part3"), "shard(s) 2 of 3 are missing"),
        (("part1", "part2", "part2-again", "part3"), "there twice"),
        (("part1", "other", "part3"), "--resize"),
        (("part1", "all"), "no shard but a whole result"),
    ):
        assert merged(*parts) == 2
        assert expected in capsys.readouterr().err
    save_image(folders / "maps/img00b.png", draw_pair(1)[0])
    save_image(folders / "gt/img00b.png", draw_pair(1)[1])
    run(folders, "-o", str(folders / "part2"), "--shard", "2/3")
    assert merged("part1", "part2", "part3") == 2


def test_a_shard_does_not_replace_another_and_masks_are_not_scored_against_themselves(
    folders, capsys
):
    run(folders, "-o", str(folders / "out"), "--shard", "1/2")
    assert run(folders, "-o", str(folders / "out"), "--shard", "2/2") == 2
    assert "holds shard 1/2" in capsys.readouterr().err
    assert run(folders, preds="gt") == 2
    assert "same folder" in capsys.readouterr().err


@pytest.mark.parametrize("divided", [4, 7, 60])
def test_the_number_of_divided_pairs_follows_from_the_shard(original, tmp_path, divided):
    policy = Policy(shard=(1, 2))
    task = plan_evaluation(
        original / "preds/A", find_masks(original / "gt"), name="A", policy=policy
    )
    (result,) = evaluate_plan(task, output=tmp_path / "out").results
    assert not verify_results(tmp_path / "out")[0].differences
    edit_json(result.folder, lambda c: c["policy"].update(n_divided=divided), forge=True)
    assert_named(result.folder, f"shard 1/2 of {divided} pairs holds")


@pytest.fixture
def parts(original, tmp_path):
    """Two shards of method A, in a tree <method>/<set> of maps."""
    preds = tmp_path / "preds"
    truths = find_masks(original / "gt")
    shutil.copytree(original / "preds/A", preds / "A" / truths[0].name)
    for index in (1, 2):
        task = plan_evaluation(preds, truths, policy=Policy(shard=(index, 2)))
        evaluate_plan(task, output=tmp_path / f"part{index}")
    return [tmp_path / "part1", tmp_path / "part2"]


def test_merge_writes_nothing_among_the_maps(parts, tmp_path):
    (tmp_path / "link").symlink_to(tmp_path / "preds")
    before = sorted(tmp_path.rglob("*"))
    for output in (tmp_path / "preds", tmp_path / "link"):
        with pytest.raises(SodbenchError, match="holds images, masks or maps"):
            merge(parts, output)
    assert sorted(tmp_path.rglob("*")) == before


def test_merge_reports_what_it_replaces_and_keeps_an_unfinished_run(
    original, parts, tmp_path, capsys
):
    task = plan_evaluation(tmp_path / "preds", find_masks(original / "gt"))
    evaluate_plan(task, ["matlab"], output=tmp_path / "out")
    (old,) = load_results([tmp_path / "out"])
    part = old.folder / "parts/part-0001.npz"
    write_counts(part, old.stored_pairs())
    before = part.read_bytes()
    capsys.readouterr()
    (merged,) = merge(parts, tmp_path / "out")
    message = capsys.readouterr().err
    assert f"replaces the stored result, which was {old.signature}" in message
    assert "parts: a run was not finished there; its pairs are kept" in message
    assert part.read_bytes() == before
    (whole,) = evaluate_plan(task).results
    assert merged.metrics == whole.metrics
    assert not list(tmp_path.rglob("merging.pairs"))
    (old.folder / "result.json").write_text("{}")
    merge(parts, tmp_path / "out")
    assert "not a readable result of this version" in capsys.readouterr().err


@pytest.mark.usefixtures("one_figure_format")
def test_the_numbers_of_a_shard_are_marked_as_such(parts, tmp_path, capsys):
    first, second = load_results(parts)
    assert "|shard:1/2|n:3|" in str(first.signature) and "|shard:2/2|n:3|" in str(second.signature)
    main(["report", str(parts[0]), "-o", str(tmp_path / "report.md"), "--quiet"])
    assert f"{first.folder}: is shard 1/2 of A on " in capsys.readouterr().err
    main(["compare", str(parts[0]), str(parts[0]), "--quiet"])
    assert f"{first.folder}: is shard 1/2 of A on " in capsys.readouterr().err
    (whole,) = merge(parts, tmp_path / "whole")
    assert "shard" not in str(whole.signature)
