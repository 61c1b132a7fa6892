"""What makes maps: a network on a device, or a classical method on the CPU.

torch is imported when a network is made, so the baselines predict without it.
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

import numpy as np
from numpy.typing import NDArray

from sodbench.console import logger
from sodbench.errors import Problem, SodbenchError
from sodbench.images import Pixels
from sodbench.models import (
    BASELINES,
    DEFAULT_MODEL,
    create_model,
    identify_model,
    starts_untrained,
)
from sodbench.models.execution import Execution
from sodbench.models.presets import get_processing
from sodbench.models.processing import Output, Preprocessing, Processing
from sodbench.models.source import ModelSource, as_source
from sodbench.models.user_code import user_code
from sodbench.runners.prediction.planning import SHAPE_PIXELS, limit_batch_size
from sodbench.runners.prediction.predictor import Maps, Predictor
from sodbench.runners.prediction.problems import (
    FIRST_IMAGES,
    double_sigmoid_problem,
    training_mode_problem,
)
from sodbench.runners.prediction.processed import Outputs, ProcessedPredictor, flatten_outputs

if TYPE_CHECKING:
    import torch
    from torch import nn

# Keywords of `Execution` that not every predictor can follow, by their options.
_OPTIONS = {"compiled": "--compile", "padding": "--padding", "graphs": "--cuda-graphs"}


@dataclass(frozen=True)
class Origin:
    """Where a network is from, for the manifest.

    Attributes
    ----------
    weights : str
        Where its weights are from.
    weights_sha256 : str or None
        Hash of the file of weights; None: the weights themselves are hashed.
    source_sha256 : str or None
        Hash of the user's file that defines the network.
    """

    weights: str = "in memory"
    weights_sha256: str | None = None
    source_sha256: str | None = None


class NetworkPredictor(Predictor):
    """A network, run by `sodbench.models.inference.InferenceNetwork`.

    Parameters
    ----------
    model : nn.Module
    name : str
        Its name, for messages and the manifest.
    origin : Origin, optional
        Where the network is from.
    processing : Processing, optional
        One that is done on the device; by default what the network declares, without its further processing.
    **execution
        As for `InferenceNetwork`.

    Raises
    ------
    SodbenchError
        If the network or its weights cannot be used.
    """

    def __init__(
        self,
        model: "nn.Module",
        name: str,
        *,
        origin: Origin | None = None,
        processing: Processing | None = None,
        **execution: Unpack[Execution],
    ):
        from sodbench.models import checkpoints
        from sodbench.models.inference import InferenceNetwork

        super().__init__(name)
        size = processing.input.size if processing else None
        self.network = InferenceNetwork(model, **execution, input_size=size)
        self.device = self.network.device
        self.pads = self.network.pads
        cuda = self.network.device.type == "cuda"
        self.default_batch_size = limit_batch_size(128 if cuda else 1, self.network.input_size)
        self.processing = processing or Processing(
            Preprocessing(self.network.input_size), Output.for_values(self.network.output)
        )
        self.network.output = self.processing.output.values
        self.shape_pixels = SHAPE_PIXELS if cuda or self.pads else 0
        self._origin = origin or Origin()
        if self._origin.weights_sha256 is None:
            with user_code(f"{name}: the network does not give its weights"):
                sha256 = checkpoints.weights_sha256(model.state_dict())
            self._origin = replace(self._origin, weights_sha256=sha256)

    def allocate(self, shape: tuple[int, ...]) -> Pixels:
        """Return memory for pixels; see `Predictor.allocate`."""
        return self.network.transfers.allocate(shape)

    def start(
        self, pixels: Pixels, max_side: int | None, sizes: NDArray[np.int64] | None = None
    ) -> Callable[[], Maps]:
        """Start to predict images; see `Predictor.start`."""
        return self.network.start(pixels, max_side, sizes)

    def allocate_input(self, shape: tuple[int, ...]) -> NDArray[np.float32]:
        """Return memory for prepared images; see `Runnable.allocate_input`."""
        return self.network.transfers.allocate(shape, np.float32)

    def launch(self, batch: NDArray[np.float32]) -> Callable[[], Outputs]:
        """Start the network on prepared images; see `Runnable.launch`."""
        names, values = zip(*flatten_outputs(self.network.run(batch)), strict=True)
        copied = self.network.transfers.download([_as_floats(value) for value in values])
        return lambda: [(n, v.numpy()) for n, v in zip(names, copied(), strict=True)]

    def describe(self) -> dict[str, Any]:
        """Return what the manifest records; see `Predictor.describe`."""
        return {
            **self.describe_network(),
            "output": self.network.output,
            "processing": self.processing.to_dict(),
        }

    def describe_network(self) -> dict[str, Any]:
        """Return what the manifest records of the network alone."""
        from sodbench.models.devices import ARITHMETIC, describe_machine

        network = self.network
        return {
            "model": self.name,
            **asdict(self._origin),
            "precision": network.precision,
            "arithmetic": ARITHMETIC[network.precision],
            "memory_format": "channels_last" if network.channels_last else "contiguous",
            "compiled": network.compiled,
            "padding": network.pads,
            **describe_machine(network.device),
        }

    def problems(self, finished: bool) -> Sequence[Problem]:
        """Return what is wrong with all maps: a sigmoid applied twice, layers in training mode."""
        seen = self.network.range
        # the values of a few images may be in 0..1 by chance
        if seen.images < FIRST_IMAGES and not finished:
            return []
        problems = list(self.network_problems())
        assumed = self.network.output == "logits" and not self.network.declares_output
        if assumed and seen.looks_like_probabilities:
            problems.insert(0, double_sigmoid_problem(self.name, seen))
        return problems

    def network_problems(self) -> Sequence[Problem]:
        """Return what is wrong with the network: layers in training mode."""
        layers = self.network.layers_in_training()
        return [training_mode_problem(self.name, layers)] if layers else []


class BaselinePredictor(Predictor):
    """A classical method of `sodbench.models.BASELINES`, on the CPU.

    Parameters
    ----------
    name : str
        Its key in `BASELINES`.
    """

    def start(
        self, pixels: Pixels, max_side: int | None, sizes: NDArray[np.int64] | None = None
    ) -> Callable[[], Maps]:
        """Predict images at their own size; see `Predictor.start`."""
        maps = [BASELINES[self.name](image) for image in pixels]
        return lambda: maps

    def describe(self) -> dict[str, Any]:
        """Return what the manifest records; see `Predictor.describe`."""
        return {"model": self.name, "weights": "none", "numpy": np.__version__}


def _as_floats(value: Any) -> "torch.Tensor":
    """Return a tensor that NumPy can hold; what is no tensor has no shape that a map has."""
    import torch

    if not isinstance(value, torch.Tensor):
        return torch.empty(0)
    return value.float() if value.is_floating_point() else value


def make_predictor(
    network: "nn.Module",
    name: str,
    processing: Processing,
    *,
    origin: Origin | None = None,
    **execution: Unpack[Execution],
) -> Predictor:
    """Make the predictor of a network in memory.

    Parameters
    ----------
    network : nn.Module
    name : str
        Its name, for messages and the manifest.
    processing : Processing
        What is done to images and output.
    origin : Origin, optional
        Where the network is from.
    **execution
        As for `InferenceNetwork`.

    Returns
    -------
    Predictor

    Raises
    ------
    SodbenchError
        If the network or its weights cannot be used, and for options that its processing rules out.
    """
    if processing.runs_on_device:
        return NetworkPredictor(network, name, origin=origin, processing=processing, **execution)
    for keyword in ("padding", "graphs"):
        if execution.get(keyword):
            raise SodbenchError(
                f"{name}: {_OPTIONS[keyword]} is not possible with its processing, which is done outside the device, "
                "image by image; leave it out"
            )
    # the images come one by one, so padding and graphs of batches have no use
    alone: Execution = {**execution, "padding": False, "graphs": False}
    return ProcessedPredictor(
        NetworkPredictor(network, name, origin=origin, **alone),
        processing,
        mix_sizes=execution.get("padding") is None,
    )


def load_predictor(
    model: str | ModelSource = DEFAULT_MODEL,
    checkpoint: Path | str | None = None,
    **execution: Unpack[Execution],
) -> Predictor:
    """Load the predictor of a model.

    Parameters
    ----------
    model : str or ModelSource
        A registered name, ``path/to/file.py:factory``, ``path/to/file.onnx``, or a baseline; or everything that was
        chosen for it.
    checkpoint : Path or str, optional
        A file of weights. Without it, sodbench's own networks have random weights, the same on every call, and
        warn of it; a user's network has the weights that its factory gives it.
    **execution
        As for `sodbench.models.inference.InferenceNetwork`.

    Returns
    -------
    Predictor

    Raises
    ------
    SodbenchError
        For an unknown model, a factory that fails, a wrong checkpoint, or a missing device.
    """
    source = as_source(model, checkpoint)
    if source.name in BASELINES:
        _refuse_choices(source, execution)
        return BaselinePredictor(source.name)
    if source.is_onnx:
        return _load_onnx(source, execution)
    return _load_network(source, execution)


def _load_network(source: ModelSource, execution: Execution) -> Predictor:
    import torch

    from sodbench.models.checkpoints import load_checkpoint
    from sodbench.models.devices import choose_device

    # refused before the network is made
    choose_device(execution.get("device", "auto"))
    # random weights are the same on every call, and the caller's random numbers stay as they are
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = create_model(source.name, **source.options)
    name, source_sha256 = identify_model(source.name)
    sha256 = None
    if source.checkpoint is not None:
        weights, sha256 = (
            "checkpoint",
            load_checkpoint(network, source.checkpoint, source.checkpoint_key),
        )
    else:
        weights = report_own_weights(source.name)
    processing = source.choose_processing(get_processing(network))
    origin = Origin(weights, sha256, source_sha256)
    return make_predictor(network, name, processing, origin=origin, **execution)


def _load_onnx(source: ModelSource, execution: Execution) -> Predictor:
    from sodbench.models.onnx import OnnxNetwork

    if source.checkpoint is not None or source.options:
        raise SodbenchError(
            f"{source.name} holds its weights; leave out the checkpoint and the factory's arguments"
        )
    for keyword, option in _OPTIONS.items():
        if execution.get(keyword):
            raise SodbenchError(
                f"{source.name}: {option} is for networks in torch, not for ONNX files; leave it out"
            )
    network = OnnxNetwork(source.name, execution.get("device", "auto"))
    if execution.get("precision") not in (None, network.precision):
        raise SodbenchError(
            f"{source.name}: the file itself determines the precision, {network.precision}; leave out --precision"
        )
    needs_own = source.processing is None
    declared = network.find_processing() if needs_own else Processing()
    return ProcessedPredictor(network, network.fit_size(source.choose_processing(declared)))


def _refuse_choices(source: ModelSource, execution: Execution) -> None:
    """Refuse choices that have no effect on a baseline; any device is accepted, because none is used."""
    if source.checkpoint is not None:
        raise SodbenchError(
            f"{source.name} has no weights; leave out the checkpoint {source.checkpoint}"
        )
    if source.options or source.processing or source.changes or source.checkpoint_key:
        raise SodbenchError(
            f"{source.name} has no weights and no processing of its own; leave out the options that choose them"
        )
    options = {"precision": "--precision", **_OPTIONS}
    if names := [option for keyword, option in options.items() if execution.get(keyword)]:
        raise SodbenchError(
            f"{source.name} is a baseline without a network, so {' and '.join(names)} would have no effect; leave "
            f"{'it' if len(names) == 1 else 'them'} out"
        )


def report_own_weights(model: str) -> str:
    """Warn the user what weights a model without a checkpoint has.

    Parameters
    ----------
    model : str
        As for `load_predictor`.

    Returns
    -------
    str
        The weights' origin, for the manifest.
    """
    if starts_untrained(model):
        logger.warning(
            f"WARNING: no checkpoint was given, so {model} has RANDOM, UNTRAINED weights: its maps mean "
            "nothing. Give --checkpoint FILE for a trained network."
        )
        return "random (untrained)"
    name, _ = identify_model(model)
    logger.info(
        f"no checkpoint was given: {name} keeps the weights that its factory gives it. If the factory does not "
        "load trained ones, the maps mean nothing."
    )
    return f"as made by {name}"
