"""Progress where there is no terminal."""

import sys
from pathlib import Path

import pytest

from sodbench import console


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """No time between the messages of a bar."""
    monkeypatch.setattr(console, "_SECONDS_BETWEEN_MESSAGES", 0.0)


def test_without_a_terminal_a_bar_is_a_message_now_and_then(
    at_once: None, capsys: pytest.CaptureFixture[str]
) -> None:
    with console.show_messages(), console.bar(3, "predict", "image") as progress:
        for _ in range(3):
            progress.update()
    lines = capsys.readouterr().err.splitlines()
    assert lines[-1].startswith("predict: 3 of 3 [00:0")
    assert all(line.startswith("predict: ") and "\r" not in line for line in lines)
    assert any("2 of 3" in line for line in lines)


def test_a_message_has_one_colon_after_a_changed_description(
    at_once: None, capsys: pytest.CaptureFixture[str]
) -> None:
    with console.show_messages(), console.bar(2, "train", "update") as progress:
        progress.set_description("train: epoch 1/3", refresh=False)
        progress.update()
    assert "train: epoch 1/3: 1 of 2 [" in capsys.readouterr().err


def test_what_ends_soon_writes_no_message(capsys: pytest.CaptureFixture[str]) -> None:
    with console.show_messages(), console.bar(2, "predict", "image") as progress:
        progress.update()
        progress.update()
    assert capsys.readouterr().err == ""


def test_quiet_and_library_calls_show_no_progress(
    at_once: None, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    # without what conftest.py turns on for all tests
    monkeypatch.setattr(console.logger, "handlers", [])
    with console.show_messages(console.Messages(quiet=True)), console.bar(1, "predict") as progress:
        progress.update()
    with console.bar(1, "predict") as progress:
        progress.update()
    assert capsys.readouterr().err == ""


def test_on_a_terminal_a_bar_is_a_bar(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    with console.show_messages(), console.bar(2, "predict", "image") as progress:
        progress.update(2)
    err = capsys.readouterr().err
    assert "\r" in err and "100%" in err and "2/2" in err


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no device that is always full")
def test_a_log_file_on_a_full_disk_is_one_warning(capsys: pytest.CaptureFixture[str]) -> None:
    with console.show_messages(console.Messages(log_file=Path("/dev/full"))):
        console.logger.info("one")
        console.logger.info("two")
    lines = capsys.readouterr().err.splitlines()
    assert [line for line in lines if line not in ("one", "two")] == [
        "--log-file /dev/full: cannot be written any more (No space left on device)"
    ]
    assert lines[-1] == "two"
