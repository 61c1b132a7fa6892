"""``sodbench data download``: download datasets and weights, and put them where sodbench reads them.

Links in this field die often. Every known source is tried; if none works, the error lists what each answered,
which pages are left to visit, and which folders to create by hand.
"""

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import urlsplit

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
from sodbench.files import file_hash, lock_folder, write_error, write_text
from sodbench.runners.data.extract import extract
from sodbench.runners.data.fetch import Fetched, FetchError, Limits, fetch

_UNPACKING = ".unpacking-"
RECORD = "downloads.json"
"""Written into the data root: URL, size, SHA-256 and day of every file that was downloaded."""


@dataclass(frozen=True)
class Downloaded:
    """One requested name: where it is now, in words what was done, and whether it has all its official items."""

    name: str
    path: Path
    how: str
    complete: bool = True


@dataclass(frozen=True)
class _Run:
    """One call of `download`: where to, within which limits, and what is known so far.

    failed: URL -> why it failed, so that it is not tried again for another dataset.
    archives: archives that this run downloaded or found complete; they are deleted when it ends.
    """

    data_root: Path
    limits: Limits
    failed: dict[str, str] = field(default_factory=dict)
    archives: set[Path] = field(default_factory=set)


def download(
    names: Collection[str],
    data_root: Path,
    *,
    given: str | Path | None = None,
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
    given : str or Path, optional
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
        Says, for every name that failed, how to get it by hand.
    """
    if given is not None and len(names) != 1:
        raise SodbenchError("--from takes exactly one dataset, whose archive it is")
    _read_record(data_root)  # refused now, not after hours
    run = _Run(data_root, limits or Limits())
    done: list[Downloaded] = []
    failures: list[SodbenchError] = []
    with lock_folder(data_root, "downloading"):
        try:
            for name in names:
                try:
                    done.append(_one(name, run, given, registry, weights))
                except SodbenchError as error:
                    failures.append(error)
        finally:
            _delete_archives(run)
        for left in _left_behind(data_root):
            logger.info(
                f"{left}: not in use, probably left by a run that was killed; it can be deleted"
            )
    if failures:
        for item in done:
            logger.warning(f"{item.name}: {item.how}: {item.path}")
        first, *others = failures
        raise SodbenchError(*first.lines, *(line for f in others for line in ("", *f.lines)))
    return done


def _one(
    name: str,
    run: _Run,
    given: str | Path | None,
    registry: Mapping[str, DatasetInfo],
    weights: Sequence[Weights],
) -> Downloaded:
    file = next((w for w in weights if normalise_name(w.name) == normalise_name(name)), None)
    try:
        if file is None:
            return _dataset(registry[_known(name, weights)], run, given)
        if given is None:
            return _weights(file, run)
    except OSError as error:
        raise write_error(run.data_root, error) from error
    raise SodbenchError(
        f"--from takes the archive of a dataset; save weights as {file.path(run.data_root)}"
    )


def _known(name: str, weights: Sequence[Weights]) -> str:
    """The set that a name (or a subset's name) means; an error speaks of the weights too."""
    try:
        return canonical_name(name).partition("/")[0]
    except SodbenchError as error:
        names = ", ".join(w.name for w in weights)
        raise SodbenchError(*error.lines, f"  weights: {names}") from None


def _weights(file: Weights, run: _Run) -> Downloaded:
    target = file.path(run.data_root)
    if os.path.lexists(target):
        if not _sha256(target).startswith(file.sha256):
            raise SodbenchError(
                f"{target} is there, but its SHA-256 does not begin with {file.sha256}: delete it and try again"
            )
        return Downloaded(file.name, target, f"already there, SHA-256 begins with {file.sha256}")
    try:
        fetched = fetch(file.url, target, sha256=file.sha256, limits=run.limits)
    except SodbenchError as error:
        raise SodbenchError(
            f"{file.name} could not be downloaded",
            f"  {error}",
            f"  by hand: get {file.url} and save it as {target}",
        ) from None
    _record(run.data_root, file.url, fetched)
    return Downloaded(file.name, target, f"SHA-256 begins with {file.sha256}, as its name says")


def _dataset(info: DatasetInfo, run: _Run, given: str | Path | None) -> Downloaded:
    """Try the sources of a dataset in turn."""
    present = _present(info, run.data_root)
    if present:
        complete = len(present) >= info.count
        how = (
            "already there"
            if complete
            else f"already there, but only {len(present)} of {info.count} items; move it away to download it again"
        )
        return Downloaded(info.name, present.root, how, complete)
    _refuse_occupied(run.data_root / info.name)
    ways = [(Source(str(given), "the archive given"),)] if given is not None else info.downloads
    reasons = []
    for way in ways:
        try:
            _install(info, way, run)
            found = find_dataset(info.name, run.data_root)
        except SodbenchError as error:
            reasons.append(error.lines[0])
            continue
        items = f"{len(found)} of {info.count} items"
        return Downloaded(
            info.name, found.root, f"{items}, layout {found.layout}", len(found) >= info.count
        )
    raise SodbenchError(*_by_hand(info, run.data_root, given, reasons))


def _sha256(path: Path) -> str:
    try:
        return file_hash(path)
    except OSError as error:
        raise SodbenchError(f"{path}: cannot be read ({error.strerror or error})") from error


def _refuse_occupied(target: Path) -> None:
    """Refuse, before anything is downloaded, to put a dataset where something else is."""
    if not os.path.lexists(target) or _is_empty_folder(target):
        return
    raise SodbenchError(
        f"{target} exists, but holds no complete dataset (images and masks); nothing is replaced: "
        "complete it by hand, or move it away and give the same command again"
    )


def _is_empty_folder(path: Path) -> bool:
    return path.is_dir() and not path.is_symlink() and not any(path.iterdir())


def _present(info: DatasetInfo, data_root: Path) -> Dataset | None:
    try:
        found = find_dataset(info.name, data_root)
    except DatasetNotFound:
        return None
    return found if found.images and found.masks else None


def _by_hand(
    info: DatasetInfo, data_root: Path, given: str | Path | None, reasons: Sequence[str]
) -> list[str]:
    folder = data_root / info.name
    place = "any known place" if given is None else given
    lines = [f"{info.name} could not be downloaded from {place}"]
    lines += [f"  tried: {reason}" for reason in reasons]
    pages = (Source(info.page, "the set's page"), *info.pages)
    lines += [f"  page:  {page.url} ({page.holds})" for page in pages]
    lines += [
        f"  by hand: put the {info.count} images (*{info.extension}) into {folder}/images/",
        f"           and the masks (*.png) into {folder}/GT/; or unpack the set as distributed into {folder}/",
        f"  with an archive: sodbench data download {info.name} --from FILE_OR_URL",
    ]
    return lines


# ---------------------------------------------------------------------------------------------------
# Archives
# ---------------------------------------------------------------------------------------------------


def _install(
    info: DatasetInfo,
    way: Sequence[Source],
    run: _Run,
) -> None:
    """Download the archives of one source, unpack them aside, and move what is a dataset to its place."""
    data_root = run.data_root
    data_root.mkdir(parents=True, exist_ok=True)
    archives = [_archive(source, run) for source in way]
    with tempfile.TemporaryDirectory(prefix=_UNPACKING, dir=data_root) as scratch:
        aside = Path(scratch)
        for number, (source, archive) in enumerate(zip(way, archives, strict=True)):
            content = aside / str(number)
            keep = _belongs_to(info) if source.several else lambda _: True
            extract(archive, content, keep=keep, max_bytes=run.limits.max_bytes)
            into = aside / "root" / info.name / source.into
            dataset = _without_wrapping(info, archive, content, into.name)
            _report_left_out(archive, content, dataset)
            _move(dataset, into)
        try:
            found = find_dataset(info.name, aside / "root")
        except DatasetNotFound:
            raise SodbenchError(
                f"{way[0].url}: holds no images or masks of {info.name} in a layout that is read"
            ) from None
        if not (found.images and found.masks):
            lacking = "masks" if found.images else "images"
            raise SodbenchError(f"{way[0].url}: brought no {lacking} (layout {found.layout})")
        if _is_empty_folder(data_root / info.name):
            (data_root / info.name).rmdir()
        _move(aside / "root" / info.name, data_root / info.name)


def _belongs_to(info: DatasetInfo) -> Callable[[PurePosixPath], bool]:
    """Whether a path in an archive of several datasets is in this dataset's folder."""
    keys = info.match_keys
    return lambda path: any(normalise_name(part) in keys for part in path.parts[:-1])


def _without_wrapping(info: DatasetInfo, archive: Path, content: Path, place: str) -> Path:
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
    """Say which files of an archive lie outside the dataset's folder and are not kept."""
    if dataset == content:
        return
    outside = sorted(
        str(path.relative_to(content))
        for path in content.rglob("*")
        if path.is_file() and not path.is_relative_to(dataset)
    )
    if outside:
        some = ", ".join(outside[:3]) + ", ..." * (len(outside) > 3)
        logger.info(
            f"{archive.name}: {len(outside)} files outside {dataset.relative_to(content)}/ are not kept ({some})"
        )


def _store(data_root: Path) -> Path:
    """Where archives are while they are needed."""
    return data_root / ".downloads"


def _delete_archives(run: _Run) -> None:
    """Delete archives that this run downloaded completely; partial downloads stay, to be resumed."""
    for archive in run.archives:
        archive.unlink(missing_ok=True)
    store = _store(run.data_root)
    if store.is_dir() and not store.is_symlink() and not any(store.iterdir()):
        store.rmdir()


def _left_behind(data_root: Path) -> list[Path]:
    """What killed runs leave, besides partial downloads, which are resumed."""
    store = _store(data_root)
    archives = store.iterdir() if store.is_dir() else ()
    complete = [file for file in archives if not file.name.endswith((".part", ".part.json"))]
    return sorted([*data_root.glob(f"{_UNPACKING}*"), *complete])


def _archive(source: Source, run: _Run) -> Path:
    """The path of a source's archive, which is downloaded if need be."""
    if "://" not in source.url:
        if not os.path.isfile(source.url):  # noqa: PTH113  Path.is_file raises PermissionError
            there = os.path.lexists(source.url)
            raise SodbenchError(
                f"{source.url}: {'not a regular file' if there else 'no such file'}"
            )
        return Path(source.url)
    if source.url in run.failed:
        raise SodbenchError(run.failed[source.url])
    try:
        target = _store(run.data_root) / _archive_name(source.url)
        if target in run.archives:
            return target
        if os.path.lexists(target):  # complete, from a run that was killed
            fetched = Fetched(target, target.stat().st_size, _sha256(target))
        else:
            logger.info(f"downloading {source.url} ({source.holds})")
            if source.drive:
                fetched = _from_drive(source, target, run.limits)
            else:
                fetched = fetch(source.url, target, limits=run.limits)
    except SodbenchError as error:
        run.failed[source.url] = error.lines[0]
        raise
    run.archives.add(target)
    _record(run.data_root, source.url, fetched)
    return fetched.path


def _archive_name(url: str) -> str:
    """The name of a downloaded archive: no two URLs share one, and it is a plain file name."""
    try:
        parts = urlsplit(url)
        host, name = parts.hostname or "host", Path(parts.path).name
    except ValueError as error:
        raise FetchError(f"{url}: not a valid URL ({error})") from None
    code = hashlib.sha256(url.encode("utf-8", "surrogateescape")).hexdigest()[:8]
    plain = "".join(c if c.isascii() and (c.isalnum() or c in "-_.") else "_" for c in name)
    return f"{host[:60]}-{code}-{plain[-60:] or 'archive.zip'}"


def _from_drive(source: Source, target: Path, limits: Limits) -> Fetched:
    """Google Drive answers programs with pages to click through, which gdown handles."""
    try:
        import gdown
    except ImportError:
        raise SodbenchError(
            f"{source.url}: Google Drive needs the program gdown: pip install 'sodbench[drive]'"
        ) from None
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        got = gdown.download(source.url, str(target), quiet=False, resume=True)
    except Exception as error:  # gdown raises errors of its own and of its libraries
        raise SodbenchError(f"{source.url}: {error}") from error
    if got is None:
        raise SodbenchError(f"{source.url}: gdown could not download it")
    size = target.stat().st_size
    if size > limits.max_bytes:
        target.unlink()
        raise SodbenchError(
            f"{source.url}: the file has {size / 1e9:g} GB, more than --max-gb allows; it was deleted"
        )
    return Fetched(target, size, _sha256(target))


def _move(content: Path, target: Path) -> None:
    """Move into place; files that are there already are never replaced."""
    if not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.move(content, target)
        return
    taken = [child.name for child in content.iterdir() if (target / child.name).exists()]
    if taken:
        raise SodbenchError(
            f"{target} has {', '.join(sorted(taken)[:3])} already; nothing is replaced"
        )
    for child in sorted(content.iterdir()):
        shutil.move(child, target / child.name)


def _read_record(data_root: Path) -> dict[str, dict[str, Any]]:
    """What was downloaded before.  Raises :class:`SodbenchError` for a file that is no such record."""
    file = data_root / RECORD
    try:
        if not os.path.lexists(file):
            return {}
        if not file.is_file():
            raise ValueError("not a regular file")
        record = json.loads(file.read_text("utf-8"))
        for entry in record.values():
            if not (isinstance(entry["sha256"], str) and isinstance(entry["day"], str)):
                raise TypeError("unexpected values")
    except (OSError, ValueError, AttributeError, KeyError, TypeError, RecursionError) as error:
        raise SodbenchError(
            f"{file}: not a record of downloads ({error}); it is not replaced: move it away"
        ) from error
    return dict(record)


def _record(data_root: Path, url: str, fetched: Fetched) -> None:
    """Write down what came from where, and warn if a URL brings another file than last time."""
    record = _read_record(data_root)
    before = record.get(url)
    if before and before["sha256"] != fetched.sha256:
        logger.warning(
            f"{url} brings another file than on {before['day']} (SHA-256 was {before['sha256']})"
        )
    record[url] = {
        "sha256": fetched.sha256,
        "size": fetched.size,
        "day": datetime.now(UTC).date().isoformat(),
    }
    write_text(data_root / RECORD, json.dumps(record, indent=1) + "\n")
