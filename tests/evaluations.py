"""Helpers for tests of evaluations: small folders of pairs, and edits of what is stored of them."""

import json
import zipfile

import numpy as np
import pytest

from sodbench.cli import main
from sodbench.errors import SodbenchError
from sodbench.files import CHECKSUM, file_hash
from sodbench.results import load_result
from sodbench.results.counts_archive import seal
from sodbench.results.result_file import _digest, nan_to_none
from sodbench.runners.evaluation.evaluate import evaluate
from sodbench.runners.evaluation.verify import verify_results

STEMS = [f"img{i:02d}" for i in range(8)]


def run(folders, *options, preds="maps", gt="gt"):
    return main(["--quiet", "eval", str(folders / preds), str(folders / gt), *options])


def kinds(error):
    return sorted({problem.kind for problem in error.value.problems})


def content(folder):
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


STORED_STEMS = [f"img{i:02d}" for i in range(6)]


def edit_json(folder, change, *, forge=False):
    """Change result.json; ``forge``: give it the digest that belongs to the change."""
    path = folder / "result.json"
    stored = json.loads(path.read_text())
    change(stored)
    if forge:
        del stored["digest"]
        plain = nan_to_none(stored)
        # in one line: line breaks take five times as long
        path.write_text(json.dumps({"digest": _digest(plain), **plain}))
    else:
        path.write_text(json.dumps(stored, indent=1, ensure_ascii=False) + "\n")


def set_hash(folder, name):
    """Put the hash of the file that is there now into result.json, and the digest that belongs to it."""

    def change(stored):
        stored["hashes"][name] = file_hash(folder / name, CHECKSUM)

    edit_json(folder, change, forge=True)


def edit_counts(folder, change, *, forge=False):
    """Change the arrays of counts.npz; ``forge``: with the right seal and hash."""
    edit_arrays(folder / "counts.npz", change, forge=forge)
    if forge:
        set_hash(folder, "counts.npz")


def edit_arrays(path, change, *, forge=True):
    """Change the arrays of a file of counts; ``forge``: with the right seal."""
    with np.load(path) as archive:
        arrays = dict(archive)
    change(arrays)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, array in arrays.items():
            with archive.open(f"{name}.npy", "w") as member:
                np.lib.format.write_array(member, np.ascontiguousarray(array), version=(1, 0))
        if forge:
            archive.comment = seal(archive)


def assert_named(folder, *words):
    """``verify`` and everything that opens the counts name the folder's fault."""
    (verified,) = (one for one in verify_results(folder.parents[1]) if one.folder == folder)
    assert verified.differences
    for word in words:
        assert any(word in text for text in verified.differences), verified.differences
    with pytest.raises(SodbenchError):
        _ = load_result(folder).counts


def assert_restored(original, folder):
    """The same evaluation again writes what it wrote first, to the byte."""
    method = folder.parent.name
    evaluate(original / "preds" / method, original / "gt", output=folder.parents[1], name=method)
    assert content(folder) == content(original / "out" / method / folder.name)


def leaves(value, path=()):
    """The values in result.json with their places; of metrics, problems and curves some stand for all."""
    if isinstance(value, dict):
        some = list(value.items())[:: 12 if path in (("metrics",), ("curves",)) else 1]
        for name, item in some:
            yield from leaves(item, (*path, name))
    elif isinstance(value, list) and path[:1] == ("curves",):
        yield (*path, 100), value[100]
    elif isinstance(value, list):
        for number, item in enumerate(value[:1]):
            yield from leaves(item, (*path, number))
    else:
        yield path, value


def put(stored, path, value):
    for name in path[:-1]:
        stored = stored[name]
    stored[path[-1]] = value


def altered(value):
    """Another value of the same type."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, (int, float)):
        return value + 1
    return "zero" if value in ("error", "skip") else f"{value}x" if value else "x"
