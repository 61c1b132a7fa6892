"""ONNX files as models: inputs, outputs, devices, processing, and what is refused."""

import json
import math
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from sodbench.cli import main
from sodbench.errors import SodbenchError
from sodbench.images import read_grey
from sodbench.models import create_model
from sodbench.models.onnx import OnnxNetwork
from sodbench.models.processing import Output, Preprocessing, Processing
from sodbench.models.source import ModelSource
from sodbench.runners.prediction.predictors import load_predictor

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")


def write_network(
    path, shape=("n", 3, "h", "w"), kind="FLOAT", outputs=("sum", "double"), metadata=None
):
    """A network whose first output is the sum of the three channels, and whose second is twice that."""
    helper, types = onnx.helper, onnx.TensorProto
    kind = getattr(types, kind)
    out_shape = [shape[0], 1, *shape[2:]]
    nodes = [
        helper.make_node(
            "Constant", [], ["axes"], value=helper.make_tensor("a", types.INT64, [1], [1])
        ),
        helper.make_node("ReduceSum", ["image", "axes"], ["sum"], keepdims=1),
        helper.make_node("Add", ["sum", "sum"], ["double"]),
    ]
    graph = helper.make_graph(
        nodes,
        "sums",
        [helper.make_tensor_value_info("image", kind, shape)],
        [helper.make_tensor_value_info(name, kind, out_shape) for name in outputs],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    if metadata is not None:
        helper.set_model_props(model, metadata)
    onnx.save(model, path)
    return str(path)


RED = Processing(
    Preprocessing(mean=(0, 0, 0), deviation=(1, 1, 1)),
    Output(select=0, steps=("resize", "round")),
)


def draw(*shape):
    """Images whose green and blue are 0, so that the sum is the red."""
    pixels = np.zeros((*shape, 3), np.uint8)
    pixels[..., 0] = np.random.default_rng(0).integers(0, 256, shape)
    return pixels


@pytest.mark.parametrize(
    ("shape", "kind"),
    [
        (("n", 3, "h", "w"), "FLOAT"),
        ((1, 3, 20, 30), "FLOAT"),
        ((2, 3, "h", "w"), "FLOAT"),
        (("n", 3, "h", "w"), "FLOAT16"),
    ],
    ids=["any size", "one image of one size", "two images at a time", "float16"],
)
def test_files_of_all_shapes_and_types_run(tmp_path, shape, kind):
    path = write_network(tmp_path / "net.onnx", shape, kind)
    predictor = load_predictor(ModelSource(path, processing=RED), device="cpu")
    images = draw(3, 20, 30)
    maps = predictor.start(images, None)()
    difference = np.abs(np.stack(maps).astype(int) - images[..., 0]).max()
    assert difference <= (1 if kind == "FLOAT16" else 0)
    assert predictor.describe()["precision"] == ("fp16" if kind == "FLOAT16" else "fp32")


def test_a_fixed_size_is_read_from_the_file(tmp_path):
    path = write_network(tmp_path / "net.onnx", (1, 3, 10, 15))
    predictor = load_predictor(ModelSource(path, processing=RED), device="cpu")
    assert predictor.describe()["processing"]["input"]["fixed"] == [10, 15]
    (saliency,) = predictor.start(draw(1, 20, 30), None)()
    assert saliency.shape == (20, 30)


@pytest.mark.parametrize("select", [1, -1, "double"])
def test_an_output_is_selected_by_number_or_name(tmp_path, select):
    path = write_network(tmp_path / "net.onnx")
    source = ModelSource(path, processing=RED, changes={"output": {"select": select}})
    images = draw(1, 4, 6) // 2
    (saliency,) = load_predictor(source, device="cpu").start(images, None)()
    assert np.array_equal(saliency, 2 * images[0, ..., 0])


@pytest.mark.parametrize("select", [None, 2, "third"])
def test_an_output_that_does_not_exist_is_named(tmp_path, select):
    path = write_network(tmp_path / "net.onnx")
    processing = Processing(RED.input, Output(select=select, steps=RED.output.steps))
    predictor = load_predictor(ModelSource(path, processing=processing), device="cpu")
    with pytest.raises(SodbenchError, match=r"2 outputs \(0 'sum' \[1, 1, 4, 6\], 1 'double'"):
        predictor.start(draw(1, 4, 6), None)()


def test_the_processing_must_be_known(tmp_path):
    path = write_network(tmp_path / "net.onnx")
    with pytest.raises(
        SodbenchError, match=r"net.onnx: how its images are prepared .* --preset \(csf,"
    ):
        load_predictor(path, device="cpu")


def test_the_processing_is_read_from_the_file(tmp_path):
    text = json.dumps(RED.to_dict())
    path = write_network(tmp_path / "net.onnx", metadata={"sodbench.processing": text})
    assert load_predictor(path, device="cpu").describe()["processing"] == RED.to_dict()
    path = write_network(tmp_path / "bad.onnx", metadata={"sodbench.processing": "{"})
    with pytest.raises(SodbenchError, match="no JSON"):
        load_predictor(path, device="cpu")


def test_probabilities_beyond_0_and_1_are_refused(tmp_path):
    path = write_network(tmp_path / "net.onnx")
    source = ModelSource(path, processing=RED, changes={"input": {"scale": "none"}})
    with pytest.raises(SodbenchError, match=r"net.onnx is declared to return probabilities but"):
        load_predictor(source, device="cpu").start(draw(1, 4, 6), None)()


@pytest.mark.parametrize(
    ("choices", "device", "message"),
    [
        ({"checkpoint": "x.pth"}, "cpu", "holds its weights"),
        ({"options": {"width": 3}}, "cpu", "holds its weights"),
        ({}, "cuda", "has no CUDAExecutionProvider"),
        ({}, "tpu", "unknown device 'tpu'"),
        ({}, "cpu:1", "unknown device 'cpu:1'"),
    ],
)
def test_what_does_not_suit_a_file_is_refused(tmp_path, choices, device, message):
    path = write_network(tmp_path / "net.onnx")
    with pytest.raises(SodbenchError, match=message):
        load_predictor(ModelSource(path, processing=RED, **choices), device=device)


def test_other_arithmetic_than_the_files_is_refused(tmp_path):
    source = ModelSource(write_network(tmp_path / "net.onnx"), processing=RED)
    with pytest.raises(SodbenchError, match="leave out --precision"):
        load_predictor(source, device="cpu", precision="bf16")
    with pytest.raises(SodbenchError, match="--compile is for networks in torch"):
        load_predictor(source, device="cpu", compiled=True)


def test_files_that_are_no_networks_of_images_are_refused(tmp_path):
    with pytest.raises(SodbenchError, match="no such file"):
        load_predictor(str(tmp_path / "none.onnx"), device="cpu")
    page = tmp_path / "page.onnx"
    page.write_text("<html>")
    with pytest.raises(SodbenchError, match=r"page.onnx: onnxruntime cannot load it"):
        load_predictor(str(page), device="cpu")
    path = write_network(tmp_path / "four.onnx", ("n", 4, "h", "w"))
    with pytest.raises(SodbenchError, match=r"its input is image \['n', 4, 'h', 'w'\]"):
        load_predictor(path, device="cpu")
    with pytest.raises(SodbenchError, match=r"not a torch\.nn\.Module"):
        create_model("net.onnx")


def test_predict_and_bench_with_an_onnx_file_need_no_torch(tmp_path):
    path = write_network(tmp_path / "net.onnx")
    (tmp_path / "images").mkdir()
    images = draw(2, 20, 30)
    for i, image in enumerate(images):
        Image.fromarray(image).save(tmp_path / f"images/{i}.png")
    config = tmp_path / "net.toml"
    config.write_text(
        "[input]\nmean = [0, 0, 0]\ndeviation = [1, 1, 1]\n[output]\nsteps = ['resize', 'round']\n"
    )
    code = (
        "import sys; sys.modules['torch'] = None; from sodbench.cli import main; "
        f"chosen = ['--model', {path!r}, '--model-config', {str(config)!r}, '--processing', 'output.select=0']; "
        f"status = main(['predict', {str(tmp_path / 'images')!r}, '-o', {str(tmp_path / 'maps')!r}, *chosen]); "
        'stretched = [\'--processing\', \'output.steps=["resize", "min-max", "round"]\']; '
        "sys.exit(status or main(['bench', *chosen, *stretched, '--sizes', '8x9', '--repeats', '1']))"
    )
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    for i, image in enumerate(images):
        assert np.array_equal(read_grey(tmp_path / f"maps/{i}.png").pixels, image[..., 0])


def test_a_second_sigmoid_is_reported(tmp_path, capsys):
    path = write_network(tmp_path / "net.onnx", outputs=["sum"])
    (tmp_path / "images").mkdir()
    Image.fromarray(draw(20, 30)).save(tmp_path / "images/a.png")
    images, maps = str(tmp_path / "images"), str(tmp_path / "maps")
    plain = ["--processing", "input.mean=[0,0,0]", "--processing", "input.deviation=[1,1,1]"]
    status = main(["predict", images, "-o", maps, "--model", path, "--preset", "csf", *plain])
    assert status == 1
    assert "all in 0..1" in capsys.readouterr().err


def test_a_preset_and_a_file_exclude_each_other(tmp_path, capsys):
    arguments = "predict images -o maps --model net.onnx --preset csf --model-config net.toml"
    assert main(arguments.split()) == 2
    assert "give either --preset or --model-config, not both" in capsys.readouterr().err
    assert main(["predict", "images", "-o", "maps", "--model", "net.onnx", "--preset", "csff"]) == 2
    assert "unknown preset 'csff'; one of csf, csnet" in capsys.readouterr().err


def test_bench_counts_the_parameters_in_the_file_and_names_the_size_it_takes(tmp_path, capsys):
    helper, types = onnx.helper, onnx.TensorProto
    kernel = helper.make_tensor("kernel", types.FLOAT, [1, 3, 2, 2], [1.0] * 12)
    # no parameter: an index
    axis = helper.make_tensor("axis", types.INT64, [1], [1])
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        [
            helper.make_node("Conv", ["image", "kernel"], ["sum"]),
            helper.make_node("Unsqueeze", ["sum", "axis"], ["deep"]),
            helper.make_node("Squeeze", ["deep", "axis"], ["map"]),
        ],
        "sums",
        [value("image", types.FLOAT, ["n", 3, 8, 12])],
        [value("map", types.FLOAT, ["n", 1, 7, 11])],
        [kernel, axis],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.save(model, tmp_path / "net.onnx")
    command = ["bench", "--model", str(tmp_path / "net.onnx"), "--preset", "csf", "--device", "cpu"]
    record = tmp_path / "bench.json"
    assert main([*command, "--sizes", "20x10", "--repeats", "1", "-o", str(record)]) == 0
    assert "20x10, as 12x8" in capsys.readouterr().out
    made = json.loads(record.read_text())
    assert made["parameters"] == 12
    assert made["macs"] == 7 * 11 * 12
    assert made["checkpoint_bytes"] == (tmp_path / "net.onnx").stat().st_size


def test_multiply_adds_of_a_file_are_those_of_its_convolutions_and_products(tmp_path):
    helper, types = onnx.helper, onnx.TensorProto

    def weight(name, *shape):
        return helper.make_tensor(name, types.FLOAT, shape, [1.0] * math.prod(shape))

    nodes = [
        helper.make_node("Conv", ["image", "grouped"], ["a"], group=3, pads=[1] * 4),
        helper.make_node("ConvTranspose", ["a", "enlarging"], ["b"], strides=[2, 2]),
        helper.make_node("Relu", ["b"], ["c"]),
        helper.make_node("MatMul", ["c", "product"], ["d"]),
        helper.make_node("Flatten", ["d"], ["e"], axis=2),
        helper.make_node("Gemm", ["e", "gemm"], ["f"], transA=1, transB=1),
    ]
    weights = [
        *(weight("grouped", 6, 1, 3, 3), weight("enlarging", 6, 1, 2, 2)),
        *(weight("product", 20, 7), weight("gemm", 5, 2)),
    ]
    image = helper.make_tensor_value_info("image", types.FLOAT, [2, 3, 8, 10])
    output = helper.make_tensor_value_info("f", types.FLOAT, [16 * 7, 5])
    graph = helper.make_graph(nodes, "products", [image], [output], weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.save(model, tmp_path / "net.onnx")
    one = 8 * 10 * 6 * 9 + 8 * 10 * 6 * 4 + 16 * 7 * 20
    both = 2 * one + 16 * 7 * 2 * 5
    assert OnnxNetwork(tmp_path / "net.onnx", "cpu").count_macs((8, 10)) == both // 2


FACTORY = """
from torch import nn
def factory(width=1):
    return nn.Sequential(nn.Conv2d(3, width, 1), nn.Conv2d(width, 1, 1))
"""


@pytest.mark.usefixtures("one_figure_format")
def test_bench_and_run_take_any_model(tmp_path, capsys):
    path = write_network(tmp_path / "net.onnx", outputs=["sum"])
    config = tmp_path / "net.toml"
    config.write_text(
        "[input]\nmean = [0, 0, 0]\ndeviation = [1, 1, 1]\n[output]\nsteps = ['resize', 'min-max', 'round']\n"
    )
    small = ["--sizes", "8x9", "--repeats", "1", "--device", "cpu"]
    record = tmp_path / "bench.json"
    made = ["--model-config", str(config), "--processing", "input.channels=bgr"]
    assert main(["bench", "--model", path, *made, *small, "-o", str(record)]) == 0
    assert '"channels": "bgr"' in record.read_text()
    for folder in ("Imgs", "GT"):
        (tmp_path / "toys" / folder).mkdir(parents=True)
    Image.fromarray(draw(8, 9)).save(tmp_path / "toys/Imgs/a.png")
    Image.fromarray((draw(8, 9)[..., 0] > 127).astype(np.uint8) * 255).save(
        tmp_path / "toys/GT/a.png"
    )
    factory = tmp_path / "net.py"
    factory.write_text(FACTORY)
    toys = ["--datasets", str(tmp_path / "toys"), "--device", "cpu", "--name", "sums"]
    first = ["run", *toys, "-o", str(tmp_path / "first"), "--model", path, *made]
    assert main(first) == 0
    own = ["--model", f"{factory}:factory", "--model-arg", "width=2", "--preset", "cpd"]
    second = ["run", *toys, "-o", str(tmp_path / "second"), *own]
    assert main([*second, "--processing", "output.select=0"]) == 0
    assert "sums" in capsys.readouterr().out
    assert main([*second[:-4], "--model-arg", "width"]) == 2
    assert "--model-arg width: write KEY=VALUE" in capsys.readouterr().err
    for command in ("predict", "bench"):
        images = [str(tmp_path / "toys/Imgs"), "-o", str(tmp_path / "maps")]
        rest = images if command == "predict" else small
        assert main([command, *rest, *own[:2], "--model-arg", "depth=2", "--preset", "cpd"]) == 2
        assert "its factory was called with {'depth': 2}" in capsys.readouterr().err


def test_an_exported_network_needs_no_other_option(tmp_path, capsys):
    """Its file states the processing, and its maps are those of torch to one grey level."""
    torch = pytest.importorskip("torch")
    pytest.importorskip("onnxscript")
    factory, weights = tmp_path / "net.py", tmp_path / "net.pth"
    factory.write_text(FACTORY)
    name = f"{factory}:factory"
    # with some weights all values of these two images are in 0..1, which is reported
    torch.manual_seed(0)
    state = create_model(name, width=2).state_dict()
    torch.save({"ema": state, "model": state}, weights)
    config = tmp_path / "net.toml"
    config.write_text('preset = "edn"\n[input]\nfixed = [16, 24]\n')
    made = ["--model", name, "--model-arg", "width=2", "--checkpoint", str(weights)]
    made += ["--checkpoint-key", "ema", "--model-config", str(config)]
    made += ["--processing", 'output.steps=["resize", "sigmoid", "truncate"]']
    exported = tmp_path / "net.onnx"
    assert main(["export", *made, "-o", str(exported)]) == 0
    assert main(["export", *made, "--preset", "edn", "-o", str(exported)]) == 2
    without = ["--model", name, "--checkpoint-key", "ema", "-o", str(exported)]
    assert main(["export", *without]) == 2
    assert "--checkpoint-key has no effect without --checkpoint" in capsys.readouterr().err
    (tmp_path / "images").mkdir()
    images = np.random.default_rng(0).integers(0, 256, (2, 20, 30, 3), np.uint8)
    for i, image in enumerate(images):
        Image.fromarray(image).save(tmp_path / f"images/{i}.png")
    for folder, choices in (("torch", made), ("onnx", ["--model", str(exported)])):
        output = str(tmp_path / folder)
        options = ["--device", "cpu", *choices]
        assert main(["predict", str(tmp_path / "images"), "-o", output, *options]) == 0
    for i in range(2):
        ours, theirs = (read_grey(tmp_path / f"{f}/{i}.png").pixels for f in ("torch", "onnx"))
        assert ours.std() > 0
        assert np.abs(ours.astype(int) - theirs).max() <= 1
    small = ["--sizes", "8x9", "--repeats", "1", "--device", "cpu"]
    assert main(["bench", *made, *small]) == 0
    assert main(["bench", *made[:-6], "--checkpoint-key", "shadow", *small]) == 2
    message = "--checkpoint-key shadow: no weights there; they are under 'ema', 'model'"
    assert message in capsys.readouterr().err
