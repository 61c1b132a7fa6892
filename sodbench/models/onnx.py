"""Networks in ONNX files, run by onnxruntime; torch is not needed."""

import json
import math
import platform
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sodbench.console import logger
from sodbench.errors import Problem, SodbenchError
from sodbench.files import file_hash
from sodbench.git_lfs import LFS_POINTER, is_lfs_pointer
from sodbench.models.declarations import InputSize
from sodbench.models.presets import KNOWN_FILES, PRESETS, find_preset, restore_processing
from sodbench.models.processing import Processing
from sodbench.models.user_code import FAILURES, describe_failure
from sodbench.parallel import processors

if TYPE_CHECKING:
    import torch

# The entry of a file's metadata in which ``sodbench export`` states the processing.
METADATA_KEY = "sodbench.processing"

# Providers of onnxruntime by the name of the device; ``auto`` takes the first that is installed.
PROVIDERS = {
    "cuda": "CUDAExecutionProvider",
    "coreml": "CoreMLExecutionProvider",
    "cpu": "CPUExecutionProvider",
    "tensorrt": "TensorrtExecutionProvider",
}
_AUTOMATIC = ("cuda", "coreml", "cpu")

# Operators that are counted as multiply-adds: convolutions, with the number of the input that is the weight, and
# matrix products.
_CONVOLUTIONS = {"Conv": 1, "ConvTranspose": 1, "ConvInteger": 1, "QLinearConv": 3}
_PRODUCTS = ("MatMul", "MatMulInteger", "QLinearMatMul", "Gemm")

_INPUT_TYPES = {"tensor(float)": np.float32, "tensor(float16)": np.float16}


class OnnxNetwork:
    """A network in an ONNX file.

    Parameters
    ----------
    path : Path or str
        The file. It has one input, [n, 3, h, w] of float32 or float16; any of n, h and w may be fixed.
    device : str, default "auto"
        ``auto``, ``cpu``, ``cuda``, ``cuda:N``, ``tensorrt`` or ``coreml`` (also called ``mps``), as far as the
        installed onnxruntime supports it.

    Attributes
    ----------
    name, sha256 : str
        The file's name and hash.
    fixed_size : (int, int) or None
        The only height and width that the file takes.
    outputs : tuple of str
        Names of the outputs.
    device_type : str
        A key of `PROVIDERS`.
    precision : str
        ``fp32`` or ``fp16``: the type of the input.

    Raises
    ------
    SodbenchError
        If onnxruntime is missing, the file cannot be read or has another input, or the device is not supported.
    """

    def __init__(self, path: Path | str, device: str = "auto"):
        self.path = Path(path)
        if not self.path.is_file():
            raise SodbenchError(f"{self.path}: no such file (--model FILE.onnx)")
        self.name = self.path.name
        # torch is not used
        self.device: torch.device | None = None
        self._session, self.device_type = _open_session(self.path, device)
        self.sha256 = file_hash(self.path)
        self._read_input()
        self.default_batch_size = 1 if self._batch or self.device_type == "cpu" else 32
        self.outputs = tuple(output.name for output in self._session.get_outputs())

    def describe_network(self) -> dict[str, Any]:
        """Return what a manifest records of the network."""
        import onnxruntime

        return {
            "model": self.name,
            "source_sha256": self.sha256,
            "weights": "in the ONNX file",
            "weights_sha256": self.sha256,
            "precision": self.precision,
            "device": self.device_type,
            "onnxruntime": onnxruntime.__version__,
            "python": platform.python_version(),
        }

    def network_problems(self) -> Sequence[Problem]:
        """Return nothing: a file cannot work as in training."""
        return []

    def count_parameters(self) -> int | None:
        """Return the number of weights in the file; None if the package onnx, which reads them, is not installed."""
        try:
            import onnx
        except ImportError:
            logger.info(f"{self.name}: its parameters are not counted: pip install onnx")
            return None
        # indices, shapes and axes are whole numbers of 32 or 64 bits, quantised weights of 8
        kinds = {"FLOAT", "FLOAT16", "BFLOAT16", "DOUBLE", "INT8", "UINT8"}
        weights = {onnx.TensorProto.DataType.Value(kind) for kind in kinds}
        graph = onnx.load(str(self.path), load_external_data=False).graph
        counts: list[int] = [math.prod(t.dims) for t in graph.initializer if t.data_type in weights]
        return sum(counts)

    def count_macs(self, size: tuple[int, int]) -> int:
        """Count the multiply-adds of convolutions and matrix products for one image, on the CPU.

        Parameters
        ----------
        size : (int, int)
            Height and width at which the image enters the network.

        Returns
        -------
        int
        """
        import onnxruntime

        count = self._batch or 1
        with tempfile.TemporaryDirectory() as folder:
            options = onnxruntime.SessionOptions()
            options.log_severity_level = 3
            # the file's own operators, not those into which onnxruntime fuses them
            options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
            # the shapes of packed weights are not recorded
            options.add_session_config_entry("session.disable_prepacking", "1")
            options.enable_profiling = True
            options.profile_file_prefix = str(Path(folder, "profile"))
            session = onnxruntime.InferenceSession(
                str(self.path), sess_options=options, providers=[PROVIDERS["cpu"]]
            )
            session.run(None, {self._input: np.zeros((count, 3, *size), self._type)})
            events = json.loads(Path(session.end_profiling()).read_text())
        return sum(_count_event_macs(event.get("args", {})) for event in events) // count

    def _read_input(self) -> None:
        inputs = self._session.get_inputs()
        inputs_text = ", ".join(f"{i.name} {i.shape} of {i.type}" for i in inputs)
        shape = inputs[0].shape if len(inputs) == 1 else []
        if len(shape) != 4 or shape[1] != 3 or inputs[0].type not in _INPUT_TYPES:
            raise SodbenchError(
                f"{self.path}: its input is {inputs_text}; sodbench runs networks with one input [n, 3, h, w] of float32 or "
                "float16"
            )
        self._input, self._type = inputs[0].name, _INPUT_TYPES[inputs[0].type]
        self.precision = "fp16" if self._type is np.float16 else "fp32"
        self._batch = shape[0] if isinstance(shape[0], int) and shape[0] > 0 else None
        sides = shape[2], shape[3]
        fixed = all(isinstance(side, int) and side > 0 for side in sides)
        self.fixed_size: tuple[int, int] | None = sides if fixed else None

    def allocate_input(self, shape: tuple[int, ...]) -> NDArray[np.float32]:
        """Return memory for images, float32 of this shape."""
        return np.empty(shape, np.float32)

    def launch(self, batch: NDArray[np.float32]) -> Callable[[], list[tuple[str, NDArray[Any]]]]:
        """Run the network; onnxruntime returns when it is done.

        Parameters
        ----------
        batch : ndarray of float32, shape (n, 3, h, w)

        Returns
        -------
        callable
            Returns the name and values of each output; the first axis is that of the images.
        """
        size = self._batch or len(batch)
        parts = [self._run_part(batch[i : i + size], size) for i in range(0, len(batch), size)]
        joined = [np.concatenate(values) for values in zip(*parts, strict=True)]
        outputs = list(zip(self.outputs, joined, strict=True))
        return lambda: outputs

    def _run_part(self, batch: NDArray[np.float32], size: int) -> Sequence[NDArray[Any]]:
        count = len(batch)
        if count < size:
            # the file takes exactly so many images
            batch = np.concatenate([batch, np.repeat(batch[-1:], size - count, 0)])
        outputs = self._session.run(None, {self._input: batch.astype(self._type)})
        return [output[:count] for output in outputs]

    def find_processing(self) -> Processing:
        """Return the processing that the file states, or that is known for it.

        Returns
        -------
        Processing

        Raises
        ------
        SodbenchError
            If it is not known.
        """
        text = self._session.get_modelmeta().custom_metadata_map.get(METADATA_KEY)
        if text is not None:
            try:
                record = json.loads(text)
            except ValueError as error:
                raise SodbenchError(
                    f"{self.path}: its metadata {METADATA_KEY!r} is no JSON"
                ) from error
            return restore_processing(record, f"{self.path}: {METADATA_KEY}")
        if self.sha256 in KNOWN_FILES:
            preset = KNOWN_FILES[self.sha256]
            logger.info(f"{self.name} is a known file: preset {preset}")
            return find_preset(preset)
        raise SodbenchError(
            f"{self.path}: how its images are prepared is neither stated in the file nor known. Choose a preset with "
            f"--preset ({', '.join(PRESETS)}), or describe it in a TOML file with --model-config FILE.toml (docs/models.md)"
        )

    def fit_size(self, processing: Processing) -> Processing:
        """Return the processing at the size that the file takes.

        Parameters
        ----------
        processing : Processing

        Returns
        -------
        Processing
            Unchanged if the file takes any size.
        """
        if self.fixed_size is None or processing.input.size.fixed == self.fixed_size:
            return processing
        height, width = self.fixed_size
        if processing.input.size != InputSize():
            logger.info(
                f"{self.name} takes images of {height}x{width} only, so they enter at this size"
            )
        size = InputSize(fixed=self.fixed_size)
        return replace(processing, input=replace(processing.input, size=size))


def _count_event_macs(arguments: Mapping[str, Any]) -> int:
    """Return the multiply-adds of one operator that onnxruntime's profiler saw."""
    kind = arguments.get("op_name", "")
    if "output_type_shape" not in arguments or kind not in (*_CONVOLUTIONS, *_PRODUCTS):
        return 0
    # each entry is a dictionary from the type to the shape
    inputs: list[list[int]] = [
        shape for entry in arguments["input_type_shape"] for shape in entry.values()
    ]
    output: list[int] = next(iter(arguments["output_type_shape"][0].values()))
    if kind == "Gemm":
        # its first factor may be transposed
        return math.prod(output) * math.prod(inputs[0]) // output[0]
    if kind in _PRODUCTS:
        return math.prod(output) * inputs[0][-1]
    # the first axis of the weight is that of the channels on one side, of which each value meets the other axes
    side = inputs[0] if kind == "ConvTranspose" else output
    return math.prod(side) * math.prod(inputs[_CONVOLUTIONS[kind]][1:])


def _open_session(path: Path, device: str) -> tuple[Any, str]:
    """Return a session of onnxruntime, and the kind of device that it computes on."""
    try:
        import onnxruntime
    except ImportError as error:
        raise SodbenchError(
            "ONNX files need onnxruntime, which is not installed: pip install 'sodbench[onnx]', or onnxruntime-gpu for "
            "CUDA"
        ) from error

    kind, provider = _choose_provider(device, onnxruntime.get_available_providers())
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = processors()
    # waiting threads would take the processors from those that decode images
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    fallback = [] if kind == "cpu" else [PROVIDERS["cpu"]]
    try:
        session = onnxruntime.InferenceSession(
            str(path), sess_options=options, providers=[provider, *fallback]
        )
    except FAILURES as error:
        with path.open("rb") as file:
            if is_lfs_pointer(file.read(64)):
                raise SodbenchError(f"{path}: {LFS_POINTER}") from error
        raise SodbenchError(
            f"{path}: onnxruntime cannot load it: {describe_failure(error)}; if it is cut short or damaged, download or "
            "export it again"
        ) from error
    name = provider if isinstance(provider, str) else provider[0]
    if name not in session.get_providers():
        raise SodbenchError(
            f"device {device}: onnxruntime has {name}, but it cannot be used on this machine; use --device cpu"
        )
    return session, kind


def _choose_provider(device: str, installed: Sequence[str]) -> tuple[str, Any]:
    """Return the kind of a device, and its provider for onnxruntime."""
    kind, _, number = device.partition(":")
    kind = {"mps": "coreml"}.get(kind, kind)
    if device == "auto":
        kind = next(name for name in _AUTOMATIC if PROVIDERS[name] in installed)
    if kind not in PROVIDERS or (
        number and not (kind in ("cuda", "tensorrt") and number.isdigit())
    ):
        raise SodbenchError(
            f"unknown device {device!r} for an ONNX file; one of auto, {', '.join(PROVIDERS)}, cuda:N"
        )
    provider = PROVIDERS[kind]
    if provider not in installed:
        raise SodbenchError(
            f"device {device}: the installed onnxruntime has no {provider} (it has {', '.join(installed)}); install "
            "onnxruntime-gpu for CUDA, or use --device cpu"
        )
    return kind, (provider, {"device_id": int(number)}) if number else provider
