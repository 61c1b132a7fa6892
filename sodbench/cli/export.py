"""``sodbench export``: a network as an ONNX file."""

import argparse
from typing import Any

from sodbench.cli.options import filled, path
from sodbench.models import DEFAULT_MODEL


def add_parser(commands: "argparse._SubParsersAction[Any]") -> None:
    """Describe the command."""
    parser = commands.add_parser(
        "export",
        help="write a network as an ONNX file",
        description="Write a network as ONNX (input 'image': RGB, ImageNet-normalised, [n, 3, h, w]; output "
        "'logits': [n, 1, h, w]; 'probabilities' if the network declares them) and compare it with torch at three sizes. Needs the extra 'onnx'.",
    )
    parser.add_argument(
        "--model",
        type=filled,
        default=DEFAULT_MODEL,
        metavar="NAME",
        help="a registered name, or path/to/file.py:factory (default: %(default)s)",
    )
    parser.add_argument(
        "--checkpoint", type=path, metavar="FILE", help="weights of the model (a state_dict)"
    )
    parser.add_argument(
        "-o", "--output", type=path, required=True, metavar="FILE.onnx", help="file to write"
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Export, and print the largest difference from torch."""
    from sodbench.console import show
    from sodbench.quoting import printable
    from sodbench.runners.export import export_onnx

    differences = export_onnx(arguments.model, arguments.checkpoint, arguments.output)
    for (height, width), difference in differences.items():
        show(f"{height}x{width}: logits differ from torch by at most {difference:.2g}")
    show(f"written to {printable(arguments.output)}")
    return 0
