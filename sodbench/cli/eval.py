"""``sodbench eval``: score maps against masks."""

import argparse
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sodbench.errors import ProblemsError, SodbenchError, listing

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from sodbench.errors import Problem
    from sodbench.metrics import Scores
    from sodbench.results import Result
    from sodbench.runners.counting import Policy
    from sodbench.runners.trees import Understood

PROTOCOL_NAMES = ("salmetric", "pysodmetrics", "matlab")
DEFAULT_METRICS = ("mae", "f_max", "precision", "recall", "threshold", "s", "e_max", "wf")


def add_parser(commands: Any) -> None:
    """Add ``eval`` to the command line."""
    parser = commands.add_parser(
        "eval",
        help="score saliency maps against ground truth",
        description="Score saliency maps against ground truth masks. PREDS is a folder of maps, or a tree of them "
        "(<set>/, <method>/<set>/ or <set>/<method>/); GT a folder of masks, a data set, or a root of data sets.",
        epilog="Exit status: 0 clean, 1 finished with problems that a policy covers, 2 refused. "
        "Example: sodbench eval preds/DSS/SOD data/SOD/GT --protocol all",
    )
    parser.add_argument(
        "predictions", metavar="PREDS", nargs="?", help="folder or tree of saliency maps"
    )
    parser.add_argument(
        "truth",
        metavar="GT",
        nargs="?",
        help="folder of masks, root of data sets, TOML file, or name of a data set (HKU-IS/test)",
    )
    parser.add_argument(
        "--data-root",
        metavar="DIR",
        default="data",
        help="where a data set that GT names lies (default: data)",
    )
    parser.add_argument(
        "--list",
        metavar="FILE",
        help="without PREDS and GT: score the pairs of a SalMetric list, 'map.png mask.png' a line; "
        "with them: only the items that FILE names, one a line",
    )
    parser.add_argument(
        "--limit", type=positive, metavar="N", help="only the first N items of each data set"
    )
    parser.add_argument(
        "--protocol",
        choices=(*PROTOCOL_NAMES, "all"),
        default="salmetric",
        help="whose conventions to follow (default: salmetric)",
    )
    parser.add_argument(
        "--format",
        choices=("table", "markdown", "csv", "json"),
        default="table",
        help="how to print the scores",
    )
    parser.add_argument(
        "--metrics",
        nargs="+",
        metavar="NAME",
        help=f"which measures to print (default: {','.join(DEFAULT_METRICS)}; 'all' for all)",
    )
    parser.add_argument(
        "-o",
        "--output",
        metavar="DIR",
        help="store the results there, and use the pairs already scored there",
    )
    parser.add_argument("--methods", nargs="+", metavar="NAME", help="only these methods of a tree")
    parser.add_argument("--datasets", nargs="+", metavar="NAME", help="only these data sets")
    parser.add_argument("--name", help="what to call the method, when there is one")
    parser.add_argument(
        "--dry-run", action="store_true", help="say what the folders were taken to mean, and stop"
    )
    parser.add_argument(
        "--jobs",
        type=positive,
        metavar="N",
        help="maps that are scored at a time (default: one a core); the results do not depend on it",
    )
    parser.add_argument("--force", action="store_true", help="score everything anew")
    parser.add_argument(
        "--worst", type=positive, metavar="N", help="also list the N worst images of each method"
    )
    parser.add_argument(
        "--worst-by",
        metavar="NAME",
        default="mae",
        help="the measure that --worst goes by (default: mae)",
    )
    add_policy(parser)
    parser.add_argument(
        "--shard",
        type=_shard,
        metavar="I/N",
        help="score one N-th of the pairs; 'sodbench merge' joins the parts",
    )
    parser.add_argument(
        "--trust-folders", action="store_true", help="do not refuse when PREDS and GT look swapped"
    )
    parser.set_defaults(run=run)


def add_policy(parser: argparse.ArgumentParser) -> None:
    """The options that say what to do about problems with the files; shared by ``eval`` and ``run``."""
    group = parser.add_argument_group(
        "what to do about problems (each choice that touched a pair stands in the signature)"
    )
    group.add_argument(
        "--missing",
        choices=("error", "skip", "zero"),
        default="error",
        help="missing or unreadable maps: refuse, leave the image out, or score an all-black map (default: error)",
    )
    group.add_argument(
        "--resize",
        choices=("error", "bilinear", "nearest"),
        default="bilinear",
        help="maps of another size than their mask: refuse, or resize the map (default: bilinear, and reported)",
    )
    group.add_argument(
        "--undefined",
        choices=("keep", "skip"),
        help="undefined S-measures: the mean is undefined too, or they are left out (default: as the protocol's program does)",
    )
    group.add_argument("--no-wf", action="store_true", help="leave weighted F out")


def read_policy(arguments: argparse.Namespace) -> "Policy":
    """The policy that the options of :func:`add_policy` say."""
    from sodbench.runners.counting import Policy

    return Policy(
        missing=arguments.missing,
        resize=arguments.resize,
        undefined=arguments.undefined,
        weighted=not arguments.no_wf,
        shard=getattr(arguments, "shard", None),
    )


def positive(text: str) -> int:
    """An option's number, at least 1."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return number


def _shard(text: str) -> tuple[int, int]:
    try:
        index, number = (int(part) for part in text.split("/"))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not of the form I/N, e.g. 2/8") from None
    if not 1 <= index <= number:
        raise argparse.ArgumentTypeError(f"{text}: I must lie between 1 and N")
    return index, number


def run(arguments: argparse.Namespace) -> int:
    """Score, print, and say what was found."""
    from sodbench.progress import say
    from sodbench.runners.evaluate import evaluate_all

    wanted = _metrics(arguments.metrics)
    if arguments.worst:
        _check_worst_by(arguments.worst_by, weighted=not arguments.no_wf)
    if arguments.shard and not arguments.output:
        raise SodbenchError("--shard needs -o DIR, a folder of its own for each shard")
    understood = _understood(arguments)
    for line in understood.lines():
        say(line)
    if arguments.dry_run:
        return 0
    protocols = PROTOCOL_NAMES if arguments.protocol == "all" else (arguments.protocol,)
    try:
        evaluation = evaluate_all(
            understood,
            protocols,
            output=arguments.output,
            policy=read_policy(arguments),
            jobs=arguments.jobs,
            force=arguments.force,
            trust_folders=arguments.trust_folders,
            keep_counts=False,
        )
    except ProblemsError as error:
        if arguments.format == "json":
            print(to_json([], error.problems))
        raise
    results = list(evaluation.results)
    worst = [
        Worst.of(result, arguments.worst_by, arguments.worst)
        for result in results[:: len(protocols)] * bool(arguments.worst)
    ]
    if arguments.format == "json":
        print(to_json(results, evaluation.problems, worst))
    elif arguments.format == "csv":
        print(to_frame(results, wanted).to_csv(index=False), end="")
        for one in worst:  # a second table would spoil the CSV
            print(one.to_text(markdown=False), file=sys.stderr)
    elif results:
        markdown = arguments.format == "markdown"
        print(to_text(results, wanted, markdown=markdown))
        for one in worst:
            print(f"\n{one.to_text(markdown=markdown)}")
    if evaluation.problems:
        say(f"{len(evaluation.problems)} thing(s) to know about the files:")
        for line in listing(evaluation.problems, per_kind=5):
            say(line)
    return 0 if evaluation.clean else 1


def _understood(arguments: argparse.Namespace) -> "Understood":
    """What PREDS, GT and --list were taken to mean."""
    from pathlib import Path

    from sodbench.datasets import chosen, find_masks
    from sodbench.runners.trees import from_pair_list, understand, wanted_truths

    if arguments.list and not (arguments.predictions or arguments.truth):
        if arguments.limit:
            raise SodbenchError("--limit needs PREDS and GT: a SalMetric list names its own pairs")
        return from_pair_list(Path(arguments.list), arguments.name)
    if not arguments.predictions or not arguments.truth:
        raise SodbenchError("eval needs PREDS and GT: sodbench eval preds/ gt/")
    found = find_masks(arguments.truth, data_root=arguments.data_root)
    truths = wanted_truths(found, names(arguments.datasets))
    return understand(
        Path(arguments.predictions),
        chosen(truths, arguments.list, arguments.limit),
        methods=names(arguments.methods),
        name=arguments.name,
    )


def names(given: "Sequence[str] | None") -> tuple[str, ...]:
    """The names of an option that takes several, apart by spaces or commas."""
    return tuple(name.strip() for text in given or () for name in text.split(",") if name.strip())


def _metrics(given: "Sequence[str] | None") -> tuple[str, ...]:
    """The measures to print, checked against those there are."""
    known = tuple(_any_scores().metrics)
    wanted = names(given) or DEFAULT_METRICS
    if wanted == ("all",):
        return known
    unknown = [name for name in wanted if name not in known]
    if unknown:
        raise SodbenchError(f"unknown measure {', '.join(unknown)}; known are {', '.join(known)}")
    return wanted


def _check_worst_by(measure: str, *, weighted: bool) -> None:
    """Refuse a measure that single images will not have."""
    known = list(_any_scores().per_image.columns)
    if measure not in known:
        raise SodbenchError(
            f"--worst-by {measure}: images have no such measure; theirs are {', '.join(known)}"
        )
    if measure == "wf" and not weighted:
        raise SodbenchError("--worst-by wf needs weighted F, which --no-wf leaves out")


def _any_scores() -> "Scores":
    """The scores of some pair, for the names of the measures."""
    import numpy as np

    from sodbench.metrics import PreparedMask, count_pair, score

    pair = count_pair(np.eye(4, dtype=np.uint8), PreparedMask(np.eye(4, dtype=np.uint8)))
    return score(pair, "salmetric", ["any"])


@dataclass(frozen=True)
class Worst:
    """The worst images of a result by one measure: ``images`` are (stem, map or None, value), the worst first."""

    result: "Result"
    measure: str
    images: "tuple[tuple[str, Path | None, float], ...]"

    @classmethod
    def of(cls, result: "Result", measure: str, number: int) -> "Worst":
        """The ``number`` worst images; those without a value come last."""
        from sodbench.metrics import LOWER_IS_BETTER

        lowest_first = measure not in LOWER_IS_BETTER
        values = result.table[measure].sort_values(ascending=lowest_first, kind="stable")
        images = [
            (str(stem), result.files(str(stem))["map"], float(value))
            for stem, value in values.head(number).items()
        ]
        return cls(result, measure, tuple(images))

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "method": self.result.method,
            "dataset": self.result.dataset,
            "measure": self.measure,
            "images": [
                {"stem": stem, "map": path and str(path), "value": value}
                for stem, path, value in self.images
            ],
        }

    def to_text(self, *, markdown: bool) -> str:
        """A title and a line an image."""
        start = "- " if markdown else "  "
        title = f"{self.result.method} on {self.result.dataset}: the {len(self.images)} worst by {self.measure}"
        lines = [
            f"{start}{value:.4f}  {path or f'{stem} (no map)'}" for stem, path, value in self.images
        ]
        return "\n".join([title, *[""] * markdown, *lines])


def to_json(
    results: "Sequence[Result]", problems: "Sequence[Problem]", worst: "Sequence[Worst]" = ()
) -> str:
    """The machine-readable form: every measure with all its digits; an undefined one is null."""
    import json

    from sodbench.results import finite

    rows = [
        {
            "method": r.method,
            "dataset": r.dataset,
            "protocol": r.protocol,
            "n": r.n,
            "signature": r.signature,
            "metrics": r.metrics,
        }
        for r in results
    ]
    content = {"results": rows, "problems": [vars(problem) for problem in problems]}
    if worst:
        content["worst"] = [one.as_dict() for one in worst]
    return json.dumps(finite(content), indent=1, ensure_ascii=False)


def to_frame(results: "Sequence[Result]", metrics: "Sequence[str]") -> Any:
    """One row a result, all digits."""
    import pandas as pd

    return pd.DataFrame(
        [
            {"dataset": r.dataset, "method": r.method, "protocol": r.protocol, "n": r.n}
            | {name: r.metrics[name] for name in metrics}
            | {"signature": r.signature}
            for r in results
        ]
    )


def to_text(results: "Sequence[Result]", metrics: "Sequence[str]", *, markdown: bool) -> str:
    """A table of the results, and their signatures; several protocols stand side by side with their differences."""
    protocols = len({r.protocol for r in results})
    if protocols == 1:
        tables = [_table(*_listed(results, metrics), left=2, markdown=markdown)]
    else:
        groups = (results[at : at + protocols] for at in range(0, len(results), protocols))
        tables = [_table(*_compared(group, metrics), left=1, markdown=markdown) for group in groups]
    signatures = dict.fromkeys(r.signature for r in results)
    return "\n\n".join([*tables, "\n".join(signatures)])


def _table(headers: list[str], rows: list[list[str]], *, left: int, markdown: bool) -> str:
    """Rows as a table whose first ``left`` columns are words."""
    from tabulate import tabulate

    return tabulate(
        rows,
        headers=headers,
        tablefmt="pipe" if markdown else "simple",
        disable_numparse=True,
        colalign=["left"] * left + ["right"] * (len(headers) - left),
    )


def _listed(
    results: "Sequence[Result]", metrics: "Sequence[str]"
) -> tuple[list[str], list[list[str]]]:
    """Headers and rows, one row a result."""
    frame = to_frame(results, metrics).drop(columns=["signature", "protocol"])
    rows = [[_cell(name, value) for name, value in row.items()] for row in frame.to_dict("records")]
    return list(frame.columns), rows


def _compared(
    group: "Sequence[Result]", metrics: "Sequence[str]"
) -> tuple[list[str], list[list[str]]]:
    """Headers and rows, one row a measure: one method on one data set under each protocol."""
    first, *others = group
    headers = [
        f"{first.method} on {first.dataset}",
        *(r.protocol for r in group),
        *(f"{r.protocol} - {first.protocol}" for r in others),
    ]
    rows = [
        [
            name,
            *(_cell(name, r.metrics[name]) for r in group),
            *(_difference(name, first, r) for r in others),
        ]
        for name in metrics
    ]
    return headers, rows


def _cell(name: str, value: Any) -> str:
    if not isinstance(value, float):
        return str(value)
    text = f"{value:.0f}" if name == "threshold" else f"{value:.4f}"
    return text.removeprefix("-") if float(text) == 0 else text


def _difference(name: str, first: "Result", other: "Result") -> str:
    difference = other.metrics[name] - first.metrics[name]
    text = f"{difference:+.0f}" if name == "threshold" else f"{difference:+.4f}"
    return text[1:] if float(text) == 0 else text  # a difference of zero has no sign
