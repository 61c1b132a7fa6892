"""Resizing as other programs do it, processing as declared, and processing read from files and options."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image

from sodbench.errors import SodbenchError
from sodbench.models import InputSize
from sodbench.models.presets import (
    PRESETS,
    change_processing,
    find_preset,
    get_processing,
    load_processing,
    parse_changes,
    parse_processing,
    restore_processing,
)
from sodbench.models.processing import Output, Preprocessing, Processing
from sodbench.models.resampling import RESAMPLINGS, resize

SIZES = [((37, 50), (64, 91)), ((90, 70), (32, 33)), ((40, 30), (20, 60))]


def draw(shape):
    return np.random.default_rng(0).integers(0, 256, shape, np.uint8)


@pytest.mark.parametrize(("source", "target"), SIZES)
@pytest.mark.parametrize("name", ["bilinear", "bicubic", "lanczos", "box", "nearest"])
def test_floats_are_resized_as_pillow_resizes_them(name, source, target):
    pixels = draw(source).astype(np.float32)
    expected = Image.fromarray(pixels).resize(target[::-1], Image.Resampling[name.upper()])
    assert np.abs(resize(pixels, target, f"pillow-{name}") - np.asarray(expected)).max() < 2e-4


@pytest.mark.parametrize(("source", "target"), SIZES)
@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("bilinear", {"align_corners": False}),
        ("bilinear-antialias", {"antialias": True}),
        ("bilinear-corners", {"align_corners": True}),
        ("bicubic", {"align_corners": False}),
        ("bicubic-antialias", {"antialias": True}),
        ("nearest", {}),
    ],
)
def test_images_are_resized_as_torch_resizes_them(name, options, source, target):
    pixels = draw((*source, 3))
    # float64: torch computes its coordinates in the type of the image
    given = torch.from_numpy(pixels).permute(2, 0, 1)[None].double()
    (expected,) = F.interpolate(given, target, mode=name.partition("-")[0], **options)
    actual = resize(pixels, target, f"torch-{name}")
    assert np.abs(actual - expected.permute(1, 2, 0).numpy()).max() < 2e-4


# cv2.resize (OpenCV 4.14) of ROW, to 3 and to 7 pixels.
ROW = [0, 10, 100, 250, 30]
BY_PROGRAM = {
    "opencv-bilinear": ([3, 100, 103], [0, 6, 36, 100, 207, 156, 30]),
    "opencv-area": ([4, 112, 118], [0, 6, 28, 100, 220, 162, 30]),
}


@pytest.mark.parametrize("name", BY_PROGRAM)
def test_rows_are_resized_as_the_program_resizes_them(name):
    row = np.array([ROW], np.uint8)
    for expected in BY_PROGRAM[name]:
        resized = resize(row, (1, len(expected)), name)
        # OpenCV computes 8-bit images in fixed point
        assert np.abs(resized.astype(int) - expected).max() <= 1


def test_borders_of_scikit_image():
    row = np.array([[100, 50]], np.uint8)
    assert resize(row, (1, 4), "scikit-image-bilinear")[0].tolist() == [87.5, 87.5, 62.5, 62.5]
    assert resize(row, (1, 4), "scikit-image-bilinear-constant")[0].tolist() == [
        75,
        87.5,
        62.5,
        37.5,
    ]


def test_an_image_of_the_right_size_is_unchanged():
    pixels = draw((5, 7, 3))
    assert all(resize(pixels, (5, 7), name) is pixels for name in RESAMPLINGS)


def test_the_default_equals_the_references_normalisation():
    from sodbench.models.inference import normalise

    pixels = draw((20, 30, 3))
    expected = normalise(torch.from_numpy(pixels[None]))[0].numpy()
    assert np.array_equal(Preprocessing().apply(pixels), expected)


def test_scale_and_channels():
    pixels = np.zeros((2, 2, 3), np.uint8)
    pixels[..., 0], pixels[..., 2] = 100, 50
    values = Preprocessing(
        scale="maximum", mean=(0.5, 0, 0), deviation=(0.5, 1, 1), channels="bgr"
    ).apply(pixels)
    assert values[:, 0, 0].tolist() == [0.5, 0, 1]
    assert (
        Preprocessing(scale="none", mean=(0, 0, 0), deviation=(1, 1, 1)).apply(pixels).max() == 100
    )
    black = Preprocessing(scale="maximum").apply(np.zeros((2, 2, 3), np.uint8))
    assert np.isfinite(black).all()


def test_steps_are_done_in_order():
    logits = np.array([[-2.0, 0.0, 2.0]], np.float32)
    steps = {
        ("sigmoid", "resize", "round"): [30, 128, 225],
        ("sigmoid", "resize", "truncate"): [30, 127, 224],
        ("sigmoid", "min-max", "resize", "round"): [0, 128, 255],
    }
    for names, expected in steps.items():
        assert Output(steps=names).apply(logits, (1, 3))[0].tolist() == expected
    probabilities = np.array([[0.0, 1.0]], np.float32)
    # whole levels before Pillow resizes them
    output = Output(steps=("truncate", "resize"), resampling="pillow-bilinear")
    assert output.apply(probabilities, (1, 4))[0].tolist() == [0, 64, 191, 255]


def test_a_map_of_one_value_is_not_stretched():
    output = Output(steps=("min-max", "resize", "round"))
    assert not output.apply(np.full((2, 2), 0.7, np.float32), (2, 2)).any()


@pytest.mark.parametrize(
    "steps",
    [
        ("resize",),
        ("round",),
        ("resize", "resize", "round"),
        ("resize", "round", "sigmoid"),
        ("min-max", "sigmoid", "resize", "round"),
        ("resize", "round", "truncate"),
        ("resize", "blur", "round"),
        "resize",
    ],
)
def test_steps_that_make_no_map_are_refused(steps):
    with pytest.raises(SodbenchError, match="step"):
        Output(steps=steps)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("input.scale=7", "scale '7'"),
        ("input.mean=[1,2]", "three numbers"),
        ("input.deviation=[0,1,1]", "above 0"),
        ("input.resampling=linear", "unknown resampling 'linear'; one of torch-bilinear"),
        ("input.fixed=320", "two whole numbers"),
        ("input.rounding=sideways", "nearest, up, down"),
        ("output.select=1.5", "number or the name"),
        ('output.steps=["truncate","resize"]', "torch-bilinear does not; write 'resize' before"),
        ("output.colour=red", "unknown output.colour; one of select"),
        ("size=320", "write input.KEY=VALUE"),
        ("network.size=320", "unknown 'network'"),
    ],
)
def test_wrong_changes_are_refused(text, message):
    with pytest.raises(SodbenchError, match=message):
        change_processing(Processing(), parse_changes([text]), "--processing")


def test_changes_replace_the_size_as_a_whole():
    changed = change_processing(find_preset("u2net"), parse_changes(["input.multiple=32"]), "x")
    assert changed.input.size == InputSize(multiple=32)
    assert changed.input.scale == "maximum"


def test_a_toml_file(tmp_path):
    path = tmp_path / "net.toml"
    path.write_text(
        'preset = "u2net"\n[input]\nlongest_side = 512\nmultiple = 32\n[output]\nselect = "d1"\n'
    )
    processing = load_processing(path)
    assert processing.input.size == InputSize(multiple=32, longest_side=512)
    assert processing.output.select == "d1"
    assert processing.preset == "u2net"
    path.write_text("[input]\nsize = [3, 4]\n")
    with pytest.raises(
        SodbenchError, match=r"net.toml: unknown input.size; one of multiple, fixed"
    ):
        load_processing(path)
    path.write_text("= 3")
    with pytest.raises(SodbenchError, match=r"net.toml: cannot be read as TOML"):
        load_processing(path)
    with pytest.raises(SodbenchError, match=r"none.toml: no such file"):
        load_processing(tmp_path / "none.toml")


def test_a_toml_file_of_a_windows_editor(tmp_path):
    path = tmp_path / "net.toml"
    path.write_text('preset = "u2net"\n', encoding="utf-8-sig")
    assert load_processing(path) == find_preset("u2net")


@pytest.mark.parametrize("name", PRESETS)
def test_presets_can_be_recorded_and_restored(name):
    processing = find_preset(name)
    assert PRESETS[name].source
    assert restore_processing(processing.to_dict(), "here") == processing
    assert parse_processing({"preset": name}, "here") == processing
    native = change_processing(processing, {"input": {"multiple": 1}}, "here")
    assert restore_processing(native.to_dict(), "here") == native


def test_input_sizes():
    assert InputSize(multiple=16, rounding="up").for_image(97, 128) == (112, 128)
    assert InputSize(multiple=16, rounding="down").for_image(97, 8) == (96, 16)
    assert InputSize(minimum=150, multiple=32).for_image(97, 400) == (160, 416)
    assert InputSize(longest_side=1024).for_image(321, 481) == (683, 1024)
    with pytest.raises(SodbenchError, match="no other size"):
        InputSize(fixed=(3, 4), multiple=2)


class Declaring(torch.nn.Conv2d):
    processing = "u2net"

    def __init__(self):
        super().__init__(3, 1, 1)


def test_a_class_declares_its_processing():
    from sodbench.models import get_input_size, get_output

    model = Declaring()
    assert get_processing(model) == find_preset("u2net")
    assert get_input_size(model) == InputSize(fixed=(320, 320))
    assert get_output(model) == "probabilities"
    model.processing = 3
    with pytest.raises(SodbenchError, match=r"Declaring\.processing is 3"):
        get_processing(model)
    plain = torch.nn.Conv2d(3, 1, 1)
    plain.input_size = InputSize(multiple=8)
    assert get_processing(plain) == Processing(Preprocessing(InputSize(multiple=8)))
