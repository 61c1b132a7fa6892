"""From a URL or an archive to a dataset in a layout that is read."""

import dataclasses
import json
import os
import sys
import threading
import zipfile
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from sodbench.cli import main
from sodbench.datasets import DATASETS, DatasetInfo, Source, Weights, find_dataset
from sodbench.errors import SodbenchError
from sodbench.runners.data.archives import DOWNLOADS_FILE, archive_name
from sodbench.runners.data.download import download
from sodbench.runners.data.http_get import Limits


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[Path, str]]:
    """A folder, and the address under which its files can be fetched."""
    folder = tmp_path / "served"
    folder.mkdir()
    http = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder)))
    threading.Thread(target=http.serve_forever, args=(0.02,), daemon=True).start()
    yield folder, f"http://127.0.0.1:{http.server_port}"
    http.shutdown()
    http.server_close()


def zipped(path: Path, *names: str) -> None:
    with zipfile.ZipFile(path, "w") as opened:
        for name in names:
            opened.writestr(name, name)


def known(name: str, *ways: tuple[Source, ...]) -> dict[str, DatasetInfo]:
    return {name: dataclasses.replace(DATASETS[name], downloads=ways)}


def test_two_archives_make_one_set(served: tuple[Path, str], tmp_path: Path) -> None:
    folder, url = served
    zipped(
        folder / "images.zip", "images/0001.jpg", "images/0002.jpg", "__MACOSX/images/._0001.jpg"
    )
    zipped(
        folder / "ground_truth_mask.zip", "ground_truth_mask/0001.png", "ground_truth_mask/0002.png"
    )
    registry = known(
        "ECSSD",
        (
            Source(f"{url}/images.zip", "images", "images"),
            Source(f"{url}/ground_truth_mask.zip", "masks", "ground_truth_mask"),
        ),
    )
    root = tmp_path / "data"
    (done,) = download(["ecssd"], root, registry=registry)
    assert (done.name, done.status) == (
        "ECSSD",
        "2 of 1000 items, layout images + ground_truth_mask",
    )
    assert find_dataset("ECSSD", root).masks["0001"] == root / "ECSSD/ground_truth_mask/0001.png"
    assert sorted(p.name for p in root.iterdir()) == ["ECSSD", DOWNLOADS_FILE]
    record = json.loads((root / DOWNLOADS_FILE).read_text())
    assert set(record) == {f"{url}/images.zip", f"{url}/ground_truth_mask.zip"}
    assert all(len(entry["sha256"]) == 64 for entry in record.values())
    assert "already there" in download(["ECSSD"], root, registry=registry)[0].status


def test_dead_links_fall_back_to_the_archive_of_all(
    served: tuple[Path, str], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    folder, url = served
    zipped(
        folder / "all.zip",
        *(
            f"SOD_datasets/{d}/{n}"
            for d in ("ECSSD", "DUTOMRON", "SOD")
            for n in ("a.jpg", "a.png")
        ),
    )
    both = Source(f"{url}/all.zip", "all", several=True)
    registry = known("ECSSD", (Source(f"{url}/gone.zip", "whole"),), (both,)) | known(
        "DUT-OMRON", (both,)
    )
    done = download(
        ["ECSSD", "DUT-OMRON"], tmp_path / "data", registry=registry, limits=Limits(attempts=1)
    )
    assert [item.name for item in done] == ["ECSSD", "DUT-OMRON"]
    assert sorted(p.name for p in (tmp_path / "data").iterdir()) == [
        "DUT-OMRON",
        "ECSSD",
        DOWNLOADS_FILE,
    ]
    assert capfd.readouterr().err.count(f"downloading {url}/all.zip") == 1
    assert find_dataset("DUT-OMRON", tmp_path / "data").masks.keys() == {"a"}


def test_all_links_dead_lists_the_alternatives(served: tuple[Path, str], tmp_path: Path) -> None:
    _, url = served
    registry = known(
        "PASCAL-S", (Source(f"{url}/gone.zip", "whole"),), (Source(f"{url}/x.zip", "x"),)
    )
    with pytest.raises(SodbenchError) as caught:
        download(["pascals"], tmp_path / "data", registry=registry, limits=Limits(attempts=1))
    message = str(caught.value)
    for part in (
        "gone.zip",
        "x.zip",
        "404",
        "850",
        "PASCAL-S/images/",
        "PASCAL-S/GT/",
        "ccvl.jhu.edu",
        "--from",
    ):
        assert part in message


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (["SOD/../../evil.png", "SOD/Imgs/a.jpg"], "would leave"),
        (["notes.txt"], "holds no images or masks of SOD"),
        (["SOD/Imgs/a.jpg"], "brought no masks"),
    ],
)
def test_bad_archives_leave_nothing(
    content: list[str], reason: str, served: tuple[Path, str], tmp_path: Path
) -> None:
    folder, url = served
    zipped(folder / "set.zip", *content)
    registry = known("SOD", (Source(f"{url}/set.zip", "whole"),))
    with pytest.raises(SodbenchError, match=reason):
        download(["SOD"], tmp_path / "data", registry=registry, limits=Limits(attempts=1))
    assert sorted(p.name for p in (tmp_path / "data").iterdir()) == [DOWNLOADS_FILE]
    assert not (tmp_path / "evil.png").exists()


def test_files_of_the_user_are_not_replaced(served: tuple[Path, str], tmp_path: Path) -> None:
    folder, url = served
    zipped(folder / "set.zip", "SOD/Imgs/a.jpg", "SOD/GT/a.png")
    mine = tmp_path / "data/SOD/Imgs/b.jpg"
    mine.parent.mkdir(parents=True)
    mine.write_text("mine")
    with pytest.raises(SodbenchError, match="nothing is replaced"):
        download(
            ["SOD"], tmp_path / "data", registry=known("SOD", (Source(f"{url}/set.zip", "x"),))
        )
    assert [p.name for p in mine.parent.iterdir()] == ["b.jpg"]


def test_weights_are_verified_by_the_hash_in_their_name(
    served: tuple[Path, str], tmp_path: Path
) -> None:
    folder, url = served
    (folder / "net-2c26b46b.pth").write_bytes(b"foo")  # SHA-256 2c26b46b68ff...
    good = Weights("net", f"{url}/net-2c26b46b.pth", "2c26b46b", "a test")
    (done,) = download(["net"], tmp_path, weights=[good])
    assert done.path.read_bytes() == b"foo"
    assert "already there" in download(["net"], tmp_path, weights=[good])[0].status
    done.path.write_bytes(b"bar")
    with pytest.raises(SodbenchError, match="delete it"):
        download(["net"], tmp_path, weights=[good])
    bad = dataclasses.replace(good, sha256="3cf99910")
    with pytest.raises(SodbenchError, match="by hand"):
        download(["net"], tmp_path / "other", weights=[bad])
    assert not list((tmp_path / "other/weights").iterdir())


def test_command_line_takes_an_archive(
    served: tuple[Path, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, url = served
    zipped(folder / "my.zip", "DUTS-TE/DUTS-TE-Image/a.jpg", "DUTS-TE/DUTS-TE-Mask/a.png")
    root = ["--data-root", str(tmp_path / "data")]
    # the archive has one of 5019 items: 1, also under --quiet and when it is there already
    assert main(["--quiet", "data", "download", "DUTS-TE", "--from", f"{url}/my.zip", *root]) == 1
    captured = capsys.readouterr()
    assert "DUTS-TE: " in captured.out and "incomplete: DUTS-TE" in captured.err
    assert main(["data", "download", "DUTS-TE", "--from", str(folder / "my.zip"), *root]) == 1
    assert (folder / "my.zip").exists()
    capsys.readouterr()
    assert main(["data", "download", "SOD", "--from", str(folder / "none.zip"), *root]) == 2
    message = capsys.readouterr().err
    assert (
        f"SOD could not be downloaded from {folder}/none.zip" in message
        and "any known" not in message
    )
    assert main(["data", "download", *root]) == 2
    assert main(["data", "download", "SODD", *root]) == 2
    message = capsys.readouterr().err
    assert "did you mean SOD" in message and "weights: res2net50-v1b" in message
    assert main(["data", "download", "res2net50-v1b", "--from", str(folder / "my.zip"), *root]) == 2
    assert f"save weights as {tmp_path}/data/weights/res2net50" in capsys.readouterr().err


def test_google_drive_goes_through_gdown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drive = Source("https://drive.google.com/uc?id=abc", "whole set", drive=True)
    registry = known("DUTS-TR", (drive,))
    monkeypatch.setitem(sys.modules, "gdown", None)  # not installed
    with pytest.raises(SodbenchError, match=r"sodbench\[drive\]"):
        download(["DUTS-TR"], tmp_path, registry=registry)

    class Gdown:
        @staticmethod
        def download(url: str, output: str, quiet: bool, resume: bool) -> str:
            assert url == drive.url and resume
            zipped(Path(output), "DUTS-TR/DUTS-TR-Image/a.jpg", "DUTS-TR/DUTS-TR-Mask/a.png")
            return output

    monkeypatch.setitem(sys.modules, "gdown", Gdown)
    (done,) = download(["DUTS-TR"], tmp_path, registry=registry)
    assert done.path == tmp_path / "DUTS-TR" and "1 of 10553" in done.status
    assert drive.url in json.loads((tmp_path / DOWNLOADS_FILE).read_text())


def test_archives_of_one_name_are_not_confused(served: tuple[Path, str], tmp_path: Path) -> None:
    """Two URLs that end in the same name: the second dataset is not taken from the first one's archive."""
    folder, url = served
    for part, stem in (("one", "a"), ("two", "b")):
        (folder / part).mkdir()
        zipped(folder / part / "set.zip", f"images/{stem}.jpg", f"GT/{stem}.png")
    registry = known("SOD", (Source(f"{url}/one/set.zip", "x"),)) | known(
        "ECSSD", (Source(f"{url}/two/set.zip", "x"),)
    )
    download(["SOD", "ECSSD"], tmp_path / "data", registry=registry)
    assert find_dataset("SOD", tmp_path / "data").masks.keys() == {"a"}
    assert find_dataset("ECSSD", tmp_path / "data").masks.keys() == {"b"}


def test_only_archives_of_this_run_are_deleted(
    served: tuple[Path, str], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    folder, url = served
    zipped(folder / "set.zip", "SOD/Imgs/a.jpg", "SOD/GT/a.png")
    mine = tmp_path / "data/.downloads/mine.zip"
    (mine.parent / "folder").mkdir(parents=True)
    mine.write_text("mine")
    registry = known("SOD", (Source(f"{url}/set.zip", "x"),))
    download(["SOD"], tmp_path / "data", registry=registry)
    assert mine.read_text() == "mine"
    assert sorted(p.name for p in mine.parent.iterdir()) == ["folder", "mine.zip"]
    assert f"{mine}: not in use" in capfd.readouterr().err


def test_an_occupied_place_is_refused_before_anything_is_downloaded(
    served: tuple[Path, str], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    folder, url = served
    zipped(folder / "set.zip", "SOD/Imgs/a.jpg", "SOD/GT/a.png")
    registry = known("SOD", (Source(f"{url}/set.zip", "x"),))
    place = tmp_path / "data/SOD"
    place.parent.mkdir()
    place.symlink_to(tmp_path / "unmounted")
    with pytest.raises(SodbenchError, match="holds no complete dataset"):
        download(["SOD"], tmp_path / "data", registry=registry)
    assert "downloading" not in capfd.readouterr().err and place.is_symlink()
    place.unlink()
    place.mkdir()  # empty: nothing to lose
    assert download(["SOD"], tmp_path / "data", registry=registry)[0].path == place


@pytest.mark.parametrize(
    "content", ["mine", "[]", '{"url": 1}', '{"u": {"sha256": 1}}', "[" * 9999]
)
def test_a_record_that_is_none_is_kept(
    content: str, served: tuple[Path, str], tmp_path: Path
) -> None:
    folder, url = served
    zipped(folder / "set.zip", "SOD/Imgs/a.jpg", "SOD/GT/a.png")
    (tmp_path / DOWNLOADS_FILE).write_text(content)
    with pytest.raises(SodbenchError, match=r"not a record of downloads.*move it away"):
        download(["SOD"], tmp_path, registry=known("SOD", (Source(f"{url}/set.zip", "x"),)))
    assert (tmp_path / DOWNLOADS_FILE).read_text() == content
    assert [p.name for p in tmp_path.iterdir() if p.name != "served"] == [DOWNLOADS_FILE]


def test_files_outside_the_dataset_are_reported(
    served: tuple[Path, str], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    folder, _ = served
    zipped(folder / "set.zip", "SOD/Imgs/a.jpg", "SOD/GT/a.png", "README", "edges/a.png")
    download(["SOD"], tmp_path / "data", archive=folder / "set.zip")
    assert "2 files outside SOD/ are not kept (README, edges/a.png)" in capfd.readouterr().err


def test_two_folders_that_could_be_the_dataset_are_refused(
    served: tuple[Path, str], tmp_path: Path
) -> None:
    folder, _ = served
    names = ("Imgs/a.jpg", "GT/a.png")
    zipped(folder / "set.zip", *(f"{d}/{n}" for d in ("HKU-IS", "hkuis") for n in names))
    with pytest.raises(SodbenchError, match=r"several folders could be HKU-IS \(HKU-IS, hkuis\)"):
        download(["HKU-IS"], tmp_path / "data", archive=folder / "set.zip")
    assert list((tmp_path / "data").iterdir()) == []


@pytest.mark.parametrize("url", ["http://[::1", "http://", "gopher://host/x.zip", "http://a b/x"])
def test_an_odd_url_is_one_line_with_the_way_by_hand(
    url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = ["--data-root", str(tmp_path / "data")]
    assert main(["data", "download", "SOD", "--from", url, *root]) == 2
    message = capsys.readouterr().err
    assert f"tried: {url}" in message and "by hand" in message and "Traceback" not in message


def test_a_data_root_that_is_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("mine")
    zipped(tmp_path / "set.zip", "SOD/Imgs/a.jpg", "SOD/GT/a.png")
    options = ["--from", str(tmp_path / "set.zip"), "--data-root", str(tmp_path / "file")]
    assert main(["data", "download", "SOD", *options]) == 2
    assert "file" in capsys.readouterr().err and (tmp_path / "file").read_text() == "mine"


def test_weights_that_are_no_file_are_refused(tmp_path: Path) -> None:
    net = Weights("net", "http://127.0.0.1:1/net.pth", "2c26b46b", "a test")
    net.path(tmp_path).mkdir(parents=True)
    with pytest.raises(SodbenchError, match="it is a folder"):
        download(["net"], tmp_path, weights=[net])


def test_the_largest_size_can_be_chosen(
    served: tuple[Path, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, url = served
    with (folder / "big.zip").open("wb") as file:
        file.truncate(1_000_000_001)
    options = ["--data-root", str(tmp_path / "data"), "--max-gb", "1"]
    assert main(["data", "download", "SOD", "--from", f"{url}/big.zip", *options]) == 2
    assert "more than 1 GB, the most that is downloaded; --max-gb" in capsys.readouterr().err


def test_what_a_killed_run_left_is_reported_and_used(
    served: tuple[Path, str], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """A complete archive is not downloaded again; a half unpacked folder is not mixed in."""
    folder, url = served
    zipped(folder / "set.zip", "SOD/Imgs/a.jpg", "SOD/GT/a.png")
    registry = known("SOD", (Source(f"{url}/set.zip", "x"),))
    root = tmp_path / "data"
    (root / ".unpacking-abc/SOD/GT").mkdir(parents=True)
    (root / ".unpacking-abc/SOD/GT/b.png").touch()
    archive = root / ".downloads" / archive_name(f"{url}/set.zip")
    archive.parent.mkdir()
    (folder / "set.zip").rename(archive)
    download(["SOD"], root, registry=registry)
    message = capfd.readouterr().err
    assert ".unpacking-abc: not in use" in message and "downloading" not in message
    assert find_dataset("SOD", root).masks.keys() == {"a"}
    assert json.loads((root / DOWNLOADS_FILE).read_text()).keys() == {f"{url}/set.zip"}
    assert not archive.exists()


@pytest.mark.parametrize(
    "url",
    ["http://h/../..", "http://h/a/", "http://h/%2e%2e", "http://h/" + "x" * 999, "http://h?x"],
)
def test_names_of_archives_stay_in_their_folder(url: str) -> None:
    name = archive_name(url)
    assert name.startswith("h-") and len(name) < 150 and "/" not in name
    assert name != archive_name(f"{url}?other")


def test_two_runs_do_not_mix_their_bytes(served: tuple[Path, str], tmp_path: Path) -> None:
    fcntl = pytest.importorskip("fcntl")
    folder, url = served
    zipped(folder / "set.zip", "SOD/Imgs/a.jpg", "SOD/GT/a.png")
    root = tmp_path / "data"
    root.mkdir()
    other = os.open(root, os.O_RDONLY)
    fcntl.flock(other, fcntl.LOCK_EX)
    with pytest.raises(SodbenchError, match="another process is downloading"):
        download(["SOD"], root, archive=f"{url}/set.zip")
    assert list(root.iterdir()) == []
    os.close(other)
    assert download(["SOD"], root, archive=f"{url}/set.zip")[0].path == root / "SOD"
