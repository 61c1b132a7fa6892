"""The files of a report: where they may be written, and what is left of an earlier report there.

A report keeps a record of its files, ``.sodbench-report``, one JSON string a line. Every file is listed before it is
written, so that after a kill at any moment each file is known as the report's own. A report written again removes what
its earlier edition listed and it did not write itself; files that are not listed are other people's and never touched.
"""

import json
import os
import re
import stat
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from sodbench.errors import SodbenchError
from sodbench.files import remove_stale_temporaries, write_error, write_text
from sodbench.reports import markdown

try:
    import fcntl
except ImportError:  # Windows: two reports at once in one folder are not noticed
    fcntl = None  # type: ignore[assignment]

RECORD = ".sodbench-report"
HEAD = "files that sodbench report wrote; do not edit"
_THUMBNAIL = re.compile(r"\d{6}\.jpg|index\.txt|\.[^/]*\.tmp")
"""What a folder of thumbnails holds."""


class ReportFolder:
    """The files of one report, while it is written."""

    def __init__(self, root: Path, record: Path, page: Path):
        """Use :meth:`open`.  root: the record's entries are relative to it; page: the Markdown file."""
        self.root = root
        self._record = record
        self._page = page
        self._file: BinaryIO | None = None
        self._old: set[str] = set()
        self._claimed: dict[str, None] = {}
        self._safe: set[Path] = set()
        self._unlisted = False

    @staticmethod
    @contextmanager
    def open(out: Path) -> Iterator["ReportFolder"]:
        """The place ``out``, a folder or a ``.md`` file with a folder of figures; cleaned up when the block ends well.

        Raises
        ------
        SodbenchError
            Where it holds other people's files, or another report is being written there.
        """
        single = is_single(out)
        root = out.parent if single else out
        record = (figures_of(out) if single else out) / RECORD
        check_free(out)
        folder = ReportFolder(root, record, out if single else out / "report.md")
        try:
            folder._begin()
            yield folder
            folder._finish()
        except OSError as error:
            raise write_error(Path(error.filename or out), error) from error
        finally:
            if folder._file:
                folder._file.close()

    def claim(self, path: Path) -> Path:
        """List a file as the report's own, before it is written; returns the path."""
        self._claim(path, folder=False)
        return path

    def claim_thumbnails(self, folder: Path) -> Path:
        """List a folder of thumbnails (``000123.jpg``, ``index.txt``) as the report's own."""
        self._claim(folder, folder=True)
        return folder

    def _claim(self, path: Path, *, folder: bool) -> None:
        name = path.relative_to(self.root).as_posix() + "/" * folder
        if name in self._claimed:
            return
        self._refuse_links(path if folder else path.parent)
        own = name in self._old or self._unlisted or (path == self._page and is_report(path))
        if os.path.lexists(path) and not own and not (folder and not any(path.iterdir())):
            raise SodbenchError(
                f"{path}: was not written by the report that is here; move it, or name a new folder for the report"
            )
        self._claimed[name] = None
        if name not in self._old and self._file:
            self._file.write(f"{json.dumps(name)}\n".encode())
            self._file.flush()

    def _refuse_links(self, folder: Path) -> None:
        """A link inside the report's folder could lead what is written there to any place."""
        while folder not in (self.root, *self._safe):
            if folder.is_symlink():
                raise SodbenchError(
                    f"{folder}: is a link; a report is not written through links, remove it or name a new folder"
                )
            self._safe.add(folder)
            folder = folder.parent

    def _begin(self) -> None:
        """Open the record, lock it and read what an earlier report listed."""
        if self._record.parent.is_symlink() and self._record.parent != self.root:
            self._refuse_links(self._record.parent)
        self._record.parent.mkdir(parents=True, exist_ok=True)
        flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | getattr(os, "O_NOFOLLOW", 0)
        try:
            number = os.open(self._record, flags | getattr(os, "O_NONBLOCK", 0), 0o666)
        except OSError as error:
            raise SodbenchError(
                f"{self._record}: not a record of a report ({error.strerror}); name a new folder for the report"
            ) from error
        if not stat.S_ISREG(os.fstat(number).st_mode):
            os.close(number)
            raise SodbenchError(
                f"{self._record}: not a record of a report (no file); name a new folder for the report"
            )
        self._file = os.fdopen(number, "a+b")
        if fcntl:
            try:
                fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                raise SodbenchError(
                    f"{self._record.parent}: another report is being written here; wait for it, or name a new folder"
                ) from error
        self._file.seek(0)
        lines = self._file.read().decode("utf-8", "replace").splitlines()
        self._unlisted = not lines and is_report(self._page)  # written before there were records
        self._old = set(filter(None, map(_entry, lines[1:])))
        if not lines:
            self._file.write(f"{HEAD}\n".encode())
        else:
            self._file.write(b"\n")  # ends a line that a kill cut short; it is ignored when read
        self._file.flush()

    def _finish(self) -> None:
        """Remove what the earlier report left, and write the record of this one."""
        for name in sorted(self._old - set(self._claimed), reverse=True):
            path = self.root / name
            try:
                self._refuse_links(path if name.endswith("/") else path.parent)
            except SodbenchError:
                continue
            if name.endswith("/"):
                remove_thumbnails(path)
            elif path.is_file() or path.is_symlink():
                path.unlink()
            self._remove_empty(path if name.endswith("/") else path.parent)
        self._remove_temporaries()
        write_text(
            self._record, "".join(f"{line}\n" for line in [HEAD, *map(json.dumps, self._claimed)])
        )

    def _remove_empty(self, folder: Path) -> None:
        while folder != self.root and folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()
            folder = folder.parent

    def _remove_temporaries(self) -> None:
        """Remove the temporary files that killed runs left next to the report's files."""
        names = [name for name in [*self._claimed, *self._old] if not name.endswith("/")]
        for folder in {self._record.parent, *((self.root / name).parent for name in names)}:
            remove_stale_temporaries(folder)


def remove_thumbnails(folder: Path, kept: Collection[str] = ()) -> None:
    """Remove the thumbnails of a folder, all but the ``kept`` names, and the folder where nothing else is in it."""
    if not folder.is_dir():
        return
    for path in list(folder.iterdir()):
        if _THUMBNAIL.fullmatch(path.name) and path.name not in kept:
            path.unlink()
    if not kept and not any(folder.iterdir()):
        folder.rmdir()


def _entry(line: str) -> str:
    """A record's entry, or nothing where it is none, or leads out of the report's folder."""
    try:
        name = json.loads(line)
    except ValueError:
        return ""
    if not isinstance(name, str) or "\0" in name or "\\" in name:
        return ""
    path = PurePosixPath(name)
    return "" if path.is_absolute() or ".." in path.parts or not path.parts else name


# ---- whose folder it is -------------------------------------------------------------------------


def is_single(out: Path) -> bool:
    """Whether a report is one Markdown file with a folder of figures, not a folder."""
    return out.suffix.lower() == ".md"


def figures_of(page: Path) -> Path:
    """The folder of figures next to a Markdown report."""
    return page.with_name(f"{page.stem}_figures")


def check_free(out: Path) -> None:
    """Raises :class:`SodbenchError` for a place that holds something other than a report."""
    if is_single(out):
        for place in (out, figures_of(out)):
            if _holds_something(place) and not is_report(out) and not _has_record(place):
                raise SodbenchError(
                    f"{place}: exists and was not written by sodbench; move it or choose another name"
                )
    elif out.is_file():
        raise SodbenchError(f"{out}: is a file; name a folder, or a file that ends in .md")
    elif out.suffix and not out.is_dir():
        raise SodbenchError(
            f"{out}: a report is a folder (Markdown, HTML, LaTeX, CSV, JSON, figures) or a .md file"
        )
    elif (
        out.is_dir()
        and any(out.iterdir())
        and not is_report(out / "report.md")
        and not _has_record(out)
    ):
        raise SodbenchError(f"{out}: holds other files; name a new folder for the report")


def is_report(file: Path) -> bool:
    """Whether a Markdown file was written by ``sodbench report``."""
    if not file.is_file():
        return False
    with file.open(encoding="utf-8", errors="replace") as text:
        return text.readline().strip() == markdown.MARKER


def _has_record(folder: Path) -> bool:
    """Whether a report was begun here; a kill can leave the record empty."""
    record = folder / RECORD
    if record.is_symlink() or not record.is_file():
        return False
    with record.open(encoding="utf-8", errors="replace") as text:
        return HEAD.startswith(text.readline().rstrip("\n"))


def _holds_something(place: Path) -> bool:
    return any(place.iterdir()) if place.is_dir() else place.exists()
