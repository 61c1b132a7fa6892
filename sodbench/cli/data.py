"""``sodbench data``: list, download, check and describe datasets."""

import argparse
from pathlib import Path
from typing import Any

from sodbench.cli.options import add_data_root, add_exit_zero, add_format, add_jobs, add_output
from sodbench.cli.values import filled, positive
from sodbench.quoting import printable


def add_parser(commands: "argparse._SubParsersAction[Any]") -> None:
    """Add ``data`` and its actions to the command line."""
    parser = commands.add_parser(
        "data",
        help="list, download, check and describe datasets",
        description="List, download, check, describe and prepare datasets.",
    )
    actions = parser.add_subparsers(title="actions", metavar="ACTION", required=True)
    _add_list(actions)
    _add_check(actions)
    _add_download(actions)
    _add_stats(actions)
    _add_prepare(actions)


def _add_names(
    parser: argparse.ArgumentParser,
    help: str = "datasets, subsets, folders or TOML files (default: all below the data root)",
    nargs: str = "*",
) -> None:
    parser.add_argument("names", nargs=nargs, type=filled, metavar="NAME", help=help)


# ------------------------------------------------------------------------------------------- list


def _add_list(actions: "argparse._SubParsersAction[Any]") -> None:
    parser = actions.add_parser(
        "list",
        help="known datasets, and which of them are on this disk",
        description="List the known datasets, and which of them are below the data root. With names: "
        "show everything known about these (counts, subsets, citation, licence, links, known faults).",
        epilog="examples:\n  sodbench data list\n  sodbench data list DUTS-TE --format json",
    )
    _add_names(parser, "show everything about these datasets")
    add_data_root(parser)
    add_format(parser)
    parser.set_defaults(run=run_list)


def run_list(arguments: argparse.Namespace) -> int:
    """Print the known datasets and which of them are on disk."""
    from sodbench.console import show
    from sodbench.datasets import DATASETS, canonical_name
    from sodbench.errors import SodbenchError
    from sodbench.plugins import load_plugins
    from sodbench.reports.dataset_list import (
        format_details,
        format_list,
        format_list_json,
        look_up,
        look_up_own,
    )

    if arguments.names and arguments.format == "markdown":
        raise SodbenchError(
            "--format markdown shows the table of all datasets; with names, choose table or json"
        )
    load_plugins("sodbench.datasets")
    root = arguments.data_root
    names = [canonical_name(name).partition("/")[0] for name in arguments.names] or list(DATASETS)
    listed = {name: look_up(name, root) for name in dict.fromkeys(names)}
    if not arguments.names:
        listed |= look_up_own(root)
    if arguments.format == "json":
        show(format_list_json(listed, root))
    elif arguments.names:
        show("\n\n".join(format_details(DATASETS[name], entry) for name, entry in listed.items()))
    else:
        show(format_list(listed, root, markdown=arguments.format == "markdown"))
    return 0


# ------------------------------------------------------------------------------------------ check


def _add_check(actions: "argparse._SubParsersAction[Any]") -> None:
    parser = actions.add_parser(
        "check",
        help="check every file and report what is wrong",
        description="Decode every image and mask and report what is wrong: counts and names against the "
        "official lists, files that cannot be read, sizes that differ, masks that are grey, empty or "
        "full, the same image twice within or across datasets, files that are not read. One verdict line per "
        "dataset. Exit status: 0 without faults; 1 if a fault was found, or one of several datasets cannot be "
        "read; 2 if nothing was checked.",
        epilog="examples:\n  sodbench data check --data-root data/\n  sodbench data check SOD my/folder -o check.md",
    )
    _add_names(parser)
    add_data_root(parser)
    add_format(parser)
    add_output(parser, "FILE", "also write the complete report to FILE (.md or .json)")
    add_jobs(parser, "threads")
    add_exit_zero(parser)
    parser.set_defaults(run=run_check)


def run_check(arguments: argparse.Namespace) -> int:
    """Check; returns 1 if a fault was found or a named dataset could not be read."""
    from sodbench.console import logger, show
    from sodbench.output_folder import check_outside
    from sodbench.reports.dataset_pages import (
        check_report_file,
        format_check,
        write_check_report,
    )
    from sodbench.runners.data.check import check_datasets, report_unrecognised, resolve_datasets

    output = arguments.output
    if output:
        check_report_file(output)
    datasets, failed = resolve_datasets(arguments.names, arguments.data_root)
    if output:
        check_outside(output, [folder for dataset in datasets for folder in dataset.folders])
    if not arguments.names:
        report_unrecognised(arguments.data_root, datasets, failed)
    reports = check_datasets(datasets, arguments.jobs)
    show(format_check(reports, arguments.format))
    for error in failed.values():
        for line in (f"sodbench: error: {error.lines[0]}", *error.lines[1:]):
            logger.warning(line)
    if output:
        write_check_report(reports, output)
    return 1 if failed or any(report.faults for report in reports) else 0


# --------------------------------------------------------------------------------------- download


def _add_download(actions: "argparse._SubParsersAction[Any]") -> None:
    parser = actions.add_parser(
        "download",
        help="download datasets and weights",
        description="Download datasets into the data root. Interrupted "
        "downloads are resumed, archives are unpacked safely, and existing files are left alone. "
        "Weights (res2net50-v1b, u2netp) go to <data root>/weights/ and are verified by their hash.",
        epilog="examples:\n  sodbench data download SOD ECSSD --data-root data/\n  sodbench data download SOD --from SOD.zip",
    )
    _add_names(parser, "datasets, or weights: res2net50-v1b, u2netp")
    parser.add_argument(
        "--all", action="store_true", help="all six test sets, the training set and the weights"
    )
    parser.add_argument(
        "--from",
        dest="archive",
        type=filled,
        metavar="FILE_OR_URL",
        help="take the one named dataset from this ZIP archive instead of the known sources",
    )
    parser.add_argument(
        "--max-gb",
        type=positive,
        metavar="N",
        help="largest file that is downloaded, and most that an archive may unpack to, in GB (default: 17)",
    )
    add_data_root(parser)
    add_exit_zero(parser)
    parser.set_defaults(run=run_download, resumed="the same command resumes the download")


def run_download(arguments: argparse.Namespace) -> int:
    """Download; 1 if a dataset is incomplete; raises with the alternatives if something cannot be downloaded."""
    from sodbench.console import logger, show
    from sodbench.datasets import DATASETS, WEIGHTS
    from sodbench.errors import SodbenchError
    from sodbench.runners.data.download import download
    from sodbench.runners.data.http_get import Limits

    limits = Limits(max_bytes=arguments.max_gb * 10**9) if arguments.max_gb else Limits()
    with_source = [name for name, info in DATASETS.items() if info.downloads]
    everything = [*with_source, *(weights.name for weights in WEIGHTS)]
    if arguments.all and arguments.names:
        raise SodbenchError("give either --all or names, not both")
    names = everything if arguments.all else arguments.names
    if not names:
        raise SodbenchError(
            f"nothing chosen to download: give --all, or some of: {', '.join(everything)}"
        )
    done = download(names, arguments.data_root, archive=arguments.archive, limits=limits)
    for item in done:
        show(printable(f"{item.name}: {item.path}: {item.status}"))
    incomplete = [item.name for item in done if not item.complete]
    if incomplete:
        logger.warning(
            f"incomplete: {', '.join(incomplete)}; 'sodbench data check' lists what is missing"
        )
    return 1 if incomplete else 0


# ------------------------------------------------------------------------------------------ stats


def _add_stats(actions: "argparse._SubParsersAction[Any]") -> None:
    parser = actions.add_parser(
        "stats",
        help="describe datasets: object size, centre bias, contrast, ...",
        description="Measure every image: object size, number of objects, contrast, border, position, "
        "image size. Prints a summary; with -o also a page of plots and a CSV for each dataset. Exit status: 0; "
        "1 if a dataset is not complete, so that items are not measured; 2 if one cannot be read.",
        epilog="example:\n  sodbench data stats SOD -o stats/",
    )
    _add_names(parser)
    add_data_root(parser)
    add_format(parser)
    add_output(parser, "DIR", "write stats.md, plots and CSV files into DIR")
    add_jobs(parser, "threads")
    add_exit_zero(parser)
    parser.set_defaults(run=run_stats)


def run_stats(arguments: argparse.Namespace) -> int:
    """Describe; 1 if a dataset is not complete; raises if one cannot be read."""
    from sodbench.console import logger, show
    from sodbench.datasets import check_unique_names
    from sodbench.errors import SodbenchError
    from sodbench.output_folder import check_outside
    from sodbench.reports.dataset_pages import (
        check_stats_folder,
        format_stats,
        write_stats_pages,
    )
    from sodbench.runners.data.check import report_unrecognised, resolve_datasets
    from sodbench.runners.data.stats import compute_stats, describe_unmeasured

    output = arguments.output
    datasets, failed = resolve_datasets(arguments.names, arguments.data_root)
    if failed:
        raise SodbenchError(*(line for error in failed.values() for line in error.lines))
    check_unique_names(datasets)
    if output:
        check_outside(output, [folder for dataset in datasets for folder in dataset.folders])
        check_stats_folder([dataset.name for dataset in datasets], output)
    if not arguments.names:
        report_unrecognised(arguments.data_root, datasets, failed)
    stats = [compute_stats(dataset, arguments.jobs) for dataset in datasets]
    show(format_stats(stats, arguments.format))
    if output:
        logger.info(f"written: {write_stats_pages(stats, output)}")
    warnings = [
        line
        for dataset, measured in zip(datasets, stats, strict=True)
        for line in describe_unmeasured(dataset, measured)
    ]
    for line in warnings:
        logger.warning(line)
    return 1 if warnings else 0


# ---------------------------------------------------------------------------------------- prepare


def _add_prepare(actions: "argparse._SubParsersAction[Any]") -> None:
    parser = actions.add_parser(
        "prepare",
        help="write the reference's list files (test.lst, train_pair.lst)",
        description="Write test.lst (image names) and train_pair.lst (image and mask) for datasets in any "
        "layout, as the reference's scripts read them; they are written to DIR/<set>/, not into the data, and "
        "replace nothing. Exit status: 0; 1 if a dataset lacks official items or has others; 2 if nothing was "
        "written.",
        epilog="example:\n  sodbench data prepare DUTS-TR HKU-IS/test -o lists",
    )
    _add_names(parser, "datasets, subsets, folders or TOML files", nargs="+")
    add_data_root(parser)
    add_output(
        parser,
        "DIR",
        "folder in which a folder of lists is created for each dataset (default: %(default)s)",
        default=Path("lists"),
    )
    add_exit_zero(parser)
    parser.set_defaults(run=run_prepare)


def run_prepare(arguments: argparse.Namespace) -> int:
    """Write the lists and print what their names are relative to."""
    from sodbench.console import logger, show
    from sodbench.datasets import deduplicate, find_dataset
    from sodbench.runners.data.check import summarise_problems
    from sodbench.runners.data.prepare import prepare

    datasets = deduplicate(find_dataset(name, arguments.data_root) for name in arguments.names)
    for written in prepare(datasets, arguments.output):
        text = f"{written.file}: {len(written.lines)} lines, relative to {written.relative_to}"
        show(printable(text))
    incomplete = [line for dataset in datasets for line in summarise_problems(dataset)]
    for line in incomplete:
        logger.warning(line)
    return 1 if incomplete else 0
