"""Text from outside (file names, tensor names, JSON and TOML fields, HTTP replies) made safe to print.

Whoever makes a file chooses its name and its content. Printed as it is, such text can move the cursor, recolour
or overwrite the terminal, start a new line that looks like one of sodbench's own, or run a command when a
printed command is pasted into a shell. There is one function for each place that text can go to: `printable`
(terminal, log, plain text), `shell_command`, `python_literal`, `json_text` and `markdown_text`. HTML pages are
escaped by Jinja's autoescape, LaTeX by `sodbench.reports.latex.latex_text`.
"""

import json
import re
import shlex
import unicodedata
from collections.abc import Sequence
from typing import Any

# Invisible, but a part of correct spelling in Persian and of many emoji; they cannot reorder text
_JOINERS = "\u200c\u200d"

# Everything but printable Latin text: a fast test, after which each character is looked up
_SUSPECT = re.compile(r"[^\x20-\x7e\u00a1-\u00ac\u00ae-\u02ff]")


def printable(text: object) -> str:
    r"""Text on one line, without anything that a terminal acts on.

    Parameters
    ----------
    text : object
        A string, or anything with a useful ``str()``, such as a path.

    Returns
    -------
    str
        The text with line breaks, control characters, invisible formatting characters and lone surrogates
        written as Python escapes (``\n``, ``\x1b``, ``\u202e``). Other text is unchanged, so that
        applying the function twice is the same as once.

    Examples
    --------
    >>> printable("cat.png\nsodbench: error")
    'cat.png\\nsodbench: error'
    """
    return _SUSPECT.sub(_escape_character, str(text))


def printable_lines(text: str) -> str:
    """Text whose line breaks are sodbench's own: every line made `printable`; tabs stay.

    Parameters
    ----------
    text : str
        Several lines.

    Returns
    -------
    str
    """
    return "\n".join("\t".join(map(printable, line.split("\t"))) for line in text.split("\n"))


def _escape_character(match: re.Match[str]) -> str:
    character = match[0]
    # control characters, line separators, what reorders text or is invisible, and bytes that are not UTF-8
    hidden = unicodedata.category(character) in ("Cc", "Cf", "Cs", "Zl", "Zp")
    if character in _JOINERS or not hidden:
        return character
    return character.encode("unicode_escape").decode("ascii")


def shell_command(words: Sequence[str]) -> str | None:
    """A command that a POSIX shell reads back as exactly these words, or None if it cannot be shown.

    A word that `printable` would change cannot be shown on one line without meaning another file.

    Parameters
    ----------
    words : sequence of str
        The words of the command.

    Returns
    -------
    str or None
    """
    if any(printable(word) != word for word in words):
        return None
    return shlex.join(words)


def python_literal(text: str) -> str:
    """A string as Python source in double quotes, ASCII only.

    Parameters
    ----------
    text : str
        Any text.

    Returns
    -------
    str
        With its quotes.
    """
    return '"' + text.encode("unicode_escape").decode("ascii").replace('"', '\\"') + '"'


def json_text(content: Any) -> str:
    """JSON of plain values in ASCII: exact for every string, whatever the terminal or its encoding.

    Parameters
    ----------
    content : object
        Plain values.

    Returns
    -------
    str
    """
    return json.dumps(content, indent=1, ensure_ascii=True)


_MARKUP = re.compile(r"([\\`*_{}\[\]#|~$])")


def markdown_text(text: object) -> str:
    """Text as Markdown that shows it literally in a paragraph, a heading or a table cell: no markup, no HTML, one line.

    Parameters
    ----------
    text : object
        A string, or anything with a useful ``str()``.

    Returns
    -------
    str
    """
    plain = printable(" ".join(str(text).split()))
    plain = plain.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return _MARKUP.sub(r"\\\1", plain)


def html_text(text: object) -> str:
    """Return text as HTML that shows it literally, on one line.

    Returns
    -------
    str
    """
    from html import escape

    return escape(printable(" ".join(str(text).split())))


def size_text(size: Sequence[int]) -> str:
    """Return the size of an image as image tools print it: width x height.

    Parameters
    ----------
    size : sequence of int
        Height and width, as in the shape of an array.

    Returns
    -------
    str
    """
    height, width = size
    return f"{width}x{height}"


def count_noun(number: int, noun: str) -> str:
    """Return a number with its noun, such as ``1 fault`` and ``2 faults``.

    Parameters
    ----------
    number : int
    noun : str
        In the singular.

    Returns
    -------
    str
    """
    return f"{number} {noun}" + "s" * (number != 1)
