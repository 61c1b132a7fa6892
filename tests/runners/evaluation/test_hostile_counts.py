"""Files of counts that try to do harm, or were written by another program."""

import zipfile

import numpy as np
import pytest
from evaluations import assert_restored, set_hash

from sodbench.errors import StoredFileError
from sodbench.metrics.protocols import MATLAB_RULE
from sodbench.results import counts_file
from sodbench.results.counts_archive import seal
from sodbench.results.counts_file import CountsFile


def rewritten(path, change):
    """The archive with some members' bytes changed: ``change`` gives the new bytes of a member, or None."""
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            if (new := change(name, data)) is not None:
                archive.writestr(name, new)
        archive.comment = seal(archive)


def header(text):
    head = text.encode()
    return b"\x93NUMPY\x01\x00" + len(head).to_bytes(2, "little") + head


HOSTILE_MEMBERS = {
    "terabytes": lambda n, d: (
        header("{'descr':'<u4','fortran_order':False,'shape':(500000000,4,2,256),}")
        if n == "histogram.npy"
        else d
    ),
    "stems": lambda n, d: (
        header("{'descr':'<U1000000','fortran_order':False,'shape':(1000000,),}")
        if n == "stems.npy"
        else d
    ),
    "object": lambda n, d: (
        header("{'descr':'|O','fortran_order':False,'shape':(6,),}") + d[-60:]
        if n == "stems.npy"
        else d
    ),
    "negative": lambda n, d: (
        header("{'descr':'<i8','fortran_order':False,'shape':(-1,),}")
        if n == "rule1_rows.npy"
        else d
    ),
    "code": lambda n, d: header("__import__('os').abort()") if n == "stems.npy" else d,
    "deep": lambda n, d: header("(" * 900) if n == "stems.npy" else d,
    "no array": lambda n, d: b"hello" if n == "histogram.npy" else d,
    "empty": lambda n, d: b"" if n == "size.npy" else d,
    "short": lambda n, d: d[:-100] if n == "histogram.npy" else d,
    "long": lambda n, d: d + b"more" if n == "histogram.npy" else d,
    "gone": lambda n, d: None if n == "map_size.npy" else d,
    "other order": lambda n, d: (
        d.replace(b"'fortran_order': False", b"'fortran_order': True ")
        if n == "histogram.npy"
        else d
    ),
}


@pytest.mark.parametrize("kind", HOSTILE_MEMBERS)
def test_hostile_counts_files_are_refused_in_one_line(original, stored, kind):
    rewritten(stored / "counts.npz", HOSTILE_MEMBERS[kind])
    with pytest.raises(StoredFileError, match=r"counts\.npz: damaged counts file"):
        CountsFile(stored / "counts.npz").read_all()
    set_hash(stored, "counts.npz")
    assert_restored(original, stored)


def test_a_counts_file_that_would_unfold_to_gigabytes_is_refused_unread(stored):
    path = stored / "counts.npz"
    zeros = bytes(2**20)
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            with archive.open(name, "w") as member:
                member.write(data)
                if name == "histogram.npy":
                    for _ in range(200):
                        member.write(zeros)
        archive.comment = seal(archive)
    with pytest.raises(StoredFileError, match="not as long as its shape"):
        CountsFile(path).read_all()


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_other_compression_is_refused(stored, method):
    path = stored / "counts.npz"
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
        archive.comment = seal(archive)
    with pytest.raises(StoredFileError, match="compressed in another way"):
        CountsFile(path).read_all()


@pytest.mark.parametrize("block", [2, 128])
def test_the_stored_counts_are_streamed_and_read_at_random(stored, monkeypatch, block):
    monkeypatch.setattr(counts_file, "PAIRS_PER_BLOCK", block)
    whole = CountsFile(stored / "counts.npz").read_all().counts
    file = CountsFile(stored / "counts.npz")
    for rows in (range(4), range(4, 6), (5, 2), (1,), (0, 3, 5)):
        part, wanted = file[np.array(rows)], whole[list(rows)]
        assert np.array_equal(part.histogram, whole.histogram[list(rows)])
        for rule in whole.scheme.rules:
            counts, expected = part.for_rule(rule), wanted.for_rule(rule)
            assert np.array_equal(counts.histogram, expected.histogram)
            assert np.array_equal(counts.tie_flags, expected.tie_flags)
    assert 2 in whole.deviations[MATLAB_RULE].rows
