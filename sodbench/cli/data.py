"""``sodbench data``: list, download, check and describe datasets."""

import argparse
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sodbench.cli.options import add_data_root, add_format, add_jobs, add_output, filled, positive
from sodbench.quoting import json_text, markdown_text, printable

if TYPE_CHECKING:
    from sodbench.datasets import Dataset, DatasetInfo, Source

    Found = tuple[Dataset | None, str]
    """A dataset, or why it could not be read."""


def add_parser(commands: "argparse._SubParsersAction[Any]") -> None:
    """Describe the command and its own commands."""
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


def _add_names(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "names",
        nargs="*",
        type=filled,
        metavar="NAME",
        help="datasets, subsets, folders or TOML files (default: all below the data root)",
    )


# ------------------------------------------------------------------------------------------- list


def _add_list(actions: "argparse._SubParsersAction[Any]") -> None:
    parser = actions.add_parser(
        "list",
        help="known datasets, and which of them are on this disk",
        description="List the known datasets, and which of them are below the data root. With names: "
        "show everything known about these (counts, subsets, citation, licence, links, known faults).",
    )
    parser.add_argument(
        "names", nargs="*", type=filled, metavar="NAME", help="show everything about these datasets"
    )
    add_data_root(parser)
    add_format(parser)
    parser.set_defaults(run=run_list)


def run_list(arguments: argparse.Namespace) -> int:
    """Print the registry and what was found."""
    from sodbench.console import show
    from sodbench.datasets import DATASETS, WEIGHTS, canonical_name, find_own_datasets
    from sodbench.errors import SodbenchError

    if arguments.names and arguments.format == "markdown":
        raise SodbenchError(
            "--format markdown shows the table of all sets; with names, choose table or json"
        )
    root = arguments.data_root
    names = [canonical_name(name).partition("/")[0] for name in arguments.names] or list(DATASETS)
    found = {name: _found(name, root) for name in dict.fromkeys(names)}
    own: dict[str, Found] = {}
    if not arguments.names:
        datasets, odd = find_own_datasets(root)
        own = {d.name: (d, "") for d in datasets} | {
            name: (None, str(e)) for name, e in odd.items()
        }
    if arguments.format == "json":
        entries = [_as_dict(DATASETS[name], *found[name]) for name in found]
        entries += [
            {"name": name, "count": None, "found": d and _found_dict(d), "error": error or None}
            for name, (d, error) in own.items()
        ]
        weights = [
            {**vars(w), "found": str(w.path(root)) if w.path(root).exists() else None}
            for w in WEIGHTS
        ]
        show(json_text({"datasets": entries, "weights": weights}))
    elif arguments.names:
        show("\n\n".join(_describe(DATASETS[name], *found[name]) for name in found))
    else:
        show(_table(found, own, root, arguments.format == "markdown"))
    return 0


def _found(name: str, data_root: Path) -> "Found":
    """The dataset if it is on disk; else why not (empty if it is simply absent)."""
    from sodbench.datasets import DatasetNotFound, find_dataset
    from sodbench.errors import SodbenchError

    try:
        return find_dataset(name, data_root), ""
    except DatasetNotFound:
        return None, ""
    except SodbenchError as error:
        return None, str(error)


def _table(
    found: "dict[str, Found]", own: "dict[str, Found]", data_root: Path, markdown: bool
) -> str:
    from tabulate import tabulate

    from sodbench.datasets import DATASETS, WEIGHTS

    quote = markdown_text if markdown else printable
    rows: list[tuple[str, ...]] = []
    for name, (dataset, error) in (found | own).items():
        aliases, count = "(your own)", ""
        if info := DATASETS.get(name):
            aliases, count = ", ".join(info.aliases), str(info.count)
        where = "see below" if error else "not found"
        here = (len(dataset), dataset.root, dataset.layout) if dataset else ("", where, "")
        rows.append(tuple(map(quote, (name, aliases, count, *here))))
    table = tabulate(
        rows,
        ("set", "also called", "official", "found", "where", "layout"),
        tablefmt="github" if markdown else "simple",
        disable_numparse=True,
        colalign=("left", "left", "right", "right", "left", "left"),
    )
    notes = [] if data_root.is_dir() else [f"the folder {data_root} does not exist (--data-root)"]
    for name, (dataset, error) in (found | own).items():
        notes += [f"{name}: {note}" for note in (dataset.notes if dataset else error.splitlines())]
    subsets = [f"{name}/{s}" for name in DATASETS for s in DATASETS[name].subsets]
    weights = [
        f"{w.name} ({w.path(data_root) if w.path(data_root).exists() else 'not found'})"
        for w in WEIGHTS
    ]
    return "\n".join(
        [
            table,
            *(["", *map(printable, notes)] if notes else []),
            "",
            f"named subsets: {', '.join(subsets)}",
            printable(f"weights: {', '.join(weights)}"),
            "'sodbench data list NAME'  shows sources, citation and known faults",
            "'sodbench data check'      checks every file",
        ]
    )


def _describe(info: "DatasetInfo", dataset: "Dataset | None", error: str) -> str:
    from sodbench.datasets import official_names

    on_disk = error.splitlines() or ["not found"]
    if dataset:
        on_disk = [f"{dataset.root} ({dataset.layout}), {len(dataset)} items"]
    lines = [
        f"{info.name}: {info.about}",
        f"  items      {info.count} ({info.extension} images)",
        f"  aliases    {', '.join(info.aliases) or 'none'}",
        *(
            f"  subset     {info.name}/{s}: {len(official_names(f'{info.name}/{s}'))} items, {what}"
            for s, what in info.subsets.items()
        ),
        *(f"  known      {item}: {what}" for item, what in info.known.items()),
        *(f"  on disk    {line}" for line in on_disk),
        *(f"  note       {note}" for note in (dataset.notes if dataset else ())),
        f"  licence    {info.licence}",
        f"  page       {info.page}",
        *(f"  source     {s.url} ({s.holds})" for s in _sources(info)),
        f"  cite       {info.citation}",
    ]
    return "\n".join([*map(printable, lines), "", info.bibtex])


def _sources(info: "DatasetInfo") -> "list[Source]":
    return [*(source for way in info.downloads for source in way), *info.pages]


def _as_dict(info: "DatasetInfo", dataset: "Dataset | None", error: str) -> dict[str, Any]:
    return {
        "name": info.name,
        "aliases": info.aliases,
        "count": info.count,
        "extension": info.extension,
        "about": info.about,
        "subsets": dict(info.subsets),
        "known": dict(info.known),
        "licence": info.licence,
        "page": info.page,
        "sources": [{"url": s.url, "holds": s.holds} for s in _sources(info)],
        "citation": info.citation,
        "bibtex": info.bibtex,
        "found": _found_dict(dataset) if dataset else None,
        "error": error or None,
    }


def _found_dict(dataset: "Dataset") -> dict[str, Any]:
    return {
        "root": str(dataset.root),
        "layout": dataset.layout,
        "items": len(dataset),
        "images": len(dataset.images),
        "masks": len(dataset.masks),
        "notes": dataset.notes,
    }


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
    )
    _add_names(parser)
    add_data_root(parser)
    add_format(parser)
    add_output(parser, "FILE", "also write the complete report to FILE (.md or .json)")
    add_jobs(parser, "threads")
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
        check_outside(output, _folders_of(datasets))
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


def _folders_of(datasets: "Iterable[Dataset]") -> list[Path]:
    """The folders of images and masks, into which nothing is written."""
    files = (file for d in datasets for file in (*d.images.values(), *d.masks.values()))
    return sorted({file.parent for file in files})


# --------------------------------------------------------------------------------------- download


def _add_download(actions: "argparse._SubParsersAction[Any]") -> None:
    parser = actions.add_parser(
        "download",
        help="download datasets and backbone weights",
        description="Download datasets into the data root. Interrupted "
        "downloads are resumed, archives are unpacked safely, and existing files are left alone. "
        "Weights (res2net50-v1b) go to <data root>/weights/ and are verified by the hash in their name.",
    )
    parser.add_argument(
        "names",
        nargs="*",
        type=filled,
        metavar="NAME",
        help="datasets, or weights such as res2net50-v1b",
    )
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
    parser.set_defaults(run=run_download)


def run_download(arguments: argparse.Namespace) -> int:
    """Download; 1 if a dataset is incomplete; raises with the alternatives if something cannot be downloaded."""
    from sodbench.console import logger, show
    from sodbench.datasets import DATASETS, WEIGHTS
    from sodbench.errors import SodbenchError
    from sodbench.runners.data.download import download
    from sodbench.runners.data.http_get import Limits

    limits = Limits(max_bytes=arguments.max_gb * 10**9) if arguments.max_gb else Limits()
    everything = [*DATASETS, *(weights.name for weights in WEIGHTS)]
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
    )
    _add_names(parser)
    add_data_root(parser)
    add_format(parser)
    add_output(parser, "DIR", "write stats.md, plots and CSV files into DIR")
    add_jobs(parser, "threads")
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
        check_outside(output, _folders_of(datasets))
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
    )
    parser.add_argument(
        "names",
        nargs="+",
        type=filled,
        metavar="NAME",
        help="datasets, subsets, folders or TOML files",
    )
    add_data_root(parser)
    add_output(
        parser,
        "DIR",
        "folder in which a folder of lists is created for each dataset (default: %(default)s)",
        default=Path("lists"),
    )
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
