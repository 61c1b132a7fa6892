"""The conventions of the field's evaluators, as values.

One :class:`Protocol` describes one program: how it prepares a map, what it calls foreground, how it compares with a
threshold, what it does with an empty mask, and which aggregate it prints as max F.  All measures are computed by the
same functions, which read these values; a further protocol is a further value.
"""

from dataclasses import dataclass
from typing import Literal

from sodbench.metrics.counts import MATLAB_RULE, STANDARD_RULE, CountingRule, Preparation


@dataclass(frozen=True)
class Protocol:
    """One evaluator's conventions.

    name, title: how it is chosen, and the program it stands for.
    rule: what is foreground in a mask, and how the centroid of S-measure is rounded.
    map: how bytes become values (see :data:`~sodbench.metrics.counts.PREPARATIONS`); ``mae_map``: the same for MAE.
    mae_mask: MAE against the mask's grey levels as stored (``raw``) or against its two classes (``binary``).
    comparison: a pixel is selected at threshold t = 0..255 when 255 times its value is ``>`` t, when the truncated
        product is ``trunc>=`` t, or when its value is ``>=`` t / 255.  This is for precision, recall and F; the measures
        that a program does not define take PySODMetrics' ``trunc>=``.
    smoothing: added to numerator and denominator of precision and recall; with 0, an undefined one is 0.
    beta2: the weight of precision in F.
    f_max: which aggregate is max F: of the mean precision and recall (``meanpr``) or of the mean F (``meanf``).
    empty_masks, black_maps: whether such pairs count in the mean curves.
    undefined_s: whether an undefined (NaN) S-measure makes the mean undefined (``keep``) or is left out (``skip``).
    defines: the measures the program itself prints; the others follow PySODMetrics' definitions on this protocol's map.
    """

    name: str
    title: str
    rule: CountingRule
    map: Preparation
    mae_map: Preparation
    mae_mask: Literal["raw", "binary"]
    comparison: Literal[">", "trunc>=", ">="]
    smoothing: float
    f_max: Literal["meanpr", "meanf"]
    empty_masks: Literal["keep", "exclude"]
    black_maps: Literal["keep", "exclude"]
    undefined_s: Literal["keep", "skip"]
    defines: tuple[str, ...]
    beta2: float = 0.3

    @property
    def other_comparison(self) -> Literal["trunc>=", ">="]:
        """The comparison of the curves beside precision, recall and F."""
        return ">=" if self.comparison == ">=" else "trunc>="

    @property
    def mask_signature(self) -> str:
        """The foreground rule as it stands in a signature, e.g. ``>128``."""
        return f">{self.rule.foreground_above}"


SALMETRIC = Protocol(
    name="salmetric",
    title="SalMetric (C++)",
    rule=STANDARD_RULE,
    map="raw",
    mae_map="raw",
    mae_mask="raw",
    comparison=">",
    smoothing=1e-4,
    f_max="meanpr",
    empty_masks="keep",
    black_maps="keep",
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
    comparison="trunc>=",
    smoothing=0.0,
    f_max="meanf",
    empty_masks="keep",
    black_maps="keep",
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
    comparison=">=",
    smoothing=0.0,
    f_max="meanpr",
    empty_masks="exclude",
    black_maps="exclude",
    undefined_s="skip",
    defines=("mae", "f_max", "f_adp", "s", "auc_roc", "iou_max", "iou_mean"),
)

PROTOCOLS: dict[str, Protocol] = {p.name: p for p in (SALMETRIC, PYSODMETRICS, MATLAB)}
DEFAULT_PROTOCOL = SALMETRIC.name


def protocol(name: str | Protocol) -> Protocol:
    """The protocol of that name; ValueError names the known ones."""
    if isinstance(name, Protocol):
        return name
    try:
        return PROTOCOLS[name]
    except KeyError:
        raise ValueError(f"unknown protocol {name!r}; known are {', '.join(PROTOCOLS)}") from None
