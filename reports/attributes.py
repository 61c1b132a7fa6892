"""What the images of a data set are like, as ``sodbench data stats`` measured it once; no mask is opened here."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from sodbench.datasets import attribute_groups
from sodbench.datasets.attributes import COLUMNS
from sodbench.errors import SodbenchError
from sodbench.results import Result


def read_attributes(places: Sequence[Path], results: Iterable[Result]) -> dict[str, pd.DataFrame]:
    """The groups of images of every data set that has results, from the files that ``sodbench data stats -o DIR`` wrote.

    places: such folders, or single files in them (``SOD.csv``; ``HKU-IS-test.csv`` for ``HKU-IS/test``).
    Returns, by data set, what :func:`sodbench.datasets.attribute_groups` gives.
    Raises :class:`SodbenchError` for a file that is none, for a data set with results but without a file, and for one
    whose file lacks images that have been scored.
    """
    files = dict(file for place in places for file in _files(place))
    found: dict[str, pd.DataFrame] = {}
    for result in results if places else ():
        name = result.dataset
        file = files.get(name.replace("/", "-"))
        if file is None:
            raise SodbenchError(
                f"--attributes: nothing about {name} in {', '.join(map(str, places))}; "
                "'sodbench data stats NAME -o DIR' measures it"
            )
        if name not in found:
            found[name] = attribute_groups(_read(file))
        missing = result.table.index.difference(found[name].index)
        if len(missing):
            raise SodbenchError(
                f"{file}: lacks {len(missing)} of the {result.n} images of {name} that {result.method} was scored on, "
                f"for example {missing[0]}; measure the set that was scored with 'sodbench data stats NAME -o DIR'"
            )
    return found


def _files(place: Path) -> list[tuple[str, Path]]:
    if place.is_dir():
        return [(file.stem, file) for file in sorted(place.glob("*.csv"))]
    if place.is_file():
        return [(place.stem, place)]
    raise SodbenchError(
        f"--attributes {place}: no such file; 'sodbench data stats -o DIR' makes it"
    )


def _exact_floats() -> dict[str, Any]:
    """The option of ``pandas.read_csv`` that reads each float as it was written, where that is not the default."""
    # before pandas 3 the default parser misses the last bit of many numbers; pandas 3.1 deprecates the option
    return {"float_precision": "round_trip"} if int(pd.__version__.split(".")[0]) < 3 else {}


def _read(file: Path) -> pd.DataFrame:
    try:
        frame: pd.DataFrame = pd.read_csv(
            file,
            dtype={"stem": str, "border": str},
            keep_default_na=False,
            **_exact_floats(),
        )
        frame = frame.set_index("stem")[list(COLUMNS)]
        border = frame["border"].map({"True": True, "False": False})
        if border.isna().any() or not frame.index.is_unique:
            raise ValueError("unknown words or doubled names")
        numbers = frame.drop(columns="border").replace("", "nan").astype(float)
    except (OSError, ValueError, KeyError) as error:
        raise SodbenchError(
            f"{file}: not the attributes that 'sodbench data stats -o DIR' writes ({error})"
        ) from error
    return numbers.assign(border=border.astype(bool))
