"""Write and read ``scores.csv``: one row for each pair, all digits of every per-image metric."""

import csv
import io
import math
from pathlib import Path
from typing import TYPE_CHECKING

from sodbench.errors import StoredFileError
from sodbench.files import checksum, open_regular

if TYPE_CHECKING:
    import pandas as pd

    from sodbench.results.result import Result

# The file names of a pair, below the result's folders.
FILE_COLUMNS = ("map", "mask", "image")
# What the rows are of: the same in every row, so that the tables of several results can be joined.
_RESULT_COLUMNS = ("method", "dataset", "protocol")


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
    table = result.table.reset_index(names="stem")
    for position, name in enumerate(_RESULT_COLUMNS):
        table.insert(position, name, getattr(result, name))
    names = [*table["stem"], *table[list(FILE_COLUMNS)].to_numpy().ravel(), *_result_names(result)]
    # the csv module quotes a line feed, but a carriage return only if it quotes all text
    has_returns = any("\r" in name for name in names)
    text = io.StringIO(newline="")
    table.to_csv(
        text,
        index=False,
        lineterminator="\n",
        quoting=csv.QUOTE_NONNUMERIC if has_returns else csv.QUOTE_MINIMAL,
    )
    return text.getvalue().encode("utf-8")


def read_scores(path: Path, result: "Result", stored_hash: str) -> "pd.DataFrame":
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
    DataFrame
        Index ``stem``; columns ``map``, ``mask``, ``image``, ``height``, ``width`` and the per-image metrics.

    Raises
    ------
    StoredFileError
        If it cannot be read, was modified, or is not the table of this result.
    """
    import pandas as pd

    try:
        with open_regular(path) as file:
            data = file.read()
    except OSError as error:
        raise StoredFileError(path, f"cannot be read ({error.strerror or error})") from error
    if f"{checksum(data):016x}" != stored_hash:
        raise StoredFileError.modified(path)
    try:
        # as text: pandas' own float parsers change the last bit of some values, by version
        table = pd.read_csv(io.BytesIO(data), dtype=str, keep_default_na=False, encoding="utf-8")
        identity = table[list(_RESULT_COLUMNS)].drop_duplicates().to_numpy().tolist()
        table = table.drop(columns=list(_RESULT_COLUMNS))
        for name in table.columns.difference(["stem", *FILE_COLUMNS], sort=False):
            number = int if name in ("height", "width") else float
            cells = table[name].tolist()
            table[name] = [number(cell) if cell else math.nan for cell in cells]
        table = table.set_index("stem")
        # KeyError where a column is missing
        table[list(FILE_COLUMNS)]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise StoredFileError(path, f"not a readable table of scores ({error})") from error
    if identity != [_result_names(result)]:
        raise StoredFileError(path, "its method, dataset and protocol are not those of its result")
    if "wf" not in table:
        raise StoredFileError(path, "not a table of scores (it has no column wf)")
    if not table.index.is_unique:
        raise StoredFileError(path, "names a pair twice")
    return table


def _result_names(result: "Result") -> list[str]:
    return [getattr(result, name) for name in _RESULT_COLUMNS]
