"""The leaderboard: its history only grows, and its page shows the last scores and their changes."""

import re
import sys

import pytest
from synthetic import synthetic

import sodbench
from sodbench.cli import main
from sodbench.errors import SodbenchError
from sodbench.files import lock_folder
from sodbench.reports.leaderboard import HISTORY, read_history, update_leaderboard

METRICS = ["mae", "s"]


def test_scores_are_entered_once_and_changes_are_shown(tmp_path):
    old = [synthetic("a", "SOD", noise=0.5), synthetic("<b>", "SOD", noise=0.3)]
    sodbench.update_leaderboard(old, str(tmp_path), METRICS, date="2026-01-01")
    update_leaderboard(old, tmp_path, METRICS, date="2026-01-02")
    assert len(read_history(tmp_path / HISTORY)) == 4, "nothing changed"
    new = [synthetic("a", "SOD", noise=0.1)]
    page = update_leaderboard(new, tmp_path, METRICS, date="2026-02-01")
    history = read_history(tmp_path / HISTORY)
    assert [e.date for e in history] == ["2026-01-01"] * 4 + ["2026-02-01"] * 2
    text = page.read_text(encoding="utf-8")
    change = new[0].metrics["s"] - old[0].metrics["s"]
    assert f"{new[0].metrics['s']:.3f} (+{change:.3f})" in text and "&lt;b&gt;" in text
    assert "the change since 2026-01-01" in text
    again = update_leaderboard([], tmp_path, METRICS, date="2026-03-01", since="2026-02-15")
    assert f"(+{change:.3f})" not in again.read_text(encoding="utf-8"), "nothing changed since"


def test_protocols_have_tables_of_their_own_and_other_sets_of_images_no_place(tmp_path):
    results = [
        synthetic("a", "SOD"),
        synthetic("b", "SOD", images=10),
        synthetic("c", "SOD", protocol="matlab"),
    ]
    text = update_leaderboard(results, tmp_path, METRICS, date="2026-01-01").read_text("utf-8")
    assert "Protocol salmetric" in text and "Protocol matlab" in text
    assert 'class="number place-1"' not in text


def test_the_best_method_with_the_most_datasets_comes_first(tmp_path):
    results = [
        synthetic("alone", "SOD", noise=0.0),
        *(
            synthetic(m, d, noise=n)
            for m, n in (("worse", 0.6), ("better", 0.2))
            for d in ("SOD", "ECSSD")
        ),
    ]
    text = update_leaderboard(results, tmp_path, METRICS, date="2026-01-01").read_text("utf-8")
    rows = re.findall(r'class="label">(.*?)<', text)
    assert rows == ["better", "worse", "alone"]


def test_files_of_others_and_wrong_dates_are_refused(tmp_path):
    result = [synthetic("a", "SOD")]
    for options, message in (
        ({"date": "yesterday"}, "is not a date"),
        ({"date": "20260101"}, "is not a date"),
        ({"since": "2026-13-01"}, "is not a date"),
    ):
        with pytest.raises(SodbenchError, match=message):
            update_leaderboard(result, tmp_path, METRICS, **options)
    update_leaderboard(result, tmp_path, METRICS, date="2026-01-02")
    with pytest.raises(SodbenchError, match="is before it"):
        update_leaderboard(result, tmp_path, METRICS, date="2026-01-01")
    (tmp_path / HISTORY).write_text("mine\n", encoding="utf-8")
    with pytest.raises(SodbenchError, match="not the history of a leaderboard"):
        update_leaderboard(result, tmp_path, METRICS)
    assert (tmp_path / HISTORY).read_text(encoding="utf-8") == "mine\n"
    other = tmp_path / "other"
    other.mkdir()
    (other / "index.html").write_text("mine", encoding="utf-8")
    with pytest.raises(SodbenchError, match="was not written by sodbench"):
        update_leaderboard(result, other, METRICS)


def test_a_history_that_a_spreadsheet_saved_is_continued_and_a_damaged_one_refused(tmp_path):
    old, new = synthetic("a", "SOD", noise=0.5), synthetic("a", "SOD", noise=0.1)
    file = tmp_path / HISTORY
    update_leaderboard([old], tmp_path, METRICS, date="2026-01-01")
    text = file.read_text(encoding="utf-8")
    file.write_bytes(b"\xef\xbb\xbf" + text.replace("\n", "\r\n").encode())
    update_leaderboard([new], tmp_path, METRICS, date="2026-01-02")
    assert file.read_text(encoding="utf-8").startswith(text)
    for damaged in (
        text[: text.rindex(",")],
        text.replace(",SOD,", ",SOD,,"),
        text.replace("2026-01-01", "x"),
    ):
        file.write_text(damaged, encoding="utf-8")
        with pytest.raises(SodbenchError, match=r"history.csv: line \d "):
            update_leaderboard([new], tmp_path, METRICS, date="2026-01-02")
        assert file.read_text(encoding="utf-8") == damaged


@pytest.mark.skipif(sys.platform == "win32", reason="folders are not locked there")
def test_two_runs_at_a_time_do_not_lose_entries(tmp_path):
    with (
        lock_folder(tmp_path),
        pytest.raises(SodbenchError, match="another process is entering scores"),
    ):
        update_leaderboard([synthetic("a", "SOD")], tmp_path, METRICS)


def test_the_command_hands_its_options_on(tmp_path, monkeypatch, capsys):
    from synthetic import draw_pair, save_image

    for seed in range(4):
        map_, mask = draw_pair(seed, 24, 24)
        save_image(tmp_path / f"toys/GT/{seed}.png", mask)
        save_image(tmp_path / f"maps/{seed}.png", map_)
    stored = str(tmp_path / "results")
    assert (
        main(["--quiet", "eval", str(tmp_path / "maps"), str(tmp_path / "toys"), "-o", stored]) == 0
    )
    board = tmp_path / "board"
    command = ["leaderboard", stored, "-o", str(board), "--metrics", "s", "--date", "2026-01-01"]
    assert main([*command, "--since", "2025-01-01"]) == 0
    (entry,) = read_history(board / HISTORY)
    assert (entry.metric, entry.date) == ("s", "2026-01-01")
