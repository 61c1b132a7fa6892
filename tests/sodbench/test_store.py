"""The store of counted pairs: whole parts or none, and the newest counts of every pair."""

import os
from dataclasses import replace

import numpy as np
import pytest

from sodbench.errors import SodbenchError
from sodbench.files import checksum
from sodbench.metrics import PreparedMask, count_pair
from sodbench.metrics.protocols import MATLAB_RULE
from sodbench.results import Policy, store
from sodbench.results.counts_file import CountsFile, write_counts
from sodbench.results.store import CountsStore
from sodbench.results.stored_pairs import (
    PAIR_RECORD,
    FileIdentity,
    PairSelection,
    StoredPairs,
    counting_scheme,
)


def counted(*stems, seed=0, grey=False, weighted=True):
    """Pairs of these names as they are counted; the content hash of their maps is the seed, and only grey masks have two histograms."""
    records, counts = [], []
    for number, _ in enumerate(stems):
        rng = np.random.default_rng((seed, number))
        mask = np.where(rng.random((20, 30)) < 0.4, 255, 0).astype(np.uint8)
        if grey:
            mask[:4] = 60
        prepared = PreparedMask(mask, counting_scheme(Policy(weighted=weighted)))
        counts.append(count_pair(rng.integers(0, 256, mask.shape, np.uint8), prepared))
        assert bool(counts[-1].deviations) == grey
        identity = FileIdentity(1, 2, 3, seed)
        records.append(
            np.array(
                (
                    *(*identity, *identity, 0, (20, 30), int(grey), (mask > 128).sum()),
                    *(counts[-1].brightest, b"", b"", (20, 30), counts[-1].absolute_error),
                ),
                PAIR_RECORD,
            ).tobytes()
        )
    return list(zip(stems, records, counts, strict=True))


def pairs(*stems, **options):
    """The same, as one value."""
    return StoredPairs.stack(*zip(*counted(*stems, **options), strict=True))


def hashes(stored):
    return stored.records["map_hash"].tolist()


def assert_equal(stored, expected):
    assert stored.stems == expected.stems and stored.records.tobytes() == expected.records.tobytes()
    for rule in expected.counts.scheme.rules:
        one, other = stored.counts.for_rule(rule), expected.counts.for_rule(rule)
        assert np.array_equal(one.histogram, other.histogram)
        assert np.array_equal(one.tie_flags, other.tie_flags)
    for column, values in expected.counts.pixel_metrics.items():
        assert np.array_equal(stored.counts.pixel_metrics[column], values, equal_nan=True)


@pytest.mark.parametrize("compressed", [True, False])
@pytest.mark.parametrize("weighted", [True, False])
def test_pairs_come_back_from_a_file_as_they_were(tmp_path, compressed, weighted):
    given = StoredPairs.concatenate(
        [
            pairs("a", "b", seed=1, weighted=weighted),
            pairs("c", "é", seed=2, grey=True, weighted=weighted),
        ]
    )
    write_counts(tmp_path / "counts.npz", given, compressed=compressed)
    assert_equal(CountsFile(tmp_path / "counts.npz").read_all(), given)


def test_the_newest_counts_of_a_pair_are_used(tmp_path, monkeypatch):
    """A mask that was grey and is not any more has one histogram, whether the store was reopened in between or not."""
    monkeypatch.setattr(store, "PAIRS_PER_PART", 1)
    with CountsStore(tmp_path, Policy()) as first:
        first.append(pairs("a", "b", seed=1, grey=True))
        first.append(pairs("a", seed=2))
        expected = first.select("ab").read_all()
    assert hashes(expected) == [2, 1]
    assert expected.counts.deviations[MATLAB_RULE].rows.tolist() == [1]
    with CountsStore(tmp_path, Policy()) as again:
        assert_equal(again.select("ab").read_all(), expected)


def test_a_selection_takes_pairs_in_any_order(tmp_path):
    whole = [pairs("b", "d", seed=1, grey=True), pairs("a", "c", "e", seed=2)]
    for number, part in enumerate(whole):
        write_counts(tmp_path / f"{number}.npz", part)
    files = [CountsFile(tmp_path / "0.npz"), CountsFile(tmp_path / "1.npz")]
    for source in (whole, files):
        chosen = PairSelection.select(source, "ebadc")
        assert hashes(chosen) == [2, 1, 2, 1, 2] and chosen.whole_source() is None
        selection = chosen.read(np.array([4, 1, 3]))
        assert selection.stems == ("c", "b", "d")
        assert selection.counts.deviations[MATLAB_RULE].rows.tolist() == [1, 2]
    assert PairSelection.select(files, "bd").whole_source() is files[0]
    assert PairSelection.select(files, "b").whole_source() is None


def test_a_full_disk_loses_the_part_under_way_and_keeps_those_before(
    tmp_path, monkeypatch, no_file_beyond
):
    monkeypatch.setattr(store, "PAIRS_PER_PART", 1)
    with CountsStore(tmp_path, Policy()) as counts:
        counts.append(pairs("a", seed=1))
        (part,) = (tmp_path / "parts").iterdir()
        size = part.stat().st_size
        with (
            no_file_beyond(size),
            pytest.raises(SodbenchError, match=r"part-0002\.npz: cannot be written \(.*make room"),
        ):
            counts.append(pairs("b", "c", seed=2))
        assert list((tmp_path / "parts").iterdir()) == [part]
        counts.append(pairs("c", seed=3))
    with CountsStore(tmp_path, Policy()) as again:
        assert hashes(again.select("ac")) == [1, 3]


def test_a_full_disk_leaves_no_half_of_the_counts_file(tmp_path, no_file_beyond):
    with (
        no_file_beyond(3000),
        pytest.raises(SodbenchError, match=r"counts\.npz: cannot be written"),
    ):
        write_counts(tmp_path / "counts.npz", pairs(*map(str, range(10))))
    assert not list(tmp_path.iterdir())


def test_what_ends_a_run_is_raised_though_its_pairs_cannot_be_kept(tmp_path, no_file_beyond):
    with (
        no_file_beyond(100),
        pytest.raises(KeyboardInterrupt),
        CountsStore(tmp_path, Policy()) as s,
    ):
        s.append(pairs("a"))
        raise KeyboardInterrupt


def test_pairs_under_way_are_kept_when_a_run_ends(tmp_path):
    with pytest.raises(KeyboardInterrupt), CountsStore(tmp_path, Policy()) as counts:
        counts.append(pairs("b", "a", seed=1))
        raise KeyboardInterrupt
    with CountsStore(tmp_path, Policy()) as again:
        assert hashes(again.select("ab")) == [1, 1]
        again.discard()
    assert not (tmp_path / "parts").exists()


def test_a_part_is_written_after_some_seconds(tmp_path, monkeypatch):
    now = [0.0]
    monkeypatch.setattr(store.time, "monotonic", lambda: now[0])
    with CountsStore(tmp_path, Policy()) as counts:
        counts.append(pairs("a"))
        assert not (tmp_path / "parts").exists()
        now[0] = store.SECONDS_PER_PART
        counts.append(pairs("b"))
        assert [path.name for path in (tmp_path / "parts").iterdir()] == ["part-0001.npz"]


def test_a_part_that_is_changed_while_it_is_in_use_is_noticed(tmp_path, monkeypatch):
    monkeypatch.setattr(store, "PAIRS_PER_PART", 1)
    with CountsStore(tmp_path, Policy()) as counts:
        counts.append(pairs("a", "b"))
        (part,) = (tmp_path / "parts").iterdir()
        with part.open("r+b") as file:
            file.truncate(1000)
        with pytest.raises(SodbenchError, match=r"part-0001\.npz: was modified"):
            counts.select("ab").read_all()


def test_pairs_are_missing_until_they_were_counted_from_the_files_as_they_are(tmp_path):
    for name in ("map", "mask"):
        (tmp_path / name).write_bytes(b"content")
    status = {name: os.stat(tmp_path / name) for name in ("map", "mask")}  # noqa: PTH116
    files = {name: FileIdentity.from_content(b"content", status[name]) for name in status}
    stored = pairs("a")
    stored = replace(stored, records=stored.records.copy())
    for name, identity in files.items():
        for field, value in zip(("bytes", "mtime", "ctime", "hash"), identity, strict=True):
            stored.records[f"{name}_{field}"] = value
    assert files["map"].content == checksum(b"content")
    write_counts(tmp_path / "counts.npz", stored)
    masks = {"a": tmp_path / "mask", "b": tmp_path / "mask"}
    maps = {"a": tmp_path / "map", "b": tmp_path / "map"}

    def missing(policy=None, maps=maps):
        with CountsStore(None, policy or Policy(), CountsFile(tmp_path / "counts.npz")) as counts:
            return counts.missing(maps, masks, ["a", "b"])

    assert missing() == ["b"]
    assert missing(Policy(weighted=False)) == ["a", "b"]
    assert missing(Policy(missing="zero"), {**maps, "a": None}) == ["a", "b"]
    os.utime(tmp_path / "map", (1, 1))
    assert missing() == ["b"]
    (tmp_path / "map").write_bytes(b"contenT")
    assert missing() == ["a", "b"]
    (tmp_path / "map").unlink()
    assert missing() == ["a", "b"]


@pytest.mark.parametrize("which", ["map", "mask"])
@pytest.mark.parametrize(
    ("change", "is_current"),
    [
        (lambda path, status: None, True),
        (lambda path, status: os.utime(path, ns=(0, status.st_mtime_ns)), True),
        (lambda path, status: os.utime(path, (1, 1)), True),
        # its times may be those of its first content, if both were written within a tick of the clock
        (lambda path, status: (path.write_bytes(b"other"), os.utime(path, (1, 1))), False),
        (lambda path, status: path.write_bytes(b"longer than it was"), False),
        (lambda path, status: path.unlink(), False),
        (lambda path, status: (path.unlink(), path.mkdir()), False),
    ],
    ids=["nothing", "time back", "time", "content", "size", "missing", "folder"],
)
def test_a_changed_file_is_noticed_among_unchanged_ones(tmp_path, which, change, is_current):
    paths = [tmp_path / f"{stem}-{kind}" for stem in "abc" for kind in ("map", "mask")]
    records = np.zeros(3, PAIR_RECORD)
    for number, path in enumerate(paths):
        path.write_bytes(b"%05d" % number)
        identity = FileIdentity.from_content(path.read_bytes(), path.stat())
        for name, value in zip(("bytes", "mtime", "ctime", "hash"), identity, strict=True):
            records[f"{path.name[2:]}_{name}"][number // 2] = value
    changed = tmp_path / f"b-{which}"
    change(changed, changed.stat())
    found = store.are_current(records, paths[1::2], paths[::2], Policy())
    assert found.tolist() == [True, is_current, True]


def test_content_of_the_same_size_and_modification_time_is_noticed(tmp_path):
    path, mask = tmp_path / "map", tmp_path / "mask"
    path.write_bytes(b"first")
    mask.write_bytes(b"mask")
    records = np.zeros(1, PAIR_RECORD)
    for which, file in (("map", path), ("mask", mask)):
        identity = FileIdentity.from_content(file.read_bytes(), file.stat())
        for name, value in zip(("bytes", "mtime", "ctime", "hash"), identity, strict=True):
            records[f"{which}_{name}"] = value
    before = path.stat()
    path.write_bytes(b"other")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    # where the change time has not moved on yet, the file would not have been recorded with it
    records["map_ctime"] -= 1
    assert store.are_current(records, [mask], [path], Policy()).tolist() == [False]
    path.write_bytes(b"first")
    os.utime(path, (2**33, 2**33))
    assert store.are_current(records, [mask], [path], Policy()).tolist() == [True]
