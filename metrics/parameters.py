"""Metrics with parameters in their names: ``iou@0.5``, ``f@0.5(b2=1)``, ``f_max(b2=1)``, ``msiou_adp(levels=5)``.

``NAME@T`` is a metric of the map binarised at the fixed threshold T: a pixel is selected where its prepared value is above T.
``(b2=X)`` replaces the weight of precision, beta squared, in an F-measure, and ``(levels=N)`` the number of grids in multi-scale
IoU.  Such metrics are functions of the counts, and of what is stored for weighted F and multi-scale IoU, so that they cost nothing
and can be computed for pairs that are counted already.
"""

import math
import re
from dataclasses import dataclass
from typing import Self

# Before the name of a metric of all pixels of a set together, and of what it is computed from
OVERALL = "overall_"
CONFUSION = "confusion"
# with a sign, which no parameter may have, so that the message is about the value
_NUMBER = r"-?(?:[0-9]+(?:\.[0-9]*)?(?:e[-+]?[0-9]+)?|\.[0-9]+)"
_NAME_FORM = re.compile(
    rf"(?P<base>[a-z0-9_]+)(?:@(?P<threshold>{_NUMBER}))?"
    rf"(?:\((?:b2=(?P<beta2>{_NUMBER})|levels=(?P<levels>[0-9]{{1,4}}))\))?"
)


@dataclass(frozen=True)
class Parameters:
    """A metric's name, taken apart; its text is the one way to write it.

    Attributes
    ----------
    base : str
        The name without parameters: a family such as ``iou``, or a metric such as ``f_max``.
    threshold : float or None
        Of the binarised map, 0 to 1.
    beta2 : float or None
        The weight of precision, above 0.
    levels : int or None
        The number of grids, at least 2.
    """

    base: str
    threshold: float | None = None
    beta2: float | None = None
    levels: int | None = None

    @classmethod
    def parse(cls, name: str) -> Self | None:
        """Take a name apart.

        Parameters
        ----------
        name : str

        Returns
        -------
        Parameters or None
            None for a name without parameters.
        """
        match = _NAME_FORM.fullmatch(name.replace(" ", ""))
        if match is None or not (match["threshold"] or match["beta2"] or match["levels"]):
            return None
        threshold, beta2 = (
            None if match[key] is None else float(match[key]) for key in ("threshold", "beta2")
        )
        levels = int(match["levels"]) if match["levels"] else None
        return cls(match["base"], threshold, beta2, levels)

    def __str__(self) -> str:
        at = "" if self.threshold is None else f"@{_format_number(self.threshold)}"
        levels = "" if self.levels is None else f"(levels={self.levels})"
        return f"{self.base}{at}{self.weight}{levels}"

    @property
    def fault(self) -> str:
        """What is wrong with the values; empty where nothing is."""
        if self.threshold is not None and self.threshold < 0:
            return "a fixed threshold is a value in 0..1"
        if self.threshold is not None and self.threshold > 1:
            # rounded up: pixels above it are those above the grey level
            share = _format_number(math.ceil(self.threshold / 255 * 1e4) / 1e4)
            level = f"; grey level {self.threshold:g} is {self.base}@{share}"
            return f"a fixed threshold is a value in 0..1{level if self.threshold <= 255 else ''}"
        if self.beta2 is not None and not 0 < self.beta2 < math.inf:
            return "b2, the weight of precision, must be a finite number above 0"
        # the trapezoids between grids need two
        few = self.levels is not None and self.levels < 2
        return "levels, the number of grids, must be at least 2" if few else ""

    @property
    def weight(self) -> str:
        """How the name shows the weight of precision, e.g. ``(b2=1)``; empty without one."""
        return "" if self.beta2 is None else f"(b2={_format_number(self.beta2)})"

    @property
    def curve(self) -> str:
        """The name of the images' F curve with this weight, e.g. ``f(b2=1)``."""
        return f"f{self.weight}"

    @property
    def confusion(self) -> str:
        """The name under which the pixels at the fixed threshold are summed, e.g. ``confusion@0.5`` (overall.py)."""
        return f"{CONFUSION}@{self.threshold:.12g}{self.weight}"


def has_parameters(name: str) -> bool:
    """Whether a metric or curve has parameters in its name.

    Parameters
    ----------
    name : str

    Returns
    -------
    bool
    """
    return Parameters.parse(name) is not None


def _format_number(value: float) -> str:
    """The shortest text that is read as this number again: a rounded threshold could select another grey level."""
    return repr(value).removesuffix(".0")
