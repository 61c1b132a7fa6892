"""Every layout that datasets have on disk, with every tree of maps: scored completely, or refused by name."""

import itertools
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sodbench.cli import build_parser, main
from sodbench.datasets import DatasetNotFound, find_masks
from sodbench.errors import SodbenchError
from sodbench.runners.evaluation.plan import EvaluationPlan, plan_evaluation

STEMS = ("a", "b", "c")
KNOWN, OWN = "SOD", "Made-Up7"

LAYOUTS = {
    # name: (folder of the images, of the masks, further folders with images, the set's name)
    "masks next to the images": ("{S}/Imgs", "{S}/Imgs", (), "{S}"),
    "Imgs + gt": ("{S}/Imgs", "{S}/gt", (), "{S}"),
    "images + GT": ("{S}/images", "{S}/GT", (), "{S}"),
    "imgs + gt": ("{S}/imgs", "{S}/gt", (), "{S}"),
    "img + gt": ("{S}/img", "{S}/gt", (), "{S}"),
    "im + gt": ("{S}/im", "{S}/gt", (), "{S}"),
    "RGB + GT + depth": ("{S}/RGB", "{S}/GT", ("{S}/depth",), "{S}"),
    "RGB + GT + edge": ("{S}/RGB", "{S}/GT", ("{S}/edge", "{S}/depth"), "{S}"),
    "Image + GT_Object": ("{S}/Image", "{S}/GT_Object", ("{S}/GT_Edge", "{S}/GT_Instance"), "{S}"),
    "image + mask": ("{S}/image", "{S}/mask", (), "{S}"),
    "images + masks": ("{S}/images", "{S}/masks", (), "{S}"),
    "imgs + gts": ("{S}/imgs", "{S}/gts", (), "{S}"),
    "Img + GroundTruth": ("{S}/Img", "{S}/GroundTruth", (), "{S}"),
    "Image + GroundTruth": ("{S}/Image", "{S}/GroundTruth", (), "{S}"),
    "JPEGImages + Annotations": ("{S}/JPEGImages", "{S}/Annotations", (), "{S}"),
    "ECSSD's": ("{S}/images", "{S}/ground_truth_mask", (), "{S}"),
    "DUT-OMRON's": ("{S}/{S}-image", "{S}/pixelwiseGT-new-PNG", (), "{S}"),
    "DUTS'": ("{S}/{S}-Image", "{S}/{S}-Mask", (), "{S}"),
    "PASCAL-S'": ("{S}/datasets/imgs/pascal", "{S}/datasets/masks/pascal", (), "{S}"),
    "unpacked twice": ("{S}/images/images", "{S}/masks/masks", (), "{S}"),
    "side by side": ("{S}", "{S}", (), "{S}"),
    "masks alone": (None, "{S}", (), "{S}"),
    "<set> + <set>_mask": ("{S}", "{S}_mask", (), "{S}"),
    "<set>_test + <set>_test_mask": ("{S}_test", "{S}_test_mask", (), "{S}_test"),
    "<set>-Image + <set>-Mask": ("{S}-Image", "{S}-Mask", (), "{S}"),
    "<set>/<set> + <set>_mask": ("{S}/{S}", "{S}/{S}_mask", (), "{S}"),
    "by kind": ("Imgs/{S}", "GT/{S}", (), "{S}"),
}
PLACES = ("", "root", "DIS5K", "datasets/task")
MAPS = ("flat", "<set>", "<method>/<set>", "<set>/<method>")


def draw(path: Path, seed: int, mode: str = "L") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if mode == "empty":  # nothing opens an image until it is scored
        path.touch()
        return
    mask = np.zeros((12, 16), np.uint8)
    mask[3:9, 4:12] = 255
    Image.fromarray(np.roll(mask, seed)).convert(mode).save(path)


def write_set(root: Path, layout: str, name: str, with_images: bool, mode: str = "L") -> str:
    """The set with this layout in ``root``; returns the name that maps' folders have."""
    images, masks, others, set_name = LAYOUTS[layout]
    for seed, stem in enumerate(STEMS):
        draw(root / masks.format(S=name) / f"{stem}.png", seed, mode)
        if images and with_images:
            draw(root / images.format(S=name) / f"{stem}.jpg", seed, mode)
        for other in others:
            draw(root / other.format(S=name) / f"{stem}.png", seed + 2, mode)
    return set_name.format(S=name)


def write_maps(root: Path, tree: str, name: str, mode: str = "L") -> Path:
    """Maps of the set; returns their folder."""
    folder = {
        "flat": root,
        "<set>": root / name,
        "<method>/<set>": root / "Net" / name,
        "<set>/<method>": root / name / "Net",
    }[tree]
    for seed, stem in enumerate(STEMS):
        draw(folder / f"{stem}.png", seed + 1, mode)
    return folder


def scored(plan: EvaluationPlan) -> set[str]:
    return {task.dataset for task in plan.tasks if len(task.pairing.pairs) == len(STEMS)}


def is_refused(layout: str, with_images: bool, place: str) -> bool:
    """What is not guessed: PNG files in a folder named Imgs may be images, and far below a root they may be maps."""
    if layout == "masks next to the images":
        return not with_images
    is_plain = layout == "masks alone" or (layout == "side by side" and not with_images)
    return is_plain and place != ""


@pytest.mark.parametrize("with_images", [True, False], ids=["images", "masks only"])
@pytest.mark.parametrize("name", [KNOWN, OWN])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_is_scored_completely_or_refused_by_name(
    layout: str, name: str, with_images: bool, tmp_path: Path
) -> None:
    for place, company in itertools.product(PLACES, (False, True)):
        root = tmp_path / f"data {place.replace('/', ' ')} {company}"
        set_name = write_set(root / place, layout, name, with_images, "empty")
        wanted = {set_name}
        if company:  # a further dataset, which is always found
            write_set(root, "images + GT", "Company", True, "empty")
            wanted.add("Company")
        try:
            truths = find_masks(root)
        except SodbenchError as error:
            assert is_refused(layout, with_images, place), (layout, place, error)
            assert not company and "TOML" in str(error), (layout, place)
            continue
        for tree in MAPS:
            if company and tree == "flat":
                continue  # one folder of maps is of one set
            preds = tmp_path / f"preds {tree.replace('/', ' ')} {company}"
            folder = write_maps(preds, tree, set_name, "empty")
            if company:
                write_maps(preds, tree, "Company", "empty")
            case = f"{layout}, {name}, {place or 'one set'}, {tree}"
            plan = plan_evaluation(preds, truths)
            if is_refused(layout, with_images, place):
                assert scored(plan) == {"Company"}, case
                assert [(p.kind, p.file) for p in plan.problems] == [("unscored-maps", str(folder))]
            else:
                assert (scored(plan), len(plan.tasks)) == (wanted, len(wanted)), case
                assert not plan.problems and not plan.ignored, case
                assert all(task.pairing.complete and not task.problems for task in plan.tasks), case


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_source_of_a_set_in_every_layout_selects_it_again(
    layout: str, place: str, tmp_path: Path
) -> None:
    from sodbench.cli.eval import read_truths

    if is_refused(layout, True, place):
        pytest.skip("refused, see above")
    for name in (KNOWN, OWN):
        write_set(tmp_path / "data" / place, layout, name, True, "empty")
    datasets = find_masks(tmp_path / "data")
    assert len(datasets) == 2
    for dataset in datasets:
        arguments = build_parser(["eval"]).parse_args(["eval", "PREDS", *dataset.source])
        (again,), _ = read_truths(arguments)
        assert (again.name, again.samples) == (dataset.name, dataset.samples)
        assert dataset.source


def run(*arguments: object) -> int:
    return main(["eval", *map(str, arguments)])


def test_maps_that_are_not_scored_are_a_problem_even_when_quiet(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("SOC-AC", "OBJ5"):
        write_set(tmp_path / "data", "images + GT", name, with_images=name == "OBJ5")
        write_maps(tmp_path / "preds", "<method>/<set>", name)
    assert run("--quiet", tmp_path / "preds", tmp_path / "data") == 0
    write_maps(tmp_path / "preds", "<method>/<set>", "Gone9")
    assert run("--quiet", tmp_path / "preds", tmp_path / "data", "--format", "json") == 1
    out, err = capsys.readouterr()
    assert f"{tmp_path}/preds/Net/Gone9: 3 maps: no folder of its path is named" in err
    assert f"OBJ5 ({tmp_path}/data/OBJ5), SOC-AC ({tmp_path}/data/SOC-AC)" in err
    content = json.loads(out[out.index("{") :])
    assert [problem["kind"] for problem in content["problems"]] == ["unscored-maps"]
    assert len(content["results"]) == 2
    # what the user leaves out on purpose is no problem
    choice = ("--datasets", "OBJ5,SOC-AC")
    assert run("--quiet", tmp_path / "preds", tmp_path / "data", *choice) == 0
    assert run("--quiet", tmp_path / "preds", tmp_path / "data", "--datasets", "OBJ5") == 0
    assert run("--quiet", tmp_path / "preds/Net/Gone9", tmp_path / "data") == 2
    message = capsys.readouterr().err
    assert "nothing to score" in message and "TOML" in message and "im + gt" in message


def test_folders_of_maps_in_other_formats_or_without_maps_are_problems(tmp_path: Path) -> None:
    for name in ("One", "Two"):
        write_set(tmp_path / "data", "im + gt", name, with_images=False)
    write_maps(tmp_path / "preds", "<method>/<set>", "One")
    (tmp_path / "preds/Net/Two").mkdir()
    (tmp_path / "preds/Array/One").mkdir(parents=True)
    (tmp_path / "preds/Array/One/a.npy").touch()
    plan = plan_evaluation(tmp_path / "preds", find_masks(tmp_path / "data"))
    assert [(Path(p.file).parent.name, p.detail) for p in plan.problems] == [
        ("Array", "holds .npy files, which are not read; convert them to PNG"),
        ("Net", "is named as the dataset Two, but holds no maps"),
    ]


def test_a_folder_of_images_is_never_taken_for_masks(tmp_path: Path) -> None:
    write_set(tmp_path / "a", "images + masks", OWN, True)
    with pytest.raises(SodbenchError, match=rf"holds the images; their masks are in .*{OWN}/masks"):
        find_masks(tmp_path / f"a/{OWN}/images")
    (tmp_path / f"a/{OWN}/masks").rename(tmp_path / f"a/{OWN}/labels")
    for path in (tmp_path / "a", tmp_path / f"a/{OWN}"):
        with pytest.raises(DatasetNotFound, match=r"images are in images, .*labels as GT"):
            find_masks(path)
    assert find_masks(tmp_path / f"a/{OWN}/labels", name=OWN)[0].masks


def test_names_that_fit_several_sets_are_not_guessed(tmp_path: Path) -> None:
    for name in ("First/test", "Second/test", "My-Set", "other/myset"):
        write_set(tmp_path / "data", "im + gt", name, with_images=True)
    plan = find_masks(tmp_path / "data")
    assert [d.name for d in plan] == ["First-test", "Second-test", "data-My-Set", "other-myset"]
    write_set(tmp_path / "data", "im + gt", "SOD", with_images=True)
    write_set(tmp_path / "data", "im + gt", "old/SOD", with_images=True)
    with pytest.raises(SodbenchError, match=r"two datasets are called SOD: .*old/SOD"):
        find_masks(tmp_path / "data")


def test_the_maps_below_a_root_of_datasets_are_no_masks(tmp_path: Path) -> None:
    write_set(tmp_path, "im + gt", OWN, True)
    write_maps(tmp_path / "preds", "<method>/<set>", OWN)
    assert run(tmp_path / "preds", tmp_path) == 0


@pytest.mark.parametrize(
    "ending", ["png", "bmp", "gif", "pgm", "ppm", "tif", "tiff", "webp", "jpg"]
)
@pytest.mark.parametrize("layout", ["images + GT", "masks alone"])
def test_masks_of_every_format_are_found(
    ending: str, layout: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_set(tmp_path / "data", layout, OWN, with_images=True)
    write_maps(tmp_path / "preds", "<set>", OWN)
    expected = run(tmp_path / "preds", tmp_path / "data", "--format", "json")
    (png,) = json.loads(capsys.readouterr().out)["results"]
    for mask in find_masks(tmp_path / "data")[0].masks.values():
        with Image.open(mask) as image:
            options = {"lossless": True} if ending == "webp" else {}
            image.convert("RGB" if ending in ("ppm", "webp") else "L").save(
                mask.with_suffix(f".{ending}"), **options
            )
        if ending != "png":
            mask.unlink()
    assert run(tmp_path / "preds", tmp_path / "data", "--format", "json") == expected == 0
    (other,) = json.loads(capsys.readouterr().out)["results"]
    assert other["n"] == 3
    assert other["metrics"]["f_max"] == pytest.approx(png["metrics"]["f_max"], abs=1e-12)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("GTT", r"did you mean .*/GT\?"),
        ("SODD", r"did you mean SOD\?.*known datasets: ECSSD"),
        ("nowhere/at/all", r"there is no nowhere"),
        ("mine.toml", "no such file"),
    ],
)
def test_a_ground_truth_that_is_not_there_gets_a_suggestion(
    given: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_set(tmp_path, "images + GT", OWN, True)
    monkeypatch.chdir(tmp_path / OWN)
    path = tmp_path / OWN / given if given == "GTT" else given
    with pytest.raises(DatasetNotFound, match=f"(?s){message}"):
        find_masks(path)


def test_photographs_are_not_scored_as_masks(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rng = np.random.default_rng(0)
    for stem in STEMS:
        for folder in ("preds", "data"):
            (tmp_path / folder / OWN).mkdir(parents=True, exist_ok=True)
        ramp = np.arange(192, dtype=np.uint8).reshape(12, 16)
        Image.fromarray(ramp).save(tmp_path / f"preds/{OWN}/{stem}.png")
        photograph = rng.normal(128, 40, (48, 64)).clip(0, 255).astype(np.uint8)
        Image.fromarray(photograph).save(tmp_path / f"data/{OWN}/{stem}.jpg")
    assert run(tmp_path / "preds", tmp_path / "data") == 2
    message = capsys.readouterr().err
    assert f"{tmp_path}/data/{OWN}: holds images that look like photographs" in message
    assert run(tmp_path / "preds", tmp_path / "data", "--allow-swapped") == 1


def test_maps_of_other_names_are_not_advised_to_be_skipped(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_set(tmp_path / "data", "masks alone", OWN, True)
    for number in range(3):
        draw(tmp_path / f"preds/{OWN}/result{number}.png", number)
    for options in ((), ("--missing", "skip")):
        assert run(tmp_path / "preds", tmp_path / "data", *options) == 2
        message = capsys.readouterr().err
        assert "--missing skip" not in message
        assert "masks are named as a.png, maps as result0.png" in message


def test_maps_with_swapped_sides_are_named_as_such(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_set(tmp_path / "data", "masks alone", OWN, True)
    for stem in STEMS:
        (tmp_path / "preds").mkdir(exist_ok=True)
        Image.fromarray(np.eye(16, 12, dtype=np.uint8) * 200).save(tmp_path / f"preds/{stem}.png")
    for options, status in (((), 1), (("--resize", "error"), 2)):
        assert run(tmp_path / "preds", tmp_path / "data", *options) == status
        assert capsys.readouterr().err.count("its sides are swapped") == 3
