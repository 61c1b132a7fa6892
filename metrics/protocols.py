"""The conventions of the field's evaluators, as values.

One :class:`Protocol` describes one program: how it prepares a map, what it calls foreground, how it compares with a
threshold, what it does with an empty mask, and which aggregate it prints as max F.  All measures are computed by the
same functions, which read these values; a further protocol is a further value.
"""

from dataclasses import dataclass
from typing import Literal

from sodbench.metrics.catalogue import DEFAULT_PROTOCOL
from sodbench.metrics.counts import (
    MATLAB_RULE,
    MATLAB_SECOND,
    PREPARATIONS,
    STANDARD_RULE,
    CountingRule,
    Preparation,
    SecondRule,
)

__all__ = ["DEFAULT_PROTOCOL", "PROTOCOLS", "Protocol", "protocol"]


@dataclass(frozen=True)
class Protocol:
    """One evaluator's conventions.

    name, title: how it is chosen, and the program it stands for.
    rule: what is foreground in a mask, and how the centroid of S-measure is rounded.
    map: how bytes become values (see :data:`~sodbench.metrics.counts.PREPARATIONS`); ``mae_map``: the same for MAE.
    mae_mask: MAE against the mask's grey levels as stored (``raw``) or against its two classes (``binary``).
    constant_mae: MAE of a constant map where ``mae_map`` is min-max: of its bytes divided by 255 (``bytes``), or without
        a value (``undefined``), which the mean leaves out.
    comparison: a pixel is selected at threshold t = 0..255 when 255 times its value is ``>`` t, when the truncated
        product is ``trunc>=`` t, or when its value is ``>=`` t / 255.  This is for precision, recall and F; the measures
        that a program does not define take PySODMetrics' ``trunc>=``.
    smoothing: added to numerator and denominator of precision and recall; with 0, an undefined one is 0.
    beta2: the weight of precision in F.
    f_max: which aggregate is max F: of the mean precision and recall (``meanpr``) or of the mean F (``meanf``).
    empty_masks: whether a mask without foreground counts in the mean precision, recall and F (``keep``), or has no value
        there (``exclude``); then an image without background has no place in the curves of ``auc_roc`` and ``ap`` either.  All other metrics
        count it.
    undefined_s: whether an undefined (NaN) S-measure makes the mean undefined (``keep``) or is left out (``skip``).
    defines: the measures the program itself prints; the others follow PySODMetrics' definitions on this protocol's map.
    """

    name: str
    title: str
    rule: CountingRule
    map: Preparation
    mae_map: Preparation
    mae_mask: Literal["raw", "binary"]
    constant_mae: Literal["bytes", "undefined"]
    comparison: Literal[">", "trunc>=", ">="]
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

    @property
    def other_comparison(self) -> Literal["trunc>=", ">="]:
        """The comparison of the curves beside precision, recall and F."""
        return ">=" if self.comparison == ">=" else "trunc>="

    def comparison_of(self, curve: str) -> Literal[">", "trunc>=", ">="]:
        """How a map is compared with the threshold in one of the curves, e.g. ``tpr``."""
        own = curve in ("precision", "recall") or curve.partition("_")[0] == "f"
        return self.comparison if own else self.other_comparison

    @property
    def second_rule(self) -> SecondRule:
        """The rule, besides the standard one, that pairs must be counted under to be scored by this protocol."""
        held = MATLAB_SECOND.rule if self.map == MATLAB_SECOND.map else STANDARD_RULE
        return MATLAB_SECOND if self.rule == held else SecondRule(self.rule, self.map)

    @property
    def mask_signature(self) -> str:
        """The foreground rule as it stands in a signature, e.g. ``>128``."""
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

SALMETRIC = Protocol(
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

PYSODMETRICS = Protocol(
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

MATLAB = Protocol(
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

PROTOCOLS: dict[str, Protocol] = {p.name: p for p in (SALMETRIC, PYSODMETRICS, MATLAB)}


def protocol(name: str | Protocol) -> Protocol:
    """The protocol of that name; ValueError names the known ones."""
    if isinstance(name, Protocol):
        return name
    try:
        return PROTOCOLS[name]
    except KeyError:
        raise ValueError(f"unknown protocol {name!r}; known are {', '.join(PROTOCOLS)}") from None
