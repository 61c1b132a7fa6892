"""The images of a report's page: which ones its browser shows, and their thumbnails."""

import hashlib
import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import BrokenExecutor, Executor, wait
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from urllib.parse import quote

from sodbench.console import bar
from sodbench.errors import SodbenchError
from sodbench.files import safe_folder_name, write_files, write_text
from sodbench.images import fast_png
from sodbench.parallel import thread_pool, worker_count
from sodbench.reports import gallery
from sodbench.reports.analysis import Analysis
from sodbench.reports.report_folder import ReportFolder, remove_thumbnails
from sodbench.reports.sources import source_file
from sodbench.results import Result

# pixels of a thumbnail's longer side
THUMBNAIL = 200
# thumbnails that a worker makes at a time
_BATCH = 32
# a process that makes fewer takes longer to start than it saves
_MIN_PER_PROCESS = 500


@dataclass(frozen=True)
class BrowsedDataset:
    """The images of a dataset as the page's browser shows them.

    Attributes
    ----------
    name : str
    stems : list of str
        The names of its images, sorted.
    positions : list of int
        Positions of those with thumbnails.
    results : dict
        By method.
    links : dict of str to list of str
        For each folder of thumbnails, the address of each image's original file, empty where there is none. Empty if the
        page does not link the originals.
    """

    name: str
    stems: list[str]
    positions: list[int]
    results: dict[str, Result]
    links: dict[str, list[str]] = field(default_factory=dict)


@dataclass(frozen=True)
class Browser:
    """What the page's image browser shows.

    Attributes
    ----------
    datasets : tuple of BrowsedDataset
    map_folders : dict
        By method, the name of the folder of its maps' thumbnails.
    """

    datasets: tuple[BrowsedDataset, ...]
    map_folders: dict[str, str]

    @property
    def thumbnail_folders(self) -> list[str]:
        """The names of all folders of thumbnails, with a slash at their end."""
        return [
            f"{_thumbnail_folder(dataset)}/{kind}/"
            for dataset in self.datasets
            for kind in ("image", "mask", *(self.map_folders[m] for m in dataset.results))
        ]


def plan_browser(
    analysis: Analysis, thumbnails: int | None, linked_from: Path | None = None
) -> Browser:
    """Choose what the image browser shows.

    Parameters
    ----------
    analysis : Analysis
    thumbnails : int, optional
        How many images of each dataset (worst, most disputed and best ones); by default all.
    linked_from : Path, optional
        The folder of a page that links the original files; by default it does not.

    Returns
    -------
    Browser

    Raises
    ------
    SodbenchError
        If there is no relative path from the page to a file that it is to link.
    """
    datasets = tuple(_browse(analysis, dataset, thumbnails) for dataset in analysis.datasets)
    map_folders = _map_folders(analysis.methods)
    if linked_from is not None:
        datasets = tuple(
            replace(dataset, links=_link_originals(dataset, map_folders, linked_from))
            for dataset in datasets
        )
    return Browser(datasets, map_folders)


def _browse(analysis: Analysis, dataset: str, number: int | None) -> BrowsedDataset:
    results = analysis.results_on(dataset)
    stems = sorted(set().union(*(r.table.index for r in results.values())))
    positions = list(range(len(stems)))
    if number is not None and number < len(stems):
        choices = gallery.choose_images(analysis, dataset, gallery.want_some_of_each(number))
        position = {stem: i for i, stem in enumerate(stems)}
        positions = sorted(position[choice.stem] for choice in choices[:number])
    return BrowsedDataset(dataset, stems, positions, results)


def _map_folders(methods: Sequence[str]) -> dict[str, str]:
    """A folder name for each method's thumbnails, different from each other and from ``image`` and ``mask``."""
    names = [f"map-{safe_folder_name(m)[:60]}" for m in methods]
    return {
        method: name if names.count(name) == 1 else f"{name}-{i}"
        for i, (method, name) in enumerate(zip(methods, names, strict=True))
    }


# ---- original files -----------------------------------------------------------------------------


def _link_originals(
    dataset: BrowsedDataset, map_folders: Mapping[str, str], page_folder: Path
) -> dict[str, list[str]]:
    """For each folder of thumbnails, the addresses of the files that they are made of, relative to the page."""
    return {
        kind: [
            _relative_address(sources[stem], page_folder) if stem in sources else ""
            for stem in dataset.stems
        ]
        for kind, sources in thumbnail_sources(dataset, map_folders).items()
    }


def _relative_address(file: Path, page_folder: Path) -> str:
    """Return a file's address, percent-encoded, relative to the folder of the page that links it."""
    try:
        # Links on the way are not followed: a browser joins both paths as text
        path = os.path.relpath(file, page_folder)
    except ValueError as error:
        raise SodbenchError(
            f"--link-images: {file}: is on another drive than the report, so there is no relative path to it; "
            "write the report on that drive"
        ) from error
    return quote(os.fsencode(path.replace(os.sep, "/")))


# ---- thumbnails ---------------------------------------------------------------------------------


def thumbnail_name(kind: str, position: int) -> str:
    """Return the file name of a thumbnail.

    Parameters
    ----------
    kind : str
        ``image``, ``mask``, or the folder of a method's maps.
    position : int
        Of the image in the dataset.

    Returns
    -------
    str
    """
    # Grey thumbnails are nearly all there are, and JPEG takes an eighth of WebP's time for them
    return f"{position:06d}.{'webp' if kind == 'image' else 'jpg'}"


def _thumbnail_folder(dataset: BrowsedDataset) -> str:
    return f"thumbnails/{safe_folder_name(dataset.name)}"


def thumbnail_address(dataset: BrowsedDataset, kind: str, position: int) -> str:
    """Return the address of a thumbnail as the page asks for it.

    Parameters
    ----------
    dataset : BrowsedDataset
    kind : str
        ``image``, ``mask``, or the folder of a method's maps.
    position : int
        Of the image in the dataset.

    Returns
    -------
    str
    """
    # as encodeURIComponent does
    parts = (safe_folder_name(dataset.name), kind, thumbnail_name(kind, position))
    return "thumbnails/" + "/".join(quote(part, safe="-_.!~*'()") for part in parts)


def count_thumbnails(results: Sequence[Result], thumbnails: int | None) -> int:
    """Return how many thumbnails of maps a report may have, before it is known which results are shown.

    Parameters
    ----------
    results : sequence of Result
    thumbnails : int, optional
        How many images of each dataset; by default all.

    Returns
    -------
    int
    """
    return sum(r.n if thumbnails is None else min(r.n, thumbnails) for r in results)


@contextmanager
def thumbnail_makers(number: int) -> Iterator[Executor]:
    """Start what makes thumbnails, before this process has other threads: processes where it can be copied safely.

    Threads would wait for each other and for the figures that are drawn at the same time: making a thumbnail is a
    dozen short calls, after each of which a thread has to wait for the interpreter.

    Parameters
    ----------
    number : int
        Of thumbnails, roughly.

    Yields
    ------
    concurrent.futures.Executor
    """
    # multiprocessing is slow to import
    from sodbench.processes import can_fork, process_executor

    workers = worker_count(items=number // _MIN_PER_PROCESS)
    if number >= _MIN_PER_PROCESS and can_fork():
        # once, and not in every process
        fast_png.load_kernel()
        executor = process_executor(workers, __name__)
    else:
        executor = thread_pool(items=-(-number // _BATCH))
    try:
        yield executor
    finally:
        executor.shutdown()


@contextmanager
def writing_thumbnails(browser: Browser, folder: ReportFolder, makers: Executor) -> Iterator[None]:
    """Write thumbnails of images, masks and maps while the block runs; at its end, wait for the last ones.

    Those of unchanged files are kept from an earlier report.

    Parameters
    ----------
    browser : Browser
    folder : ReportFolder
        Lists the browser's folders of thumbnails.
    makers : concurrent.futures.Executor
        See `thumbnail_makers`.

    Yields
    ------
    None

    Raises
    ------
    SodbenchError
        If a thumbnail cannot be written, or a process that makes them was ended.
    """
    batches: list[tuple[Path, list[tuple[str, Path]]]] = []
    for dataset in browser.datasets:
        for kind, sources in thumbnail_sources(dataset, browser.map_folders).items():
            target = folder.path(f"{_thumbnail_folder(dataset)}/{kind}/")
            _forget_if_changed(target, dataset.stems, sources)
            wanted = {
                thumbnail_name(kind, i): sources[dataset.stems[i]]
                for i in dataset.positions
                if dataset.stems[i] in sources
            }
            remove_thumbnails(target, {"index.txt", *wanted})
            jobs = list(wanted.items())
            batches += [(target, jobs[i : i + _BATCH]) for i in range(0, len(jobs), _BATCH)]
    written = [makers.submit(_make_thumbnails, *batch) for batch in batches]
    try:
        yield
        with bar(sum(len(jobs) for _, jobs in batches), "thumbnails", "image") as progress:
            for future in written:
                progress.update(future.result())
    except BrokenExecutor as error:
        raise SodbenchError(
            f"{folder.place.out}: a process that made thumbnails was ended, for example because there was too little memory; "
            "give the same command again, which keeps the finished ones"
        ) from error
    finally:
        # the folder is unlocked afterwards, so nothing may be written any more
        for future in written:
            future.cancel()
        wait(written)


def thumbnail_sources(
    dataset: BrowsedDataset, map_folders: Mapping[str, str]
) -> dict[str, dict[str, Path]]:
    """Find what thumbnails are made of.

    Parameters
    ----------
    dataset : BrowsedDataset
    map_folders : mapping of str to str
        By method, the folder of its maps' thumbnails.

    Returns
    -------
    dict
        For each folder of thumbnails the files by stem; for images and masks the first result's that has them.
    """
    sources = {
        map_folders[m]: _find_sources(r, "map", dataset.stems) for m, r in dataset.results.items()
    }
    for kind in ("image", "mask"):
        sources[kind] = {}
        for result in dataset.results.values():
            sources[kind] = {**_find_sources(result, kind, dataset.stems), **sources[kind]}
    return sources


def _find_sources(result: Result, kind: str, stems: Sequence[str]) -> dict[str, Path]:
    names = result.table[kind].to_dict()
    sources = {s: source_file(result, kind, str(names[s])) for s in stems if names.get(s)}
    return {stem: file for stem, file in sources.items() if file}


def _forget_if_changed(folder: Path, stems: Sequence[str], sources: Mapping[str, Path]) -> None:
    """Remove the thumbnails of a folder that were made of other files than today's."""
    # Its ``index.txt`` holds a digest of the files' names: the names themselves would publish
    # folders of this machine.
    listing = "\n".join(f"{stem}\t{sources.get(stem, '')}" for stem in stems)
    digest = hashlib.sha256(listing.encode("utf-8", "surrogateescape")).hexdigest() + "\n"
    index = folder / "index.txt"
    if index.is_file() and index.read_text(encoding="utf-8", errors="replace") == digest:
        return
    remove_thumbnails(folder)
    write_text(index, digest)


def _make_thumbnails(folder: Path, jobs: Sequence[tuple[str, Path]]) -> int:
    """Make thumbnails with these names in a folder, each of a source; returns the number of jobs."""
    write_files(folder, _encode_thumbnails(folder, jobs))
    return len(jobs)


def _encode_thumbnails(
    folder: Path, jobs: Sequence[tuple[str, Path]]
) -> Iterator[tuple[str, bytes]]:
    """The names and contents of those thumbnails that are older than their source."""
    for name, source in jobs:
        if _is_newer(folder / name, source):
            continue
        colour = name.endswith(".webp")
        pixels = gallery.load_thumbnail(source, THUMBNAIL, colour)
        if pixels is not None:
            yield name, gallery.encode_webp(pixels) if colour else gallery.encode_jpeg(pixels)


def _is_newer(target: Path, source: Path) -> bool:
    try:
        return target.stat().st_mtime_ns >= source.stat().st_mtime_ns
    except OSError:
        return False
