"""``sodbench data download``: fetch data sets and weights, and put them where sodbench reads them.

Links in this field die often.  Every way that is known is tried; when none works the error says what
each answered, which pages are left to visit, and the folders to make by hand.
"""

import json
import shutil
import tempfile
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

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
from sodbench.datasets.registry import folder_key, keys_of
from sodbench.errors import SodbenchError
from sodbench.progress import say
from sodbench.results import write_text
from sodbench.runners.data_extract import extract
from sodbench.runners.data_fetch import Fetched, digest, fetch

RECORD = "downloads.json"
"""Written into the data root: address, size, SHA-256 and day of every file that was fetched."""


@dataclass(frozen=True)
class Downloaded:
    """One name that was asked for: where it is now, and in words what was done."""

    name: str
    path: Path
    how: str


def download(
    names: Collection[str],
    data_root: Path,
    *,
    given: str | Path | None = None,
    registry: Mapping[str, DatasetInfo] = DATASETS,
    weights: Sequence[Weights] = WEIGHTS,
    attempts: int = 5,
) -> list[Downloaded]:
    """Fetch each name unless it is there already; all are tried before an error is raised.

    names: data sets (any alias; of a subset the whole set) and weights.
    given: an archive (path or address) to take the one named set from, instead of the known ways.
    Raises :class:`SodbenchError` that tells, for every name that failed, how to get it by hand.
    """
    if given is not None and len(names) != 1:
        raise SodbenchError("--from takes exactly one data set, whose archive it is")
    done: list[Downloaded] = []
    dead: dict[str, str] = {}
    failures: list[SodbenchError] = []
    for name in names:
        try:
            file = next((w for w in weights if folder_key(w.name) == folder_key(name)), None)
            if file is None:
                info = registry[_known(name, weights)]
                done.append(_dataset(info, data_root, given, attempts, dead))
            elif given is None:
                done.append(_weights(file, data_root, attempts))
            else:
                raise SodbenchError(
                    f"--from takes the archive of a data set; save weights as {file.place(data_root)}"
                )
        except SodbenchError as error:
            failures.append(error)
    _forget_archives(data_root)
    if failures:
        for item in done:
            say(f"{item.name}: {item.how}: {item.path}")
        first, *others = failures
        raise SodbenchError(*first.lines, *(line for f in others for line in ("", *f.lines)))
    return done


def _known(name: str, weights: Sequence[Weights]) -> str:
    """The set that a name (or a subset's name) means; an error speaks of the weights too."""
    try:
        return canonical_name(name).partition("/")[0]
    except SodbenchError as error:
        names = ", ".join(w.name for w in weights)
        raise SodbenchError(*error.lines, f"  weights: {names}") from None


def _weights(file: Weights, data_root: Path, attempts: int) -> Downloaded:
    target = file.place(data_root)
    if target.exists():
        if not digest(target).startswith(file.sha256):
            raise SodbenchError(
                f"{target} is there, but its SHA-256 does not begin with {file.sha256}: delete it and try again"
            )
        return Downloaded(file.name, target, f"already there, SHA-256 begins with {file.sha256}")
    try:
        fetched = fetch(file.url, target, sha256=file.sha256, attempts=attempts)
    except SodbenchError as error:
        raise SodbenchError(
            f"{file.name} could not be fetched",
            f"  {error}",
            f"  by hand: get {file.url} and save it as {target}",
        ) from None
    _record(data_root, file.url, fetched)
    return Downloaded(file.name, target, f"SHA-256 begins with {file.sha256}, as its name says")


def _dataset(
    info: DatasetInfo,
    data_root: Path,
    given: str | Path | None,
    attempts: int,
    dead: dict[str, str],
) -> Downloaded:
    """Try the ways to a set in turn; ``dead`` remembers addresses that failed for an earlier set."""
    present = _present(info, data_root)
    if present:
        complete = len(present) >= info.count
        how = (
            "already there"
            if complete
            else f"already there, but only {len(present)} of {info.count} items; move it away to fetch it anew"
        )
        return Downloaded(info.name, present.root, how)
    ways = [(Source(str(given), "the archive given"),)] if given is not None else info.downloads
    reasons = []
    for way in ways:
        try:
            _install(info, way, data_root, attempts, dead)
            found = find_dataset(info.name, data_root)
        except SodbenchError as error:
            reasons.append(str(error).partition("\n")[0])
            continue
        items = f"{len(found)} of {info.count} items"
        return Downloaded(info.name, found.root, f"{items}, layout {found.layout}")
    raise SodbenchError(*_by_hand(info, data_root, given, reasons))


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
    lines = [f"{info.name} could not be had from {place}"]
    lines += [f"  tried: {reason}" for reason in reasons]
    pages = (Source(info.page, "the set's page"), *info.pages)
    lines += [f"  page:  {page.url} ({page.holds})" for page in pages]
    lines += [
        f"  by hand: put the {info.count} images (*{info.extension}) into {folder}/images/",
        f"           and the masks (*.png) into {folder}/GT/; or unpack the set as distributed into {folder}/",
        f"  an archive that you have: sodbench data download {info.name} --from FILE_OR_URL",
    ]
    return lines


# ---------------------------------------------------------------------------------------------------
# Archives
# ---------------------------------------------------------------------------------------------------


def _install(
    info: DatasetInfo,
    way: Sequence[Source],
    data_root: Path,
    attempts: int,
    dead: dict[str, str],
) -> None:
    """Fetch the archives of one way and unpack them aside; what is a data set is moved to its place."""
    data_root.mkdir(parents=True, exist_ok=True)
    archives = [_archive(source, data_root, attempts, dead) for source in way]
    with tempfile.TemporaryDirectory(prefix=".unpacking-", dir=data_root) as scratch:
        aside = Path(scratch)
        for number, (source, archive) in enumerate(zip(way, archives, strict=True)):
            content = aside / str(number)
            keep = _belongs_to(info) if source.several else lambda _: True
            extract(archive, content, keep=keep)
            into = aside / "root" / info.name / source.into
            _move(_without_wrapping(info, content, into.name), into)
        try:
            found = find_dataset(info.name, aside / "root")
        except DatasetNotFound:
            raise SodbenchError(
                f"{way[0].url}: holds no images or masks of {info.name} in a layout that is read"
            ) from None
        if not (found.images and found.masks):
            lacking = "masks" if found.images else "images"
            raise SodbenchError(f"{way[0].url}: brought no {lacking} (layout {found.layout})")
        _move(aside / "root" / info.name, data_root / info.name)


def _belongs_to(info: DatasetInfo) -> Callable[[PurePosixPath], bool]:
    """Whether a path in an archive of several sets lies in this set's folder."""
    keys = keys_of(info)
    return lambda path: any(folder_key(part) in keys for part in path.parts[:-1])


def _without_wrapping(info: DatasetInfo, content: Path, place: str) -> Path:
    """The folder of the unpacked content that is the set, or that only repeats the name of its place."""
    for depth in ("*", "*/*"):
        for folder in sorted(content.glob(depth)):
            if folder.is_dir() and folder_key(folder.name) in keys_of(info):
                return folder
    children = list(content.iterdir())
    if len(children) == 1 and children[0].is_dir() and children[0].name == place:
        return children[0]
    return content


def _store(data_root: Path) -> Path:
    """Where archives lie while they are needed."""
    return data_root / ".downloads"


def _forget_archives(data_root: Path) -> None:
    """Delete archives that were fetched whole and unpacked; parts stay, to be gone on with."""
    store = _store(data_root)
    if not store.is_dir():
        return
    for file in store.iterdir():
        if not file.name.endswith((".part", ".part.json")):
            file.unlink()
    if not any(store.iterdir()):
        store.rmdir()


def _archive(source: Source, data_root: Path, attempts: int, dead: dict[str, str]) -> Path:
    if "://" not in source.url:
        if not Path(source.url).is_file():
            raise SodbenchError(f"{source.url}: no such file")
        return Path(source.url)
    name = Path(urlsplit(source.url).path).name or "archive.zip"
    host = urlsplit(source.url).hostname or "host"
    target = _store(data_root) / f"{host}-{name}"
    if target.exists():
        return target
    if source.url in dead:
        raise SodbenchError(dead[source.url])
    say(f"fetching {source.url} ({source.holds})")
    try:
        if source.drive:
            fetched = _from_drive(source, target)
        else:
            fetched = fetch(source.url, target, attempts=attempts)
    except SodbenchError as error:
        dead[source.url] = str(error)
        raise
    _record(data_root, source.url, fetched)
    return fetched.path


def _from_drive(source: Source, target: Path) -> Fetched:
    """Google Drive answers programs with pages to click through; gdown knows how."""
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
        raise SodbenchError(f"{source.url}: gdown could not fetch it")
    return Fetched(target, target.stat().st_size, digest(target))


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


def _record(data_root: Path, url: str, fetched: Fetched) -> None:
    """Write down what came from where, and say so when an address brings another file than last time."""
    file = data_root / RECORD
    try:
        record = json.loads(file.read_text("utf-8"))
    except (OSError, ValueError):
        record = {}
    before = record.get(url, {}).get("sha256")
    if before and before != fetched.sha256:
        say(f"{url} brings another file than on {record[url]['day']} (SHA-256 was {before})")
    record[url] = {
        "sha256": fetched.sha256,
        "size": fetched.size,
        "day": datetime.now(UTC).date().isoformat(),
    }
    write_text(file, json.dumps(record, indent=1) + "\n")
