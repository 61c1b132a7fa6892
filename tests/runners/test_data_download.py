"""From an address or an archive to a data set in a layout that is read."""

import dataclasses
import json
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
from sodbench.runners.data_download import RECORD, download


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
    assert (done.name, done.how) == ("ECSSD", "2 of 1000 items, layout images + ground_truth_mask")
    assert find_dataset("ECSSD", root).masks["0001"] == root / "ECSSD/ground_truth_mask/0001.png"
    assert sorted(p.name for p in root.iterdir()) == ["ECSSD", RECORD]
    record = json.loads((root / RECORD).read_text())
    assert set(record) == {f"{url}/images.zip", f"{url}/ground_truth_mask.zip"}
    assert all(len(entry["sha256"]) == 64 for entry in record.values())
    assert "already there" in download(["ECSSD"], root, registry=registry)[0].how


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
    done = download(["ECSSD", "DUT-OMRON"], tmp_path / "data", registry=registry, attempts=1)
    assert [item.name for item in done] == ["ECSSD", "DUT-OMRON"]
    assert sorted(p.name for p in (tmp_path / "data").iterdir()) == ["DUT-OMRON", "ECSSD", RECORD]
    assert capfd.readouterr().err.count(f"fetching {url}/all.zip") == 1
    assert find_dataset("DUT-OMRON", tmp_path / "data").masks.keys() == {"a"}


def test_all_links_dead_tells_what_is_left(served: tuple[Path, str], tmp_path: Path) -> None:
    _, url = served
    registry = known(
        "PASCAL-S", (Source(f"{url}/gone.zip", "whole"),), (Source(f"{url}/x.zip", "x"),)
    )
    with pytest.raises(SodbenchError) as caught:
        download(["pascals"], tmp_path / "data", registry=registry, attempts=1)
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
        download(["SOD"], tmp_path / "data", registry=registry, attempts=1)
    assert sorted(p.name for p in (tmp_path / "data").iterdir()) == [RECORD]
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
    assert "already there" in download(["net"], tmp_path, weights=[good])[0].how
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
    assert main(["data", "download", "DUTS-TE", "--from", f"{url}/my.zip", *root]) == 0
    assert "DUTS-TE: " in capsys.readouterr().out
    assert main(["data", "download", "DUTS-TE", "--from", str(folder / "my.zip"), *root]) == 0
    assert (folder / "my.zip").exists()
    capsys.readouterr()
    assert main(["data", "download", "SOD", "--from", str(folder / "none.zip"), *root]) == 2
    message = capsys.readouterr().err
    assert f"SOD could not be had from {folder}/none.zip" in message and "any known" not in message
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
    assert done.path == tmp_path / "DUTS-TR" and "1 of 10553" in done.how
    assert drive.url in json.loads((tmp_path / RECORD).read_text())
