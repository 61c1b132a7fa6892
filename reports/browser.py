"""The images of a report's page: which ones its browser shows, and their thumbnails."""

import hashlib
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from urllib.parse import quote

from sodbench.console import bar
from sodbench.errors import SodbenchError
from sodbench.files import atomic_write, safe_folder_name, write_text
from sodbench.parallel import thread_pool
from sodbench.reports import gallery
from sodbench.reports.analysis import Analysis
from sodbench.reports.report_folder import ReportFolder, remove_thumbnails
from sodbench.reports.sources import source_file
from sodbench.results import Result

# pixels of a thumbnail's longer side
THUMBNAIL = 200
# thumbnails that a thread makes at a time
_BATCH = 32


@dataclass(frozen=True)
class BrowsedDataset:
    """The images of a dataset as the page's browser shows them.

    Attributes
    ----------
    name : str
    stems : list of str
        The names of its images, sorted.
    shown : list of int
        Positions of those with thumbnails.
    results : dict
        By method.
    links : dict of str to list of str
        For each folder of thumbnails, the address of each image's original file, empty where there is none. Empty if the
        page does not link the originals.
    """

    name: str
    stems: list[str]
    shown: list[int]
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
    results = {
        m: analysis.results[m, dataset]
        for m in analysis.methods
        if (m, dataset) in analysis.results
    }
    stems = sorted(set().union(*(r.table.index for r in results.values())))
    shown = list(range(len(stems)))
    if number is not None and number < len(stems):
        third = -(-number // 3)
        wanted = [f"{kind}:{third}" for kind in ("worst", "disputed", "best")]
        # scores choose too few if there is a single method
        wanted.append(f"random:{number}")
        metric, deciding = analysis.primary_metric, analysis.comparable.alike[dataset]
        choices = gallery.choose_images(results, metric, wanted, dataset, analysis.seed, deciding)
        position = {stem: i for i, stem in enumerate(stems)}
        shown = sorted(position[choice.stem] for choice in choices[:number])
    return BrowsedDataset(dataset, stems, shown, results)


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


@contextmanager
def writing_thumbnails(browser: Browser, folder: ReportFolder) -> Iterator[None]:
    """Write thumbnails of images, masks and maps while the block runs; at its end, wait for the last ones.

    Those of unchanged files are kept from an earlier report.

    Parameters
    ----------
    browser : Browser
    folder : ReportFolder
        Lists the browser's folders of thumbnails.

    Yields
    ------
    None
    """
    jobs: list[tuple[Path, Path]] = []
    for dataset in browser.datasets:
        for kind, sources in thumbnail_sources(dataset, browser.map_folders).items():
            target = folder.path(f"{_thumbnail_folder(dataset)}/{kind}/")
            _forget_if_changed(target, dataset.stems, sources)
            wanted = {
                thumbnail_name(kind, i): sources[dataset.stems[i]]
                for i in dataset.shown
                if dataset.stems[i] in sources
            }
            remove_thumbnails(target, {"index.txt", *wanted})
            jobs += [(source, target / file) for file, source in wanted.items()]
    batches = [jobs[i : i + _BATCH] for i in range(0, len(jobs), _BATCH)]
    pool = thread_pool(items=len(batches))
    try:
        written = [pool.submit(_make_thumbnails, batch) for batch in batches]
        yield
        with bar(len(jobs), "thumbnails", "image") as progress:
            for future in written:
                progress.update(future.result())
    finally:
        pool.shutdown(cancel_futures=True)


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


def _make_thumbnails(jobs: Sequence[tuple[Path, Path]]) -> int:
    """Make thumbnails, each of a source for a target; returns the number of jobs."""
    for source, target in jobs:
        if not _is_newer(target, source):
            colour = target.suffix == ".webp"
            pixels = gallery.load_thumbnail(source, THUMBNAIL, colour)
            if pixels is not None:
                content = gallery.encode_webp(pixels) if colour else gallery.encode_jpeg(pixels)
                with atomic_write(target) as temporary:
                    temporary.write_bytes(content)
    return len(jobs)


def _is_newer(target: Path, source: Path) -> bool:
    try:
        return target.stat().st_mtime_ns >= source.stat().st_mtime_ns
    except OSError:
        return False
