"""The conventions of the field's evaluation programs, as values.

One `Protocol` describes one program: how it prepares a map, which mask pixels are foreground, how it compares a
map with a threshold, what it does with an empty mask, and which aggregate it prints as max F.  Every metric is computed
by the same functions, which read these values.  A further protocol is a further value; see `register_protocol`.

Only the standard library is imported, so that the command line can list the protocols without loading numpy or numba.
"""

from dataclasses import dataclass, replace
from typing import Any, Literal

from sodbench.plugins import load_plugins

Preparation = Literal["raw", "min-max", "maximum"]
# How a map's grey levels become values in [0, 1]: divided by 255; stretched so that the minimum is 0 and the maximum 1;
# divided by the maximum.  A constant map (min-max) and a black map (maximum) are only divided by 255.
PREPARATIONS: tuple[Preparation, ...] = ("raw", "min-max", "maximum")

ThresholdComparison = Literal[">", "trunc>=", ">=", ">=254", "colon>=", "colon>"]
# The curves over the grey levels of the map as stored (calibration.py) instead of thresholds
CURVES_OVER_LEVELS = ("calibration", "level_share", "level_foreground")
COMPARISONS: tuple[ThresholdComparison, ...] = (">", "trunc>=", ">=", ">=254", "colon>=", "colon>")
AdaptiveComparison = Literal[">=", ">", ">=unclipped"]
DEFAULT_PROTOCOL = "salmetric"


Centroid = Literal["half-even", "half-up", "before"]
CENTROIDS: tuple[Centroid, ...] = ("half-even", "half-up", "before")


@dataclass(frozen=True)
class CountingRule:
    """Which mask pixels are foreground, and how the mask's centroid is rounded.

    Pixels are counted once per rule; everything else in a protocol is arithmetic on those counts.

    Parameters
    ----------
    foreground_above : int
        A mask pixel is foreground when its grey level is greater than this, 0..254.
    centroid : {"half-even", "half-up", "before"}
        S-measure splits the image after row and column ``round(mean of the 0-based coordinates) + 1``.  Ties are
        rounded to even (PySODMetrics) or up (MATLAB's ``round`` of the 1-based mean).  ``before``: to even and without
        the + 1, so that the centroid's row and column belong to the lower right.

    Raises
    ------
    ValueError
        For other values.
    """

    foreground_above: int
    centroid: Centroid

    def __post_init__(self) -> None:
        above: Any = self.foreground_above
        if isinstance(above, bool) or not isinstance(above, int) or not 0 <= above <= 254:
            raise ValueError(f"foreground_above is an integer in 0..254, not {above!r}")
        if self.centroid not in CENTROIDS:
            raise ValueError(f"centroid is one of {', '.join(CENTROIDS)}, not {self.centroid!r}")

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
    comparison : {">", "trunc>=", ">=", ">=254", "colon>=", "colon>"}
        A pixel of value v is selected at threshold t = 0..255 when 255 v > t, trunc(255 v) >= t, v >= t / 255, or, for 255
        thresholds, v >= t / 254, where the last one is repeated for t = 255 and does not count in a mean over
        thresholds.  ``colon>=`` and ``colon>`` compare with t / 255 as MATLAB's ``1:-1/255:0`` rounds it.  This applies to precision, recall and F; metrics that the program does not define use
        PySODMetrics' ``trunc>=`` where this is ``>``.
    smoothing : float
        Added to numerator and denominator of precision and recall.  With 0, an undefined quotient is 0.
    f_max : {"meanpr", "meanf"}
        Whether max F is that of the mean precision and recall, or of the mean F curve.
    empty_masks : {"keep", "exclude", "exclude all"}
        Whether a mask without foreground counts in the mean precision, recall and F, or has no value in their curves, or
        none at the adaptive threshold either.  In the last two cases an image without background has no value in the
        curves of ``auc_roc`` and ``ap``.
    undefined_s : {"keep", "skip"}
        Whether an undefined (NaN) S-measure makes the mean undefined, or is left out of it.
    beta2 : float
        The weight of precision in F.
    weighted_beta2 : float
        The weight of precision in weighted F.
    empty_weighted_f : {"zero", "background"}
        Weighted F of a mask without foreground: 0, or 1 - mean(map).
    e_comparison : as ``comparison``, optional
        The comparison of E-measure, where the program has another one for it.
    adaptive_e : {">=", ">", ">=unclipped"}
        How E-measure at the adaptive threshold compares a map with twice its mean; the threshold is at most 1 unless it is
        unclipped.
    on_request : bool
        Whether pairs are counted for it only where it is asked for, because its rule takes a pass of its own.

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
    empty_masks: Literal["keep", "exclude", "exclude all"]
    undefined_s: Literal["keep", "skip"]
    beta2: float = 0.3
    weighted_beta2: float = 1.0
    empty_weighted_f: Literal["zero", "background"] = "zero"
    e_comparison: ThresholdComparison | None = None
    adaptive_e: AdaptiveComparison = ">="
    on_request: bool = False

    def __post_init__(self) -> None:
        for name, choices in _CHOICES.items():
            if getattr(self, name) not in choices:
                raise ValueError(
                    f"{name} of the protocol {self.name!r} is {getattr(self, name)!r}; it is one of {', '.join(map(str, choices))}"
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
        return "trunc>=" if self.comparison == ">" else self.comparison

    @property
    def n_thresholds(self) -> int:
        """How many of the 256 thresholds count in a mean over thresholds."""
        return 255 if self.comparison == ">=254" else 256

    def comparison_of(self, curve: str) -> str:
        """How a map is compared with the threshold in one of the curves.

        Parameters
        ----------
        curve : str
            A curve of the catalogue, e.g. ``tpr``.

        Returns
        -------
        {">", "trunc>=", ">=", ">=254", "colon>=", "colon>", "="}
            The last one for the curves over the grey levels of the map as stored.
        """
        if curve in CURVES_OVER_LEVELS:
            return "="
        if curve == "e" and self.e_comparison:
            return self.e_comparison
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
    "comparison": COMPARISONS,
    "e_comparison": (None, *COMPARISONS),
    "adaptive_e": (">=", ">", ">=unclipped"),
    "empty_weighted_f": ("zero", "background"),
    "f_max": ("meanpr", "meanf"),
    "empty_masks": ("keep", "exclude", "exclude all"),
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
)

# PySODMetrics' conventions, but for MATLAB's centroid and comparisons
_CODTOOLBOX = replace(
    _PYSODMETRICS,
    name="codtoolbox",
    title="CODToolbox, SINet-V2 (MATLAB)",
    rule=CountingRule(128, "half-up"),
    comparison="colon>=",
    e_comparison="colon>",
    adaptive_e=">",
)

_TORCH = Protocol(
    name="torch",
    title="SOD_Evaluation_Metrics (PyTorch)",
    rule=CountingRule(127, "before"),
    map="raw",
    mae_map="raw",
    mae_mask="raw",
    constant_mae="bytes",
    comparison=">=254",
    smoothing=0.0,
    f_max="meanf",
    empty_masks="exclude all",
    undefined_s="keep",
    weighted_beta2=0.3,
    empty_weighted_f="background",
    adaptive_e=">=unclipped",
    on_request=True,
)

# What is counted for every pair, whatever it is scored under: it costs next to nothing
BUILT_IN = (_SALMETRIC, _PYSODMETRICS, _MATLAB, _CODTOOLBOX)

# Every known protocol by name: what ``--protocol`` accepts
PROTOCOLS: dict[str, Protocol] = {p.name: p for p in (*BUILT_IN, _TORCH)}


def get_protocol(protocol: str | Protocol) -> Protocol:
    """Find a protocol by name.

    Parameters
    ----------
    protocol : str or Protocol
        A name, also of an installed plug-in; a protocol is returned as it is.

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
    if protocol not in PROTOCOLS:
        load_plugins("sodbench.protocols")
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
