"""The conventions of the field's evaluation programs, as values.

One `Protocol` describes one program: how it prepares a map, which mask pixels are foreground, how it compares a
map with a threshold, what it does with an empty mask, and which aggregate it prints as max F.  Every metric is computed
by the same functions, which read these values.  A further protocol is a further value; see `register_protocol`.

Only the standard library is imported, so that the command line can list the protocols without loading numpy or numba.
"""

from dataclasses import dataclass
from typing import Any, Literal

Preparation = Literal["raw", "min-max", "maximum"]
# How a map's grey levels become values in [0, 1]: divided by 255; stretched so that the minimum is 0 and the maximum 1;
# divided by the maximum.  A constant map (min-max) and a black map (maximum) are only divided by 255.
PREPARATIONS: tuple[Preparation, ...] = ("raw", "min-max", "maximum")

ThresholdComparison = Literal[">", "trunc>=", ">="]
DEFAULT_PROTOCOL = "salmetric"


@dataclass(frozen=True)
class CountingRule:
    """Which mask pixels are foreground, and how the mask's centroid is rounded.

    Pixels are counted once per rule; everything else in a protocol is arithmetic on those counts.

    Parameters
    ----------
    foreground_above : int
        A mask pixel is foreground when its grey level is greater than this, 0..254.
    centroid : {"half-even", "half-up"}
        S-measure splits the image after row and column ``round(mean of the 0-based coordinates) + 1``.  Ties are
        rounded to even (PySODMetrics) or up (MATLAB's ``round`` of the 1-based mean).

    Raises
    ------
    ValueError
        For other values.
    """

    foreground_above: int
    centroid: Literal["half-even", "half-up"]

    def __post_init__(self) -> None:
        above: Any = self.foreground_above
        if isinstance(above, bool) or not isinstance(above, int) or not 0 <= above <= 254:
            raise ValueError(f"foreground_above is an integer in 0..254, not {above!r}")
        if self.centroid not in ("half-even", "half-up"):
            raise ValueError(f"centroid is 'half-even' or 'half-up', not {self.centroid!r}")

    def __str__(self) -> str:
        return f"foreground >{self.foreground_above}, centroid rounded {self.centroid}"


# SalMetric's and PySODMetrics' foreground, with PySODMetrics' centroid
STANDARD_RULE = CountingRule(128, "half-even")
# sal_eval_toolbox: foreground from 26 (0.1 of 255), MATLAB's centroid
MATLAB_RULE = CountingRule(25, "half-up")


@dataclass(frozen=True)
class Protocol:
    """One evaluation program's conventions.

    Parameters
    ----------
    name : str
        The name it is chosen by, as in ``--protocol``.
    title : str
        The program whose numbers it gives.
    rule : CountingRule
        Which mask pixels are foreground, and how the centroid for S-measure is rounded.
    map : {"raw", "min-max", "maximum"}
        How a map is prepared, see `PREPARATIONS`.
    mae_map : {"raw", "min-max", "maximum"}
        The same for MAE.
    mae_mask : {"raw", "binary"}
        MAE against the mask's grey levels as stored, or against its two classes.
    constant_mae : {"bytes", "undefined"}
        MAE of a constant map where ``mae_map`` is min-max: of its grey levels divided by 255, or undefined, in which
        case the mean leaves it out.
    comparison : {">", "trunc>=", ">="}
        A pixel of value v is selected at threshold t = 0..255 when 255 v > t, trunc(255 v) >= t, or v >= t / 255.  This
        applies to precision, recall and F; metrics that the program does not define use PySODMetrics' ``trunc>=``.
    smoothing : float
        Added to numerator and denominator of precision and recall.  With 0, an undefined quotient is 0.
    f_max : {"meanpr", "meanf"}
        Whether max F is that of the mean precision and recall, or of the mean F curve.
    empty_masks : {"keep", "exclude"}
        Whether a mask without foreground counts in the mean precision, recall and F, or has no value there.  In the
        second case an image without background has no value in the curves of ``auc_roc`` and ``ap`` either.
    undefined_s : {"keep", "skip"}
        Whether an undefined (NaN) S-measure makes the mean undefined, or is left out of it.
    defines : tuple of str
        The metrics that the program itself prints.  The others follow PySODMetrics' definitions on this protocol's map.
    beta2 : float
        The weight of precision in F.

    Raises
    ------
    ValueError
        For unknown values, and values that contradict each other.
    """

    name: str
    title: str
    rule: CountingRule
    map: Preparation
    mae_map: Preparation
    mae_mask: Literal["raw", "binary"]
    constant_mae: Literal["bytes", "undefined"]
    comparison: ThresholdComparison
    smoothing: float
    f_max: Literal["meanpr", "meanf"]
    empty_masks: Literal["keep", "exclude"]
    undefined_s: Literal["keep", "skip"]
    defines: tuple[str, ...]
    beta2: float = 0.3

    def __post_init__(self) -> None:
        for name, choices in _CHOICES.items():
            if getattr(self, name) not in choices:
                raise ValueError(
                    f"{name} of the protocol {self.name!r} is {getattr(self, name)!r}; it is one of {', '.join(choices)}"
                )
        if self.mae_mask == "raw" and self.mae_map != "raw":
            raise ValueError(
                f"mae_mask of the protocol {self.name!r} is 'raw' and mae_map {self.mae_map!r}: "
                "MAE against the mask as stored is of the map as stored"
            )
        if self.constant_mae == "undefined" and self.mae_map != "min-max":
            raise ValueError(
                f"constant_mae of the protocol {self.name!r} is 'undefined', which only MAE on min-max maps can be"
            )

    def __str__(self) -> str:
        return self.name

    @property
    def secondary_comparison(self) -> ThresholdComparison:
        """The comparison for the curves other than precision, recall and F."""
        return ">=" if self.comparison == ">=" else "trunc>="

    def comparison_of(self, curve: str) -> ThresholdComparison:
        """How a map is compared with the threshold in one of the curves.

        Parameters
        ----------
        curve : str
            A curve of the catalogue, e.g. ``tpr``.

        Returns
        -------
        {">", "trunc>=", ">="}
        """
        own = curve in ("precision", "recall") or curve.partition("_")[0] == "f"
        return self.comparison if own else self.secondary_comparison

    @property
    def mask_signature(self) -> str:
        """The foreground rule as a signature shows it, e.g. ``>128``."""
        return f">{self.rule.foreground_above}"


_CHOICES = {
    "map": PREPARATIONS,
    "mae_map": PREPARATIONS,
    "mae_mask": ("raw", "binary"),
    "constant_mae": ("bytes", "undefined"),
    "comparison": (">", "trunc>=", ">="),
    "f_max": ("meanpr", "meanf"),
    "empty_masks": ("keep", "exclude"),
    "undefined_s": ("keep", "skip"),
}

_SALMETRIC = Protocol(
    name="salmetric",
    title="SalMetric (C++)",
    rule=STANDARD_RULE,
    map="raw",
    mae_map="raw",
    mae_mask="raw",
    constant_mae="bytes",
    comparison=">",
    smoothing=1e-4,
    f_max="meanpr",
    empty_masks="keep",
    undefined_s="keep",
    defines=("mae", "f_max", "precision", "recall"),
)

_PYSODMETRICS = Protocol(
    name="pysodmetrics",
    title="PySODMetrics 1.6.2 (Python)",
    rule=STANDARD_RULE,
    map="min-max",
    mae_map="min-max",
    mae_mask="binary",
    constant_mae="bytes",
    comparison="trunc>=",
    smoothing=0.0,
    f_max="meanf",
    empty_masks="keep",
    undefined_s="keep",
    defines=("mae", "f_max", "f_mean", "f_adp", "s", "e_max", "e_mean", "e_adp", "wf"),
)

_MATLAB = Protocol(
    name="matlab",
    title="sal_eval_toolbox (MATLAB)",
    rule=MATLAB_RULE,
    map="maximum",
    mae_map="min-max",
    mae_mask="binary",
    constant_mae="undefined",
    comparison=">=",
    smoothing=0.0,
    f_max="meanpr",
    empty_masks="exclude",
    undefined_s="skip",
    defines=("mae", "f_max", "f_adp", "s", "auc_roc", "iou_max", "iou_mean"),
)

# What is counted for every pair, whatever it is scored under: it costs next to nothing
BUILT_IN = (_SALMETRIC, _PYSODMETRICS, _MATLAB)

# Every known protocol by name: what ``--protocol`` accepts
PROTOCOLS: dict[str, Protocol] = {p.name: p for p in BUILT_IN}


def get_protocol(protocol: str | Protocol) -> Protocol:
    """Find a protocol by name.

    Parameters
    ----------
    protocol : str or Protocol
        A name; a protocol is returned as it is.

    Returns
    -------
    Protocol

    Raises
    ------
    ValueError
        For an unknown name; the message lists the known ones.
    """
    if isinstance(protocol, Protocol):
        return protocol
    try:
        return PROTOCOLS[protocol]
    except KeyError:
        raise ValueError(
            f"unknown protocol {protocol!r}; known are {', '.join(PROTOCOLS)}"
        ) from None


def register_protocol(protocol: Protocol) -> None:
    """Make a protocol of your own available by name, e.g. to ``--protocol``.

    Parameters
    ----------
    protocol : Protocol
        Its name must not be that of a different protocol.

    Raises
    ------
    ValueError
        For a name that is taken, ``all``, or a name that is empty or holds anything but letters, digits, ``-`` and ``_``.
    """
    plain = protocol.name.replace("-", "").replace("_", "")
    if not (plain.isascii() and plain.isalnum()) or protocol.name == "all":
        raise ValueError(
            f"{protocol.name!r} cannot name a protocol; use letters, digits, '-' and '_', and not 'all'"
        )
    if PROTOCOLS.get(protocol.name, protocol) != protocol:
        raise ValueError(f"there is another protocol with the name {protocol.name!r}")
    PROTOCOLS[protocol.name] = protocol
