"""The files of a report: where they may be written, and what happens to those of an earlier report there.

A report keeps a record of its files, ``.sodbench-report``. It lists them before the first one is written, so that after
a kill at any moment each file is known as the report's own. A report that is written again removes the files of its
earlier edition that it no longer has; files that are not listed belong to someone else and are never touched.
"""

import os
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from sodbench.errors import SodbenchError
from sodbench.files import file_hash, remove_stale_temporaries, write_text
from sodbench.output_folder import (
    FolderKind,
    OutputFolder,
    check_outside,
    check_own_file,
    read_json,
)
from sodbench.reports.markdown import REPORT_MARKER
from sodbench.results import Result

REPORT_RECORD = ".sodbench-report"
# What every page has near its beginning
PAGE_MARKER = '<meta name="generator" content="sodbench '
# everything that a folder of thumbnails holds
_THUMBNAIL = re.compile(r"\d{6}\.(?:webp|jpg)|index\.txt|\.[^/]*\.tmp")

# By name relative to the report's root, the SHA-256 sums of the contents that are the report's own; an empty list
# stands for any content. The name of a folder of thumbnails ends in a slash and stands for all thumbnails in it.
Files = Mapping[str, Sequence[str]]


def _read_report_record(path: Path) -> dict[str, Any]:
    files = read_json(path).get("files")
    if not isinstance(files, dict):
        raise ValueError("it lists no files")  # noqa: TRY004  a fault of the file, not of a type in code
    return {"files": {n: s for n, s in files.items() if _is_inside(n) and isinstance(s, list)}}


def _is_inside(name: str) -> bool:
    """Whether a name of the record stays in the report's folder; anyone can edit a record."""
    path = PurePosixPath(name)
    is_plain = "\0" not in name and "\\" not in name and bool(path.parts)
    return is_plain and not path.is_absolute() and ".." not in path.parts


_REPORT_FOLDER = FolderKind("a report", "writing a report", REPORT_RECORD, _read_report_record)


@dataclass(frozen=True)
class ReportPlace:
    """Where a report is written: a folder, a ``.md`` file with a folder of figures next to it, or one ``.html`` file.

    Attributes
    ----------
    out : Path
    """

    out: Path

    @property
    def is_single(self) -> bool:
        """Whether it is one Markdown file, not a folder."""
        return self.out.suffix.lower() == ".md"

    @property
    def is_page(self) -> bool:
        """Whether it is one HTML file that holds everything."""
        return self.out.suffix.lower() in (".html", ".htm")

    @property
    def root(self) -> Path:
        """The folder that names of files are relative to."""
        return self.out.parent if self.is_single else self.out

    @property
    def page(self) -> Path:
        """The Markdown file."""
        return self.out if self.is_single else self.out / "report.md"

    @property
    def figures(self) -> Path:
        """The folder of figures."""
        stem = self.out.stem
        return self.out.with_name(f"{stem}_figures") if self.is_single else self.out / "figures"

    @property
    def folder(self) -> Path:
        """The folder that is the report's own, and holds its record."""
        return self.figures if self.is_single else self.out

    def check(self, results: Iterable[Result]) -> None:
        """Check that a report over these results may be written here.

        Raises
        ------
        SodbenchError
            If the place holds something other than a report, or is inside a folder of the results' maps or data.
        """
        if self.is_page:
            check_own_page(self.out, data_folders(results))
            return
        if not self.is_single and self.out.is_file():
            raise SodbenchError(f"{self.out}: is a file; name a folder, or a file that ends in .md")
        if not self.is_single and self.out.suffix and not self.out.is_dir():
            raise SodbenchError(
                f"{self.out}: a report is a folder (Markdown, HTML, LaTeX, CSV, JSON, figures), a .md file or a single .html file"
            )
        for place in {self.out, self.folder}:
            check_outside(place, data_folders(results))
        own = self.read_files()
        if self.is_single:
            self.check_owner(self.page, own)

    def read_files(self) -> Files:
        """Return the files that the record lists.

        Raises
        ------
        SodbenchError
            If the folder holds other files than a report.
        """
        record = _REPORT_FOLDER.read_manifest(self.folder)
        return record["files"] if record else {}

    def check_owner(self, path: Path, own: Files) -> None:
        """Check that a file to write does not replace one of someone else.

        Parameters
        ----------
        path : Path
            A file, or a folder of thumbnails.
        own : mapping
            What `read_files` returned.

        Raises
        ------
        SodbenchError
            If there is something that the record does not list, or that was modified since.
        """
        name = self.name_of(path)
        is_empty_folder = path.is_dir() and not path.is_symlink() and not any(path.iterdir())
        if not os.path.lexists(path) or is_empty_folder or (path == self.page and _is_report(path)):
            return
        if name not in own and f"{name}/" not in own:
            raise SodbenchError(
                f"{path}: exists and was not written by sodbench report; move it, or choose another name"
            )
        if _is_modified(path, own.get(name, ())):
            raise SodbenchError(
                f"{path}: was modified since the report was written; move it, or choose another name"
            )

    def name_of(self, path: Path) -> str:
        """Return the name of a file in the record.

        Returns
        -------
        str
        """
        return path.relative_to(self.root).as_posix()


def _is_report(file: Path) -> bool:
    """Whether a Markdown file was written by ``sodbench report``."""
    if not file.is_file():
        return False
    with file.open(encoding="utf-8", errors="replace") as text:
        return text.readline().strip() == REPORT_MARKER


def _is_modified(path: Path, sums: Sequence[str]) -> bool:
    return bool(sums) and not (path.is_file() and file_hash(path) in sums)


def check_own_page(out: Path, data: Iterable[Path]) -> None:
    """Check that a single file may be written: it is new, or sodbench wrote it, and it is not among maps or data.

    Parameters
    ----------
    out : Path
    data : iterable of Path
        The folders of maps and data.

    Raises
    ------
    SodbenchError
        If it may not.
    """
    check_outside(out, data)
    check_own_file(out, PAGE_MARKER, REPORT_MARKER, "% Written by sodbench")


def data_folders(results: Iterable[Result]) -> set[Path]:
    """Return the folders of maps, masks and images that results recorded.

    Returns
    -------
    set of Path
    """
    return {Path(folder) for r in results for folder in r.folders.values() if folder}


class ReportFolder:
    """The files of one report while it is written; made by `open`."""

    def __init__(self, place: ReportPlace, folder: OutputFolder):
        self.place = place
        self._folder = folder

    @classmethod
    @contextmanager
    def open(cls, place: ReportPlace, files: Files) -> Iterator["ReportFolder"]:
        """Lock a place for a report, record its files, and remove those of an earlier report in the end.

        Parameters
        ----------
        place : ReportPlace
        files : mapping
            Every file that will be written.

        Yields
        ------
        ReportFolder

        Raises
        ------
        SodbenchError
            If there are files of someone else, or another report is being written there.
        """
        with OutputFolder.open(place.folder, _REPORT_FOLDER) as output:
            remove_stale_temporaries(place.root)
            old: Files = output.manifest["files"] if output.manifest else {}
            folder = cls(place, output)
            for name in files:
                place.check_owner(folder.path(name), old)
            # old sums stay valid until the end: a kill may leave the old content of a file or the new one
            both = {name: [*old.get(name, ()), *files.get(name, ())] for name in {**old, **files}}
            output.write_manifest({"files": both})
            yield folder
            for name in sorted(old.keys() - files.keys(), reverse=True):
                folder._remove(name, old[name])
            output.write_manifest({"files": files})

    def path(self, name: str) -> Path:
        """Return the path of a file.

        Raises
        ------
        SodbenchError
            If a folder on the way to it, or the folder of thumbnails itself, is a link.
        """
        path = self.place.root / name
        inside = path / "x" if name.endswith("/") else path
        if inside.is_relative_to(self._folder.path):
            self._folder.file(inside.relative_to(self._folder.path))
        return path

    def write_text(self, name: str, text: str) -> None:
        """Write a UTF-8 text file, whole or not at all.

        Parameters
        ----------
        name : str
            One of the files that the folder was opened with.
        text : str
        """
        write_text(self.path(name), text)

    def _remove(self, name: str, sums: Sequence[str]) -> None:
        """Remove a file, or a folder of thumbnails, of an earlier report, and the folders that it leaves empty."""
        try:
            path = self.path(name)
        except SodbenchError:
            return
        if not path.is_relative_to(self._folder.path) and not sums:
            # next to a Markdown report only files of known content are removed
            return
        if name.endswith("/"):
            remove_thumbnails(path)
        elif (path.is_file() or path.is_symlink()) and not _is_modified(path, sums):
            path.unlink()
        folder = path if name.endswith("/") else path.parent
        while folder != self.place.root and folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()
            folder = folder.parent


def remove_thumbnails(folder: Path, keep: Collection[str] = ()) -> None:
    """Remove the thumbnails of a folder.

    Parameters
    ----------
    folder : Path
        Removed as well if nothing is left in it.
    keep : collection of str
        Names of files that stay.
    """
    if not folder.is_dir():
        return
    for path in list(folder.iterdir()):
        if _THUMBNAIL.fullmatch(path.name) and path.name not in keep:
            path.unlink()
    if not keep and not any(folder.iterdir()):
        folder.rmdir()
