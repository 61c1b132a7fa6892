"""CSV files that users write or edit, read without losing a value."""

import csv
import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from sodbench.errors import SodbenchError

_OTHER_SEPARATORS = {";": "semicolons", "\t": "tabs"}


@dataclass(frozen=True)
class CsvTable:
    """The content of a CSV file.

    Attributes
    ----------
    columns : tuple of str
        The names in the first line; a column without a name is left out.
    rows : mapping of int to mapping of str to str
        Line number -> column -> text. A value that a line does not have is empty; blank lines are left out.
    """

    columns: tuple[str, ...]
    rows: Mapping[int, Mapping[str, str]]


def read_csv_table(file: Path) -> CsvTable:
    """Read a CSV file with a first line of column names, as a spreadsheet saves it.

    Parameters
    ----------
    file : Path
        Text in UTF-8, with or without a byte order mark, and with any line ends.

    Returns
    -------
    CsvTable

    Raises
    ------
    SodbenchError
        If it cannot be read, is separated by something else than commas, has a column twice, or has a line with more
        values than columns, as with a decimal comma.
    """
    try:
        # csv needs the line ends within quotes as they are
        text = io.StringIO(file.read_bytes().decode("utf-8-sig"), newline="")
        reader = csv.reader(text, skipinitialspace=True)
        lines = [(reader.line_num, cells) for cells in reader if any(cells)]
    except OSError as error:
        raise SodbenchError(f"{file}: cannot be read ({error.strerror or error})") from error
    except (ValueError, csv.Error) as error:
        raise SodbenchError(f"{file}: cannot be read as CSV in UTF-8 ({error})") from error
    if not lines:
        return CsvTable((), {})
    columns = [name.strip() for name in lines[0][1]]
    _check_columns(file, columns)
    rows = {}
    for number, cells in lines[1:]:
        if any(cells[len(columns) :]):
            raise SodbenchError(
                f"{file}: line {number} has more values than the {len(columns)} columns; put a text with a comma in "
                "double quotes, and write a number with a point (0.928)"
            )
        filled = [*cells, *[""] * (len(columns) - len(cells))]
        rows[number] = {name: cell for name, cell in zip(columns, filled, strict=False) if name}
    return CsvTable(tuple(filter(None, columns)), rows)


def _check_columns(file: Path, columns: list[str]) -> None:
    for separator, name in _OTHER_SEPARATORS.items():
        if len(columns) == 1 and separator in columns[0]:
            raise SodbenchError(f"{file}: its columns are separated by {name}; save it with commas")
    twice = sorted({name for name in columns if name and columns.count(name) > 1})
    if twice:
        raise SodbenchError(f"{file}: has the column {', '.join(twice)} twice")
