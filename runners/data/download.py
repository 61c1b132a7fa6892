"""``sodbench data download``: download datasets and weights, and put them where sodbench reads them.

Links in this field die often. Every known source is tried; if none works, the error lists what each answered,
which pages are left to visit, and which folders to create by hand.
"""

import os
import shutil
import tempfile
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from sodbench.console import logger
from sodbench.datasets import (
    DATASETS,
    WEIGHTS,
    Dataset,
    DatasetInfo,
    DatasetNotFound,
    Source,
    Weights,
    canonical_name,
    find_dataset,
)
from sodbench.datasets.registry import normalise_name
from sodbench.errors import SodbenchError
from sodbench.files import lock_folder, report_write_errors
from sodbench.runners.data.archives import (
    ArchiveStore,
    file_sha256,
    read_record,
    record_download,
)
from sodbench.runners.data.extract import extract
from sodbench.runners.data.fetch import fetch
from sodbench.runners.data.http_get import Limits

_UNPACKING = ".unpacking-"


@dataclass(frozen=True)
class Downloaded:
    """One requested name: where it is now, what was done, and whether it has all its official items.

    Attributes
    ----------
    name : str
    path : Path
        Where it is now.
    status : str
        What was done, in words.
    complete : bool
        Whether it has all its official items.
    """

    name: str
    path: Path
    status: str
    complete: bool = True


def download(
    names: Collection[str],
    data_root: Path,
    *,
    archive: str | Path | None = None,
    registry: Mapping[str, DatasetInfo] = DATASETS,
    weights: Sequence[Weights] = WEIGHTS,
    limits: Limits | None = None,
) -> list[Downloaded]:
    """Download each name unless it is there already; all are tried before an error is raised.

    Parameters
    ----------
    names : collection of str
        Datasets (any alias; for a subset the whole dataset) and weights.
    data_root : Path
        The folder that the datasets are put into.
    archive : str or Path, optional
        An archive (path or URL) to take the one named dataset from, instead of the known sources.
    registry, weights : optional
        What can be downloaded.
    limits : Limits, optional
        When a download is given up.

    Returns
    -------
    list of Downloaded
        One entry per name.

    Raises
    ------
    SodbenchError
        For every name that failed, with instructions how to get it by hand.
    """
    if archive is not None and len(names) != 1:
        raise SodbenchError("--from takes exactly one dataset, whose archive it is")
    # a damaged record is refused now, not after hours
    read_record(data_root)
    limits = limits or Limits()
    weights_by_key = {normalise_name(file.name): file for file in weights}
    done: list[Downloaded] = []
    failures: list[SodbenchError] = []
    with lock_folder(data_root, "downloading"):
        with ArchiveStore(data_root, limits) as store:
            for name in names:
                file = weights_by_key.get(normalise_name(name))
                try:
                    with report_write_errors(data_root):
                        if file is None:
                            info = registry[_dataset_name(name, weights)]
                            done.append(_download_dataset(info, data_root, store, limits, archive))
                        else:
                            done.append(_download_weights(file, data_root, limits, archive))
                except SodbenchError as error:
                    failures.append(error)
        # after the store is closed, which removes what it used itself
        _report_left_behind(data_root, store)
    if failures:
        raise _join_failures(done, failures)
    return done


def _report_left_behind(data_root: Path, store: ArchiveStore) -> None:
    for path in sorted([*data_root.glob(f"{_UNPACKING}*"), *store.left_behind()]):
        logger.info(
            f"{path}: not in use, probably left by a run that was killed; it can be deleted"
        )


def _join_failures(done: Sequence[Downloaded], failures: Sequence[SodbenchError]) -> SodbenchError:
    """One error for all that failed; what was done is reported, because no result is returned."""
    for item in done:
        logger.warning(f"{item.name}: {item.status}: {item.path}")
    first, *others = failures
    return SodbenchError(*first.lines, *(line for f in others for line in ("", *f.lines)))


def _dataset_name(name: str, weights: Sequence[Weights]) -> str:
    """The dataset that a name (or a subset's name) means; an error also lists the weights."""
    try:
        return canonical_name(name).partition("/")[0]
    except SodbenchError as error:
        names = ", ".join(file.name for file in weights)
        raise SodbenchError(*error.lines, f"  weights: {names}") from None


def _download_weights(
    file: Weights, data_root: Path, limits: Limits, archive: str | Path | None
) -> Downloaded:
    target = file.path(data_root)
    if archive is not None:
        raise SodbenchError(f"--from takes the archive of a dataset; save weights as {target}")
    if os.path.lexists(target):
        # the known hash may be its first digits only, as in PyTorch's names of files
        if not file_sha256(target).startswith(file.sha256):
            raise SodbenchError(
                f"{target} exists, but its SHA-256 does not begin with {file.sha256}: delete it and try again"
            )
        return Downloaded(file.name, target, f"already there, SHA-256 begins with {file.sha256}")
    try:
        fetched = fetch(file.url, target, sha256=file.sha256, limits=limits)
    except SodbenchError as error:
        raise SodbenchError(
            f"{file.name} could not be downloaded",
            f"  {error}",
            f"  by hand: get {file.url} and save it as {target}",
        ) from None
    record_download(data_root, file.url, fetched)
    return Downloaded(file.name, target, f"SHA-256 begins with {file.sha256}, as in its name")


def _download_dataset(
    info: DatasetInfo,
    data_root: Path,
    store: ArchiveStore,
    limits: Limits,
    archive: str | Path | None,
) -> Downloaded:
    """Try the sources of a dataset in turn."""
    if info.parts:
        raise SodbenchError(
            f"{info.name} is the union of {', '.join(info.parts)}: download these by their names"
        )
    present = _find_complete(info, data_root)
    if present:
        complete = len(present) >= (info.count or 0)
        status = "already there"
        if not complete:
            status += f", but only {len(present)} of {info.count} items; move it away to download it again"
        return Downloaded(info.name, present.root, status, complete)
    _check_free(data_root / info.name)
    mirrors = info.downloads
    if archive is not None:
        mirrors = ((Source(str(archive), "the archive given"),),)
    reasons = []
    for mirror in mirrors:
        try:
            _install(info, mirror, data_root, store, limits)
            dataset = find_dataset(info.name, data_root)
        except SodbenchError as error:
            # the next mirror may work; what was wrong with this one is reported if none does
            reasons.append(error.lines[0])
            continue
        of_all = f" of {info.count}" if info.count is not None else ""
        status = f"{len(dataset)}{of_all} items, layout {dataset.layout}"
        return Downloaded(info.name, dataset.root, status, len(dataset) >= (info.count or 0))
    raise SodbenchError(*_manual_instructions(info, data_root, archive, reasons))


def _find_complete(info: DatasetInfo, data_root: Path) -> Dataset | None:
    """The dataset if its images and masks are on disk."""
    try:
        dataset = find_dataset(info.name, data_root)
    except DatasetNotFound:
        return None
    return dataset if dataset.images and dataset.masks else None


def _check_free(target: Path) -> None:
    """Refuse, before anything is downloaded, to put a dataset where something else is."""
    if os.path.lexists(target) and not _is_empty_folder(target):
        raise SodbenchError(
            f"{target} exists, but holds no complete dataset (images and masks); nothing is replaced: "
            "complete it by hand, or move it away and give the same command again"
        )


def _is_empty_folder(path: Path) -> bool:
    return path.is_dir() and not path.is_symlink() and not any(path.iterdir())


def _manual_instructions(
    info: DatasetInfo, data_root: Path, archive: str | Path | None, reasons: Sequence[str]
) -> list[str]:
    folder = data_root / info.name
    place = "any known place" if archive is None else archive
    pages = (*([Source(info.page, "the dataset's page")] if info.page else []), *info.pages)
    first = f"{info.name} could not be downloaded from {place}"
    if archive is None and not info.downloads:
        first = f"{info.name}: no address of its archives is known"
    number = "" if info.count is None else f"{info.count} "
    return [
        first,
        *(f"  tried: {reason}" for reason in reasons),
        *(f"  page:  {page.url} ({page.holds})" for page in pages),
        f"  by hand: put the {number}images (*{info.extension}) into {folder}/images/",
        f"           and the masks (*.png) into {folder}/GT/; or unpack the set as distributed into {folder}/",
        f"  with an archive: sodbench data download {info.name} --from FILE_OR_URL",
    ]


# --- unpacking ---------------------------------------------------------------------------------------


def _install(
    info: DatasetInfo,
    mirror: Sequence[Source],
    data_root: Path,
    store: ArchiveStore,
    limits: Limits,
) -> None:
    """Get the archives of one mirror, unpack them in a separate folder, and move the dataset to its place."""
    archives = [store.get(source) for source in mirror]
    # on the same disk as the place it is moved to, so that the dataset appears at once
    with tempfile.TemporaryDirectory(prefix=_UNPACKING, dir=data_root) as scratch:
        root = Path(scratch) / "root"
        for number, (source, archive) in enumerate(zip(mirror, archives, strict=True)):
            content = Path(scratch) / str(number)
            # of an archive of several datasets only this one takes room on the disk
            keep = _belongs_to(info) if source.several else lambda _: True
            extract(archive, content, keep=keep, max_bytes=limits.max_bytes)
            target = root / info.name / source.into
            dataset_folder = _find_dataset_folder(info, archive, content, target.name)
            _report_left_out(archive, content, dataset_folder)
            _move(dataset_folder, target)
        url = mirror[0].url
        try:
            dataset = find_dataset(info.name, root)
        except DatasetNotFound:
            raise SodbenchError(
                f"{url}: holds no images or masks of {info.name} in a layout that is read"
            ) from None
        if not (dataset.images and dataset.masks):
            lacking = "masks" if dataset.images else "images"
            raise SodbenchError(f"{url}: brought no {lacking} (layout {dataset.layout})")
        # an empty folder that someone made for the dataset is in the way of the move, and holds nothing
        if _is_empty_folder(data_root / info.name):
            (data_root / info.name).rmdir()
        _move(root / info.name, data_root / info.name)


def _belongs_to(info: DatasetInfo) -> Callable[[PurePosixPath], bool]:
    """Whether a path in an archive of several datasets is in this dataset's folder."""
    keys = info.match_keys
    return lambda path: any(normalise_name(part) in keys for part in path.parts[:-1])


def _find_dataset_folder(info: DatasetInfo, archive: Path, content: Path, place: str) -> Path:
    """The folder of the unpacked content that is the dataset, or that only repeats the name of its place."""
    for depth in ("*", "*/*"):
        folders = [
            folder
            for folder in sorted(content.glob(depth))
            if folder.is_dir() and normalise_name(folder.name) in info.match_keys
        ]
        if len(folders) > 1:
            names = ", ".join(str(folder.relative_to(content)) for folder in folders)
            raise SodbenchError(
                f"{archive}: several folders could be {info.name} ({names}); unpack it by hand"
            )
        if folders:
            return folders[0]
    children = list(content.iterdir())
    if len(children) == 1 and children[0].is_dir() and children[0].name == place:
        return children[0]
    return content


def _report_left_out(archive: Path, content: Path, dataset: Path) -> None:
    """Report the files of an archive that are outside the dataset's folder and are not kept."""
    if dataset == content:
        return
    outside = sorted(
        str(path.relative_to(content))
        for path in content.rglob("*")
        if path.is_file() and not path.is_relative_to(dataset)
    )
    if outside:
        examples = ", ".join(outside[:3]) + ", ..." * (len(outside) > 3)
        logger.info(
            f"{archive.name}: {len(outside)} files outside {dataset.relative_to(content)}/ are not kept ({examples})"
        )


def _move(content: Path, target: Path) -> None:
    """Move into place; existing files are never replaced."""
    if not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.move(content, target)
        return
    in_the_way = [child.name for child in content.iterdir() if (target / child.name).exists()]
    if in_the_way:
        raise SodbenchError(
            f"{target} has {', '.join(sorted(in_the_way)[:3])} already; nothing is replaced"
        )
    for child in sorted(content.iterdir()):
        shutil.move(child, target / child.name)
