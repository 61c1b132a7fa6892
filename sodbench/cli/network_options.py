"""The options that choose a network and how it is computed, which several commands share."""

import argparse
from typing import TYPE_CHECKING

from sodbench.cli.values import filled, path, positive, refuse_without_effect
from sodbench.errors import SodbenchError
from sodbench.models import DEFAULT_MODEL

if TYPE_CHECKING:
    from sodbench.models.execution import Execution
    from sodbench.models.source import ModelSource


def add_model_choices(parser: argparse.ArgumentParser) -> argparse._ArgumentGroup:
    """Add the options that choose a network, its weights and its processing; `read_model` reads them.

    Parameters
    ----------
    parser : argparse.ArgumentParser
        Where the groups of options are added.

    Returns
    -------
    argparse group
        That of the network, for further options.
    """
    model = parser.add_argument_group("which model")
    model.add_argument(
        "--model",
        type=filled,
        default=DEFAULT_MODEL,
        metavar="NAME",
        help="a registered model, a baseline, path/to/file.py:factory, or path/to/file.onnx (default: %(default)s)",
    )
    model.add_argument(
        "--checkpoint", type=path, metavar="FILE", help="weights of the whole model (a state_dict)"
    )
    model.add_argument(
        "--checkpoint-key",
        type=filled,
        metavar="KEY",
        help="where in the checkpoint the weights are, if it holds several sets, as ema or model.state_dict",
    )
    model.add_argument(
        "--model-arg",
        type=filled,
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="keyword argument of the model's factory; may be repeated",
    )
    around = parser.add_argument_group(
        "how images are prepared and maps made (default: as the model declares)"
    )
    around.add_argument(
        "--preset",
        type=filled,
        metavar="NAME",
        help="how images are prepared and maps made, as in the test script of a family of models: csf, csnet, u2net, "
        "basnet, isnet, birefnet, edn, samnet, cpd, rembg-u2net, rembg-isnet, rembg-birefnet",
    )
    around.add_argument(
        "--model-config",
        type=path,
        metavar="FILE.toml",
        help="the same, from a file (docs/models.md)",
    )
    around.add_argument(
        "--processing",
        type=filled,
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="change one value of it, as in input.fixed=[320,320]; may be repeated",
    )
    return model


def read_model(arguments: argparse.Namespace) -> "ModelSource":
    """Return the model that the options of `add_model_choices` choose.

    Parameters
    ----------
    arguments : argparse.Namespace
        The parsed arguments.

    Returns
    -------
    ModelSource

    Raises
    ------
    SodbenchError
        For wrong values.
    """
    from sodbench.models.presets import find_preset, load_processing, parse_changes, parse_options
    from sodbench.models.source import ModelSource

    processing = None
    if not arguments.checkpoint:
        refuse_without_effect(arguments, ["checkpoint_key"], "without --checkpoint")
    if arguments.preset and arguments.model_config:
        raise SodbenchError(
            "give either --preset or --model-config, not both; the file may name a preset to begin with"
        )
    if arguments.preset:
        processing = find_preset(arguments.preset)
    if arguments.model_config:
        processing = load_processing(arguments.model_config)
    return ModelSource(
        arguments.model,
        arguments.checkpoint,
        arguments.checkpoint_key,
        options=parse_options(arguments.model_arg),
        processing=processing,
        changes=parse_changes(arguments.processing),
    )


def add_device(parser: argparse._ActionsContainer) -> None:
    """Add ``--device``.

    Parameters
    ----------
    parser : argparse parser or group
        Where the options are added.
    """
    parser.add_argument(
        "--device",
        type=filled,
        default="auto",
        metavar="NAME",
        help="auto, cpu, cuda, cuda:N or mps (default: %(default)s)",
    )


def add_inference(parser: argparse._ActionsContainer) -> None:
    """Add the options that choose how a network is computed.

    Parameters
    ----------
    parser : argparse parser or group
        Where the options are added.
    """
    add_device(parser)
    parser.add_argument(
        "--precision",
        choices=("fp32", "tf32", "bf16", "fp16"),
        help="arithmetic of the network (default: tf32, which is TF32 in convolutions, on CUDA devices that have "
        "it, as in torch; else fp32)",
    )
    parser.add_argument(
        "--compile",
        action="store_true",
        help="use torch.compile: faster, but on a CPU it first compiles for minutes for each image size",
    )
    parser.add_argument(
        "--padding",
        action=argparse.BooleanOptionalAction,
        help="predict images of different sizes in one batch; the network must handle it (default: on CUDA, if it "
        "does)",
    )
    parser.add_argument(
        "--cuda-graphs",
        action=argparse.BooleanOptionalAction,
        help="launch the network as a CUDA graph for shapes of batches that come often (default: on CUDA, if the "
        "network handles padding)",
    )


def read_execution(arguments: argparse.Namespace) -> "Execution":
    """Return what the options of `add_inference` say about how a network is executed.

    Parameters
    ----------
    arguments : argparse.Namespace
        The parsed arguments.

    Returns
    -------
    Execution
    """
    return {
        "device": arguments.device,
        "precision": arguments.precision,
        "compiled": arguments.compile,
        "padding": arguments.padding,
        "graphs": arguments.cuda_graphs,
    }


def add_batch_size(parser: argparse._ActionsContainer) -> None:
    """Add ``--batch-size``.

    Parameters
    ----------
    parser : argparse parser or group
        Where the options are added.
    """
    parser.add_argument(
        "--batch-size",
        type=positive,
        metavar="N",
        help="maximum batch size (default: depends on the device)",
    )
