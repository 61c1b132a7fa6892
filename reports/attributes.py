"""The groups of images by which scores are broken down: what ``sodbench data stats`` measured, or any CSV of the user.

No mask is opened here.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from sodbench.csv_table import read_csv_table
from sodbench.datasets import attribute_groups
from sodbench.datasets.attributes import COLUMNS, divide_into_thirds
from sodbench.errors import SodbenchError
from sodbench.reports.result_statistics import SIZE
from sodbench.results import Result

# A column of numbers with more different values is divided into thirds
_MAX_VALUES = 8


def read_attributes(places: Sequence[Path], results: Iterable[Result]) -> dict[str, pd.DataFrame]:
    """Read the groups of images of every dataset that has results.

    Parameters
    ----------
    places : sequence of Path
        Folders of CSV files, or single ones: what ``sodbench data stats -o DIR`` wrote, or any CSV with a column ``stem``
        and a column for each attribute. A file belongs to the dataset of its name (``SOD.csv``; ``HKU-IS-test.csv`` for
        ``HKU-IS/test``), to those of its column ``dataset``, or to the only dataset that was scored.
    results : iterable of Result

    Returns
    -------
    dict of str to DataFrame
        By dataset, index ``stem`` and a categorical column for each attribute; empty without ``places``.

    Raises
    ------
    SodbenchError
        For a file with other content, a dataset with results but without a file, and a file that lacks images that were
        scored.
    """
    results = list(results) if places else []
    datasets = list(dict.fromkeys(result.dataset for result in results))
    groups: dict[str, pd.DataFrame] = {}
    sources: dict[str, list[Path]] = {}
    for file in (file for place in places if results for file in _list_files(place)):
        for dataset, own in _read_groups(file, datasets).items():
            earlier = groups.get(dataset)
            if earlier is not None and (twice := set(earlier) & set(own)):
                raise SodbenchError(
                    f"{file}: {dataset} has the attribute {', '.join(sorted(map(str, twice)))} in another file, too"
                )
            groups[dataset] = own if earlier is None else earlier.join(own, how="outer")
            sources.setdefault(dataset, []).append(file)
    for result in results:
        name = result.dataset
        if name not in groups:
            raise SodbenchError(
                f"--attributes: nothing about {name} in {', '.join(map(str, places))}; of several datasets, each has a "
                f"file of its name ({name.replace('/', '-')}.csv) or its name in a column 'dataset'; "
                "'sodbench data stats NAME -o DIR' measures it"
            )
        missing = result.table.index.difference(groups[name].index)
        if len(missing):
            raise SodbenchError(
                f"{', '.join(map(str, sources[name]))}: lacks {len(missing)} of the {result.n} images of {name} that "
                f"{result.method} was scored on, for example {missing[0]}; measure the dataset that was scored with "
                "'sodbench data stats NAME -o DIR'"
            )
    return groups


def _list_files(place: Path) -> list[Path]:
    if place.is_dir():
        return sorted(place.glob("*.csv"))
    if place.is_file():
        return [place]
    raise SodbenchError(
        f"--attributes {place}: no such file; 'sodbench data stats -o DIR' makes it"
    )


def _read_groups(file: Path, datasets: Sequence[str]) -> dict[str, pd.DataFrame]:
    """The groups of a file, by dataset."""
    table = read_csv_table(file)
    if "stem" not in table.columns or len(table.columns) < 2:
        raise SodbenchError(
            f"{file}: attributes need a column 'stem' with the images' names and a column for each attribute"
        )
    # as text: the parsers of some versions of pandas miss the last bit of many numbers
    frame = pd.DataFrame(list(table.rows.values()), columns=list(table.columns), dtype=str)
    if "dataset" in frame:
        parts = {str(d): part.drop(columns="dataset") for d, part in frame.groupby("dataset")}
    else:
        named = [d for d in datasets if d.replace("/", "-") == file.stem]
        parts = dict.fromkeys(named or (datasets if len(datasets) == 1 else []), frame)
    return {d: _group(file, part) for d, part in parts.items() if d in datasets}


def _group(file: Path, frame: pd.DataFrame) -> pd.DataFrame:
    frame = frame.set_index("stem")
    if not frame.index.is_unique:
        twice = frame.index[frame.index.duplicated()][0]
        raise SodbenchError(f"{file}: the image {twice} has several lines")
    if set(COLUMNS) <= set(frame):
        measured = attribute_groups(_read_measured(file, frame[list(COLUMNS)]))
        own = frame.drop(columns=list(COLUMNS))
    else:
        measured = pd.DataFrame(index=frame.index)
        own = frame
    if names := {str(name) for name in own if name in {*measured, SIZE}}:
        raise SodbenchError(
            f"{file}: the column {min(names)!r} has the name of an attribute that sodbench measures; rename it"
        )
    return measured.join(_group_columns(own))


def _read_measured(file: Path, frame: pd.DataFrame) -> pd.DataFrame:
    """What ``sodbench data stats`` wrote, as numbers."""
    border = frame["border"].map({"True": True, "False": False})
    try:
        if border.isna().any():
            raise ValueError("unknown words in the column border")
        numbers = frame.drop(columns="border").replace("", "nan").astype(float)
    except ValueError as error:
        raise SodbenchError(
            f"{file}: not the attributes that 'sodbench data stats -o DIR' writes ({error})"
        ) from error
    return numbers.assign(border=border.astype(bool))


def _group_columns(frame: pd.DataFrame) -> pd.DataFrame:
    """Each column as groups: 0 and 1 as no and yes, few values as they are, many numbers in thirds; empty is no group."""
    return pd.DataFrame({str(name): _group_column(frame[name]) for name in frame})


def _group_column(column: "pd.Series[str]") -> "pd.Series[Any]":
    filled = column.where(column.str.strip() != "")
    values = sorted(set(filled.dropna()))
    words = {"0": "no", "1": "yes", "False": "no", "True": "yes", "false": "no", "true": "yes"}
    if values and all(value in words for value in values):
        return filled.map(words).astype(pd.CategoricalDtype(["yes", "no"]))
    numbers = pd.to_numeric(filled, errors="coerce")
    if numbers.notna().sum() < filled.notna().sum():
        return filled.astype(pd.CategoricalDtype(values))
    if len(values) <= _MAX_VALUES:
        return filled.astype(pd.CategoricalDtype(sorted(values, key=float)))
    return divide_into_thirds(numbers)
