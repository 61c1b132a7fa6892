"""Hostile archives: each is refused, and nothing is written outside or left inside the target."""

import shutil
import struct
import zipfile
from pathlib import Path

import pytest

from sodbench.runners.data.extract import ArchiveError, extract


def archive(path: Path, members: dict[str, bytes], compress: int = zipfile.ZIP_STORED) -> Path:
    with zipfile.ZipFile(path, "w", compress) as opened:
        for name, content in members.items():
            info = zipfile.ZipInfo()
            info.filename = info.orig_filename = name  # as it is: no cleaning of hostile names
            info.compress_type = compress
            opened.writestr(info, content)
    return path


def refused(path: Path, tmp_path: Path, match: str, **limits: int) -> None:
    before = {p for p in tmp_path.rglob("*")}
    with pytest.raises(ArchiveError, match=match):
        extract(path, tmp_path / "deep" / "target", **limits)  # type: ignore[arg-type]
    assert {p for p in tmp_path.rglob("*")} - before <= {tmp_path / "deep"}


def test_plain_archive_without_strays(tmp_path: Path) -> None:
    path = archive(
        tmp_path / "a.zip",
        {
            "SOD/Imgs/1.jpg": b"one",
            "SOD/.DS_Store": b"x",
            "__MACOSX/SOD/Imgs/._1.jpg": b"x",
            "SOD/Imgs/": b"",
            "SOD/GT/1.png": b"mask",
        },
        zipfile.ZIP_DEFLATED,
    )
    assert extract(path, tmp_path / "t") == 2
    assert sorted(str(p.relative_to(tmp_path / "t")) for p in (tmp_path / "t").rglob("*.*")) == [
        "SOD/GT/1.png",
        "SOD/Imgs/1.jpg",
    ]
    with pytest.raises(ArchiveError, match="exists already"):
        extract(path, tmp_path / "t")
    assert (tmp_path / "t/SOD/Imgs/1.jpg").read_bytes() == b"one"


@pytest.mark.parametrize(
    "name",
    [
        "../evil.png",
        "a/../../evil.png",
        "/evil.png",
        "..\\evil.png",
        "C:\\evil.png",
        "C:/evil.png",
        "\\evil.png",
    ],
)
def test_paths_outside_the_target(name: str, tmp_path: Path) -> None:
    path = archive(tmp_path / "a.zip", {"good.png": b"x", name: b"evil"})
    refused(path, tmp_path, "would leave the target")


def test_symbolic_links(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as opened:
        link = zipfile.ZipInfo("link")
        link.create_system = 3
        link.external_attr = 0o120777 << 16
        opened.writestr(link, "/etc")
        opened.writestr("link/passwd", "evil")
    refused(path, tmp_path, "is a link")


def test_bomb_by_ratio(tmp_path: Path) -> None:
    path = archive(tmp_path / "a.zip", {"zeros.png": bytes(1 << 25)}, zipfile.ZIP_DEFLATED)
    refused(path, tmp_path, "ZIP bomb")


def test_bomb_by_size_and_by_number(tmp_path: Path) -> None:
    path = archive(tmp_path / "a.zip", {f"{n}.png": b"abc" for n in range(10)})
    refused(path, tmp_path, "ZIP bomb", max_bytes=29)
    refused(path, tmp_path, "more than 9", max_members=9)


def test_bomb_of_overlapping_members(tmp_path: Path) -> None:
    path = archive(tmp_path / "a.zip", {"a.png": bytes(1000), "b.png": b"y"})
    content = bytearray(path.read_bytes())
    second = content.rindex(b"PK\x01\x02")  # b.png's entry now points to a.png's bytes
    content[second + 16 : second + 28] = struct.pack("<III", 0, 1000, 1000)
    content[second + 42 : second + 46] = struct.pack("<I", 0)
    path.write_bytes(content)
    refused(path, tmp_path, "overlap")


def test_a_wrong_size(tmp_path: Path) -> None:
    path = archive(tmp_path / "a.zip", {"a.png": bytes(1 << 20)}, zipfile.ZIP_DEFLATED)
    content = bytearray(path.read_bytes())
    entry = content.rindex(b"PK\x01\x02")
    content[entry + 24 : entry + 28] = struct.pack("<I", 10)
    path.write_bytes(content)
    refused(path, tmp_path, "no intact ZIP")


@pytest.mark.parametrize("damage", ["truncated", "flipped", "text", "empty"])
def test_damaged_archives(damage: str, tmp_path: Path) -> None:
    path = archive(tmp_path / "a.zip", {"a.png": bytes(range(256)) * 40})
    content = bytearray(path.read_bytes())
    if damage == "truncated":
        content = content[: len(content) // 2]
    elif damage == "flipped":
        content[2000] ^= 1
    elif damage == "text":
        content = bytearray(b"<html>not found</html>")
    else:
        content = bytearray()
    path.write_bytes(content)
    refused(path, tmp_path, "no intact ZIP")


def test_names_that_collide(tmp_path: Path) -> None:
    path = archive(tmp_path / "a.zip", {"A.png": b"1", "a.png": b"2"})
    refused(path, tmp_path, "two members")


def test_encrypted_member(tmp_path: Path) -> None:
    path = archive(tmp_path / "a.zip", {"a.png": b"secret"})
    content = bytearray(path.read_bytes())
    entry = content.rindex(b"PK\x01\x02")
    content[entry + 8] |= 1
    path.write_bytes(content)
    refused(path, tmp_path, "encrypted")


@pytest.mark.parametrize("method", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_damaged_members_of_every_method(method: int, tmp_path: Path) -> None:
    """Each damage is one line that names the archive, or is not noticed because the content is the same."""
    content = bytes(range(256)) * 40
    whole = archive(tmp_path / "whole.zip", {"a.png": content}, method).read_bytes()
    name_end = 30 + len("a.png")
    refusals = 0
    for number, at in enumerate(range(name_end, whole.index(b"PK\x01\x02"), 7)):
        damaged = bytearray(whole)
        damaged[at] ^= 0xFF
        path = tmp_path / "a.zip"
        path.write_bytes(damaged)
        target = tmp_path / f"t{number}"
        try:
            extract(path, target)
        except ArchiveError as error:
            refusals += 1
            assert str(error).startswith(f"{path}: no intact ZIP archive") and "\n" not in str(
                error
            )
            assert not target.exists()
        else:
            assert (target / "a.png").read_bytes() == content
    assert refusals


def test_a_member_of_an_unknown_method(tmp_path: Path) -> None:
    path = archive(tmp_path / "a.zip", {"a.png": b"abc"})
    content = bytearray(path.read_bytes())
    content[8:10] = content[content.rindex(b"PK\x01\x02") + 10 :][:2] = struct.pack("<H", 97)
    entry = content.rindex(b"PK\x01\x02")
    content[entry + 10 : entry + 12] = struct.pack("<H", 97)
    path.write_bytes(content)
    refused(path, tmp_path, "no intact ZIP")


def test_control_characters_in_a_name(tmp_path: Path) -> None:
    path = archive(tmp_path / "a.zip", {"\x1b[2Ja.png": b"abc", "b.png": b"x"})
    refused(path, tmp_path, "control characters")


def test_a_disk_that_is_too_small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = archive(tmp_path / "a.zip", {"a.png": bytes(1000)})
    free = shutil._ntuple_diskusage(1 << 30, 0, (1 << 28) + 999)
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: free)
    refused(path, tmp_path, "make room")


def test_a_file_in_the_way_is_not_the_archives_fault(tmp_path: Path) -> None:
    path = archive(tmp_path / "a.zip", {"a": b"x", "a/b.png": b"y"})
    refused(path, tmp_path, "cannot be written")
