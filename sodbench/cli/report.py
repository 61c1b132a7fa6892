"""``sodbench report``: tables, figures and pages from stored results."""

import argparse
import shlex
import sys
from typing import TYPE_CHECKING, Any

from sodbench.cli.options import (
    add_selection,
    filled,
    names,
    not_negative,
    path,
    refuse_without_effect,
    resamples,
    some_names,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sodbench.results import Result


def add_parser(commands: Any) -> None:
    """Declare the command."""
    parser = commands.add_parser(
        "report",
        help="write tables, figures and pages from stored results",
        description="Write a report from results that 'sodbench eval' or 'sodbench run' stored. "
        "Nothing is scored again; images are opened only to be shown. A report written into the folder of an earlier one "
        "replaces all of it.",
        epilog="example: sodbench report results -o report  (then open report/index.html)",
    )
    parser.add_argument(
        "results", nargs="+", type=path, metavar="RESULTS", help="folders of results"
    )
    parser.add_argument(
        "-o",
        "--output",
        required=True,
        type=path,
        metavar="DIR|FILE.md",
        help="a folder for everything (HTML, Markdown, LaTeX, CSV, JSON, figures), or a Markdown "
        "file with its figures next to it",
    )
    parser.add_argument("--title", help="heading of the report")
    add_selection(parser)
    parser.add_argument(
        "--methods", nargs="+", type=some_names, metavar="NAME", help="these methods, in this order"
    )
    parser.add_argument(
        "--baseline",
        type=filled,
        metavar="METHOD",
        help="also show the differences from this method",
    )
    parser.add_argument(
        "--published",
        nargs="*",
        type=filled,
        metavar="SOURCE",
        help="add published numbers, marked as such: icon, salod, u2net, sal_eval_toolbox, csf (no name: all)",
    )
    parser.add_argument(
        "--bench",
        nargs="+",
        type=filled,
        default=[],
        metavar="[METHOD=]FILE",
        help="results of 'sodbench bench', to show cost next to accuracy; METHOD=FILE if the record has another name "
        "than the method",
    )
    parser.add_argument(
        "--attributes",
        nargs="+",
        type=path,
        default=[],
        metavar="PATH",
        help="output of 'sodbench data stats -o DIR' (DIR, or its CSV files): also show the scores by number, "
        "position and contrast of the objects",
    )
    parser.add_argument(
        "--images",
        nargs="+",
        type=filled,
        default=["best", "disputed", "worst"],
        metavar="WHICH",
        help="images to show of each dataset: best, worst, disputed, random (worst:3 for three), or names "
        "(default: best disputed worst)",
    )
    parser.add_argument(
        "--thumbnails",
        type=not_negative,
        metavar="N",
        help="number of images of each dataset in the page's browser (default: all)",
    )
    parser.add_argument(
        "--template",
        type=path,
        metavar="FILE",
        help="also fill in this Jinja template (.md, .html, .tex or .txt)",
    )
    parser.add_argument(
        "--colours", action="store_true", help="colour best, second and third in LaTeX tables"
    )
    parser.add_argument(
        "--with-paths",
        action="store_true",
        help="keep absolute paths in the text (default: only names, because a report is published)",
    )
    parser.add_argument(
        "--resamples",
        type=resamples,
        metavar="N",
        default=1000,
        help="number of bootstrap resamples, at least 100 (default: %(default)s)",
    )
    parser.add_argument(
        "--seed",
        type=not_negative,
        metavar="N",
        default=0,
        help="random seed of the bootstrap and of random images (default: %(default)s)",
    )
    parser.set_defaults(run=run)


def chosen_datasets(given: "Sequence[str] | None", results: "Sequence[Result]") -> list[str] | None:
    """The datasets that ``--datasets`` names, by the registry's aliases too; None: all."""
    from sodbench.datasets import canonical_name

    present = {r.dataset for r in results}
    return [n if n in present else canonical_name(n) for n in names(given)] or None


def chosen_methods(given: "Sequence[str] | None", results: "Sequence[Result]") -> list[str] | None:
    """The methods that ``--methods`` names, separated by spaces or commas; None: all."""
    present = {r.method for r in results}
    found = [n for text in given or () for n in ([text] if text in present else names([text]))]
    return found or None


def run(arguments: argparse.Namespace) -> int:
    """Write the report and print where it is; the status is 1 where a named input could not be used."""
    from sodbench.console import logger, show
    from sodbench.quoting import printable
    from sodbench.reports.inputs import ReportOptions
    from sodbench.reports.report import write_report
    from sodbench.results import load_results, warn_of_shards

    if arguments.output.suffix.lower() == ".md":
        refuse_without_effect(
            arguments, ("thumbnails", "colours"), "on a single Markdown file; name a folder"
        )
    results = load_results(arguments.results)
    warn_of_shards(results)
    options = ReportOptions(
        title=arguments.title,
        metrics=names(arguments.metrics) or None,
        methods=chosen_methods(arguments.methods, results),
        datasets=chosen_datasets(arguments.datasets, results),
        baseline=arguments.baseline,
        published=arguments.published,
        bench=arguments.bench,
        attributes=arguments.attributes,
        images=arguments.images,
        thumbnails=arguments.thumbnails,
        template=arguments.template,
        colours=arguments.colours,
        resamples=arguments.resamples,
        seed=arguments.seed,
        command=shlex.join(["sodbench", *sys.argv[1:]]),
        with_paths=arguments.with_paths,
    )
    report = write_report(results, arguments.output, options)
    show(printable(report.page))
    for problem in report.problems:
        logger.warning(problem)
    return 1 if report.problems else 0
