"""What the images of a dataset are like, as ``sodbench data stats`` measured it once; no mask is opened here."""

from collections.abc import Iterable, Sequence
from pathlib import Path

import pandas as pd

from sodbench.datasets import attribute_groups
from sodbench.datasets.attributes import COLUMNS
from sodbench.errors import SodbenchError
from sodbench.results import Result


def read_attributes(places: Sequence[Path], results: Iterable[Result]) -> dict[str, pd.DataFrame]:
    """Read the groups of images of every dataset that has results.

    Parameters
    ----------
    places : sequence of Path
        Folders that ``sodbench data stats -o DIR`` wrote, or single files of them (``SOD.csv``; ``HKU-IS-test.csv`` for
        ``HKU-IS/test``).
    results : iterable of Result

    Returns
    -------
    dict of str to DataFrame
        By dataset, what `sodbench.datasets.attribute_groups` returns; empty without ``places``.

    Raises
    ------
    SodbenchError
        For a file with other content, a dataset with results but without a file, and a file that lacks images that were
        scored.
    """
    files = dict(file for place in places for file in _list_files(place))
    groups: dict[str, pd.DataFrame] = {}
    for result in results if places else ():
        name = result.dataset
        file = files.get(name.replace("/", "-"))
        if file is None:
            raise SodbenchError(
                f"--attributes: nothing about {name} in {', '.join(map(str, places))}; "
                "'sodbench data stats NAME -o DIR' measures it"
            )
        if name not in groups:
            groups[name] = attribute_groups(_read(file))
        missing = result.table.index.difference(groups[name].index)
        if len(missing):
            raise SodbenchError(
                f"{file}: lacks {len(missing)} of the {result.n} images of {name} that {result.method} was scored on, "
                f"for example {missing[0]}; measure the dataset that was scored with 'sodbench data stats NAME -o DIR'"
            )
    return groups


def _list_files(place: Path) -> list[tuple[str, Path]]:
    """The files of a place by the name of their dataset."""
    if place.is_dir():
        return [(file.stem, file) for file in sorted(place.glob("*.csv"))]
    if place.is_file():
        return [(place.stem, place)]
    raise SodbenchError(
        f"--attributes {place}: no such file; 'sodbench data stats -o DIR' makes it"
    )


def _read(file: Path) -> pd.DataFrame:
    try:
        # as text: the parsers of some versions of pandas miss the last bit of many numbers
        frame: pd.DataFrame = pd.read_csv(file, dtype=str, keep_default_na=False)
        frame = frame.set_index("stem")[list(COLUMNS)]
        border = frame["border"].map({"True": True, "False": False})
        if border.isna().any() or not frame.index.is_unique:
            raise ValueError("unknown words or duplicate names")
        numbers = frame.drop(columns="border").replace("", "nan").astype(float)
    except (OSError, ValueError, KeyError) as error:
        raise SodbenchError(
            f"{file}: not the attributes that 'sodbench data stats -o DIR' writes ({error})"
        ) from error
    return numbers.assign(border=border.astype(bool))
