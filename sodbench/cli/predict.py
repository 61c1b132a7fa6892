"""``sodbench predict``: images to saliency maps."""

import argparse
import os
from pathlib import Path
from typing import Any

from sodbench.cli.network_options import (
    add_batch_size,
    add_inference,
    add_model_choices,
    read_execution,
    read_model,
)
from sodbench.cli.options import add_exit_zero, add_output
from sodbench.cli.values import path, positive


def add_parser(commands: "argparse._SubParsersAction[Any]") -> None:
    """Add ``predict`` to the command line."""
    parser = commands.add_parser(
        "predict",
        help="predict saliency maps of images",
        description="Predict a saliency map for every image: MAPS/<stem>.png, 8-bit grey, the image's own "
        "size. A rerun predicts only the maps that are missing. Under torchrun the images are shared among "
        "its processes.",
        epilog="examples:\n"
        "  sodbench predict photos/ -o maps --checkpoint final.pth\n"
        "  sodbench predict photos/ -o maps --model net.py:factory --device cpu",
    )
    parser.add_argument(
        "images",
        nargs="+",
        type=path,
        metavar="IMAGES",
        help="folders of images, image files, or lists of names (.txt, .lst)",
    )
    add_output(parser, "MAPS", "folder for the maps", required=True)
    add_model_choices(parser)
    network = parser.add_argument_group("how it is computed")
    add_inference(network)
    add_batch_size(network)
    network.add_argument(
        "--max-side",
        type=positive,
        metavar="N",
        help="shrink longer images to N pixels for the network; maps keep the image's size",
    )
    parser.add_argument(
        "--cutout",
        type=path,
        metavar="DIR",
        help="also write DIR/<stem>.png: the image without its background, RGBA with the map as alpha",
    )
    parser.add_argument(
        "--force",
        action="store_true",
        help="replace existing files that have the names of these maps, whatever wrote them",
    )
    add_exit_zero(parser)
    parser.set_defaults(run=run, resumed="the same command resumes where it stopped")


def run(arguments: argparse.Namespace) -> int:
    """Predict; returns 0, or 1 where some images have no map or the maps are likely to be wrong.

    Raises with every problem where no image has a map. Under torchrun the first rank reports for all.
    """
    from sodbench.console import logger
    from sodbench.errors import ProblemsError, listing
    from sodbench.output_folder import check_outside
    from sodbench.runners.prediction.cutouts import check_cutout_folder, write_cutouts
    from sodbench.runners.prediction.inputs import find_images, find_unread_images
    from sodbench.runners.prediction.predict import predict
    from sodbench.runners.prediction.predictors import load_predictor

    first = os.environ.get("RANK", "0") == "0"
    source = read_model(arguments)
    samples = find_images(arguments.images)
    unread = find_unread_images(arguments.images)
    for place in filter(None, (arguments.output, arguments.cutout)):
        check_outside(place, filter(Path.is_dir, arguments.images))
    if arguments.cutout:
        check_cutout_folder(arguments.cutout, samples, arguments.output, force=arguments.force)
    predictor = load_predictor(
        source,
        **read_execution(arguments),
    )
    summary = predict(
        predictor,
        samples,
        arguments.output,
        batch_size=arguments.batch_size,
        max_side=arguments.max_side,
        force=arguments.force,
    )
    rate = summary.written / summary.seconds
    before = f", {summary.finished_before} were finished before" * bool(summary.finished_before)
    logger.info(
        f"{summary.written} map{'s' * (summary.written != 1)} written to {arguments.output}{before}: "
        f"{summary.seconds:.1f} s, {rate:.3g} images/s"
    )
    if not first:
        return 0
    for line in listing(unread):
        logger.warning(line)
    if summary.problems:
        failed = f"{len(summary.problems)} of {len(samples)} images have no map:"
        way_out = "Fix these images and run the same command again."
        if not (summary.written or summary.finished_before):
            raise ProblemsError(failed, summary.problems, way_out)
        for line in (failed, *listing(summary.problems), f"The other maps are finished. {way_out}"):
            logger.warning(line)
    uncut = []
    if arguments.cutout:
        uncut = write_cutouts(arguments.cutout, samples, arguments.output)
        for line in listing(uncut):
            logger.warning(line)
    return 1 if summary.problems or summary.warnings or unread or uncut else 0
