"""What the catalogue's entries are: a metric, a family of metrics of a binarised map, a measurement of pixels.

Only the standard library is imported; the entries themselves are in catalogue.py.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from sodbench.metrics.parameters import Parameters
from sodbench.metrics.protocols import Preparation

Direction = Literal["higher", "lower", "neither"]

CITATIONS = {
    "achanta2009": "Achanta, Hemami, Estrada and Suesstrunk, Frequency-tuned salient region detection, CVPR 2009",
    "perazzi2012": "Perazzi, Kraehenbuehl, Pritch and Hornung, Saliency filters, CVPR 2012",
    "margolin2014": "Margolin, Zelnik-Manor and Tal, How to evaluate foreground maps?, CVPR 2014",
    "fan2017": "Fan, Cheng, Liu, Li and Borji, Structure-measure, ICCV 2017",
    "guo2017": "Guo, Pleiss, Sun and Weinberger, On calibration of modern neural networks, ICML 2017",
    "fan2018": "Fan, Gong, Cao, Ren, Cheng and Borji, Enhanced-alignment measure, IJCAI 2018",
    "cohen1960": "Cohen, A coefficient of agreement for nominal scales, Educational and Psychological Measurement, 1960",
    "cheng2020": "Cheng, Chung, Tai and Tang, CascadePSP, CVPR 2020",
    "cheng2021": "Cheng, Girshick, Dollar, Berg and Kirillov, Boundary IoU, CVPR 2021",
    "ahmadzadeh2021": "Ahmadzadeh, Kempton, Chen and Angryk, Multiscale IoU, ICIP 2021",
    "qin2020": "Qin, Zhang, Huang, Dehghan, Zaiane and Jagersand, U2-Net, Pattern Recognition, 2020",
    "qin2022": "Qin, Dai, Hu, Fan, Shao and Van Gool, Highly accurate dichotomous image segmentation, ECCV 2022",
    "kim2022": "Kim, Kim, Lee, Lee and Kim, Revisiting image pyramid structure for high resolution SOD, ACCV 2022",
    "li2024": "Li, Xu, Bao, Yang, Cong, Cao and Huang, Size-invariance matters, ICML 2024",
    "wang2025": "Wang, Ji, Shao, Cheng and Fan, Context-measure: contextualizing metric for camouflage, 2025",
}


@dataclass(frozen=True)
class Measurement:
    """What is computed from a pair's pixels while they are read, and stored as one column of numbers.

    Attributes
    ----------
    name : str
        The column's name; also that of the metric, where one metric is the number itself.
    function : str
        ``module:function``; the module is one of this package or has a full name.
    width : int
        How many numbers a pair has; 256 are a curve over the thresholds 0..255.
    map, foreground_above : str and int
        How the map is prepared, and which mask pixels are foreground, whatever the protocol is; by default as the protocol
        defines it.  ``"mae"`` is how the protocol prepares it for MAE.
    takes_pair : bool
        Whether the function takes a `sodbench.metrics.pixel_metrics.PixelPair`, instead of the prepared map and the
        foreground as arrays.
    """

    name: str
    function: str
    width: int = 1
    map: Preparation | Literal["mae"] | None = None
    foreground_above: int | None = None
    takes_pair: bool = False

    @property
    def is_curve(self) -> bool:
        """Whether the numbers are a curve over the thresholds."""
        return self.width == 256


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
    description : str
    citation : str
        A key of `CITATIONS`, or empty.
    curves : tuple of str
        The mean curves that the aggregate is a function of; empty for a mean of per-image values.
    per_image : bool
        Whether single images have it; if not, it exists for a set of images only.
    listed : bool
        Whether ``--metrics all`` and default tables show it, unless it is ``on_request``.
    measurement : str
        For a metric that needs pixels, the name of the measurement that it follows from.
    on_request : bool
        Whether it is computed only where it is asked for.
    parameters : Parameters or None
        For a metric with parameters in its name, see `sodbench.metrics.parameters`.
    """

    name: str
    label: str
    direction: Direction
    description: str
    citation: str = ""
    curves: tuple[str, ...] = ()
    per_image: bool = True
    listed: bool = True
    measurement: str = ""
    on_request: bool = False
    parameters: Parameters | None = None

    @property
    def needs_pixels(self) -> bool:
        """Whether the metric is computed from the pixels instead of the counts."""
        return bool(self.measurement)

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


@dataclass(frozen=True)
class ThresholdFamily:
    """A metric of a binarised map: it has a curve over the thresholds, and an adaptive, a maximum and a mean form.

    Attributes
    ----------
    name : str
        The curve's key, e.g. ``iou``; the metrics are ``iou_adp``, ``iou_max`` and ``iou_mean``.
    label : str
        How it is printed, e.g. ``IoU``.
    description : str
        A few words.
    direction : {"higher", "lower"}
        Which values are better.
    citation : str
        A key of `CITATIONS`, or empty.
    max_listed : bool
        Whether the maximum is shown by ``--metrics all``.
    has_overall : bool
        Whether it exists for all pixels of a set together: it is a function of shares of pixels alone.
    """

    name: str
    label: str
    description: str
    direction: Direction = "higher"
    citation: str = ""
    max_listed: bool = True
    has_overall: bool = True

    def metrics(self) -> Iterator[Metric]:
        """Make the adaptive, the maximum and the mean form.

        Returns
        -------
        iterator of Metric
        """
        yield Metric(
            f"{self.name}_adp",
            f"adaptive {self.label}",
            self.direction,
            f"{self.description} at the adaptive threshold, mean over images",
            self.citation,
        )
        lower = self.direction == "lower"
        yield Metric(
            f"{self.name}_max",
            f"max {self.label}",
            # the maximum of an error is that of the worst threshold: neither direction is better
            "neither" if lower else self.direction,
            f"maximum of the mean curve{', its worst value' if lower else ''}: {self.description}",
            self.citation,
            curves=(self.name,),
            listed=self.max_listed,
        )
        yield Metric(
            f"{self.name}_mean",
            f"mean {self.label}",
            self.direction,
            f"mean of the mean curve over the thresholds: {self.description}",
            self.citation,
            curves=(self.name,),
        )
