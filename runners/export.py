"""A network as an ONNX file, checked against torch with onnxruntime before it is kept."""

import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from sodbench.console import logger
from sodbench.errors import SodbenchError
from sodbench.files import atomic_write
from sodbench.models import (
    create_model,
    identify_model,
    load_checkpoint,
)
from sodbench.models.declarations import declares_output
from sodbench.models.devices import check_torch_version
from sodbench.models.inference import check_output
from sodbench.models.onnx import METADATA_KEY
from sodbench.models.output_range import OutputRange
from sodbench.models.presets import get_processing
from sodbench.models.processing import Output, Processing
from sodbench.models.source import ModelSource, as_source
from sodbench.models.user_code import FAILURES, describe_failure
from sodbench.output_folder import check_own_file
from sodbench.runners.prediction.predictors import report_own_weights
from sodbench.runners.prediction.problems import double_sigmoid_problem
from sodbench.runners.prediction.processed import flatten_outputs, pick_output

# Heights and widths at which the exported network is compared, as far as the network takes them.
_CHECKED_SIZES = ((224, 224), (97, 131), (300, 400))

# Largest difference of logits, for logits up to 1 in magnitude; beyond, relative to the largest.
TOLERANCE = 1e-4


def export_onnx(
    model: str | ModelSource, checkpoint: Path | str | None, path: Path | str
) -> dict[tuple[int, int], float]:
    """Write a network as ONNX, checked against torch.

    Of a network with several outputs or channels, the declared one is exported. The file's input is ``image``, normalised RGB float32 [n, 3, h, w]; its output ``logits`` [n, 1, h, w], or
    ``probabilities`` if the network declares them. n is free, and so are h and w unless the network declares a fixed
    size. The file's metadata state the processing, so that sodbench predicts with the file alone.

    Parameters
    ----------
    model : str or ModelSource
        As for `load_predictor`.
    checkpoint : Path or str, optional
        A file of weights.
    path : Path or str
        The file to write.

    Returns
    -------
    dict
        The largest difference between onnxruntime and torch at each (height, width) compared. A size that the
        network itself refuses is left out, with a message.

    Raises
    ------
    SodbenchError
        If PyTorch is too old, the extra packages are missing, the network takes none of the sizes or returns NaN, it cannot be
        exported, the results differ, or ``path`` is a file that sodbench did not export. Then nothing is written.
    """
    path = Path(path)
    check_own_file(path, METADATA_KEY, within=-1)
    check_torch_version()
    _require_onnx()
    source = as_source(model, checkpoint)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = create_model(source.name, **source.options).eval()
    if source.checkpoint is not None:
        load_checkpoint(network, source.checkpoint, source.checkpoint_key)
    else:
        report_own_weights(source.name)
    processing = source.choose_processing(get_processing(network))
    assumes_logits = processing.output.values == "logits" and not declares_output(network)
    if (processing.output.select, processing.output.channel) != (None, None):
        network = _OneMap(network, processing.output).eval()
        single = replace(processing.output, select=None, channel=None)
        processing = replace(processing, output=single)
    expected = _run_torch(network, processing)
    if assumes_logits:
        _warn_of_probabilities(source.name, expected)
    logger.info("torch traces the network, which takes 10 to 60 s")
    with atomic_write(path) as temporary:
        _export(network, processing, temporary, next(iter(expected)))
        return _compare(temporary, processing.output.values, expected)


class _OneMap(nn.Module):
    """A network that returns only the output, and of it the channel, that is the map."""

    def __init__(self, network: nn.Module, output: Output):
        super().__init__()
        self.network, self.declared = network, output

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the map [n, 1, h, w] of images [n, 3, h, w]."""
        outputs = list(flatten_outputs(self.network(x)))
        values, channel = pick_output(outputs, self.declared.select), self.declared.channel
        if values is None:
            raise SodbenchError(
                f"the network has {len(outputs)} outputs, and output {self.declared.select!r} was declared; choose one with "
                "--processing output.select=NUMBER"
            )
        y: torch.Tensor = values
        return y if channel is None or y.shape[1] == 1 else y[:, channel : channel + 1]


def _require_onnx() -> None:
    try:
        import onnx  # noqa: F401
        import onnxruntime  # noqa: F401
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise SodbenchError(
            f"ONNX export needs packages that are not installed ({error.name}): "
            "pip install 'sodbench[onnx]', or in a clone pip install '.[onnx]'"
        ) from error


def _input_sizes(processing: Processing) -> list[tuple[int, int]]:
    policy = processing.input.size
    return list(dict.fromkeys(policy.for_image(*size) for size in _CHECKED_SIZES))


def _draw_input(size: tuple[int, int]) -> NDArray[np.float32]:
    """Return a drawn input of this height and width."""
    return np.random.default_rng(0).standard_normal((1, 3, *size), np.float32)


def _run_torch(
    network: nn.Module, processing: Processing
) -> dict[tuple[int, int], NDArray[np.float32]]:
    """Return what torch computes at each size that the network takes."""
    expected = {}
    for size in _input_sizes(processing):
        try:
            image = torch.from_numpy(_draw_input(size))
            with torch.inference_mode():
                output = network(image)
        except SodbenchError:
            raise
        except FAILURES as error:
            refusal = f"{size[1]}x{size[0]} is refused by the network ({describe_failure(error)})"
            logger.info(f"not compared: {refusal}")
            continue
        check_output(output, image)
        if not output.isfinite().all():
            raise SodbenchError(
                f"the network itself returns NaN or infinity for an image of {size[1]}x{size[0]}, in torch; nothing "
                "was exported. Give trained weights with --checkpoint"
            )
        expected[size] = output.numpy()
    if not expected:
        raise SodbenchError(
            f"{refusal}, and so is every other size tried; let the network declare the sizes that it takes, as in "
            "input_size = InputSize(fixed=(352, 352))"
        )
    return expected


def _warn_of_probabilities(
    model: str, expected: dict[tuple[int, int], NDArray[np.float32]]
) -> None:
    """Warn if an output that is named ``logits`` is likely to hold probabilities."""
    value_range = OutputRange()
    for values in expected.values():
        value_range = value_range.with_images(np.array([[values.min(), values.max()]]))
    if value_range.looks_like_probabilities:
        logger.warning(f"WARNING: {double_sigmoid_problem(identify_model(model)[0], value_range)}")


def _export(network: nn.Module, processing: Processing, path: Path, size: tuple[int, int]) -> None:
    dynamic = torch.export.Dim.DYNAMIC
    fixed = processing.input.size.fixed is not None
    free = {0: dynamic} if fixed else {0: dynamic, 2: dynamic, 3: dynamic}
    example = torch.zeros(2, 3, *size)
    try:
        with _logging_disabled():
            program = torch.onnx.export(
                network,
                (example,),
                input_names=["image"],
                output_names=[processing.output.values],
                dynamic_shapes=(free,),
                custom_translation_table={torch.ops.aten.group_norm.default: _group_norm},
                dynamo=True,
                verbose=False,
            )
    except FAILURES as error:
        raise SodbenchError(
            f"torch cannot export this network: {describe_failure(_root_cause(error))}"
        ) from error
    assert program is not None
    program.model.metadata_props[METADATA_KEY] = json.dumps(processing.to_dict())
    program.save(path)


def _group_norm(
    x: Any,
    num_groups: int,
    weight: Any = None,
    bias: Any = None,
    eps: float = 1e-5,
    cudnn_enabled: bool = True,
) -> Any:
    """Build ``aten.group_norm`` of operators whose sums are as exact as torch's.

    The exporter writes an instance normalisation, which onnxruntime computes by one sum in float32 over a whole group. For
    CSF's 300,000 values that loses three bits, most of what its maps differed from torch's. Here each axis is summed alone.
    """
    from onnxscript import opset18

    # its types describe single calls, not values that are passed on
    op: Any = opset18
    rank = len(x.shape)
    split = op.Concat(op.Constant(value_ints=[0, num_groups, -1]), op.Shape(x, start=2), axis=0)

    def mean(values: Any) -> Any:
        for axis in range(rank, 1, -1):
            values = op.ReduceMean(values, op.Constant(value_ints=[axis]), keepdims=1)
        return values

    groups = op.Reshape(x, split)
    centred = op.Sub(groups, mean(groups))
    variance = mean(op.Mul(centred, centred))
    deviation = op.Sqrt(op.Add(variance, op.CastLike(op.Constant(value_float=eps), x)))
    normalised = op.Reshape(op.Div(centred, deviation), op.Shape(x))
    per_channel = op.Constant(value_ints=[-1] + [1] * (rank - 2))
    if weight is not None:
        normalised = op.Mul(normalised, op.Reshape(weight, per_channel))
    return normalised if bias is None else op.Add(normalised, op.Reshape(bias, per_channel))


def _root_cause(error: BaseException) -> BaseException:
    """Return the first error of a chain; the exporter wraps it in pages of advice."""
    while error.__cause__ is not None:
        error = error.__cause__
    return error


def _compare(
    path: Path, output: str, expected: dict[tuple[int, int], NDArray[np.float32]]
) -> dict[tuple[int, int], float]:
    import onnxruntime

    try:
        session = onnxruntime.InferenceSession(
            path.read_bytes(), providers=["CPUExecutionProvider"]
        )
        actual = {size: session.run([output], {"image": _draw_input(size)})[0] for size in expected}
    except FAILURES as error:
        # onnxruntime has a class for each of its errors
        raise SodbenchError(
            f"onnxruntime cannot run the exported network: {describe_failure(error)}; no file was written"
        ) from error
    differences = {}
    for size, values in expected.items():
        difference = float(np.abs(actual[size] - values).max())
        if not difference <= TOLERANCE * max(1.0, float(np.abs(values).max())):
            raise SodbenchError(
                f"the exported network differs from torch by {difference:.2g} at {size[1]}x{size[0]}; "
                "no file was written"
            )
        differences[size] = difference
    return differences


@contextmanager
def _logging_disabled() -> Iterator[None]:
    """Disable logging while the block runs: the exporter logs its steps, and the errors that it raises."""
    before = logging.root.manager.disable
    logging.disable(logging.ERROR)
    try:
        yield
    finally:
        logging.disable(before)
