"""Shorten the absolute paths in a report's text: reports are published, and a path names folders of the author's machine."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

from sodbench.reports.document import Block, Bullets, Code, Document, Paragraph
from sodbench.results import Result

_START = r"(?:/|~/|[A-Za-z]:[\\/])"
_QUOTED = re.compile(rf"""(["'])({_START}(?:(?!\1).)*)\1""")
# not within an address (https://...) or a word; a colon ends a path unless something follows it directly
_PLAIN = re.compile(rf"""(?<![\w./\\:~-])({_START}(?:[^\s"'`,;():|<>]|:(?=\S))+)""")


def known_roots(results: Iterable[Result]) -> list[str]:
    """Return the absolute folders that results and this process name.

    Parameters
    ----------
    results : iterable of Result

    Returns
    -------
    list of str
        The longest first.
    """
    roots = {str(Path.cwd())}
    for result in results:
        roots |= {str(folder) for folder in result.folders.values() if folder}
        if result.folder:
            roots.add(str(result.folder.absolute()))
        roots |= set(_paths_in(result.provenance))
    return sorted((r for r in roots if len(r) > 1 and _is_absolute(r)), key=len, reverse=True)


def hide_paths(text: str, roots: Iterable[str] = ()) -> str:
    """Shorten every absolute path of a text to its last part.

    Parameters
    ----------
    text : str
    roots : iterable of str
        Folders; of a path below one of them, the part from there on is kept.

    Returns
    -------
    str

    Examples
    --------
    >>> hide_paths("see /home/me/maps/a.png", ["/home/me"])
    'see maps/a.png'
    """
    for root in roots:
        bare = root.rstrip("/\\")
        if bare not in text:
            continue
        start = rf"(?<![\w./\\-]){re.escape(bare)}"
        # first the files below the folder, which keep their place in it; then the folder itself
        text = re.sub(rf"{start}[/\\](?=[^\s'\"])", "", text)
        text = re.sub(rf"{start}(?![\w.-])[/\\]?", _last_part(bare).replace("\\", r"\\"), text)
    text = _QUOTED.sub(lambda match: f"{match[1]}{_last_part(match[2])}{match[1]}", text)
    return _PLAIN.sub(lambda match: _last_part(match[1]), text)


def without_paths(document: Document, roots: Iterable[str]) -> Document:
    """Return a document with `hide_paths` applied to its text; tables and BibTeX have no paths.

    Parameters
    ----------
    document : Document
    roots : iterable of str

    Returns
    -------
    Document
    """
    roots = list(roots)
    sections = []
    for section in document.sections:
        blocks: list[Block] = []
        for block in section.blocks:
            match block:
                case Paragraph(text) | Code(text, "sh"):
                    blocks.append(replace(block, text=hide_paths(text, roots)))
                case Bullets(lines):
                    shortened = tuple(hide_paths(line, roots) for line in lines)
                    blocks.append(replace(block, lines=shortened))
                case _:
                    blocks.append(block)
        sections.append(replace(section, blocks=tuple(blocks)))
    return replace(document, sections=tuple(sections))


def _last_part(path: str) -> str:
    kind = PureWindowsPath if re.match(r"[A-Za-z]:", path) else PurePosixPath
    return kind(path).name or path


def _is_absolute(text: str) -> bool:
    return Path(text).is_absolute() or bool(re.match(_START, text))


def _paths_in(value: Any) -> Iterable[str]:
    """Every text of a nested provenance that is an absolute path and nothing else."""
    if isinstance(value, str):
        if _is_absolute(value) and "\n" not in value:
            yield value
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from _paths_in(item)
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from _paths_in(item)
