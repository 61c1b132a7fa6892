"""Options that several commands share: what is read and written, and how maps are scored."""

import argparse
import os
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sodbench.cli.values import (
    at_least,
    describe_choice,
    filled,
    names,
    not_negative,
    path,
    positive,
    some_names,
)
from sodbench.metrics.protocols import DEFAULT_PROTOCOL, PROTOCOLS
from sodbench.plugins import load_plugins

if TYPE_CHECKING:
    from sodbench.results import Policy, Result

# Names the folder of the datasets.
DATA_VARIABLE = "SODBENCH_DATA"

# ---- what is read and written ---------------------------------------------------------------------


def add_output(parser: argparse._ActionsContainer, metavar: str, help: str, **options: Any) -> None:
    """Add ``-o``.

    Parameters
    ----------
    parser : argparse.ArgumentParser
        Where the option is added.
    metavar, help : str
        How it is explained.
    **options
        For ``add_argument``.
    """
    parser.add_argument("-o", "--output", type=path, metavar=metavar, help=help, **options)


def add_data_root(parser: argparse._ActionsContainer) -> None:
    """Add the folder of the datasets, for the commands that take datasets by name.

    Parameters
    ----------
    parser : argparse parser or group
        Where the options are added.
    """
    parser.add_argument(
        "--data-root",
        type=path,
        default=default_data_root(),
        metavar="DIR",
        help="folder that holds the datasets, in any layout (default: $SODBENCH_DATA, or else data)",
    )


def default_data_root() -> Path:
    """Return the folder of the datasets where no option names it: $SODBENCH_DATA, or else ``data``."""
    return Path(os.environ.get(DATA_VARIABLE) or "data")


def add_truth_root(parser: argparse._ActionsContainer) -> None:
    """Add the folder of the datasets, for the commands whose GT can be a path or a name; see `read_truth_root`.

    Parameters
    ----------
    parser : argparse parser or group
        Where the options are added.
    """
    option: Any = parser.add_argument(
        "--data-root",
        type=path,
        metavar="DIR",
        help="folder where the name GT is looked up first (default: the working folder, then $SODBENCH_DATA, or else "
        "data)",
    )
    # a default from a file is the last place, not the first
    option.default_destination = "default_root"
    parser.set_defaults(default_root=default_data_root())


def read_truth_root(arguments: argparse.Namespace) -> Path | None:
    """Return the folder where GT is looked up first, or None for the working folder.

    Parameters
    ----------
    arguments : argparse.Namespace
        The parsed arguments.

    Returns
    -------
    Path or None
    """
    folder: Path | None = arguments.data_root
    here = Path(*Path(arguments.truth).parts[:1])
    # a path that begins in the working folder, such as a subset of a dataset there, is what it seems
    return folder if folder is not None or here.exists() else Path(arguments.default_root)


def add_exit_zero(parser: argparse.ArgumentParser) -> None:
    """Add ``--exit-zero``, which the command line itself reads.

    Parameters
    ----------
    parser : argparse.ArgumentParser
        Where the option is added.
    """
    parser.add_argument(
        "--exit-zero",
        action="store_true",
        help="exit with status 0 even if problems are reported, instead of 1",
    )


def add_limits(parser: argparse._ActionsContainer) -> None:
    """Add the options that select images of a dataset.

    Parameters
    ----------
    parser : argparse parser or group
        Where the options are added.
    """
    parser.add_argument(
        "--limit", type=positive, metavar="N", help="only the first N images of each dataset"
    )
    parser.add_argument(
        "--items",
        type=path,
        metavar="FILE",
        help="only the images that FILE names, one per line; for a single dataset",
    )


def add_names(parser: argparse._ActionsContainer, option: str, help: str) -> None:
    """Add an option that takes several names, separated by spaces or commas; `names` splits them.

    Parameters
    ----------
    parser : argparse parser or group
        Where the option is added.
    option, help : str
        As for argparse.
    """
    parser.add_argument(option, nargs="+", type=some_names, metavar="NAME", help=help)


def add_channel(parser: argparse._ActionsContainer, verb: str) -> None:
    """Add ``--channel``.

    Parameters
    ----------
    parser : argparse parser or group
        Where the option is added.
    verb : str
        What is done with the channel, such as ``scored``.
    """
    parser.add_argument(
        "--channel",
        choices=("grey", "alpha"),
        default="grey",
        help=f"what of a map's file is {verb}: its grey values, or its alpha channel, as for cutouts (default: grey)",
    )


# ---- stored results -------------------------------------------------------------------------------


def add_results(parser: argparse.ArgumentParser) -> None:
    """Add RESULTS.

    Parameters
    ----------
    parser : argparse.ArgumentParser
        Where the argument is added.
    """
    parser.add_argument(
        "results", nargs="+", type=path, metavar="RESULTS", help="folders of results"
    )


def read_results(places: Path | Sequence[Path]) -> "list[Result]":
    """Load the results in some folders, and warn of those that are only shards.

    Parameters
    ----------
    places : Path or sequence of Path

    Returns
    -------
    list of Result

    Raises
    ------
    SodbenchError
        If there are none, or some cannot be read.
    """
    from sodbench.results import load_results, warn_of_shards

    results = load_results(places)
    warn_of_shards(results)
    return results


def add_selection(parser: argparse._ActionsContainer) -> None:
    """Add the options that choose what ``report``, ``table`` and ``compare`` show.

    Parameters
    ----------
    parser : argparse parser or group
        Where the options are added.
    """
    add_names(parser, "--metrics", "these metrics, in this order")
    add_names(parser, "--datasets", "these datasets, in this order")


def select_datasets(texts: Sequence[str] | None, results: "Sequence[Result]") -> list[str] | None:
    """Return the datasets that ``--datasets`` names, also by the registry's aliases; None for all.

    Parameters
    ----------
    texts : sequence of str, optional
        The values of ``--datasets``.
    results : sequence of Result
        The results to choose from.

    Returns
    -------
    list of str or None
        Their names.

    Raises
    ------
    SodbenchError
        For a name that is neither a result's nor known.
    """
    from sodbench.datasets import canonical_name

    present = {result.dataset for result in results}
    return [n if n in present else canonical_name(n) for n in names(texts)] or None


def add_methods(parser: argparse._ActionsContainer) -> None:
    """Add the options that choose methods, their names and published numbers for ``report`` and ``table``.

    Parameters
    ----------
    parser : argparse parser or group
        Where the options are added.
    """
    add_names(parser, "--methods", "these methods, in this order")
    parser.add_argument(
        "--methods-file",
        type=path,
        metavar="FILE.toml",
        help="labels, groups, years, citation keys, colours and lines of the methods, see docs/reports.md",
    )
    parser.add_argument(
        "--published",
        nargs="*",
        type=filled,
        metavar="SOURCE",
        help="add published numbers, marked as such: icon, salod, u2net, sal_eval_toolbox, csf (no name: all), or a CSV "
        "file of your own with the columns method,dataset,metric,value",
    )
    parser.add_argument(
        "--published-methods",
        nargs="+",
        type=filled,
        metavar="NAME",
        help="only the published numbers of these methods",
    )


def read_content(arguments: argparse.Namespace, results: "Sequence[Result]") -> dict[str, Any]:
    """Return what the options of `add_selection`, `add_methods` and `add_resampling` choose, for ``report`` and ``table``.

    Parameters
    ----------
    arguments : argparse.Namespace
        The options.
    results : sequence of Result
        The results to choose from.

    Returns
    -------
    dict
        Fields of `ReportOptions` and `TableOptions`.

    Raises
    ------
    SodbenchError
        For a dataset that is neither a result's nor known.
    """
    present = {r.method for r in results}
    methods = [
        name
        for text in arguments.methods or ()
        # a method's own name may hold a comma
        for name in ([text] if text in present else names([text]))
    ]
    return {
        "metrics": names(arguments.metrics) or None,
        "methods": methods or None,
        "datasets": select_datasets(arguments.datasets, results),
        "methods_file": arguments.methods_file,
        "published": arguments.published,
        "published_methods": arguments.published_methods,
        "resamples": arguments.resamples,
        "seed": arguments.seed,
    }


def add_format(
    parser: argparse._ActionsContainer, choices: Sequence[str] = ("table", "markdown", "json")
) -> None:
    """Add ``--format``; the first choice is the default.

    Parameters
    ----------
    parser : argparse.ArgumentParser
        Where the option is added.
    choices : sequence of str
        The formats.
    """
    parser.add_argument(
        "--format",
        choices=choices,
        default=choices[0],
        help="how to print the result (default: %(default)s)",
    )


def add_resampling(parser: argparse._ActionsContainer, resamples: int, use: str) -> None:
    """Add the options of bootstrap and tests.

    Parameters
    ----------
    parser : argparse.ArgumentParser
        Where the options are added.
    resamples : int
        The default.
    use : str
        What is resampled, for the help.
    """
    parser.add_argument(
        "--resamples",
        type=partial(at_least, 100),
        metavar="N",
        default=resamples,
        help=f"number of {use}, at least 100 (default: %(default)s)",
    )
    parser.add_argument(
        "--seed",
        type=not_negative,
        metavar="N",
        default=0,
        help="random seed (default: %(default)s); the same seed gives the same output",
    )


# ---- scoring --------------------------------------------------------------------------------------


def add_protocol(parser: argparse._ActionsContainer) -> None:
    """Add ``--protocol``; `read_protocols` reads it.

    Parameters
    ----------
    parser : argparse parser or group
        Where the options are added.
    """
    parser.add_argument(
        "--protocol",
        type=_protocol,
        default=DEFAULT_PROTOCOL,
        metavar="NAME",
        help=f"whose conventions to follow: {', '.join(PROTOCOLS)}; 'all' prints all of them side by side "
        "(default: %(default)s)",
    )


def _protocol(text: str) -> str:
    load_plugins("sodbench.protocols")
    if text not in (*PROTOCOLS, "all"):
        raise argparse.ArgumentTypeError(describe_choice(text, (*PROTOCOLS, "all")))
    return text


def read_protocols(arguments: argparse.Namespace) -> tuple[str, ...]:
    """Return the names of the protocols that ``--protocol`` chooses.

    Parameters
    ----------
    arguments : argparse.Namespace
        The parsed arguments.

    Returns
    -------
    tuple of str
    """
    return tuple(PROTOCOLS) if arguments.protocol == "all" else (arguments.protocol,)


def add_jobs(parser: argparse._ActionsContainer, what: str) -> None:
    """Add ``--jobs``, for as many ``what``.

    Parameters
    ----------
    parser : argparse parser or group
        Where the option is added.
    what : str
        What there are so many of at a time.
    """
    parser.add_argument(
        "--jobs",
        type=positive,
        metavar="N",
        help=f"number of {what} (default: number of cores); the results do not depend on it",
    )


def add_workers(parser: argparse._ActionsContainer) -> None:
    """Add the options that choose what scores the maps.

    Parameters
    ----------
    parser : argparse parser or group
        Where the options are added.
    """
    who = parser.add_mutually_exclusive_group()
    add_jobs(who, "maps scored at a time")
    who.add_argument(
        "--dask",
        type=filled,
        metavar="ADDRESS",
        help="score on a Dask cluster whose scheduler has this address (tcp://HOST:8786) and whose workers find the "
        "files under the same paths",
    )


def add_policy(parser: argparse.ArgumentParser) -> None:
    """Add the options that define how to treat problem files; `read_policy` reads them.

    Parameters
    ----------
    parser : argparse parser or group
        Where the options are added.
    """
    group = parser.add_argument_group(
        "problem files (a choice that affects at least one image is recorded in the signature)"
    )
    group.add_argument(
        "--missing",
        choices=("error", "skip", "zero"),
        default="error",
        help="missing or unreadable maps: refuse, leave the image out, or score an all-black map (default: error)",
    )
    group.add_argument(
        "--resize",
        choices=("error", "bilinear", "nearest", "bicubic", "opencv"),
        default="bilinear",
        help="maps of another size than their mask: refuse, or resize the map (default: bilinear, and reported; "
        "opencv: as cv2.resize)",
    )
    group.add_argument(
        "--undefined",
        choices=("keep", "skip"),
        help="undefined S-measures: keep, so that the mean is undefined too, or skip these images "
        "(default: as the program of the protocol does)",
    )
    group.add_argument("--no-weighted-f", action="store_true", help="do not compute weighted F")


def read_policy(arguments: argparse.Namespace, metrics: Sequence[str] = ()) -> "Policy":
    """Return the policy that the options of `add_policy` and ``--shard`` choose.

    Parameters
    ----------
    arguments : argparse.Namespace
        The parsed arguments.
    metrics : sequence of str
        The metrics that are printed.

    Returns
    -------
    Policy
    """
    from sodbench.results.policy import Policy

    return Policy(
        missing=arguments.missing,
        resize=arguments.resize,
        undefined=arguments.undefined,
        weighted=not arguments.no_weighted_f,
        shard=getattr(arguments, "shard", None),
        metrics=tuple(metrics),
    )
