"""``sodbench table``: the table of a paper, in LaTeX, from stored results."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sodbench.cli.options import (
    add_methods,
    add_output,
    add_resampling,
    add_results,
    add_selection,
    read_content,
    read_results,
)
from sodbench.cli.values import filled, positive

if TYPE_CHECKING:
    from sodbench.reports.paper_table import PaperTableOptions


def add_parser(commands: Any) -> None:
    """Add ``table`` to the command line."""
    parser = commands.add_parser(
        "table",
        help="print the table of a paper in LaTeX",
        description="Print one LaTeX float with the scores of all methods on all datasets, as the venue wants it. "
        "It needs booktabs, adjustbox and, for colours, xcolor. Nothing is scored again.",
        epilog="example:\n  sodbench table results --style cvpr --methods-file methods.toml -o table1.tex",
    )
    add_results(parser)
    add_output(parser, "FILE.tex", "write the table to this file (default: print it)")
    selection = parser.add_argument_group("what is shown")
    add_selection(selection)
    add_methods(selection)
    _add_layout(parser.add_argument_group("layout"))
    _add_content(parser.add_argument_group("further columns and text"))
    add_resampling(
        parser.add_argument_group("intervals"), 1000, "bootstrap resamples for --superscripts"
    )
    parser.set_defaults(run=run)


def _add_layout(group: argparse._ArgumentGroup) -> None:
    """Add the options of the layout; those without a value here follow from the style."""
    group.add_argument(
        "--style",
        choices=("cvpr", "ieee", "plain"),
        default="cvpr",
        help="column widths, notation, marks and leading zero of a venue (default: %(default)s)",
    )
    group.add_argument(
        "--single-column", action="store_true", help="a table of one column instead of the page"
    )
    group.add_argument(
        "--transpose", action="store_true", help="datasets and metrics in rows, methods in columns"
    )
    group.add_argument(
        "--order",
        choices=("given", "year", "rank"),
        default="given",
        help="order of the methods within their groups: as given, by year, or by mean rank (default: %(default)s)",
    )
    group.add_argument(
        "--digits",
        type=positive,
        choices=range(2, 6),
        default=3,
        help="decimals (default: %(default)s)",
    )
    group.add_argument("--leading-zero", choices=("yes", "no"), help="0.928 or .928")
    group.add_argument(
        "--notation", choices=("symbols", "names"), help="S_alpha and F_beta^max, or plain names"
    )
    group.add_argument(
        "--marks",
        choices=("colour", "type", "none"),
        help="best, second and third in red, green, blue; bold, underlined, italic; or not at all",
    )


def _add_content(group: argparse._ArgumentGroup) -> None:
    """Add the options of further columns, and of the text around the table."""
    group.add_argument(
        "--mean-rank", action="store_true", help="add a column with the mean rank of each method"
    )
    group.add_argument(
        "--superscripts",
        action="store_true",
        help="add the letters of the methods that one is significantly better than",
    )
    group.add_argument(
        "--caption", type=filled, metavar="TEXT", help="first sentence of the caption"
    )
    group.add_argument(
        "--label",
        type=filled,
        default="tab:sod",
        metavar="NAME",
        help="name for \\ref (default: %(default)s)",
    )


def run(arguments: argparse.Namespace) -> int:
    """Print the table, or write it to a file."""
    from sodbench.console import show
    from sodbench.errors import SodbenchError
    from sodbench.files import write_text
    from sodbench.output_folder import check_outside, check_own_file
    from sodbench.quoting import printable
    from sodbench.reports.one_table import TableOptions, make_table
    from sodbench.reports.paper_table import TABLE_MARKER

    output = arguments.output
    if output and output.suffix.lower() != ".tex":
        raise SodbenchError(f"{output}: the table is LaTeX; name a file that ends in .tex")
    results = read_results(arguments.results)
    options = TableOptions(layout=_layout(arguments), **read_content(arguments, results))
    text = make_table(results, options)
    if output:
        check_outside(output, {Path(f) for r in results for f in r.folders.values() if f})
        check_own_file(output, TABLE_MARKER)
        write_text(output, text)
        show(printable(output))
    else:
        show(text)
    return 0


def _layout(arguments: argparse.Namespace) -> "PaperTableOptions":
    from dataclasses import replace

    from sodbench.reports.paper_table import STYLES, PaperTableOptions

    style = STYLES[arguments.style]
    if arguments.leading_zero:
        style = replace(style, leading_zero=arguments.leading_zero == "yes")
    if arguments.notation:
        style = replace(style, symbols=arguments.notation == "symbols")
    if arguments.marks:
        style = replace(style, marks=arguments.marks)
    return PaperTableOptions(
        style=style,
        single_column=arguments.single_column,
        digits=arguments.digits,
        order=arguments.order,
        transpose=arguments.transpose,
        mean_rank=arguments.mean_rank,
        superscripts=arguments.superscripts,
        caption=arguments.caption or "",
        label=arguments.label,
    )
