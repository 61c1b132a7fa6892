"""What a stored result holds: names, numbers and the command that makes it again."""

import shlex
import shutil

import numpy as np
import pytest
from synthetic import draw_pair, save_image

from sodbench.cli import main
from sodbench.results import find_differences, load_result, load_results
from sodbench.runners.evaluation.evaluate import evaluate


def test_a_stored_result_comes_back_as_it_was(folders):
    result = evaluate(folders / "maps", folders / "gt", output=folders / "out")
    stored = load_result(folders / "out/maps/toys")
    assert stored.metrics == result.metrics
    fresh = evaluate(folders / "maps", folders / "gt")
    assert (stored.table.columns == fresh.table.columns).all()
    np.testing.assert_allclose(stored.table["wf"], fresh.table["wf"], rtol=0, atol=0)
    assert (
        stored.rescored("matlab").metrics
        == evaluate(folders / "maps", folders / "gt", "matlab").metrics
    )


def test_a_carriage_return_in_a_name_does_not_break_the_table(tmp_path):
    for folder in ("preds", "gt"):
        save_image(tmp_path / folder / "a\rb.png", draw_pair(0, 30, 40)[folder == "gt"])
        save_image(tmp_path / folder / 'c "d", e.png', draw_pair(1, 30, 40)[folder == "gt"])
    evaluate(tmp_path / "preds", tmp_path / "gt", output=tmp_path / "out")
    (result,) = load_results([tmp_path / "out"])
    assert list(result.table.index) == ["a\rb", 'c "d", e'] and len(result.counts) == 2


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


def test_the_stored_command_allows_swapped_folders_again(tmp_path, capsys):
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
