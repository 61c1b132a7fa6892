"""What a measure is called in print, which direction is better, and which a report shows by default."""

from collections.abc import Sequence
from dataclasses import dataclass

from sodbench.errors import SodbenchError
from sodbench.metrics.catalogue import METRICS

DEFAULT = ("mae", "f_max", "s", "e_max", "wf")
"""What tables show when nothing else was asked for: the five classical measures."""

_SIGNS = {"higher": 1, "lower": -1, "neither": 0}


@dataclass(frozen=True)
class Measure:
    """A measure in print.

    name: the key of METRICS (``f_max``); label: as printed (``max F``);
    direction: +1 higher is better, -1 lower is better, 0 neither.
    """

    name: str
    label: str
    direction: int

    @property
    def arrow(self) -> str:
        """``↑``, ``↓`` or nothing."""
        return {1: "↑", -1: "↓", 0: ""}[self.direction]

    @property
    def title(self) -> str:
        """The label as it begins a sentence."""
        return self.label[:1].upper() + self.label[1:]

    @property
    def heading(self) -> str:
        """The label with its arrow, as a column is headed."""
        return f"{self.label} {self.arrow}".strip()

    @property
    def higher(self) -> bool:
        """Whether more is better."""
        return self.direction > 0


def measure(name: str) -> Measure:
    """The printed form of a measure's name; a name not known here keeps its own spelling."""
    known = METRICS.get(name)
    if known is None:
        return Measure(name, name, 1)
    return Measure(name, known.label, _SIGNS[known.direction])


def choose(available: Sequence[str], asked: Sequence[str] | None = None) -> tuple[Measure, ...]:
    """The measures of a report: those asked for, else the classical ones among ``available``.

    Raises :class:`SodbenchError` for a name that no result has.
    """
    if asked is None:
        return tuple(measure(name) for name in DEFAULT if name in available)
    unknown = [name for name in asked if name not in available]
    if unknown:
        raise SodbenchError(
            f"no result has the metric {', '.join(unknown)}; there are: {', '.join(available)}"
        )
    return tuple(measure(name) for name in asked)
