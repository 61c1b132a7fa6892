"""``sodbench agree``: how far methods agree on images without ground truth."""

import argparse
from typing import Any

from sodbench.cli.options import add_channel, add_exit_zero, add_format, add_jobs, add_output
from sodbench.cli.values import path, positive


def add_parser(commands: Any) -> None:
    """Add ``agree`` to the command line."""
    parser = commands.add_parser(
        "agree",
        help="compare the maps of several methods with one another, without ground truth",
        description="Print how far the maps of several methods agree, as the IoU and MAE of every two methods, and the "
        "images that they disagree on most. No ground truth is needed. Agreement is not accuracy: methods can agree on the "
        "same mistake.",
        epilog="Exit status: 0 no problems, 1 images are left out or maps are resized, 2 refused.\n\n"
        "examples:\n"
        "  sodbench agree maps/u2net maps/csf maps/rembg\n"
        "  sodbench agree cutouts/ --channel alpha --images photos -o agreement.html",
    )
    parser.add_argument(
        "maps",
        nargs="+",
        type=path,
        metavar="MAPS",
        help="folders of maps, one for each method, or a folder that holds them",
    )
    parser.add_argument(
        "--images",
        type=path,
        metavar="DIR",
        help="folder of the images: only their maps, and shown",
    )
    add_channel(parser, "compared")
    parser.add_argument(
        "--show",
        type=positive,
        default=10,
        metavar="N",
        help="list and show the N most disputed images (default: 10)",
    )
    add_format(parser, ("table", "markdown", "csv", "json"))
    add_output(
        parser, "FILE.html", "also write one page with the most disputed images to this file"
    )
    add_jobs(parser, "threads")
    add_exit_zero(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Compare the maps, print the agreement, and report the problems."""
    from sodbench.cli.problems import report_problems
    from sodbench.console import logger, show
    from sodbench.errors import SodbenchError
    from sodbench.quoting import printable
    from sodbench.reports.agreement import format_agreement, write_agreement_page
    from sodbench.reports.report_folder import check_own_page
    from sodbench.runners.agreement import compare_folders, find_methods

    page = arguments.output
    if page and page.suffix.lower() != ".html":
        raise SodbenchError(f"{page}: the page is an HTML file; its name must end in .html")
    methods = find_methods(arguments.maps)
    if page:
        folders = [*methods.values(), *([arguments.images] if arguments.images else [])]
        check_own_page(page, folders)
    compared = compare_folders(
        methods, arguments.images, channel=arguments.channel, jobs=arguments.jobs
    )
    show(format_agreement(compared.agreement, arguments.format, arguments.show))
    if page:
        write_agreement_page(
            page, compared.agreement, compared.files, compared.images, arguments.show
        )
        logger.info("%s", printable(page))
    return report_problems(compared.problems, per_kind=5)
