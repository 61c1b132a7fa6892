"""The README's promises, each as a test of its name."""

import html
import json
import re
from pathlib import Path

import numpy as np
import pytest
from synthetic import draw_pair, save_image

from sodbench import evaluate
from sodbench.cli import main
from sodbench.metrics import Evaluator
from sodbench.reports import plot_style
from sodbench.results import load_results

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
DATA = Path(__file__).parent / "data"


@pytest.fixture
def folders(tmp_path):
    for seed, stem in enumerate("abcdef"):
        map_, mask = draw_pair(seed, 30, 40)
        save_image(tmp_path / f"preds/{stem}.png", map_)
        save_image(tmp_path / f"toys/GT/{stem}.png", mask)
    return tmp_path


def promised(text):
    """The README says so, whatever its line breaks."""
    assert text in re.sub(r"\s+", " ", README), "the README has changed: change this test with it"


def run(capsys, *arguments):
    status = main([str(argument) for argument in arguments])
    return status, capsys.readouterr()


@pytest.mark.parametrize("normalised", ["pysod", "pysod_nonorm"])
def test_metrics_match_pysodmetrics_to_1e_9(normalised):
    """On the fixtures: MAE and S-, weighted and adaptive F- and E-measures of 26 pairs, by the program itself."""
    promised(
        "1.6.2 and the [MATLAB toolbox](https://github.com/ArcherFMY/sal_eval_toolbox) to 1e-9 on the test fixtures"
    )
    expected = np.load(DATA / "metrics_public.npz")
    protocol = {"pysod": "pysodmetrics", "pysod_nonorm": "salmetric"}[normalised]
    names = {"sm": "s", "wfm": "wf"}
    if normalised == "pysod":
        names |= {"mae": "mae", "fm_adp": "f_adp", "em_adp": "e_adp"}
    pairs = sorted(key[5:] for key in expected.files if re.fullmatch(r"pred_\d+", key))
    # a mask of 0 and 1, which the program reads as empty and the Evaluator as what it means
    pairs.remove("022")
    compared = 0
    for stem in pairs:
        evaluator = Evaluator(protocol)
        evaluator.update(expected[f"pred_{stem}"], expected[f"gt_{stem}"])
        row = evaluator.compute().per_image.iloc[0]
        for theirs, ours in names.items():
            key = f"{normalised}/{theirs}"
            if key in expected.files:
                compared += 1
                assert row[ours] == pytest.approx(
                    float(expected[key][int(stem)]), abs=1e-9, nan_ok=True
                ), (stem, ours)
    assert compared >= 25 * 2


def test_missing_extra_mis_sized_unreadable_and_ambiguous_maps_are_reported_by_name(
    folders, capsys
):
    promised("Missing, extra, mis-sized, unreadable and ambiguous maps are reported by file name")
    preds = folders / "preds"
    (preds / "a.png").unlink()
    save_image(preds / "extra.png", draw_pair(9, 30, 40)[0])
    save_image(preds / "b.png", draw_pair(1, 15, 20)[0])
    (preds / "c.png").write_bytes(b"junk")
    save_image(preds / "d.bmp", draw_pair(3, 30, 40)[0])
    status, printed = run(capsys, "eval", preds, folders / "toys", "--resize", "error")
    assert status == 2 and not printed.out
    for kind, file in (
        ("missing", "a.png"),
        ("extra", "extra.png"),
        ("size", "b.png"),
        ("unreadable", "c.png"),
        ("ambiguous", "d.bmp"),
    ):
        lines = printed.err.splitlines()
        start = next(i for i, line in enumerate(lines) if line.strip().startswith(f"{kind} ("))
        assert file in lines[start + 1], printed.err


def test_nothing_is_dropped_without_a_message(folders, capsys):
    promised("Nothing is dropped, guessed or overwritten without a message")
    for stem in "ab":
        save_image(folders / f"tree/M/toys/{stem}.png", draw_pair(0, 30, 40)[0])
        save_image(folders / f"tree/M/other/{stem}.png", draw_pair(0, 30, 40)[0])
    options = ["--quiet", "eval", folders / "tree", folders / "toys", "--missing", "skip"]
    status, printed = run(capsys, *options, "--format", "json")
    assert status == 1
    dropped = {problem["kind"] for problem in json.loads(printed.out)["problems"]}
    assert dropped == {"missing", "unscored-maps"}
    assert "other" in printed.err and "missing (4)" in printed.err


def test_nothing_is_guessed_without_a_message(folders, capsys):
    """A suffix of the maps' names, and a size that is not the mask's."""
    for file in sorted((folders / "preds").iterdir()):
        file.rename(file.with_name(f"{file.stem}_ours.png"))
    save_image(folders / "preds/a_ours.png", draw_pair(0, 15, 20)[0])
    status, printed = run(capsys, "eval", folders / "preds", folders / "toys")
    assert status == 1
    assert "suffix '_ours' on the maps' names" in printed.err
    assert "a_ours.png: 20x15, resized to its mask's 40x30 (bilinear)" in printed.err
    assert "resize:bilinear(1)" in printed.out


def test_nothing_is_overwritten_without_a_message(folders, capsys):
    command = ["eval", folders / "preds", folders / "toys", "-o", folders / "out"]
    assert run(capsys, *command)[0] == 0
    status, printed = run(capsys, "--quiet", *command, "--protocol", "pysodmetrics")
    assert status == 0
    assert "replaces the stored result, which was sodbench:" in printed.err
    for place in ("preds", "toys", "toys/GT"):  # the user's own files are never written to
        assert run(capsys, *command[:-1], folders / place)[0] == 2
    (folders / "report").mkdir()
    (folders / "report/thesis.tex").write_text("mine")
    status, printed = run(capsys, "report", folders / "out", "-o", folders / "report")
    assert status == 2 and (folders / "report/thesis.tex").read_text() == "mine"


def test_every_result_carries_a_signature(folders, capsys, monkeypatch):
    monkeypatch.setattr(plot_style, "FORMATS", ("svg",))
    promised("every result carries a signature that states how it was made")
    signature = str(evaluate(folders / "preds", folders / "toys").signature)
    assert re.fullmatch(
        r"sodbench:[^|]+\|protocol:salmetric\|n:6\|missing:error\|resize:none\|gt:>128", signature
    )
    command = ["eval", folders / "preds", folders / "toys", "-o", folders / "out"]
    for form in ("table", "markdown", "csv", "json"):
        assert signature in run(capsys, *command, "--format", form)[1].out
    assert str(load_results([folders / "out"])[0].signature) == signature
    assert main(["report", str(folders / "out"), "-o", str(folders / "report")]) == 0
    for file in ("index.html", "report.md", "report.json", "tables/scores_long.csv"):
        text = (folders / "report" / file).read_text(encoding="utf-8")
        assert signature in html.unescape(text).replace("\\", ""), file


def test_stored_results_are_checked_whenever_they_are_used(folders, capsys):
    promised("Stored results are checked against their counts whenever they are used")
    command = ["eval", folders / "preds", folders / "toys", "-o", folders / "out"]
    run(capsys, *command)
    (result,) = load_results([folders / "out"])
    file = result.folder / "result.json"
    whole = file.read_text(encoding="utf-8")
    file.write_text(whole.replace('"mae": 0.', '"mae": 0.0'), encoding="utf-8")
    assert run(capsys, "verify", folders / "out")[0] == 1
    assert run(capsys, "report", folders / "out", "-o", folders / "report")[0] == 2
    status, printed = run(capsys, *command)
    assert status == 0 and "was modified after it was written; it is written again" in printed.err
    assert file.read_text(encoding="utf-8") == whole
    assert run(capsys, "verify", folders / "out", folders / "preds", folders / "toys")[0] == 0


def test_unchanged_pairs_are_not_scored_again(folders, capsys, monkeypatch):
    promised("Unchanged pairs of stored scores are not scored again")
    command = ["eval", folders / "preds", folders / "toys", "-o", folders / "out"]
    first = run(capsys, *command)[1]
    monkeypatch.setattr("sodbench.images.decode_grey", lambda *_: 1 / 0)
    again = run(capsys, *command)[1]
    assert again.out == first.out and "1 of 1 results are up to date and were reused" in again.err
