"""Write and read ``scores.csv``: one row for each pair, all digits of every per-image metric."""

import csv
import io
import math
from itertools import chain, repeat
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sodbench.errors import StoredFileError
from sodbench.files import checksum, open_regular
from sodbench.results.pair_table import FILE_COLUMNS, PairTable

if TYPE_CHECKING:
    from sodbench.results.result import Result

# What the rows are of: the same in every row, so that the tables of several results can be joined.
_RESULT_COLUMNS = ("method", "dataset", "protocol")
_TEXT_COLUMNS = (*_RESULT_COLUMNS, "stem", *FILE_COLUMNS)
_INTEGER_COLUMNS = ("height", "width")


def encode_scores(result: "Result") -> bytes:
    """Return the content of ``scores.csv``: columns method, dataset, protocol, stem, and those of ``result.table``.

    Parameters
    ----------
    result : Result
        A result that holds its table.

    Returns
    -------
    bytes
        The file in UTF-8.
    """
    table = result.pair_table
    names = _result_names(result)
    # the csv module quotes a line feed, but a carriage return only if it quotes all text
    has_returns = any("\r" in name for name in chain(table.stems, *table.files.values(), names))
    text = io.StringIO(newline="")
    writer = csv.writer(
        text,
        quoting=csv.QUOTE_NONNUMERIC if has_returns else csv.QUOTE_MINIMAL,
        lineterminator="\n",
    )
    writer.writerow([*_TEXT_COLUMNS, *table.columns])
    values = [_nan_to_empty(column) for column in table.columns.values()]
    texts = [repeat(name, len(table)) for name in names]
    rows = zip(*texts, table.stems, *table.files.values(), *values, strict=True)
    writer.writerows(rows)
    return text.getvalue().encode("utf-8")


def _nan_to_empty(column: NDArray[Any]) -> list[Any]:
    """The numbers of a column, which the csv module writes with all their digits, and empty texts for NaN."""
    values: list[Any] = column.tolist()
    if not np.isnan(column).any():
        return values
    return ["" if math.isnan(value) else value for value in values]


def read_scores(path: Path, result: "Result", stored_hash: str) -> PairTable:
    """Read ``scores.csv``.

    Parameters
    ----------
    path : Path
        The file.
    result : Result
        The result that it belongs to.
    stored_hash : str
        Hash of the file as it was stored.

    Returns
    -------
    PairTable

    Raises
    ------
    StoredFileError
        If it cannot be read, was modified, or is not the table of this result.
    """
    try:
        with open_regular(path) as file:
            data = file.read()
    except OSError as error:
        raise StoredFileError(path, f"cannot be read ({error.strerror or error})") from error
    if f"{checksum(data):016x}" != stored_hash:
        raise StoredFileError.modified(path)
    try:
        cells = _read_columns(data.decode("utf-8"))
        if tuple(cells)[: len(_TEXT_COLUMNS)] != _TEXT_COLUMNS:
            raise ValueError(f"its columns do not begin with {', '.join(_TEXT_COLUMNS)}")
        texts = {name: cells.pop(name) for name in _TEXT_COLUMNS}
        columns = {name: _parse_numbers(name, column) for name, column in cells.items()}
    except (ValueError, csv.Error) as error:
        raise StoredFileError(path, f"not a readable table of scores ({error})") from error
    if set(zip(*map(texts.pop, _RESULT_COLUMNS), strict=True)) != {_result_names(result)}:
        raise StoredFileError(path, "its method, dataset and protocol are not those of its result")
    if "wf" not in columns:
        raise StoredFileError(path, "not a table of scores (it has no column wf)")
    stems = tuple(texts.pop("stem"))
    if len(set(stems)) < len(stems):
        raise StoredFileError(path, "names a pair twice")
    return PairTable(stems, texts, columns)


def _read_columns(text: str) -> dict[str, list[str]]:
    """The cells of every column; ValueError for rows of several lengths, and for a name that is there twice."""
    header, *rows = csv.reader(io.StringIO(text, newline=""), strict=True)
    if len(set(header)) < len(header):
        raise ValueError("two columns have one name")
    columns = map(list, zip(*rows, strict=True))
    return dict(zip(header, columns, strict=True))


def _parse_numbers(name: str, texts: list[str]) -> NDArray[Any]:
    if name in _INTEGER_COLUMNS:
        return np.array(list(map(int, texts)), np.int64)
    return np.array([float(text) if text else math.nan for text in texts], np.float64)


def _result_names(result: "Result") -> tuple[str, ...]:
    return tuple(getattr(result, name) for name in _RESULT_COLUMNS)
