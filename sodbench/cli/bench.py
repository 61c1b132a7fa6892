"""``sodbench bench``: what a model costs."""

import argparse
from typing import Any

from sodbench.cli.network_options import (
    add_inference,
    add_model_choices,
    read_execution,
    read_model,
)
from sodbench.cli.options import add_output
from sodbench.cli.values import filled, positive


def add_parser(commands: "argparse._SubParsersAction[Any]") -> None:
    """Add ``bench`` to the command line."""
    parser = commands.add_parser(
        "bench",
        help="measure a model's size, speed and memory",
        description="Measure parameters, multiply-adds, latency of one image, images per second at the best "
        "batch size, peak memory, and images per second from JPEG to PNG files.",
        epilog="example:\n  sodbench bench --checkpoint final.pth --sizes 400x300 -o csf.json\n\n"
        "'sodbench report RESULTS -o report --bench FILE' shows the record next to the scores.",
    )
    add_model_choices(parser)
    add_inference(parser.add_argument_group("how it is computed"))
    parser.add_argument(
        "--sizes",
        nargs="+",
        type=_size,
        metavar="WxH",
        help="image sizes, width first (default: 224x224 400x300)",
    )
    parser.add_argument(
        "--repeats",
        type=positive,
        default=10,
        metavar="N",
        help="number of timed runs (default: %(default)s)",
    )
    parser.add_argument(
        "--name",
        type=filled,
        metavar="NAME",
        help="name of the method in its results (default: the model's name)",
    )
    add_output(parser, "FILE", "write the record as JSON")
    parser.set_defaults(run=run)


def _size(text: str) -> tuple[int, int]:
    width, x, height = text.lower().partition("x")
    if not (x and _is_side(height) and _is_side(width)):
        raise argparse.ArgumentTypeError(
            f"{text!r} is not a size; write WIDTHxHEIGHT, as in 400x300"
        )
    return int(height), int(width)


def _is_side(text: str) -> bool:
    return text.isascii() and text.isdigit() and int(text) > 0


def run(arguments: argparse.Namespace) -> int:
    """Measure, print, save."""
    from sodbench.console import show
    from sodbench.output_folder import check_own_file
    from sodbench.reports.text import format_cost
    from sodbench.runners.benchmark import BENCHMARK_SIZES, benchmark, save_record

    # before the minutes that the measurement takes
    if arguments.output:
        check_own_file(arguments.output, '"made_by": "sodbench')
    record = benchmark(
        read_model(arguments),
        sizes=arguments.sizes or BENCHMARK_SIZES,
        repeats=arguments.repeats,
        **read_execution(arguments),
    )
    if arguments.name:
        record["method"] = arguments.name
    show(format_cost(record))
    if arguments.output:
        save_record(record, arguments.output)
    return 0
