"""Absolute paths out of a report's text: a report is published, and a path names its author's machine."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

from sodbench.reports.document import Block, Bullets, Code, Document, Paragraph
from sodbench.results import Result

_START = r"(?:/|~/|[A-Za-z]:[\\/])"
_QUOTED = re.compile(rf"""(["'])({_START}(?:(?!\1).)*)\1""")
_PLAIN = re.compile(rf"""(?<![\w./\\:~-])({_START}(?:[^\s"'`,;():|<>]|:(?=\S))+)""")


def known_roots(results: Iterable[Result]) -> list[str]:
    """The absolute folders that the results and this process name, longest first."""
    found = {str(Path.cwd())}
    for result in results:
        found |= {str(folder) for folder in result.folders.values() if folder}
        if result.folder:
            found.add(str(result.folder.absolute()))
        found |= set(_paths_in(result.provenance))
    return sorted((f for f in found if len(f) > 1 and _is_absolute(f)), key=len, reverse=True)


def hide_paths(text: str, roots: Iterable[str] = ()) -> str:
    """The text with every absolute path cut to its last part; below one of the ``roots``, to the part from there on."""
    for root in roots:
        bare = root.rstrip("/\\")
        if bare not in text:
            continue
        start = rf"(?<![\w./\\-]){re.escape(bare)}"
        text = re.sub(rf"{start}[/\\](?=[^\s'\"])", "", text)
        text = re.sub(rf"{start}(?![\w.-])[/\\]?", _last_part(bare).replace("\\", r"\\"), text)
    text = _QUOTED.sub(lambda found: f"{found[1]}{_last_part(found[2])}{found[1]}", text)
    return _PLAIN.sub(lambda found: _last_part(found[1]), text)


def without_paths(document: Document, roots: Iterable[str]) -> Document:
    """The document with :func:`hide_paths` applied to its text; tables and BibTeX hold no paths."""
    roots = list(roots)

    def hidden(block: Block) -> Block:
        match block:
            case Paragraph(text):
                return replace(block, text=hide_paths(text, roots))
            case Bullets(lines):
                return replace(block, lines=tuple(hide_paths(line, roots) for line in lines))
            case Code(text, "sh"):
                return replace(block, text=hide_paths(text, roots))
        return block

    sections = tuple(
        replace(section, blocks=tuple(map(hidden, section.blocks))) for section in document.sections
    )
    return replace(document, sections=sections)


def _last_part(path: str) -> str:
    kind = PureWindowsPath if re.match(r"[A-Za-z]:", path) else PurePosixPath
    return kind(path).name or path


def _is_absolute(text: str) -> bool:
    return Path(text).is_absolute() or bool(re.match(_START, text))


def _paths_in(value: Any) -> Iterable[str]:
    """Every text in nested provenance that is an absolute path as a whole."""
    if isinstance(value, str):
        if _is_absolute(value) and "\n" not in value:
            yield value
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from _paths_in(item)
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from _paths_in(item)
