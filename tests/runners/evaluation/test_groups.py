"""``--group-by``: the mean over sequences or classes of the means of their images."""

import csv
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from synthetic import draw_pair, save_image

from sodbench import evaluate
from sodbench.cli import main
from sodbench.reports import plot_style

SIZES = {"cat": 1, "dog": 3, "owl": 2}


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Sequences of several lengths whose frames have the same names, and the maps of two methods."""
    seed = 0
    for sequence, frames in SIZES.items():
        for frame in range(frames):
            map_, mask = draw_pair(seed, 24, 32)
            seed += 1
            save_image(tmp_path / f"DAVSOD/{sequence}/GT/{frame:05}.png", mask)
            save_image(tmp_path / f"DAVSOD/{sequence}/Imgs/{frame:05}.jpg", mask)
            save_image(tmp_path / f"maps/a/DAVSOD/{sequence}/{frame:05}.png", map_)
            save_image(tmp_path / f"maps/b/DAVSOD/{sequence}/{frame:05}.png", 255 - map_)
    return tmp_path


def run(root: Path, capsys: pytest.CaptureFixture[str], *options: str) -> list[dict]:
    command = ["eval", str(root / "maps"), str(root / "DAVSOD"), "--group-by", "parent"]
    assert main([*command, "--format", "json", *options]) == 0
    return json.loads(capsys.readouterr().out)["results"]


@pytest.mark.parametrize("protocol", ["salmetric", "pysodmetrics", "matlab"])
def test_the_mean_over_sequences_is_that_of_separate_evaluations(protocol, tree, capsys):
    results = run(tree, capsys, "--protocol", protocol)
    assert [r["method"] for r in results] == ["a", "b"]
    for result in results:
        maps = tree / "maps" / result["method"] / "DAVSOD"
        alone = {
            name: evaluate(maps / name, tree / f"DAVSOD/{name}/GT", protocol) for name in SIZES
        }
        assert result["n"] == sum(SIZES.values())
        assert result["signature"].endswith("|groups:parent(3)")
        for name, one in alone.items():
            group = result["groups"][name]
            assert group["n"] == SIZES[name]
            assert group["metrics"] == pytest.approx(one.metrics, abs=1e-12, nan_ok=True)
        ours = result["metrics"]
        for metric in ("mae", "s", "wf", "f_adp", "e_adp"):
            mean = np.mean([one.metrics[metric] for one in alone.values()])
            assert ours[metric] == pytest.approx(mean, abs=1e-12)
        # as PySODEvalToolkit: curves are averaged over groups before their maximum is taken
        curves = {
            name: np.mean([one.curves[name] for one in alone.values()], axis=0)
            for name in ("e", "f_meanf", "iou")
        }
        assert ours["e_max"] == pytest.approx(curves["e"].max(), abs=1e-12)
        assert ours["iou_max"] == pytest.approx(curves["iou"].max(), abs=1e-12)
        assert ours["f_max_meanf"] == pytest.approx(curves["f_meanf"].max(), abs=1e-12)


def test_metrics_with_parameters_are_averaged_over_groups(tree, capsys):
    asked = ["mae", "iou@0.5", "f_max(b2=1)", "hce"]
    (first, _) = run(tree, capsys, "--metrics", *asked)
    groups = [group["metrics"] for group in first["groups"].values()]
    assert all(group.keys() == first["metrics"].keys() == set(asked) for group in groups)
    for name in ("mae", "iou@0.5", "hce"):
        mean = np.mean([group[name] for group in groups])
        assert first["metrics"][name] == pytest.approx(mean, abs=1e-12)
    maps = tree / "maps/a/DAVSOD"
    curves = [evaluate(maps / name, tree / f"DAVSOD/{name}/GT").curves for name in SIZES]
    precision, recall = (np.mean([c[name] for c in curves], 0) for name in ("precision", "recall"))
    best = np.max(2 * precision * recall / np.maximum(precision + recall, 1e-16))
    assert first["metrics"]["f_max(b2=1)"] == pytest.approx(best, abs=1e-9)


# What PySODEvalToolkit's GroupedMetricRecorder returns for the maps of method a, with PySODMetrics 1.6.2
PYSODEVALTOOLKIT = {
    "s": 0.868887762586, "wf": 0.680697515233, "mae": 0.161675914579, "f_mean": 0.758234430248,
    "f_adp": 0.974712744044, "f_max": 1.0, "e_mean": 0.746121696353, "e_adp": 0.972909264526,
    "e_max": 1.001303780965, "iou_mean": 0.64811851442, "iou_max": 1.0,
}  # fmt: skip


def test_the_numbers_are_those_of_pysodevaltoolkit(tree, capsys):
    ours = run(tree, capsys, "--protocol", "pysodmetrics")[0]["metrics"]
    assert {name: ours[name] for name in PYSODEVALTOOLKIT} == pytest.approx(
        PYSODEVALTOOLKIT, abs=1e-11
    )


def test_groups_of_one_image_each_are_the_plain_mean(tmp_path, capsys):
    for seed, name in enumerate("abcd"):
        map_, mask = draw_pair(seed, 24, 32)
        save_image(tmp_path / f"gt/{name}.png", mask)
        save_image(tmp_path / f"maps/{name}.png", map_)
    (tmp_path / "each.csv").write_text("image,class\na.png,a\nb,b\nc.jpg,c\nd,d\ne,e\n")
    (tmp_path / "one.csv").write_text("a,x\nb,x\nc,x\nd,x\n")
    plain = evaluate(tmp_path / "maps", tmp_path / "gt")
    for file, number in (("each.csv", 4), ("one.csv", 1)):
        command = ["eval", str(tmp_path / "maps"), str(tmp_path / "gt"), "--format", "json"]
        assert main([*command, "--group-by", str(tmp_path / file)]) == 0
        (result,) = json.loads(capsys.readouterr().out)["results"]
        assert result["metrics"] == pytest.approx(plain.metrics, abs=1e-12, nan_ok=True)
        assert "groups:list-" in result["signature"]
        assert result["signature"].endswith(f"({number})")


def test_stored_pairs_are_reused_and_their_result_is_the_plain_one(tree, capsys):
    out = tree / "out"
    first = run(tree, capsys, "-o", str(out), "--protocol", "all")
    again = run(tree, capsys, "-o", str(out), "--protocol", "all")
    assert first == again
    command = ["eval", str(tree / "maps"), str(tree / "DAVSOD"), "--group-by", "parent"]
    assert main([*command, "-o", str(out), "--protocol", "all"]) == 0
    assert "out holds the means over images, which compare uses" in capsys.readouterr().err
    assert main(["verify", str(out)]) == 0
    stored = json.loads((out / "a/DAVSOD/result.json").read_text())
    assert "groups" not in stored["signature"]
    assert "--group-by parent" in stored["provenance"]["scored_by"]
    assert main(stored["provenance"]["scored_by"].split()[1:]) == 0


def test_classes_in_folders_and_the_tables(tmp_path, capsys):
    for seed, name in enumerate(("axe/1", "axe/2", "bee/1")):
        map_, mask = draw_pair(seed, 24, 32)
        save_image(tmp_path / f"CoCA/gt/{name}.png", mask)
        save_image(tmp_path / f"maps/{name}_net.png", map_)
    command = ["eval", str(tmp_path / "maps"), str(tmp_path / "CoCA"), "--group-by", "parent"]
    assert main([*command, "--metrics", "mae"]) == 0
    text = capsys.readouterr().out
    assert "maps on CoCA (salmetric)" in text and "\naxe " in text and "groups:parent(2)" in text
    assert main([*command, "--metrics", "mae", "--format", "csv"]) == 0
    rows = list(csv.DictReader(capsys.readouterr().out.splitlines()))
    assert [(row["group"], row["n"]) for row in rows] == [("", "3"), ("axe", "2"), ("bee", "1")]
    values = [float(row["mae"]) for row in rows]
    assert values[0] == pytest.approx((values[1] + values[2]) / 2)


def test_a_folder_of_maps_that_is_no_group_is_reported(tree, capsys):
    (tree / "maps/b/DAVSOD/owl").rename(tree / "maps/b/DAVSOD/owls")
    command = ["eval", str(tree / "maps"), str(tree / "DAVSOD"), "--group-by", "parent"]
    assert main(command) == 2
    message = capsys.readouterr().err
    assert "no group of DAVSOD is named so; its groups are cat, dog, owl" in message
    assert "missing (2)" in message


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("a,x,y\n", "expected 'item,group' on each line, found 'a,x,y'"),
        ("a\n", "expected 'item,group' on each line, found 'a'"),
        ("a,x\na.png,y\n", "a is in two groups, x and y"),
        ("image,class\n", "names no groups"),
        ("b,x\n", "names no group for 1 of 1 images: a"),
    ],
)
def test_a_file_of_groups_that_cannot_be_used(content, message, tmp_path, capsys):
    map_, mask = draw_pair(0, 24, 32)
    save_image(tmp_path / "gt/a.png", mask)
    save_image(tmp_path / "maps/a.png", map_)
    (tmp_path / "groups.csv").write_text(content)
    command = ["eval", str(tmp_path / "maps"), str(tmp_path / "gt")]
    assert main([*command, "--group-by", str(tmp_path / "groups.csv")]) == 2
    assert f"{tmp_path}/groups.csv" in (error := capsys.readouterr().err) and message in error
    assert main([*command, "--group-by", str(tmp_path / "no.csv")]) == 2
    assert "no.csv: cannot be read" in capsys.readouterr().err


def test_masks_without_groups_are_refused(tmp_path, capsys):
    map_, mask = draw_pair(0, 24, 32)
    save_image(tmp_path / "gt/a.png", mask)
    save_image(tmp_path / "maps/a.png", map_)
    command = ["eval", str(tmp_path / "maps"), str(tmp_path / "gt"), "--group-by", "parent"]
    assert main(command) == 2
    assert "are not in a folder for each group" in capsys.readouterr().err
    assert main([*command, "--require", "mae<1"]) == 2
    assert "leave out --group-by" in capsys.readouterr().err


@pytest.fixture
def without_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    """For tests of the text alone: drawing takes most of the time."""
    monkeypatch.setattr(plot_style, "save_figure", lambda *_: None)


def test_a_report_shows_the_groups_as_eval_prints_them(tree, capsys, without_figures):
    printed = run(tree, capsys, "-o", str(tree / "out"))
    out = tree / "report"
    assert main(["report", str(tree / "out"), "-o", str(out), "--resamples", "100"]) == 0
    table = pd.read_csv(out / "tables/groups_DAVSOD.csv", index_col=0, float_precision="round_trip")
    assert list(table.index) == [*SIZES, "mean over groups"]
    assert list(table["images"]) == [*SIZES.values(), sum(SIZES.values())]
    rows = pd.read_csv(
        out / "tables/all_groups.csv", keep_default_na=False, float_precision="round_trip"
    )
    for result in printed:
        method = result["method"]
        numbers = {name: one["metrics"] for name, one in result["groups"].items()}
        numbers["mean over groups"] = result["metrics"]
        for name, metrics in numbers.items():
            own = {m: table.loc[name, f"{method} {m}"] for m in ("f_max", "mae", "s", "wf")}
            assert own == {m: metrics[m] for m in own}
        mean = rows[(rows.attribute == "parent(3)") & (rows.method == method) & (rows.group == "")]
        assert mean[mean.metric == "s"]["value"].astype(float).item() == result["metrics"]["s"]
        assert set(mean["signature"]) == {result["signature"]}
    assert "| mean over groups |        6 |" in (out / "report.md").read_text("utf-8")
    page = (out / "index.html").read_text("utf-8")
    assert 'id="groups"' in page and 'data-table="groups_DAVSOD"' in page


def test_a_report_groups_images_by_a_file(tree, tmp_path, capsys, without_figures):
    run(tree, capsys, "-o", str(tree / "out"))
    for seed, name in enumerate("xyz"):
        map_, mask = draw_pair(seed, 24, 32)
        save_image(tmp_path / f"SOD/GT/{name}.png", mask)
        save_image(tmp_path / f"sod/a/SOD/{name}.png", map_)
    command = ["eval", str(tmp_path / "sod"), str(tmp_path / "SOD"), "--dataset-name", "SOD"]
    assert main([*command, "-o", str(tree / "out")]) == 0

    def report(content: str) -> tuple[int, str]:
        (tmp_path / "classes.csv").write_text(content)
        command = ["report", str(tree / "out"), "-o", str(tmp_path / "report.md")]
        status = main([*command, "--group-by", str(tmp_path / "classes.csv"), "--resamples", "100"])
        return status, capsys.readouterr().err

    assert report("x,first\ny,first\nz,second\n")[0] == 0
    text = (tmp_path / "report.md").read_text("utf-8")
    groups = text.partition("## Scores by group")[2]
    # the file is about the other dataset
    assert "SOD" in groups and "DAVSOD by group" not in groups
    assert "| first            |        2 |" in groups
    status, message = report("x,first\ny,first\n")
    assert status == 2 and "names no group for 1 of 3 images: z" in message
    status, message = report("w,first\n")
    assert status == 2 and "the file names none of the images" in message


def test_a_report_by_folder_needs_masks_in_folders(tmp_path, capsys):
    map_, mask = draw_pair(0, 24, 32)
    save_image(tmp_path / "gt/x.png", mask)
    save_image(tmp_path / "maps/x.png", map_)
    arguments = [str(tmp_path / "maps"), str(tmp_path / "gt"), "-o", str(tmp_path / "out")]
    assert main(["eval", *arguments]) == 0
    command = ["report", str(tmp_path / "out"), "-o", str(tmp_path / "report.md")]
    assert main([*command, "--group-by", "parent"]) == 2
    message = capsys.readouterr().err
    assert f"{tmp_path.name}: the masks were not in a folder for each group" in message
