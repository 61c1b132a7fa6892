"""Stored results that were edited, damaged or made up: nothing wrong is believed, and everything is named."""

import json
import os
import shlex
import shutil
import zipfile

import numpy as np
import pytest
from synthetic import draw_pair, save_image

from sodbench.cli import main
from sodbench.datasets import find_masks
from sodbench.errors import ProblemsError, SodbenchError, StoredFileError
from sodbench.files import CHECKSUM, checksum, file_hash, lock_folder
from sodbench.images import read_file
from sodbench.metrics.protocols import MATLAB_RULE
from sodbench.results import Policy, counts_file, find_differences, load_result, load_results
from sodbench.results.counts_file import CountsFile, read_counts, seal, write_counts
from sodbench.results.result_file import _digest, encode_result
from sodbench.runners.evaluation import count as counting
from sodbench.runners.evaluation.evaluate import evaluate, evaluate_plan
from sodbench.runners.evaluation.merge import merge
from sodbench.runners.evaluation.plan import plan_evaluation
from sodbench.runners.evaluation.verify import verify_results

STEMS = [f"img{i:02d}" for i in range(6)]


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    """Two methods on six pairs, one of them with a grey mask and a resized map, and their results."""
    root = tmp_path_factory.mktemp("stored")
    for seed, stem in enumerate(STEMS):
        map_, mask = draw_pair(seed, 30, 40)
        save_image(root / f"preds/A/{stem}.png", map_)
        save_image(root / f"preds/B/{stem}.png", 255 - map_)
        save_image(root / f"gt/{stem}.png", mask)
    grey = np.where(draw_pair(2, 30, 40)[1] > 0, 200, 60).astype(np.uint8)
    save_image(root / "gt/img02.png", grey)
    save_image(root / "preds/A/img03.png", draw_pair(3, 15, 20)[0])
    for method in "AB":
        evaluate(root / "preds" / method, root / "gt", output=root / "out", name=method)
    return root


@pytest.fixture
def stored(original, tmp_path):
    """A copy of the results, which a test may edit: the folder of method A."""
    shutil.copytree(original / "out", tmp_path / "out")
    (dataset,) = (tmp_path / "out/A").iterdir()
    return dataset


def content(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def edit_json(folder, change, *, forge=False):
    """Change result.json; ``forge``: give it the digest that belongs to the change."""
    path = folder / "result.json"
    stored = json.loads(path.read_text())
    change(stored)
    if forge:
        del stored["digest"]
        path.write_text(encode_result({k: v for k, v in stored.items() if k != "format"}))
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
    (found,) = (one for one in verify_results(folder.parents[1]) if one.folder == folder)
    assert found.differences
    for word in words:
        assert any(word in text for text in found.differences), found.differences
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


def test_sound_results_are_verified(original, capsys):
    assert main(["verify", str(original / "out")]) == 0
    assert "2 of 2 result(s) verified" in capsys.readouterr().out
    again = ["verify", str(original / "out"), str(original / "preds"), str(original / "gt")]
    assert main(again) == 0
    assert capsys.readouterr().out.count("agree with their counts and images") == 2


@pytest.mark.parametrize("forge", [False, True], ids=["edited", "digest forged, too"])
def test_every_field_of_a_result_is_guarded(original, stored, forge):
    """Without a forged digest every edit is named; with one, whatever the counts and names decide."""
    whole = (stored / "result.json").read_text()
    fields = list(leaves(json.loads(whole)))
    assert len(fields) > 35
    unnoticed = []
    for path, value in fields:
        if forge and path in (("digest",), ("format",)):
            continue
        edit_json(stored, lambda content, p=path, v=value: put(content, p, altered(v)), forge=forge)
        (found,) = (one for one in verify_results(stored) if one.folder == stored)
        if not found.differences:
            unnoticed.append(".".join(map(str, path)))
        if not (forge and path[-1] in ("method", "dataset", "shard")):
            assert_restored(original, stored)  # those three are refused: another result is there
        (stored / "result.json").write_text(whole)
    # nothing in the folder can decide these; a run of eval does, and wrote them again above
    undecidable = {
        "method",
        "dataset",
        "folders.maps",
        "folders.masks",
        "folders.images",
        "policy.resize",
        "policy.missing",
        "policy.undefined",
        "provenance.maps",
        "provenance.sample",
        "provenance.scored_by",
        "provenance.suffix",
    }
    versions = {
        f"provenance.versions.{name}" for name in json.loads(whole)["provenance"]["versions"]
    }
    assert set(unnoticed) <= (undecidable | versions if forge else set())


ODD_VALUES = [
    None,
    True,
    -1,
    1e308,
    10**30,
    "",
    "\ud800",
    "\x1b[2J",
    [[]],
    {"a": {"b": 1}},
]


def test_no_value_in_a_result_ends_in_a_traceback(stored):
    whole = (stored / "result.json").read_text()
    values = {tuple(path): value for path, value in leaves(json.loads(whole))}
    values |= {path[:1]: object() for path in values if len(path) > 1}
    for path, value in values.items():
        for odd in ODD_VALUES:
            if odd == value:
                continue
            edit_json(stored, lambda content, p=path, v=odd: put(content, p, v), forge=True)
            try:
                _ = load_result(stored).counts
            except StoredFileError as error:
                assert str(stored) in str(error)
            (stored / "result.json").write_text(whole)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "null",
        '"text"',
        "[" * 100_000,
        '{"format": 3, "format": 3}',
        '{"format": 3, "n": NaN}',
        "\ufeff{}",
        '{"format": 1}',
    ],
)
def test_a_file_that_is_no_result_is_named(original, stored, text):
    (stored / "result.json").write_text(text)
    with pytest.raises(StoredFileError, match=r"result\.json: "):
        load_result(stored)
    assert_restored(original, stored)


def test_cells_of_the_table_are_guarded(original, stored):
    whole = (stored / "scores.csv").read_text()
    header, first, *_ = whole.splitlines()
    for column, cell in enumerate(first.split(",")):
        cells = first.split(",")
        cells[column] = str(float(cell) + 1) if cell.replace(".", "").isdigit() else f"{cell}x"
        (stored / "scores.csv").write_text(whole.replace(first, ",".join(cells)))
        assert_named(stored, "scores.csv: was modified")
        set_hash(stored, "scores.csv")  # now the hash fits, and the number still does not follow
        name = header.split(",")[column]
        (found,) = (one for one in verify_results(stored) if one.folder == stored)
        assert found.differences, name
        if column % 15:  # restoring is the same for every column, and slow
            (stored / "scores.csv").write_text(whole)
            set_hash(stored, "scores.csv")
        else:
            assert_restored(original, stored)


def test_bytes_of_the_counts_are_guarded(original, stored):
    whole = (stored / "counts.npz").read_bytes()
    for at in np.linspace(0, len(whole) - 1, 30).astype(int):
        damaged = bytearray(whole)
        damaged[at] ^= 0xFF
        (stored / "counts.npz").write_bytes(damaged)
        assert_named(stored, "counts.npz: was modified")
        (stored / "counts.npz").write_bytes(whole)
    (stored / "counts.npz").write_bytes(damaged)
    assert_restored(original, stored)


@pytest.fixture(scope="module")
def of_real_files(shared, tmp_path_factory):
    """Results of real maps: FT and RC on CSSD18, DSS on SOD."""
    out = tmp_path_factory.mktemp("real")
    for method, dataset in (("FT", "CSSD18"), ("RC", "CSSD18"), ("DSS", "SOD")):
        preds = shared / "real/preds" / method / dataset
        evaluate(preds, shared / "real" / dataset, "pysodmetrics", output=out, name=method)
    return out


@pytest.mark.real
def test_results_of_real_files_are_verified(of_real_files, shared):
    real = shared / "real"
    for method, n in (("FT", 18), ("RC", 18), ("DSS", 300)):
        (found,) = verify_results(of_real_files / method, real / "preds" / method, real)
        assert (found.differences, found.n, found.from_images) == ((), n, True)


@pytest.mark.real
def test_thirty_edits_of_results_of_real_files_are_named(of_real_files, tmp_path):
    """Ten values of result.json, ten cells of scores.csv, ten bytes of counts.npz."""
    shutil.copytree(of_real_files / "DSS", tmp_path / "DSS")
    (folder,) = (tmp_path / "DSS").iterdir()
    whole = content(folder)
    rng = np.random.default_rng(0)
    values = list(leaves(json.loads(whole["result.json"])))
    edits = []
    for i in rng.choice(len(values), 10, replace=False):
        path, value = values[i]
        edits.append(
            (
                "result.json",
                lambda p=path, v=value: edit_json(folder, lambda c: put(c, p, altered(v))),
            )
        )
    lines = whole["scores.csv"].decode().split("\n")
    for row in rng.choice(range(1, 301), 10, replace=False):
        cells = lines[row].split(",")
        cells[-1 - row % 20] = repr(rng.random())
        text = "\n".join([*lines[:row], ",".join(cells), *lines[row + 1 :]])
        edits.append(("scores.csv", lambda t=text: (folder / "scores.csv").write_text(t)))
    for at in rng.choice(len(whole["counts.npz"]), 10, replace=False):
        data = bytearray(whole["counts.npz"])
        data[at] ^= 1 << int(rng.integers(8))
        edits.append(("counts.npz", lambda d=bytes(data): (folder / "counts.npz").write_bytes(d)))
    for name, edit in edits:
        edit()
        (found,) = verify_results(folder)
        assert any(name in text for text in found.differences), (name, found)
        (folder / name).write_bytes(whole[name])
    assert len(edits) == 30 and not verify_results(folder)[0].differences


def test_swapped_counts_are_refused(original, stored):
    other = stored.parents[1] / "B" / stored.name
    ours, theirs = (folder / "counts.npz" for folder in (stored, other))
    (data, instead) = ours.read_bytes(), theirs.read_bytes()
    ours.write_bytes(instead)
    theirs.write_bytes(data)
    assert_named(stored, "counts.npz: was modified")
    set_hash(stored, "counts.npz")
    assert_named(stored, "metrics.mae is ")
    assert_restored(original, stored)
    assert_restored(original, other)


@pytest.mark.parametrize("command", ["report", "compare", "merge"])
def test_modified_results_are_refused_by_every_command(stored, tmp_path, capsys, command):
    edit_json(stored, lambda content: content["metrics"].update(f_max=0.9439))
    out = str(stored.parents[1])
    options = {
        "report": [out, "-o", str(tmp_path / "report.md")],
        "compare": [f"{out}/A", f"{out}/B"],
        "merge": [out, "-o", str(tmp_path / "merged")],
    }
    assert main([command, *options[command]]) == 2
    assert "result.json: was modified after it was written" in capsys.readouterr().err


def test_halved_errors_are_not_taken_over(original, stored):
    """The counts are edited, and all digests fit: what they imply about themselves does not."""

    def halve(arrays):
        arrays["absolute_error"] //= 2

    edit_counts(stored, halve, forge=True)
    assert_named(stored, "absolute_error is not what its counts give")
    assert_restored(original, stored)
    edit_counts(stored, halve, forge=True)
    (stored / "result.json").unlink()  # as if a run had been killed
    assert_restored(original, stored)


def test_a_complete_forgery_is_found_with_the_images(original, stored):
    """Counts, table and aggregates agree with each other; only the images do not."""
    forged = original / "forged"
    shutil.copytree(original / "preds/A", forged / "A", dirs_exist_ok=True)
    save_image(forged / "A/img00.png", draw_pair(0, 30, 40)[1])
    evaluate(forged / "A", original / "gt", output=forged / "out", name="A")
    (folder,) = (forged / "out/A").iterdir()
    shutil.copytree(folder, stored, dirs_exist_ok=True)
    assert not verify_results(stored)[0].differences
    (found,) = verify_results(stored, original / "preds/A", original / "gt")
    assert found.from_images and len(found.differences) == 1
    assert found.differences[0].startswith("img00: the images give another ")
    again = evaluate(original / "preds/A", original / "gt", output=stored.parents[1], name="A")
    assert again.metrics == load_result(original / "out/A" / stored.name).metrics


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
        read_counts(stored / "counts.npz")
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
    with pytest.raises(StoredFileError, match="as its shape says"):
        read_counts(path)


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
        read_counts(path)


@pytest.mark.parametrize("name", ["result.json", "scores.csv", "counts.npz", "parts"])
@pytest.mark.parametrize("kind", ["a folder", "a named pipe"])
@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="named pipes")
def test_files_of_another_kind_are_named_and_nothing_waits(original, stored, name, kind):
    (stored / name).unlink(missing_ok=True)
    (stored / name).mkdir() if kind == "a folder" else os.mkfifo(stored / name)
    method = stored.parent.name
    try:
        evaluate(
            original / "preds" / method, original / "gt", output=stored.parents[1], name=method
        )
    except SodbenchError as error:
        assert name in str(error)
    else:
        assert content(stored) == content(original / "out" / method / stored.name)


@pytest.mark.parametrize(
    "name",
    ["parts", "counts.npz", "scores.csv", "result.json"],
)
def test_links_in_an_output_folder_do_not_lead_out_of_it(original, stored, tmp_path, name):
    mine = tmp_path / "mine.txt"
    mine.write_text("mine")
    (stored / "result.json").unlink()
    (stored / name).unlink(missing_ok=True)
    (stored / name).symlink_to(mine)
    method = stored.parent.name
    try:
        evaluate(
            original / "preds" / method, original / "gt", output=stored.parents[1], name=method
        )
    except SodbenchError as error:
        assert "is a link" in str(error)
    assert mine.read_text() == "mine"


def test_files_that_only_have_the_names_of_parts_are_not_deleted(original, stored):
    (stored / "parts").write_text("a diary")
    with pytest.raises(SodbenchError, match="parts: is not a folder"):
        evaluate(original / "preds/A", original / "gt", output=stored.parents[1], name="A")
    assert (stored / "parts").read_text() == "a diary"
    (stored / "parts").unlink()
    for name in ("part-0001.npz", "notes.txt"):
        (stored / "parts").mkdir(exist_ok=True)
        (stored / "parts" / name).write_text("a diary")
        try:
            evaluate(original / "preds/A", original / "gt", output=stored.parents[1], name="A")
        except SodbenchError as error:
            assert "has the name of a part of sodbench, but is none" in str(error)
        assert (stored / "parts" / name).read_text() == "a diary"
        (stored / "parts" / name).unlink()


def test_results_of_an_earlier_format_are_reported_and_written_again(original, stored, capsys):
    path = stored / "result.json"
    content_ = json.loads(path.read_text())
    content_["format"] = 1
    path.write_text(json.dumps(content_))
    with pytest.raises(StoredFileError, match="written by another version"):
        load_result(stored)
    assert_restored(original, stored)
    assert "written by another version of sodbench; it is written again now" in (
        capsys.readouterr().err
    )


@pytest.mark.parametrize("force", [[], ["--force"]])
def test_a_replaced_result_is_reported(original, stored, capsys, force):
    options = ["--protocol", "pysodmetrics", "--name", "A", "-o", str(stored.parents[1]), *force]
    assert main(["eval", str(original / "preds/A"), str(original / "gt"), *options]) == 1
    message = capsys.readouterr().err
    assert "replaces the stored result, which was sodbench:" in message
    assert "protocol:salmetric" in message


def test_a_run_that_is_forced_waits_for_no_lock_and_takes_none_away(original, stored):
    """It used to delete the journal of the run under way, and both wrote their files into one folder."""
    before = content(stored)
    with lock_folder(stored), pytest.raises(SodbenchError, match="another process is scoring into"):
        evaluate_plan(
            plan_evaluation(original / "preds/A", find_masks(original / "gt")),
            output=stored.parents[1],
            force=True,
        )
    assert content(stored) == before


def test_a_replaced_file_is_noticed_though_its_time_is_in_the_future(original, tmp_path):
    """A wrong clock, or a ZIP from another time zone: both files have the same size and the same time."""
    later = 2_000_000_000
    for folder, pixels in (("first", 40), ("second", 200)):
        save_image(tmp_path / folder / "a.bmp", np.full((30, 40), pixels, np.uint8))
        os.utime(tmp_path / folder / "a.bmp", (later, later))
    save_image(tmp_path / "gt/a.png", draw_pair(0, 30, 40)[1])
    shutil.copytree(tmp_path / "first", tmp_path / "preds")
    evaluate(tmp_path / "preds", tmp_path / "gt", output=tmp_path / "out")
    (tmp_path / "second/a.bmp").replace(tmp_path / "preds/a.bmp")
    os.utime(tmp_path / "preds/a.bmp", (later, later))
    again = evaluate(tmp_path / "preds", tmp_path / "gt", output=tmp_path / "out")
    assert again.metrics["mae"] == evaluate(tmp_path / "preds", tmp_path / "gt").metrics["mae"]


def test_a_file_written_within_the_same_tick_of_the_clock_is_read_once_more(tmp_path, monkeypatch):
    save_image(tmp_path / "a.png", draw_pair(0, 30, 40)[0])
    reads = []

    def read_and_replace(path):
        data, status = read_file(path)
        if not reads:  # changed after it was read; its time may not show that
            save_image(path, draw_pair(1, 30, 40)[0])
        reads.append(path)
        return data, status

    monkeypatch.setattr(counting, "read_file", read_and_replace)
    facts, decoded = counting._decode(tmp_path / "a.png", None)
    assert len(reads) == 2 and np.array_equal(decoded.pixels, draw_pair(1, 30, 40)[0])
    assert facts.content == checksum((tmp_path / "a.png").read_bytes())


def test_names_that_are_not_utf8_are_refused_before_anything_is_counted(original, tmp_path):
    name = os.fsdecode(b"\xe9t\xe9")
    for folder in ("preds", "gt"):
        save_image(tmp_path / folder / f"{name}.png", draw_pair(0, 30, 40)[folder == "gt"])
    assert evaluate(tmp_path / "preds", tmp_path / "gt").n == 1
    with pytest.raises(ProblemsError, match="is not UTF-8") as error:
        evaluate(tmp_path / "preds", tmp_path / "gt", output=tmp_path / "out")
    assert {problem.kind for problem in error.value.problems} == {"name"}
    assert not list((tmp_path / "out").rglob("*.npz"))


def test_a_carriage_return_in_a_name_does_not_break_the_table(tmp_path):
    for folder in ("preds", "gt"):
        save_image(tmp_path / folder / "a\rb.png", draw_pair(0, 30, 40)[folder == "gt"])
        save_image(tmp_path / folder / 'c "d", e.png', draw_pair(1, 30, 40)[folder == "gt"])
    evaluate(tmp_path / "preds", tmp_path / "gt", output=tmp_path / "out")
    (result,) = load_results([tmp_path / "out"])
    assert list(result.table.index) == ["a\rb", 'c "d", e'] and len(result.counts) == 2


def test_notes_about_masks_are_those_of_the_protocol(original):
    """A mask with values up to 60 is empty above 128 and not empty above 25."""
    folder = original / "dark"
    save_image(folder / "gt/a.png", np.where(draw_pair(0, 30, 40)[1], 60, 0).astype(np.uint8))
    save_image(folder / "preds/a.png", draw_pair(0, 30, 40)[0])
    plan = plan_evaluation(folder / "preds", find_masks(folder / "gt"))
    first, second = evaluate_plan(plan, ["salmetric", "matlab"]).results
    assert [p.kind for p in first.problems] == ["empty-mask", "grey-mask"]
    assert [p.kind for p in second.problems] == ["grey-mask"]
    assert "foreground is >25 under matlab" in second.problems[0].detail
    assert first.rescored("matlab").problems == second.problems


@pytest.mark.parametrize(
    "options",
    [
        [],
        ["--protocol", "pysodmetrics", "--undefined", "skip", "--no-weighted-f", "--name", "Foo"],
        ["--protocol", "matlab", "--limit", "3"],
        ["--items", "items.txt", "--resize", "nearest"],
        ["--shard", "2/3"],
        ["--missing", "zero"],
    ],
)
def test_the_stored_command_gives_the_stored_result(original, tmp_path, monkeypatch, options):
    monkeypatch.chdir(original)
    (original / "items.txt").write_text("img01.png\nimg03.png\n")
    if "--missing" in options:
        shutil.copytree(original / "preds/A", "incomplete", dirs_exist_ok=True)
        (original / "incomplete/img00.png").unlink()
    preds = "incomplete" if "--missing" in options else "preds/A"
    assert main(["eval", preds, "gt", *options, "-o", str(tmp_path / "out")]) in (0, 1)
    (result,) = load_results([tmp_path / "out"])
    command = shlex.split(result.provenance["scored_by"])
    assert command[:2] == ["sodbench", "eval"]
    monkeypatch.chdir(tmp_path)
    main([*command[1:], "-o", str(tmp_path / "again")])
    (again,) = load_results([tmp_path / "again"])
    # problems name files as the user did, here relative to a folder
    assert not [text for text in find_differences(result, again) if not text.startswith("problems")]


@pytest.mark.parametrize("block", [2, 128])
def test_the_stored_counts_are_streamed_and_read_at_random(stored, monkeypatch, block):
    monkeypatch.setattr(counts_file, "PAIRS_PER_BLOCK", block)
    whole = read_counts(stored / "counts.npz").counts
    file = CountsFile(stored / "counts.npz")
    for rows in (range(4), range(4, 6), (5, 2), (1,), (0, 3, 5)):
        part, wanted = file[np.array(rows)], whole[list(rows)]
        assert np.array_equal(part.histogram, whole.histogram[list(rows)])
        for rule in whole.scheme.rules:
            found, expected = part.for_rule(rule), wanted.for_rule(rule)
            assert np.array_equal(found.histogram, expected.histogram)
            assert np.array_equal(found.tie_flags, expected.tie_flags)
    assert 2 in whole.deviations[MATLAB_RULE].rows


def test_a_digest_depends_on_every_value():
    one = {"a": 1.0, "b": [1, 2]}
    assert len({_digest(one), _digest({**one, "a": 1}), _digest({**one, "b": [2, 1]})}) == 3


def test_all_results_of_a_tree_are_verified_at_once(stored):
    assert len(load_results([stored.parents[1]])) == 2
    (stored / "scores.csv").unlink()
    wrong = {one.folder.parent.name: one.differences for one in verify_results(stored.parents[1])}
    assert not wrong["B"] and "cannot be read" in wrong["A"][0]


# -- what a second look at the store found ------------------------------------------------------------


def test_counts_that_contradict_their_result_are_not_used_for_other_pairs(original, stored, capsys):
    """Another map is missing now, so that the stored counts are used in part only."""
    preds = original / "fewer"
    shutil.copytree(original / "preds/A", preds, dirs_exist_ok=True)
    (preds / "img05.png").unlink(missing_ok=True)

    def forge(arrays):
        arrays["metric_wf_raw_128"][0] = 0.999

    edit_counts(stored, forge, forge=True)
    policy = Policy(missing="skip")
    task = plan_evaluation(preds, find_masks(original / "gt"), name="A", policy=policy)
    capsys.readouterr()
    (again,) = evaluate_plan(task, output=stored.parents[1]).results
    assert "contradicts the counts it is stored with" in capsys.readouterr().err
    (fresh,) = evaluate_plan(task).results
    assert not [text for text in find_differences(again, fresh) if "knife" in text or "wf" in text]
    assert again.metrics == fresh.metrics


def test_a_problem_that_is_listed_twice_is_named(stored):
    edit_json(stored, lambda c: c["problems"].append(c["problems"][0]), forge=True)
    assert_named(stored, "2 times, expected 1")


@pytest.mark.parametrize("divided", [4, 7, 60])
def test_the_number_of_divided_pairs_follows_from_the_shard(original, tmp_path, divided):
    policy = Policy(shard=(1, 2))
    task = plan_evaluation(
        original / "preds/A", find_masks(original / "gt"), name="A", policy=policy
    )
    (result,) = evaluate_plan(task, output=tmp_path / "out").results
    assert not verify_results(tmp_path / "out")[0].differences
    edit_json(result.folder, lambda c: c["policy"].update(n_divided=divided), forge=True)
    assert_named(result.folder, f"shard 1/2 of {divided} pairs holds")


def test_maps_that_a_result_leaves_out_without_need_are_named(original, tmp_path):
    """The worst image is left out and called missing; the numbers, counts and digests all agree."""
    preds = original / "best"
    shutil.copytree(original / "preds/A", preds, dirs_exist_ok=True)
    (preds / "img04.png").unlink(missing_ok=True)
    (preds / "img01.png").write_text("no image")
    policy = Policy(missing="skip")
    task = plan_evaluation(preds, find_masks(original / "gt"), name="A", policy=policy)
    evaluate_plan(task, output=tmp_path / "out")
    (sound,) = verify_results(tmp_path / "out", preds, original / "gt")
    assert sound.from_images and not sound.differences
    (found,) = verify_results(tmp_path / "out", original / "preds/A", original / "gt")
    assert found.differences == (
        "img01: is left out, but its map is there and can be read",
        "img04: is left out, but its map is there and can be read",
    )


def leave_part(folder, change):
    """A part of the stored pairs with arrays changed by ``change`` and a seal that fits; no result."""
    part = folder / "parts/part-0001.npz"
    write_counts(part, CountsFile(folder / "counts.npz"), compressed=False)
    edit_arrays(part, change)
    for name in ("result.json", "scores.csv", "counts.npz"):
        (folder / name).unlink()


def add_foreground(arrays):
    arrays["histogram"][1, :, 1, 255] += 100


def give_counts_of_another_map(arrays):
    arrays["rule1_histogram"] = arrays["rule1_histogram"][..., ::-1]


def claim_an_impossible_kind(arrays):
    arrays["fitted"][2] = 7


def claim_another_rule(arrays):
    arrays["rules"][1] = "25 half-odd"


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (add_foreground, "the number of counted pixels is not its size"),
        (give_counts_of_another_map, "its counts under two rules are of different maps"),
        (claim_an_impossible_kind, "fitted cannot be 7"),
        (claim_another_rule, "is not a counting rule"),
    ],
)
@pytest.mark.parametrize("block", [128, 3])
def test_parts_that_hold_what_no_counting_gives_are_not_used(
    original, stored, capsys, monkeypatch, change, fault, block
):
    monkeypatch.setattr(counts_file, "PAIRS_PER_BLOCK", block)
    leave_part(stored, change)
    assert_restored(original, stored)
    message = capsys.readouterr().err
    assert fault in message and "its pairs are scored again" in message


def test_sound_parts_are_used(original, stored, monkeypatch):
    leave_part(stored, lambda arrays: None)
    monkeypatch.setattr(counting, "decode_grey", lambda *_: 1 / 0)
    assert_restored(original, stored)


def test_parts_of_a_run_without_weighted_f_are_not_mixed_with_others(original, stored):
    """The counts of the whole result are current, and the newer part holds other columns."""
    out = stored.parents[1] / "without"
    without = evaluate(original / "preds/A", original / "gt", output=out, name="A", weighted=False)
    write_counts(stored / "parts/part-0001.npz", CountsFile(without.folder / "counts.npz"))
    shutil.rmtree(out)
    assert_restored(original, stored)


def test_an_unfinished_run_without_a_result_is_reported(stored, tmp_path, capsys):
    leave_part(stored, lambda arrays: None)
    out = stored.parents[1]
    assert main(["verify", str(out)]) == 1
    assert "parts: a run was not finished" in capsys.readouterr().out
    main(["report", str(out), "-o", str(tmp_path / "report.md"), "--quiet"])
    assert f"{stored}: has no result yet" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["-x", "--missing", "--protocol salmetric"])
def test_the_stored_command_holds_names_that_look_like_options(
    original, tmp_path, monkeypatch, name
):
    options = [f"--name={name}", f"--dataset-name={name}", "-o", str(tmp_path / "out")]
    assert main(["eval", str(original / "preds/A"), str(original / "gt"), *options]) == 1
    (result,) = load_results([tmp_path / "out"])
    monkeypatch.chdir(tmp_path)
    for protocol in ("salmetric", "matlab"):
        command = shlex.split(result.rescored(protocol).provenance["scored_by"])
        assert main([*command[1:], "-o", str(tmp_path / protocol)]) == 1
        (again,) = load_results([tmp_path / protocol])
        assert again.protocol == protocol
        assert (again.method, again.dataset) == (name, name)


def test_the_stored_command_trusts_the_folders_that_the_user_trusted(tmp_path, capsys):
    """Masks that look like photographs are refused otherwise, also when the command is given again."""
    photograph = np.random.default_rng(0).integers(32, 224, (30, 40)).astype(np.uint8)
    save_image(tmp_path / "gt/a.png", photograph)
    save_image(tmp_path / "preds/a.png", draw_pair(0, 30, 40)[0])
    folders = ["eval", str(tmp_path / "preds"), str(tmp_path / "gt")]
    assert main(folders) == 2
    out = ["-o", str(tmp_path / "out")]
    assert main([*folders, *out, "--allow-swapped"]) == 0
    assert main([*folders, *out]) == 0  # its pairs are counted already
    (result,) = load_results([tmp_path / "out"])
    command = shlex.split(result.provenance["scored_by"])
    assert main([*command[1:], "-o", str(tmp_path / "again")]) == 0


@pytest.mark.parametrize("folder", ["preds", "data"])
def test_results_are_not_stored_right_among_the_users_folders(original, tmp_path, capsys, folder):
    shutil.copytree(original / "preds/A", tmp_path / "preds/gt/A")
    shutil.copytree(original / "gt", tmp_path / "data/gt/GT")
    folders = [str(tmp_path / "preds"), str(tmp_path / "data/gt")]
    place = {"preds": folders[0], "data": folders[1]}[folder]
    before = sorted(tmp_path.rglob("*"))
    assert main(["eval", *folders, "-o", place]) == 2
    assert f"{place}: is {'PREDS' if folder == 'preds' else 'GT'}, too" in capsys.readouterr().err
    assert sorted(tmp_path.rglob("*")) == before


def test_results_below_the_maps_are_not_taken_for_maps_of_another_format(original, tmp_path):
    shutil.copytree(original / "preds/A", tmp_path / "preds/gt/A")
    shutil.copytree(original / "gt", tmp_path / "data/gt/GT")
    run = ["eval", str(tmp_path / "preds"), str(tmp_path / "data"), "--quiet"]
    assert main([*run, "-o", str(tmp_path / "preds/results")]) == 1  # of a resized map
    plan = plan_evaluation(tmp_path / "preds", find_masks(tmp_path / "data"))
    assert len(plan.tasks) == 1 and not plan.problems


@pytest.fixture
def parts(original, tmp_path):
    """Two shards of method A, in a tree <method>/<set> of maps."""
    preds = tmp_path / "preds"
    truths = find_masks(original / "gt")
    shutil.copytree(original / "preds/A", preds / "A" / truths[0].name)
    for index in (1, 2):
        task = plan_evaluation(preds, truths, policy=Policy(shard=(index, 2)))
        evaluate_plan(task, output=tmp_path / f"part{index}")
    return [tmp_path / "part1", tmp_path / "part2"]


def test_merge_writes_nothing_among_the_maps(parts, tmp_path):
    (tmp_path / "link").symlink_to(tmp_path / "preds")
    before = sorted(tmp_path.rglob("*"))
    for output in (tmp_path / "preds", tmp_path / "link"):
        with pytest.raises(SodbenchError, match="holds maps or data"):
            merge(parts, output)
    assert sorted(tmp_path.rglob("*")) == before


def test_merge_reports_what_it_replaces_and_keeps_an_unfinished_run(
    original, parts, tmp_path, capsys
):
    task = plan_evaluation(tmp_path / "preds", find_masks(original / "gt"))
    evaluate_plan(task, ["matlab"], output=tmp_path / "out")
    (old,) = load_results([tmp_path / "out"])
    part = old.folder / "parts/part-0001.npz"
    write_counts(part, old.stored_pairs())
    before = part.read_bytes()
    capsys.readouterr()
    (merged,) = merge(parts, tmp_path / "out")
    message = capsys.readouterr().err
    assert f"replaces the stored result, which was {old.signature}" in message
    assert "parts: a run was not finished there; its pairs are kept" in message
    assert part.read_bytes() == before
    (whole,) = evaluate_plan(task).results
    assert merged.metrics == whole.metrics
    assert not list(tmp_path.rglob("merging.pairs"))
    (old.folder / "result.json").write_text("{}")
    merge(parts, tmp_path / "out")
    assert "not a readable result of this version" in capsys.readouterr().err


def test_the_numbers_of_a_shard_are_marked_as_such(parts, tmp_path, capsys):
    first, second = load_results(parts)
    assert "|shard:1/2|n:3|" in str(first.signature) and "|shard:2/2|n:3|" in str(second.signature)
    main(["report", str(parts[0]), "-o", str(tmp_path / "report.md"), "--quiet"])
    assert f"{first.folder}: is shard 1/2 of A on " in capsys.readouterr().err
    main(["compare", str(parts[0]), str(parts[0]), "--quiet"])
    assert f"{first.folder}: is shard 1/2 of A on " in capsys.readouterr().err
    (whole,) = merge(parts, tmp_path / "whole")
    assert "shard" not in str(whole.signature)


def test_a_name_that_is_too_long_for_a_folder_is_named(original, tmp_path, capsys):
    """A colon takes three characters in the name of a folder."""
    options = ["--name", ":" * 120, "-o", str(tmp_path / "out")]
    assert main(["eval", str(original / "preds/A"), str(original / "gt"), *options]) == 2
    assert "(File name too long); choose a shorter name" in capsys.readouterr().err
