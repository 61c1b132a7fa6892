"""The journal of counted pairs: what is in it is whole, or it says so."""

import numpy as np
import pytest

from sodbench.errors import SodbenchError
from sodbench.metrics import PreparedMask, count_pair
from sodbench.metrics.protocols import MATLAB_RULE
from sodbench.results.pairs import (
    _JOURNAL,
    _MAGIC,
    FileFacts,
    Journal,
    StoredPairs,
    packed,
    write_counts,
)


def pair(seed, *, grey=False):
    """A record and its MATLAB counts, which only a grey mask has."""
    rng = np.random.default_rng(seed)
    mask = np.where(rng.random((20, 30)) < 0.4, 255, 0).astype(np.uint8)
    if grey:
        mask[:4] = 60
    counts = count_pair(rng.integers(0, 256, mask.shape, np.uint8), PreparedMask(mask))
    assert bool(counts.deviations) == grey
    facts = FileFacts(1, 2, 3, seed)
    record = packed(
        map_file=facts,
        mask_file=facts,
        fitted=0,
        map_size=counts.size,
        mask_levels=int(grey),
        foreground=int((mask > 128).sum()),
        map_note="",
        mask_note="",
        counts=counts,
    )
    return record, counts.deviations[MATLAB_RULE][0] if grey else None


def stored(path, *stems) -> StoredPairs:
    journal = Journal(path)
    try:
        assert not journal.damage
        return journal.select(stems).stored()
    finally:
        journal.close()


@pytest.mark.parametrize("room", [0, 1, _JOURNAL.itemsize, _JOURNAL.itemsize + 10])
def test_pairs_that_a_full_disk_cuts_short_are_refused_and_those_before_stay(
    tmp_path, room, no_file_beyond
):
    path = tmp_path / "out" / "journal"
    journal = Journal(path)
    journal.append([("a", *pair(1))])
    size = path.stat().st_size
    with (
        no_file_beyond(size + room),
        pytest.raises(SodbenchError, match=r"journal: cannot be written \(.*make room"),
    ):
        journal.append([("a", *pair(2)), ("b", *pair(3))])
    assert path.stat().st_size == size
    assert journal.find("b") is None and journal.find("a")["map_hash"] == 1
    journal.append([("b", *pair(3, grey=True))])
    journal.close()
    found = stored(path, "a", "b")
    assert found.pairs["map_hash"].tolist() == [1, 3] and found.matlab_rows.tolist() == [1]


def test_a_full_disk_leaves_no_half_of_the_counts_file(tmp_path, no_file_beyond):
    journal = Journal(None)
    journal.append([(str(i), *pair(i)) for i in range(20)])
    with (
        no_file_beyond(3000),
        pytest.raises(SodbenchError, match=r"counts\.npz: cannot be written"),
    ):
        write_counts(tmp_path / "counts.npz", journal.select([str(i) for i in range(20)]))
    assert not list(tmp_path.iterdir())


def test_a_journal_cannot_begin_on_a_full_disk(tmp_path, no_file_beyond):
    with no_file_beyond(5), pytest.raises(SodbenchError, match="cannot be written"):
        Journal(tmp_path / "journal")
    assert not Journal(tmp_path / "journal").damage


def test_a_journal_that_somebody_cut_is_not_made_up_from_memory(tmp_path):
    journal = Journal(tmp_path / "journal")
    journal.append([("a", *pair(1)), ("b", *pair(2))])
    with (tmp_path / "journal").open("r+b") as file:
        file.truncate(len(_MAGIC) + _JOURNAL.itemsize + 100)
    both = journal.select(["a", "b"])
    for read in (both.stored, both.facts):
        with pytest.raises(SodbenchError, match="journal: was cut short"):
            read()


def test_matlabs_counts_go_with_the_pair_they_were_counted_with(tmp_path):
    """A mask that was grey and is not any more has none, whether the journal was reopened in between or not."""
    path = tmp_path / "journal"
    journal = Journal(path)
    journal.append([("a", *pair(1, grey=True)), ("b", *pair(2, grey=True)), ("c", *pair(3))])
    assert journal.select("abc").stored().matlab_rows.tolist() == [0, 1]
    journal.append([("a", *pair(4)), ("c", *pair(5, grey=True))])
    for found in (journal.select("abc").stored(), (journal.close(), stored(path, *"abc"))[1]):
        assert found.pairs["map_hash"].tolist() == [4, 2, 5]
        assert found.matlab_rows.tolist() == [1, 2]
        assert np.array_equal(found.matlab_joint[0], pair(2, grey=True)[1])
        assert np.array_equal(found.matlab_joint[1], pair(5, grey=True)[1])


@pytest.mark.parametrize("extra", [0, 10])
def test_matlabs_counts_whose_pair_was_lost_belong_to_no_other(tmp_path, extra):
    path = tmp_path / "journal"
    journal = Journal(path)
    journal.append([("a", *pair(1, grey=True)), ("a", *pair(2, grey=True))])
    journal.close()
    with path.open("r+b") as file:  # killed after MATLAB's counts of the second
        file.truncate(len(_MAGIC) + 3 * _JOURNAL.itemsize + extra)
    found = stored(path, "a")
    assert np.array_equal(found.matlab_joint, pair(1, grey=True)[1][None])
    journal = Journal(path)
    journal.append([("a", *pair(3))])
    assert not len(journal.select("a").stored().matlab_rows)
    journal.close()
    assert not len(stored(path, "a").matlab_rows)
