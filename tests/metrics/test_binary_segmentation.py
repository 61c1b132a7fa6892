"""Boundary metrics, human correction effort and MSE against the programs' own numbers, pair by pair."""

import json
from pathlib import Path

import numpy as np
import pytest
from reference.human_correction_effort import contours, skeleton, vertices

from sodbench import evaluate
from sodbench.errors import SodbenchError
from sodbench.images import read_grey, write_grey
from sodbench.metrics import Evaluator
from sodbench.metrics.catalogue import PAPER_COLUMNS
from sodbench.metrics.contours import count_vertices, trace_contours
from sodbench.metrics.human_correction_effort import human_correction_effort, outline_mask
from sodbench.metrics.skeleton import skeletonize

DATA = Path(__file__).resolve().parents[1] / "data"
NAMES = ("boundary_iou", "biou_max", "mba", "hce", "hce_raw")


def load_pairs(folder, name):
    with np.load(folder / f"{name}.npz") as file:
        number = sum(key.startswith("pred_") for key in file)
        return [(file[f"pred_{i:03d}"], file[f"gt_{i:03d}"]) for i in range(number)]


def load_files(shared, content):
    paths = [text.split(" against ") for text in content["pairs"]]
    return [tuple(read_grey(shared / path).pixels for path in pair) for pair in paths]


def check_against_the_programs(pairs, values):
    for i, (map_, mask) in enumerate(pairs):
        evaluator = Evaluator("pysodmetrics", pixel_metrics=NAMES)
        # a mask of 0 and 1 is black to the programs
        evaluator.update(map_ / 255, mask / 255, name="pair")
        scores = evaluator.compute()
        row = scores.per_image.iloc[0]
        assert row["hce"] == values["pysod/hce"][i]
        assert row["hce_raw"] == values["birefnet/hce"][i]
        for name in ("mse", "mba"):
            expected = values[f"birefnet/{name}"][i]
            assert row[name] == pytest.approx(expected, abs=1e-12, nan_ok=True), (i, name)
        curve = values["birefnet/biou"][i]["curve"]
        # the program's thresholds run from 255 to 0
        assert scores.curves["biou"][::-1] == pytest.approx(curve, abs=1e-12)
        assert scores.metrics["biou_max"] == pytest.approx(max(curve), abs=1e-12)
        assert scores.metrics["biou_mean"] == pytest.approx(np.mean(curve), abs=1e-12)


def test_pairs_of_every_edge_case_have_the_programs_numbers():
    content = json.loads((DATA / "metrics2_public.json").read_text())
    check_against_the_programs(load_pairs(DATA, "metrics2_public"), content["values"])


def test_real_pairs_have_the_programs_numbers(shared):
    folder = shared / "fixtures"
    content = json.loads((folder / "metrics2_real3.json").read_text())
    check_against_the_programs(load_pairs(folder, "metrics2_real3"), content["values"])
    content = json.loads((folder / "metrics2_sod6.json").read_text())
    check_against_the_programs(load_files(shared, content), content["values"])


def test_thin_boundary_iou_is_that_of_inspyrenet():
    content = json.loads((DATA / "metrics2_tiou.json").read_text())
    for pair, row in zip(load_pairs(DATA, "metrics2_public"), content["values"], strict=True):
        evaluator = Evaluator("salmetric", pixel_metrics=["tiou_max"])
        # a mask of 0 and 1 is black to the program
        evaluator.update(pair[0] / 255, pair[1] / 255)
        scores = evaluator.compute()
        # the program's thresholds run from 255 to 0
        curve = scores.curves["tiou"][::-1]
        metrics = [scores.metrics["tiou_mean"], scores.metrics["tiou_max"]]
        assert [*curve[[0, 1, 64, 127, 254, 255]], *metrics] == pytest.approx(row, abs=1e-12)


def random_masks(number, seed):
    from scipy import ndimage

    rng = np.random.default_rng(seed)
    for _ in range(number):
        noise = rng.random(rng.integers(1, 40, 2))
        smooth = ndimage.gaussian_filter(noise, rng.uniform(0, 4))
        yield smooth > np.quantile(smooth, rng.uniform(0.2, 0.8))


def test_skeletons_are_those_of_whole_passes():
    for mask in random_masks(60, 1):
        assert np.array_equal(skeletonize(mask), skeleton(mask))


def test_contours_are_those_of_the_slow_version_in_its_order():
    for mask in random_masks(60, 2):
        labels = np.pad(mask.astype(np.int32), 1)
        points, ends, order = trace_contours(labels)
        rows, columns = np.divmod(points, labels.shape[1])
        traced = [list(zip(r, c, strict=True)) for r, c in zip(
            np.split(rows - 1, ends[:-1]), np.split(columns - 1, ends[:-1]), strict=True
        )]  # fmt: skip
        assert [traced[k] for k in order] == contours(mask) or not mask.any()


@pytest.mark.parametrize("seed", range(40))
def test_polylines_have_as_many_vertices_as_the_recursion_gives(seed):
    rng = np.random.default_rng(seed)
    steps = rng.integers(-1, 2, (rng.integers(1, 60), 2))
    line = (
        np.cumsum(steps[steps.any(axis=1)], axis=0)
        if seed % 4
        else np.array([[0, 0], [1, 1], [0, 0]])
    )
    line = np.concatenate([np.zeros((1, 2), int), line])
    expected = vertices([tuple(point) for point in line.tolist()], 2.0)
    assert count_vertices(line[:, 1].copy(), line[:, 0].copy(), 2.0) == expected


def test_the_effort_of_simple_maps():
    mask, nothing = np.zeros((2, 40, 40), bool)
    mask[10:30, 10:30] = True
    outline = outline_mask(mask)
    assert human_correction_effort(mask, outline) == 0
    assert human_correction_effort(nothing, outline_mask(nothing)) == 0
    # a border that is off by less than 5 pixels is forgiven, a missing object is not
    assert human_correction_effort(np.roll(mask, 2, axis=0), outline) == 0
    assert human_correction_effort(nothing, outline) > 0


def test_a_black_map_has_a_boundary_accuracy_of_about_one_half():
    mask = np.zeros((200, 300), bool)
    mask[60:140, 80:220] = True
    evaluator = Evaluator(pixel_metrics=["mba"])
    evaluator.update(mask * 0.0, mask)
    assert evaluator.compute().metrics["mba"] == pytest.approx(0.5, abs=0.02)


@pytest.fixture
def folders(tmp_path):
    pairs = load_pairs(DATA, "metrics2_public")
    for i in (0, 3, 9):
        for kind, pixels in zip(("maps", "masks"), pairs[i], strict=True):
            (tmp_path / kind).mkdir(exist_ok=True)
            write_grey(tmp_path / kind / f"{i}.png", pixels)
    return tmp_path


def run_json(capsys, *arguments):
    from sodbench.cli import main

    status = main(["eval", *map(str, arguments), "--format", "json"])
    printed = capsys.readouterr()
    return status, json.loads(printed.out), printed.err


def test_metrics_on_request_are_computed_stored_and_reused(folders, capsys):
    command = (folders / "maps", folders / "masks", "-o", folders / "out")
    asked = (
        *command,
        "--metrics",
        "mse,mba,hce,hce_raw",
        "biou_max",
        "--show-worst",
        1,
        "--sort-by",
        "hce",
    )
    _, first, _ = run_json(capsys, *asked)
    assert list(first["results"][0]["metrics"]) == ["mse", "mba", "hce", "hce_raw", "biou_max"]
    values = json.loads((DATA / "metrics2_public.json").read_text())["values"]["pysod/hce"]
    assert first["results"][0]["metrics"]["hce"] == np.mean([values[i] for i in (0, 3, 9)])
    assert first["results"][0]["signature"].endswith("hce:opencv-4.12")
    assert [image["stem"] for image in first["worst"][0]["images"]] == ["0"]
    # the mask of 3 is empty
    left_out = [p["file"] for p in first["problems"] if p["kind"] == "left-out"]
    assert left_out == ["3"]
    _, second, messages = run_json(capsys, *asked)
    assert "1 of 1 results are up to date" in messages
    assert second == first


def test_the_columns_of_papers_have_a_name(folders, capsys):
    _, content, _ = run_json(capsys, folders / "maps", folders / "masks", "--metrics", "dis,mse")
    assert list(content["results"][0]["metrics"]) == [*PAPER_COLUMNS["dis"], "mse"]


def test_an_unknown_metric_is_refused_in_python_too(folders):
    with pytest.raises(SodbenchError, match=r"unknown metric 'hcee' \(did you mean hce"):
        evaluate(folders / "maps", folders / "masks", metrics=["hcee"])
    result = evaluate(folders / "maps", folders / "masks", metrics=["hce", "mae"])
    assert "hce" in result.metrics
    assert result.policy.metrics == ("hce",)
