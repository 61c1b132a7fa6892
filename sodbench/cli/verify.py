"""``sodbench verify``: check stored results against their counts and the images."""

import argparse
from typing import TYPE_CHECKING, Any

from sodbench.cli.options import add_format, add_jobs, add_truth_root, read_truth_root
from sodbench.cli.values import path
from sodbench.errors import SodbenchError
from sodbench.quoting import json_text, printable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sodbench.runners.evaluation.verify import Verification

# Differences that are printed of one result; JSON holds all.
_MAX_LINES = 20


def add_parser(commands: Any) -> None:
    """Add ``verify`` to the command line."""
    parser = commands.add_parser(
        "verify",
        help="check that stored results are what was measured",
        description="Derive every stored number again from the stored counts and, where PREDS and GT are given, the "
        "counts from the images; list what differs. Nothing is changed.",
        epilog="Exit status: 0 everything agrees, 1 something differs, 2 nothing could be checked.\n\n"
        "examples:\n"
        "  sodbench verify results/\n"
        "  sodbench verify results/ preds/ data/",
    )
    parser.add_argument("results", type=path, metavar="RESULTS", help="folder of results")
    parser.add_argument(
        "predictions",
        type=path,
        nargs="?",
        metavar="PREDS",
        help="folder or tree of the saliency maps that were scored",
    )
    parser.add_argument(
        "truth",
        type=path,
        nargs="?",
        metavar="GT",
        help="folder of masks, dataset, root folder of datasets, TOML file, or name of a dataset",
    )
    add_truth_root(parser)
    add_jobs(parser, "maps counted at a time")
    add_format(parser, ("text", "json"))
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Verify and print a line for each result."""
    from sodbench.console import show
    from sodbench.runners.evaluation.verify import verify_results
    from sodbench.runners.evaluation.workers import Workers

    if arguments.predictions and not arguments.truth:
        raise SodbenchError("verify needs both PREDS and GT, or neither")
    checked = verify_results(
        arguments.results,
        arguments.predictions,
        arguments.truth,
        data_root=read_truth_root(arguments) if arguments.truth else None,
        workers=Workers(arguments.jobs, processes=True),
    )
    show(_to_json(checked) if arguments.format == "json" else _to_text(checked))
    return 1 if any(one.differences for one in checked) else 0


def _to_json(checked: "Sequence[Verification]") -> str:
    rows = [
        {
            "folder": str(one.folder),
            "name": one.name,
            "n": one.n,
            "from_images": one.from_images,
            "differences": list(one.differences),
        }
        for one in checked
    ]
    return json_text({"results": rows})


def _to_text(checked: "Sequence[Verification]") -> str:
    lines = []
    for one in checked:
        if not one.differences:
            source = "counts and images" if one.from_images else "counts"
            lines.append(
                f"{printable(one.name)}: verified, {one.n} pairs agree with their {source}"
            )
            continue
        lines.append(f"{printable(one.name)}: {len(one.differences)} difference(s)")
        lines += [f"  {printable(text)}" for text in one.differences[:_MAX_LINES]]
        if len(one.differences) > _MAX_LINES:
            lines.append(f"  ... and {len(one.differences) - _MAX_LINES} more")
    wrong = sum(bool(one.differences) for one in checked)
    lines.append(f"{len(checked) - wrong} of {len(checked)} result(s) verified")
    return "\n".join(lines)
