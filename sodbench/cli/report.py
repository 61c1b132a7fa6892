"""``sodbench report``: tables, figures and pages from stored results."""

import argparse
import shlex
import sys
from typing import Any

from sodbench.cli.options import (
    add_exit_zero,
    add_methods,
    add_output,
    add_resampling,
    add_results,
    add_selection,
    read_content,
    read_results,
)
from sodbench.cli.values import filled, not_negative, path, refuse_without_effect


def add_parser(commands: Any) -> None:
    """Add ``report`` to the command line."""
    parser = commands.add_parser(
        "report",
        help="write tables, figures and pages from stored results",
        description="Write a report from results that 'sodbench eval' or 'sodbench run' stored. "
        "Nothing is scored again; images are opened only to be shown. A report written into the folder of an earlier one "
        "replaces all of it.",
        epilog="examples:\n"
        "  sodbench report results -o report    (then open report/index.html)\n"
        "  sodbench report results -o report.md --datasets SOD ECSSD --baseline DSS",
    )
    add_results(parser)
    add_output(
        parser,
        "DIR|FILE.html|FILE.md",
        "a folder for everything (HTML, Markdown, LaTeX, CSV, JSON, figures), one HTML file that can be mailed, or a "
        "Markdown file with its figures next to it",
        required=True,
    )
    selection = parser.add_argument_group("what is shown")
    add_selection(selection)
    add_methods(selection)
    selection.add_argument(
        "--baseline",
        type=filled,
        metavar="METHOD",
        help="also show the differences from this method",
    )
    _add_sources(parser.add_argument_group("further numbers and images"))
    _add_form(parser.add_argument_group("how it is written"))
    add_resampling(parser.add_argument_group("intervals"), 1000, "bootstrap resamples")
    add_exit_zero(parser)
    parser.set_defaults(run=run)


def _add_form(group: argparse._ArgumentGroup) -> None:
    """Add the options that choose how the pages look."""
    group.add_argument("--title", metavar="TEXT", help="heading of the report")
    group.add_argument(
        "--template",
        type=path,
        metavar="FILE",
        help="also fill in this Jinja template (.md, .html, .tex or .txt)",
    )
    group.add_argument(
        "--colours", action="store_true", help="colour best, second and third in LaTeX tables"
    )
    group.add_argument(
        "--with-paths",
        action="store_true",
        help="keep absolute paths in the text (default: only names, because a report is published)",
    )
    group.add_argument(
        "--single-file",
        action="store_true",
        help="also write the page as one HTML file, DIR/report-single.html (-o FILE.html writes only that)",
    )
    group.add_argument(
        "--max-size",
        type=_megabytes,
        metavar="MB",
        help="size of the single file; it gets as many thumbnails as fit (default: 4.5)",
    )


def _add_sources(group: argparse._ArgumentGroup) -> None:
    """Add the options that bring further numbers and images into the report."""
    group.add_argument(
        "--bench",
        nargs="+",
        type=filled,
        default=[],
        metavar="[METHOD=]FILE",
        help="results of 'sodbench bench', to show cost next to accuracy; METHOD=FILE if the record has another name "
        "than the method",
    )
    group.add_argument(
        "--attributes",
        nargs="+",
        type=path,
        default=[],
        metavar="PATH",
        help="output of 'sodbench data stats -o DIR' (DIR, or its CSV files), or any CSV with a column 'stem': also show "
        "the scores by these attributes of the images",
    )
    group.add_argument(
        "--group-by",
        type=filled,
        metavar="parent|FILE.csv",
        help="also show the scores of groups of images and the mean over the groups: by the folders of the masks, as for "
        "'sodbench eval' (default, where there are such folders), or by a file with 'item,group' on each line",
    )
    group.add_argument(
        "--images",
        nargs="+",
        type=filled,
        default=["best", "disputed", "worst"],
        metavar="WHICH",
        help="images to show of each dataset: best, worst, disputed, random (worst:3 for three), or names "
        "(default: best disputed worst)",
    )
    group.add_argument(
        "--thumbnails",
        type=not_negative,
        metavar="N",
        help="number of images of each dataset in the page's browser (default: all)",
    )
    group.add_argument(
        "--link-images",
        action="store_true",
        help="show images, masks and maps in full size where the page enlarges them: it links the original files by "
        "relative paths, so it works on this machine only (default: thumbnails, and a folder that can be moved)",
    )


def _megabytes(text: str) -> float:
    try:
        size = float(text)
    except ValueError:
        size = 0.0
    if not 0 < size < 1000:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of megabytes")
    return size


def _check_output(arguments: argparse.Namespace) -> bool:
    """Refuse options that have no effect on this kind of output; returns whether its page can link images."""
    suffix = arguments.output.suffix.lower()
    if suffix == ".md":
        refuse_without_effect(
            arguments,
            ("thumbnails", "colours", "single_file", "link_images"),
            "on a single Markdown file; name a folder",
        )
    is_page = suffix in (".html", ".htm")
    if is_page:
        refuse_without_effect(
            arguments, ("thumbnails", "colours"), "on a single HTML file; name a folder"
        )
    if is_page or arguments.single_file:
        refuse_without_effect(
            arguments,
            ("link_images",),
            "on a page in one file, because such a page is made to be moved and its links to images would break; name a "
            "folder, without --single-file",
        )
    else:
        refuse_without_effect(arguments, ("max_size",), "without --single-file or -o FILE.html")
    # link-images may be a default from a file, which is not refused
    return not is_page and not arguments.single_file and suffix != ".md"


def run(arguments: argparse.Namespace) -> int:
    """Write the report and print where it is; the status is 1 where a named input could not be used."""
    from sodbench.console import logger, show
    from sodbench.quoting import printable
    from sodbench.reports.inputs import DEFAULT_MAX_SIZE, ReportOptions
    from sodbench.reports.report import write_report

    can_link = _check_output(arguments)
    results = read_results(arguments.results)
    # what a rerun without the file of defaults needs
    words = [word for setting in arguments.settings for word in setting.words]
    options = ReportOptions(
        **read_content(arguments, results),
        title=arguments.title,
        baseline=arguments.baseline,
        bench=arguments.bench,
        attributes=arguments.attributes,
        group_by=arguments.group_by,
        images=arguments.images,
        thumbnails=arguments.thumbnails,
        link_images=arguments.link_images and can_link,
        template=arguments.template,
        colours=arguments.colours,
        command=shlex.join(["sodbench", *sys.argv[1:], *words]),
        with_paths=arguments.with_paths,
        single_file=arguments.single_file,
        max_size=arguments.max_size or DEFAULT_MAX_SIZE,
    )
    report = write_report(results, arguments.output, options)
    show(printable(report.page))
    for problem in report.problems:
        logger.warning(problem)
    return 1 if report.problems else 0
