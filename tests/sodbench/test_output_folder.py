"""Output folders: other people's files, user data, other identities and second writers are refused."""

import errno
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from sodbench.errors import SodbenchError
from sodbench.files import temporary_name
from sodbench.output_folder import FolderKind, OutputFolder, check_own_file

KIND = FolderKind(
    content="a set of drawings",
    purpose="drawing",
    manifest="drawing.json",
    labels={"data.name": "the dataset"},
)
IDENTITY = {"model": "a", "weights": None, "data": {"name": "ECSSD", "pairs": 1000}}


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """A folder that a first run has written."""
    out = tmp_path / "deep" / "out"
    with OutputFolder.open(out, KIND, IDENTITY) as folder:
        assert folder.manifest is None and folder.differences(IDENTITY) == []
        folder.write_manifest(IDENTITY)
        folder.write_text("parts/a.txt", "é")
    return out


def dead_process() -> int:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_a_folder_opens_again_with_the_same_identity(out: Path) -> None:
    with OutputFolder.open(out, KIND, IDENTITY) as folder:
        assert folder.manifest is not None and folder.manifest["data"] == IDENTITY["data"]
        assert folder.manifest["made_by"].startswith("sodbench ")
    assert (out / "parts/a.txt").read_text("utf-8") == "é"


def test_another_identity_is_refused_and_every_difference_named(out: Path) -> None:
    other = {"model": "b", "weights": "0" * 64, "data": {"name": "SOD", "pairs": 1000}}
    with pytest.raises(SodbenchError) as caught, OutputFolder.open(out, KIND, other):
        pass
    assert (
        "holds a set of drawings made with other inputs or settings: model was a, is b now; weights was none, is "
        "000000000000 now; the dataset was ECSSD, is SOD now. Choose another folder"
    ) in str(caught.value)


def test_other_peoples_files_are_refused_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "diary.txt").write_text("mine")
    for _ in range(2):
        with pytest.raises(
            SodbenchError, match=r"holds other files than a set of drawings \(diary"
        ):
            OutputFolder.open(tmp_path, KIND).__enter__()
    assert [p.name for p in tmp_path.iterdir()] == ["diary.txt"]


def test_a_kind_can_accept_entries_before_its_manifest_exists(tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    kind = FolderKind("x", "drawing", "x.json", is_foreign=lambda path: path.name != "state")
    with OutputFolder.open(tmp_path, kind) as folder:
        assert folder.manifest is None


@pytest.mark.parametrize("content", ["", "[1]", "{", '{"a": ' * 99_999, "\xff"])
def test_a_damaged_manifest_is_one_error(out: Path, content: str) -> None:
    (out / "drawing.json").write_text(content, encoding="latin-1")
    with pytest.raises(SodbenchError, match=r"drawing\.json: damaged, or not the record of a set"):
        OutputFolder.open(out, KIND).__enter__()
    assert (out / "drawing.json").read_text(encoding="latin-1") == content


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="named pipes")
@pytest.mark.parametrize("kind", ["a link to nowhere", "a folder", "a named pipe"])
def test_a_manifest_that_is_not_a_file_is_one_error(out: Path, kind: str) -> None:
    manifest = out / "drawing.json"
    manifest.unlink()
    if kind == "a folder":
        manifest.mkdir()
    elif kind == "a named pipe":
        os.mkfifo(manifest)
    else:
        manifest.symlink_to(out / "nowhere")
    with pytest.raises(SodbenchError, match=r"drawing\.json: damaged, or not"):
        OutputFolder.open(out, KIND).__enter__()


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="named pipes")
def test_a_single_file_replaces_only_a_file_of_sodbench_itself(tmp_path: Path) -> None:
    own = tmp_path / "own.md"
    check_own_file(own, "a marker")
    own.write_text("<!-- a marker -->")
    check_own_file(own, "another marker", "a marker")
    late = tmp_path / "late.md"
    late.write_text(" " * 2000 + "a marker")
    check_own_file(late, "a marker", within=-1)
    link, pipe = tmp_path / "link.md", tmp_path / "pipe.md"
    link.symlink_to(own)
    os.mkfifo(pipe)
    for path, message in (
        (late, "exists and was not written by sodbench; move it"),
        (link, "exists and was not written by sodbench; move it"),
        (tmp_path, "is a folder; name a file"),
        # not waited for
        (pipe, "cannot be read .*not a regular file"),
    ):
        with pytest.raises(SodbenchError, match=f"^{path}: {message}"):
            check_own_file(path, "a marker")


def test_a_folder_inside_the_data_is_refused_also_through_a_link(tmp_path: Path) -> None:
    masks = tmp_path / "masks"
    masks.mkdir()
    (tmp_path / "link").symlink_to(masks)
    for place in (masks, masks / "out", tmp_path / "link" / "out"):
        with pytest.raises(SodbenchError, match=r"masks(, which|:) holds images"):
            OutputFolder.open(place, KIND, data=[masks]).__enter__()
    assert not list(masks.iterdir())
    with OutputFolder.open(tmp_path / "masks2", KIND, data=[masks]):
        pass


def test_a_second_writer_is_refused_until_the_first_has_finished(out: Path) -> None:
    with (
        OutputFolder.open(out, KIND),
        pytest.raises(SodbenchError, match="another process is drawing into this folder"),
        OutputFolder.open(out, KIND),
    ):
        pass
    with OutputFolder.open(out, KIND):
        pass


def test_temporary_files_of_killed_processes_are_removed_and_those_of_running_ones_kept(
    out: Path,
) -> None:
    dead, running = temporary_name(dead_process()), temporary_name(os.getppid())
    for folder in (out, out / "parts"):
        (folder / dead).write_text("half")
        (folder / running).write_text("being written")
        (folder / ".mine.tmp").write_text("not sodbench's")
    with OutputFolder.open(out, KIND):
        pass
    for folder in (out, out / "parts"):
        hidden = {p.name for p in folder.iterdir() if p.name.startswith(".")}
        assert hidden == {running, ".mine.tmp"}


def test_a_new_folder_with_temporary_files_only_is_not_foreign(tmp_path: Path) -> None:
    (tmp_path / temporary_name(os.getppid())).write_text("")
    with OutputFolder.open(tmp_path, KIND):
        pass


def test_an_interrupted_write_leaves_the_old_file(out: Path) -> None:
    with (
        OutputFolder.open(out, KIND) as folder,
        pytest.raises(KeyboardInterrupt),
        folder.write("parts/a.txt") as temporary,
    ):
        temporary.write_text("half")
        raise KeyboardInterrupt
    assert [p.name for p in (out / "parts").iterdir()] == ["a.txt"]
    assert (out / "parts/a.txt").read_text("utf-8") == "é"


def test_nothing_is_written_through_a_link_in_the_folder(out: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "a.txt").write_text("mine")
    (out / "linked").symlink_to(elsewhere)
    (out / "a.txt").symlink_to(elsewhere / "a.txt")
    with OutputFolder.open(out, KIND) as folder:
        with pytest.raises(SodbenchError, match="linked: is a link"):
            folder.write_text("linked/deeper/a.txt", "ours")
        folder.write_text("a.txt", "ours")  # the link is replaced, not followed
    assert (elsewhere / "a.txt").read_text() == "mine" and len(list(elsewhere.iterdir())) == 1
    assert (out / "a.txt").read_text() == "ours" and not (out / "a.txt").is_symlink()


def test_the_folder_itself_may_be_a_link(out: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(out)
    with OutputFolder.open(tmp_path / "link", KIND, IDENTITY) as folder:
        folder.write_text("b.txt", "b")
    assert (out / "b.txt").read_text() == "b"


def test_a_full_disk_and_a_read_only_folder_are_one_error_with_the_fix(out: Path) -> None:
    def fail(number: int, *names: Path) -> None:
        with OutputFolder.open(out, KIND):
            raise OSError(number, os.strerror(number), *names)

    with pytest.raises(SodbenchError, match=r"out: cannot be written \(No space .*; make room"):
        fail(errno.ENOSPC)
    with pytest.raises(SodbenchError, match=r"a\.png: cannot be written \(Read-only .*; choose an"):
        fail(errno.EROFS, out / "a.png")
    with pytest.raises(FileNotFoundError):  # not a file of the folder: left to the caller
        fail(errno.ENOENT, out.parent / "image.png")


def test_a_place_that_cannot_be_a_folder_is_one_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text(json.dumps({}))
    for place in (tmp_path / "file", tmp_path / "file" / "below", tmp_path / ("n" * 300)):
        with pytest.raises(SodbenchError, match="cannot be written"):
            OutputFolder.open(place, KIND).__enter__()
