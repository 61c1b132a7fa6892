"""The per-image table of a result as plain columns; pandas makes a DataFrame of it where one is asked for."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

if TYPE_CHECKING:
    import pandas as pd

# The file names of a pair, below the result's folders.
FILE_COLUMNS = ("map", "mask", "image")


@dataclass(frozen=True)
class PairTable:
    """One row for each pair of map and mask.

    Attributes
    ----------
    stems : tuple of str
        The names of N pairs.
    files : mapping of str to sequence of str
        ``map``, ``mask`` and ``image``: the files of each pair below the result's folders, empty where there is none.
    columns : mapping of str to array [N]
        Height and width (int64) and the per-image metrics (float64, NaN where undefined), as far as they are known.
    """

    stems: tuple[str, ...]
    files: Mapping[str, Sequence[str]]
    columns: Mapping[str, NDArray[Any]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.stems)

    @cached_property
    def _rows(self) -> dict[str, int]:
        return {stem: row for row, stem in enumerate(self.stems)}

    def files_of(self, stem: str) -> dict[str, str]:
        """Return the files of one pair.

        Parameters
        ----------
        stem : str
            Its name.

        Returns
        -------
        dict of str to str
            By ``map``, ``mask`` and ``image``.

        Raises
        ------
        KeyError
            For an unknown name.
        """
        row = self._rows[stem]
        return {kind: names[row] for kind, names in self.files.items()}

    def to_frame(self) -> "pd.DataFrame":
        """Return the table as a DataFrame with the index ``stem``.

        Returns
        -------
        DataFrame
        """
        # importing pandas takes longer than scoring a hundred pairs
        import pandas as pd

        index = pd.Index(list(self.stems), name="stem")
        return pd.DataFrame({**self.files, **self.columns}, index)
