"""What is counted for every pair: the counting rules, and the measurements of the pixels that are stored as columns."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from sodbench.metrics.catalogue import MEASUREMENTS
from sodbench.metrics.protocols import (
    BUILT_IN,
    PREPARATIONS,
    CountingRule,
    Preparation,
    Protocol,
)


class PixelColumn(NamedTuple):
    """One stored measurement of every pair's pixels: its name, and what it was computed from.

    Attributes
    ----------
    measurement : str
        A measurement of the catalogue, e.g. ``wf``.
    map : {"raw", "min-max", "maximum"}
        How the map was prepared.
    foreground_above : int
        Mask pixels above this grey level were foreground.
    """

    measurement: str
    map: Preparation
    foreground_above: int

    def __str__(self) -> str:
        """The column's name in files, e.g. ``wf_min-max_128``; `parse` reads it."""
        return f"{self.measurement}_{self.map}_{self.foreground_above}"

    @classmethod
    def parse(cls, name: str) -> "PixelColumn":
        """Read the name of a stored column.

        Parameters
        ----------
        name : str
            What ``str`` gave.

        Returns
        -------
        PixelColumn

        Raises
        ------
        ValueError
            For anything else.
        """
        measurement, map_, above = ([*name.rsplit("_", 2), "", ""])[:3]
        for preparation in PREPARATIONS:
            if measurement and map_ == preparation and above.isdecimal() and int(above) <= 254:
                return cls(measurement, preparation, int(above))
        raise ValueError(f"{name!r} is not the name of a measurement's column")


def find_column(measurement: str, protocol: Protocol) -> PixelColumn:
    """The stored column that holds a measurement under a protocol.

    Parameters
    ----------
    measurement : str
        A measurement of the catalogue.
    protocol : Protocol
        Whose preparation and foreground are used, unless the measurement has its own.

    Returns
    -------
    PixelColumn
    """
    own = MEASUREMENTS[measurement]
    above = own.foreground_above
    if above is None:
        above = protocol.rule.foreground_above
    map_ = protocol.mae_map if own.map == "mae" else own.map or protocol.map
    return PixelColumn(measurement, map_, above)


@dataclass(frozen=True)
class CountingScheme:
    """What is counted for every pair: the rules, and the columns of what is measured from the pixels.

    Attributes
    ----------
    rules : tuple of CountingRule
        At least one.  The first one's histogram is kept for every pair, that of another rule for the pairs on which it
        differs.
    columns : tuple of PixelColumn
        What is computed from the pixels of every pair in addition to the counts.
    """

    rules: tuple[CountingRule, ...]
    columns: tuple[PixelColumn, ...] = ()

    @classmethod
    def for_protocols(
        cls, protocols: Iterable[Protocol], measurements: Sequence[str] = ("wf",)
    ) -> "CountingScheme":
        """The scheme whose counts can be scored under some protocols.

        Parameters
        ----------
        protocols : iterable of Protocol
            The built-in protocols are always counted too: they cost next to nothing.
        measurements : sequence of str
            What is computed from the pixels, see `sodbench.metrics.catalogue.find_measurements`.

        Returns
        -------
        CountingScheme
        """
        scored = [*BUILT_IN, *protocols]
        rules = dict.fromkeys(protocol.rule for protocol in scored)
        columns = dict.fromkeys(find_column(name, p) for name in measurements for p in scored)
        return cls(tuple(rules), tuple(columns))


# What is counted unless a protocol or a metric of the user's own asks for more
DEFAULT_SCHEME = CountingScheme.for_protocols(())
# The same without pixel metrics, which take most of the time of a pair
COUNTS_ONLY = CountingScheme.for_protocols((), measurements=())
