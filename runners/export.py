"""A network as an ONNX file, checked against torch with onnxruntime before it is kept."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from torch import nn

from sodbench.errors import SodbenchError
from sodbench.folders import replacing
from sodbench.models import create_model, input_size_of, load_checkpoint
from sodbench.progress import warn

SIZES = ((224, 224), (97, 131), (300, 400))
"""Height and width at which the exported network is compared; those that the network takes of them."""
TOLERANCE = 1e-4
"""Largest difference of logits, for logits up to 1 in magnitude; beyond, relative to the largest."""


def export_onnx(
    model: str, checkpoint: Path | str | None, path: Path | str
) -> dict[tuple[int, int], float]:
    """Write ``path``: input ``image``, normalised RGB float32 [n, 3, h, w]; output ``logits`` [n, 1, h, w].

    Any n; any h and w unless the network declares a fixed size.  Returns the largest difference of logits
    between onnxruntime and torch at each size compared.  Raises :class:`SodbenchError` where the extra
    packages are missing, the network cannot be exported, or the results differ; then no file is left.
    """
    path = Path(path)
    _require_onnx()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = create_model(model).eval()
    if checkpoint is not None:
        load_checkpoint(network, checkpoint)
    else:
        warn(
            f"WARNING: no checkpoint was given: {model} is exported with RANDOM, UNTRAINED weights"
        )
    with replacing(path) as temporary:
        _export(network, temporary)
        return _compare(network, temporary)


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


def _sizes(network: nn.Module) -> list[tuple[int, int]]:
    policy = input_size_of(network)
    return list(dict.fromkeys(policy.of(*size) for size in SIZES))


def _export(network: nn.Module, path: Path) -> None:
    dynamic = torch.export.Dim.DYNAMIC
    fixed = input_size_of(network).fixed is not None
    free = {0: dynamic} if fixed else {0: dynamic, 2: dynamic, 3: dynamic}
    example = torch.zeros(2, 3, *_sizes(network)[0])
    try:
        with _silent():
            program = torch.onnx.export(
                network,
                (example,),
                input_names=["image"],
                output_names=["logits"],
                dynamic_shapes=(free,),
                dynamo=True,
                verbose=False,
            )
    except Exception as error:
        raise SodbenchError(
            f"torch cannot export this network ({type(error).__name__}): {str(error)[:300]}"
        ) from error
    assert program is not None
    program.save(path)


def _compare(network: nn.Module, path: Path) -> dict[tuple[int, int], float]:
    import onnxruntime

    session = onnxruntime.InferenceSession(path.read_bytes(), providers=["CPUExecutionProvider"])
    differences = {}
    for size in _sizes(network):
        x = np.random.default_rng(0).standard_normal((1, 3, *size), np.float32)
        with torch.inference_mode():
            expected = network(torch.from_numpy(x)).numpy()
        (actual,) = session.run(["logits"], {"image": x})
        difference = float(np.abs(actual - expected).max())
        if not difference <= TOLERANCE * max(1.0, float(np.abs(expected).max())):
            raise SodbenchError(
                f"the exported network differs from torch by {difference:.2g} at {size[0]}x{size[1]}; "
                "no file was written"
            )
        differences[size] = difference
    return differences


@contextmanager
def _silent() -> Iterator[None]:
    """The exporter logs its steps; only errors are of use here."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)
