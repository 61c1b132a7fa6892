"""``sodbench export``: a network as an ONNX file."""

import argparse
from pathlib import Path
from typing import Any


def add_parser(commands: "argparse._SubParsersAction[Any]") -> None:
    """Describe the command."""
    parser = commands.add_parser(
        "export",
        help="write a network as an ONNX file",
        description="Write a network as ONNX (input 'image': RGB, ImageNet-normalised, [n, 3, h, w]; output "
        "'logits': [n, 1, h, w]) and compare it with torch at three sizes. Needs the extra 'onnx'.",
    )
    parser.add_argument("--model", default="csf-res2net50", metavar="NAME", help="as for predict")
    parser.add_argument("--checkpoint", type=Path, metavar="FILE", help="its weights (state_dict)")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="FILE.onnx")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Export and say how near it is."""
    from sodbench.runners.export import export_onnx

    differences = export_onnx(arguments.model, arguments.checkpoint, arguments.output)
    for (height, width), difference in differences.items():
        print(f"{height}x{width}: logits differ from torch by at most {difference:.2g}")
    print(f"written to {arguments.output}")
    return 0
