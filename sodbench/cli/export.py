"""``sodbench export``: a network as an ONNX file."""

import argparse
from typing import Any

from sodbench.cli.network_options import add_model_choices, read_model
from sodbench.cli.options import add_output


def add_parser(commands: "argparse._SubParsersAction[Any]") -> None:
    """Add ``export`` to the command line."""
    parser = commands.add_parser(
        "export",
        help="write a network as an ONNX file",
        description="Write a network as ONNX (input 'image': RGB, ImageNet-normalised, [n, 3, h, w]; output "
        "'logits': [n, 1, h, w]; 'probabilities' if the network declares them) and compare it with torch, at three sizes if the network takes them. The file also states the processing, so that "
        "'predict --model FILE.onnx' needs no other option. Needs the extra 'onnx'.",
        epilog="example:\n  sodbench export --checkpoint final.pth -o csf.onnx",
    )
    add_model_choices(parser)
    add_output(parser, "FILE.onnx", "file to write", required=True)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Export, and print the largest difference from torch."""
    from sodbench.console import show
    from sodbench.errors import SodbenchError
    from sodbench.quoting import printable
    from sodbench.runners.export import export_onnx

    output = arguments.output
    if output.suffix.lower() != ".onnx":
        raise SodbenchError(
            f"{output}: name a file that ends in .onnx, as 'predict --model FILE.onnx' needs it"
        )

    differences = export_onnx(read_model(arguments), None, output)
    for (height, width), difference in differences.items():
        show(f"{width}x{height}: logits differ from torch by at most {difference:.2g}")
    show(f"written to {printable(output)}")
    return 0
