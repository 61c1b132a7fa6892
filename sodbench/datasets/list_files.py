"""List files: which items belong to a subset, or which files form pairs; one a line.

Lists written on Windows are read too. A line of several columns separates them by tabs, or by spaces outside
double quotes; a name may hold spaces and may begin with the comment sign ``#``, so what a line means can depend on
which files exist.
"""

import codecs
import hashlib
import re
from collections.abc import Collection
from pathlib import Path

from sodbench.errors import SodbenchError
from sodbench.images import IMAGE_EXTENSIONS


def read_numbered_lines(list_file: Path) -> list[tuple[int, str]]:
    """Read the lines of a list file that are not blank, with their numbers from 1.

    Byte order marks, UTF-16 (which PowerShell writes) and CRLF are read, too.

    Raises
    ------
    SodbenchError
        If the file cannot be read as text.
    """
    try:
        data = list_file.read_bytes()
        is_utf16 = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
        text = data.decode("utf-16" if is_utf16 else "utf-8-sig")
    except OSError as error:
        raise SodbenchError(
            f"{list_file}: cannot be read as a list of names ({error.strerror})"
        ) from error
    except UnicodeDecodeError as error:
        raise SodbenchError(
            f"{list_file}: cannot be read as a list of names ({error}); save it as UTF-8 text"
        ) from error
    # not str.splitlines: names may hold the rarer characters that it splits at
    lines = enumerate(re.split(r"\r\n|\n|\r", text), start=1)
    return [(number, line.strip()) for number, line in lines if line.strip()]


def read_lines(list_file: Path) -> list[str]:
    """Read the lines of a list file that are not blank; see `read_numbered_lines`.

    Returns
    -------
    list of str
        Without surrounding white space.

    Raises
    ------
    SodbenchError
        If the file cannot be read as text.
    """
    return [line for _, line in read_numbered_lines(list_file)]


def is_comment(line: str) -> bool:
    """Whether a line may be a comment; a name can begin with ``#`` too, so check first whether it exists."""
    return line.startswith("#")


def split_columns(line: str) -> list[str]:
    """Split a line into columns: at tabs if there are any, else at spaces outside double quotes.

    Returns
    -------
    list of str
        Without tabs and quotes; a line with a single quote is split at its spaces.
    """
    if "\t" in line:
        return [column.strip().strip('"') for column in line.split("\t") if column.strip()]
    # a name with a quote in it
    if line.count('"') % 2:
        return line.split()
    return [quoted or plain for quoted, plain in re.findall(r'"([^"]+)"|([^"\s]+)', line)]


def is_delimited(line: str) -> bool:
    """Whether tabs or quotes show where the columns of a line end.

    Parameters
    ----------
    line : str

    Returns
    -------
    bool
        False where names with spaces are ambiguous, so that the files on disk must decide.
    """
    return "\t" in line or (line.count('"') >= 2 and line.count('"') % 2 == 0)


def image_stem(name: str) -> str:
    """Return a file's name without folders, and without its extension if that is an image's.

    Stems may contain dots, so other endings stay: ``a.x.png`` -> ``a.x`` -> ``a.x``.

    Returns
    -------
    str
        The name under which an item is known.
    """
    name = name.replace("\\", "/").rsplit("/", 1)[-1]
    return name.rpartition(".")[0] if _has_image_extension(name) else name


def _has_image_extension(name: str) -> bool:
    _, dot, extension = name.rpartition(".")
    return bool(dot) and f".{extension.lower()}" in IMAGE_EXTENSIONS


def list_subset_name(stems: Collection[str]) -> str:
    """Return the name of the subset that a list selects, ``list-`` and a hash of the stems in any order.

    It shows whether two evaluations used the same list.

    Parameters
    ----------
    stems : collection of str

    Returns
    -------
    str
        The hash has 8 digits.
    """
    digest = hashlib.sha256("\n".join(sorted(stems)).encode("utf-8", "surrogateescape"))
    return f"list-{digest.hexdigest()[:8]}"


def read_stem_list(list_file: Path, items: Collection[str]) -> tuple[str, ...]:
    """Read the stems that a list such as ``test.lst`` names, one item a line.

    Extensions of images and leading folders are stripped. A line is one name, which may hold spaces, or several
    columns of which the first counts.

    Parameters
    ----------
    list_file : Path
        The list.
    items : collection of str
        The stems of the dataset, which decide what a line with spaces means.

    Returns
    -------
    tuple of str
        The stems in the order of the list, each once, whether the dataset has them or not.

    Raises
    ------
    SodbenchError
        If the list names no items, or a line has two meanings.
    """
    stems: dict[str, None] = {}
    for number, line in read_numbered_lines(list_file):
        if is_comment(line) and image_stem(line) not in items:
            continue
        stems[_listed_stem(line, items, f"{list_file}, line {number}")] = None
    if not stems:
        raise SodbenchError(f"{list_file}: the list names no items")
    return tuple(stems)


def _listed_stem(line: str, items: Collection[str], where: str) -> str:
    """The item that a line of a list names."""
    parts = split_columns(line)
    if not parts:
        raise SodbenchError(f"{where}: {line!r} names nothing")
    if is_delimited(line) or len(parts) == 1:
        return image_stem(parts[0])
    whole, first = image_stem(line), image_stem(parts[0])
    first_is_image = _has_image_extension(parts[0])
    folder = line.replace("\\", "/").rpartition("/")[0]
    if first_is_image and any(map(_has_image_extension, folder.split())):
        # 'images/a.jpg masks/a.png': the part before the last slash is no folder
        return first
    if first not in items:
        return first if whole not in items and first_is_image else whole
    if whole not in items and first_is_image:
        return first
    both = (
        f"{whole!r} and {first!r} are items"
        if whole in items
        else f"{first!r} is an item, {whole!r} is not"
    )
    raise SodbenchError(
        f"{where}: {line!r} is one name with a space, or several columns: {both}; put a name with spaces in "
        "double quotes, or separate columns by tabs"
    )
