"""The catalogue of metrics and protocols: their names, and what can be said of them without computing anything.

The command line, reports and training read names, labels and directions from here.  Only the standard library is
imported, so that checking a name costs nothing: neither numpy nor numba is loaded and no kernel is compiled.
"""

import difflib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

Direction = Literal["higher", "lower", "neither"]

PROTOCOL_NAMES = ("salmetric", "pysodmetrics", "matlab")
DEFAULT_PROTOCOL = "salmetric"
DEFAULT_METRICS = ("mae", "f_max", "precision", "recall", "threshold", "s", "e_max", "wf")
"""What ``sodbench eval`` prints when no metric is named."""


@dataclass(frozen=True)
class Metric:
    """One metric, as it is named in JSON, CSV and the API.

    Attributes
    ----------
    name : str
        The key, e.g. ``f_max``.
    label : str
        How it is printed, e.g. ``max F``.
    direction : {"higher", "lower", "neither"}
        Which values are better.
    family : str
        The metrics computed from the same quantity share a family, e.g. ``f``.
    description : str
        One line.
    citation : str
        A key of :data:`CITATIONS`, or nothing.
    per_image : bool
        Whether single images have it; if not, it exists for a set of images only.
    aggregate : bool
        Whether a set of images has it.
    listed : bool
        Whether ``--metrics all`` and default tables show it.  The others are computed because a program prints
        them, and can be named, but they say little or nothing about a map.
    """

    name: str
    label: str
    direction: Direction
    family: str
    description: str
    citation: str = ""
    per_image: bool = True
    aggregate: bool = True
    listed: bool = True

    @property
    def sign(self) -> int:
        """+1 where higher values are better, -1 where lower ones are, 0 where neither are."""
        return {"higher": 1, "lower": -1, "neither": 0}[self.direction]

    @property
    def higher_is_better(self) -> bool:
        """Whether higher values are better."""
        return self.direction == "higher"

    @property
    def arrow(self) -> str:
        """``↑``, ``↓`` or nothing."""
        return {"higher": "↑", "lower": "↓", "neither": ""}[self.direction]

    @property
    def title(self) -> str:
        """The label as the start of a sentence."""
        return self.label[:1].upper() + self.label[1:]

    @property
    def heading(self) -> str:
        """The label with its arrow, for column headings."""
        return f"{self.label} {self.arrow}".strip()


CITATIONS = {
    "achanta2009": "Achanta, Hemami, Estrada and Suesstrunk, Frequency-tuned salient region detection, CVPR 2009",
    "perazzi2012": "Perazzi, Kraehenbuehl, Pritch and Hornung, Saliency filters, CVPR 2012",
    "margolin2014": "Margolin, Zelnik-Manor and Tal, How to evaluate foreground maps?, CVPR 2014",
    "fan2017": "Fan, Cheng, Liu, Li and Borji, Structure-measure, ICCV 2017",
    "fan2018": "Fan, Gong, Cao, Ren, Cheng and Borji, Enhanced-alignment measure, IJCAI 2018",
    "cohen1960": "Cohen, A coefficient of agreement for nominal scales, Educational and Psychological Measurement, 1960",
}


@dataclass(frozen=True)
class _BinaryFamily:
    """A metric of a binarised map, which has an adaptive, a maximum and a mean form."""

    name: str
    label: str
    what: str
    direction: Direction = "higher"
    citation: str = ""
    max_listed: bool = True


_BINARY_FAMILIES = (
    _BinaryFamily("e", "E", "E-measure", citation="fan2018"),
    _BinaryFamily("iou", "IoU", "intersection over union"),
    _BinaryFamily("dice", "Dice", "Dice coefficient"),
    # nothing is selected at the highest threshold of nearly every map, and everything at the lowest one of every map:
    # these maxima are then 1, or at least 0.5, whatever the map is
    _BinaryFamily("specificity", "specificity", "true negative rate", max_listed=False),
    _BinaryFamily("fpr", "FPR", "false positive rate", "lower", max_listed=False),
    _BinaryFamily("ber", "BER", "balanced error rate", "lower", max_listed=False),
    _BinaryFamily("accuracy", "accuracy", "share of pixels classified correctly"),
    _BinaryFamily("kappa", "kappa", "kappa with the chance term of PySODMetrics"),
    _BinaryFamily("cohen_kappa", "Cohen's kappa", "Cohen's kappa", citation="cohen1960"),
)


def _binary_metrics(family: _BinaryFamily) -> Iterator[Metric]:
    """The three metrics of a family."""
    common = (family.direction, family.name)
    lower = family.direction == "lower"
    yield Metric(
        f"{family.name}_adp",
        f"adaptive {family.label}",
        *common,
        f"{family.what} at the adaptive threshold, mean over images",
        family.citation,
    )
    yield Metric(
        f"{family.name}_max",
        f"max {family.label}",
        # the maximum of an error is that of the worst threshold: neither direction is better
        "neither" if lower else family.direction,
        family.name,
        f"maximum of the mean curve{', its worst value' if lower else ''}: {family.what}",
        family.citation,
        listed=family.max_listed,
    )
    yield Metric(
        f"{family.name}_mean",
        f"mean {family.label}",
        *common,
        f"mean of the mean curve over the thresholds: {family.what}",
        family.citation,
    )


_METRICS = (
    Metric(
        "mae",
        "MAE",
        "lower",
        "mae",
        "mean absolute error of the map against the mask",
        "perazzi2012",
    ),
    Metric("s", "S", "higher", "s", "S-measure, structural similarity", "fan2017"),
    Metric("s_object", "S object", "higher", "s", "object part of the S-measure", "fan2017"),
    Metric("s_region", "S region", "higher", "s", "region part of the S-measure", "fan2017"),
    Metric("wf", "weighted F", "higher", "wf", "weighted F-measure, beta^2 = 1", "margolin2014"),
    Metric(
        "precision_adp",
        "adaptive precision",
        "higher",
        "f",
        "precision at the adaptive threshold, mean over images",
        "achanta2009",
    ),
    Metric(
        "recall_adp",
        "adaptive recall",
        "higher",
        "f",
        "recall at the adaptive threshold, mean over images",
        "achanta2009",
    ),
    Metric(
        "f_adp",
        "adaptive F",
        "higher",
        "f",
        "F-measure at the adaptive threshold, mean over images",
        "achanta2009",
    ),
    Metric(
        "f_max",
        "max F",
        "higher",
        "f",
        "max F as the protocol defines it: f_max_meanpr or f_max_meanf",
        "achanta2009",
    ),
    Metric(
        "f_mean",
        "mean F",
        "higher",
        "f",
        "mean of the curve of f_max over the thresholds",
        "achanta2009",
    ),
    Metric(
        "f_max_meanpr",
        "max F (mean P, R)",
        "higher",
        "f",
        "maximum of F of the mean precision and recall",
        "achanta2009",
        per_image=False,
    ),
    Metric(
        "f_max_meanf",
        "max F (mean F)",
        "higher",
        "f",
        "maximum of the mean of the images' F curves",
        "achanta2009",
        per_image=False,
    ),
    Metric(
        "f_mean_meanpr",
        "mean F (mean P, R)",
        "higher",
        "f",
        "mean over the thresholds of F of the mean precision and recall",
        "achanta2009",
        per_image=False,
    ),
    Metric(
        "f_mean_meanf",
        "mean F (mean F)",
        "higher",
        "f",
        "mean over the thresholds of the mean of the images' F curves",
        "achanta2009",
        per_image=False,
    ),
    Metric(
        "f_max_best",
        "mean of best F",
        "higher",
        "f",
        "mean over images of each image's own best F; no program's max F",
        "achanta2009",
        per_image=False,
    ),
    Metric(
        "precision",
        "precision",
        "higher",
        "f",
        "mean precision where f_max is reached",
        "achanta2009",
        per_image=False,
    ),
    Metric(
        "recall",
        "recall",
        "higher",
        "f",
        "mean recall where f_max is reached",
        "achanta2009",
        per_image=False,
    ),
    Metric(
        "threshold",
        "threshold",
        "neither",
        "f",
        "grey level 0 to 255 where f_max is reached",
        per_image=False,
    ),
    Metric(
        "ap",
        "AP",
        "higher",
        "auc",
        "average precision: mean precision weighted by the recall gained, from recall 0",
        per_image=False,
    ),
    Metric(
        "auc_pr",
        "AUC-PR",
        "higher",
        "auc",
        "area under the precision-recall points between the recalls reached; 0 for a perfect map, use ap",
        per_image=False,
        listed=False,
    ),
    Metric(
        "auc_roc",
        "AUC-ROC",
        "higher",
        "auc",
        "area under the mean ROC curve",
        per_image=False,
    ),
    *(metric for family in _BINARY_FAMILIES for metric in _binary_metrics(family)),
)

METRICS: dict[str, Metric] = {metric.name: metric for metric in _METRICS}
"""Every metric by its name."""
AGGREGATES: tuple[str, ...] = tuple(m.name for m in _METRICS if m.aggregate)
"""The metrics of a set of images."""
PER_IMAGE: tuple[str, ...] = tuple(m.name for m in _METRICS if m.per_image)
"""The metrics of a single image: the columns of ``scores.csv``."""
LISTED: tuple[str, ...] = tuple(m.name for m in _METRICS if m.aggregate and m.listed)
"""What ``--metrics all`` shows."""
LOWER_IS_BETTER: frozenset[str] = frozenset(m.name for m in _METRICS if m.direction == "lower")
CURVES: tuple[str, ...] = (
    "precision",
    "recall",
    "f",
    "f_meanf",
    "f_meanpr",
    "tpr",
    "ppv",
    *(family.name for family in _BINARY_FAMILIES),
)
"""The curves of a set of images, 256 thresholds each: the keys of ``Scores.curves``."""


def find_metric(name: str) -> Metric:
    """The catalogue's entry of a name; for a name it does not have, an entry labelled with that name."""
    return METRICS.get(name) or Metric(name, name, "higher", name, "")


def suggest(name: str, known: Sequence[str]) -> str | None:
    """The known name that was probably meant.

    Parameters
    ----------
    name : str
        What was given, e.g. ``MAE`` or ``fmax``.
    known : sequence of str
        The names there are.

    Returns
    -------
    str or None
        One of ``known``, or None when nothing is close.
    """

    def plain(text: str) -> str:
        return "".join(character for character in text.lower() if character.isalnum())

    by_plain = {plain(other): other for other in reversed(known)}
    # labels are accepted as hints: "Weighted F", "MAE", "max F"
    by_plain = {
        **{plain(METRICS[other].label): other for other in known if other in METRICS},
        **by_plain,
    }
    close = difflib.get_close_matches(plain(name), by_plain, n=1, cutoff=0.6)
    return by_plain[close[0]] if close else None


def describe_metrics() -> str:
    """The catalogue as text, one line a metric; the unlisted ones are marked."""
    rows = [("name", "label", "better", "of", "what it is")]
    for metric in _METRICS:
        better = {"higher": "higher", "lower": "lower", "neither": "-"}[metric.direction]
        level = "image, set" if metric.per_image else "set"
        mark = "" if metric.listed else " (only when named)"
        rows.append((metric.name, metric.label, better, level, metric.description + mark))
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    lines = []
    for row in rows:
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=False)]
        lines.append("  ".join([*cells, row[4]]))
    return "\n".join(lines)
