"""What a measure is called in print, which direction is better, and which a report shows by default."""

from collections.abc import Sequence
from dataclasses import dataclass

from sodbench.errors import SodbenchError
from sodbench.metrics.scores import LOWER_IS_BETTER

DEFAULT = ("mae", "f_max", "s", "e_max", "wf")
"""What tables show when nothing else was asked for: the five classical measures."""

_FAMILIES = {
    "f": "F",
    "e": "E",
    "iou": "IoU",
    "dice": "Dice",
    "specificity": "specificity",
    "precision": "precision",
    "recall": "recall",
    "ber": "BER",
    "fpr": "FPR",
    "accuracy": "accuracy",
    "kappa": "kappa",
    "cohen_kappa": "Cohen's kappa",
}
_FORMS = {
    "max": "max {}",
    "mean": "mean {}",
    "adp": "adaptive {}",
    "max_meanpr": "max {} (mean P, R)",
    "max_meanf": "max {} (mean F)",
    "max_best": "mean of best {}",
}
_LABELS = {
    "mae": "MAE",
    "s": "S",
    "s_object": "S object",
    "s_region": "S region",
    "wf": "weighted F",
    "precision": "precision",
    "recall": "recall",
    "threshold": "threshold",
    "auc_pr": "AUC-PR",
    "auc_roc": "AUC-ROC",
}
_NEUTRAL = ("threshold", "ber_max", "fpr_max")
"""Neither direction is better: the maximum of an error over all thresholds is that of the worst threshold (FPR is 1)."""


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
    direction = 0 if name in _NEUTRAL else -1 if name in LOWER_IS_BETTER else 1
    if name in _LABELS:
        return Measure(name, _LABELS[name], direction)
    for family, label in _FAMILIES.items():
        form = name.removeprefix(f"{family}_")
        if form in _FORMS:
            return Measure(name, _FORMS[form].format(label), direction)
    return Measure(name, name, direction)


def choose(available: Sequence[str], asked: Sequence[str] | None = None) -> tuple[Measure, ...]:
    """The measures of a report: those asked for, else the classical ones among ``available``.

    Raises :class:`SodbenchError` for a name that no result has.
    """
    if asked is None:
        return tuple(measure(name) for name in DEFAULT if name in available)
    unknown = [name for name in asked if name not in available]
    if unknown:
        raise SodbenchError(
            f"no result has the measure {', '.join(unknown)}; there are: {', '.join(available)}"
        )
    return tuple(measure(name) for name in asked)
