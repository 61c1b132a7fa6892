"""``sodbench verify``: check stored results against their counts and the images."""

import argparse
import json
from typing import TYPE_CHECKING, Any

from sodbench.cli.options import path, positive
from sodbench.errors import SodbenchError
from sodbench.quoting import printable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sodbench.runners.evaluation.verify import Verification

MOST_LINES = 20
"""Differences that are printed of one result; JSON holds all."""


def add_parser(commands: Any) -> None:
    """Add ``verify`` to the command line."""
    parser = commands.add_parser(
        "verify",
        help="check that stored results are what was measured",
        description="Derive every stored number again from the stored counts and, where PREDS and GT are given, the "
        "counts from the images; list what differs. Nothing is changed.",
        epilog="Exit status: 0 everything agrees, 1 something differs, 2 nothing could be checked. "
        "Example: sodbench verify results/ preds/ data/",
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
    parser.add_argument(
        "--data-root",
        type=path,
        metavar="DIR",
        help="folder where the name GT is looked up first, before the working folder (default: the working folder, then data)",
    )
    parser.add_argument(
        "--jobs",
        type=positive,
        metavar="N",
        help="number of maps counted at a time (default: number of cores)",
    )
    parser.add_argument(
        "--format",
        choices=("text", "json"),
        default="text",
        help="how to print the differences (default: text)",
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Verify and print a line for each result."""
    from sodbench.runners.evaluation.verify import verify_results
    from sodbench.runners.evaluation.workers import Workers

    if arguments.predictions and not arguments.truth:
        raise SodbenchError("verify needs both PREDS and GT, or neither")
    checked = verify_results(
        arguments.results,
        arguments.predictions,
        arguments.truth,
        data_root=arguments.data_root,
        workers=Workers(arguments.jobs, processes=True),
    )
    print(_as_json(checked) if arguments.format == "json" else _as_text(checked))
    return 1 if any(one.differences for one in checked) else 0


def _as_json(checked: "Sequence[Verification]") -> str:
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
    return json.dumps({"results": rows}, indent=1)


def _as_text(checked: "Sequence[Verification]") -> str:
    lines = []
    for one in checked:
        if not one.differences:
            source = "counts and images" if one.from_images else "counts"
            lines.append(
                f"{printable(one.name)}: verified, {one.n} pairs agree with their {source}"
            )
            continue
        lines.append(f"{printable(one.name)}: {len(one.differences)} difference(s)")
        lines += [f"  {printable(text)}" for text in one.differences[:MOST_LINES]]
        if len(one.differences) > MOST_LINES:
            lines.append(f"  ... and {len(one.differences) - MOST_LINES} more")
    wrong = sum(bool(one.differences) for one in checked)
    lines.append(f"{len(checked) - wrong} of {len(checked)} result(s) verified")
    return "\n".join(lines)
