"""The numbers: every measure of salient object detection, from one pass over the pixels.

Arrays in, numbers out; no file is touched here.  See counts.py for the idea, protocols.py for the conventions.
"""

from sodbench.metrics.counts import (
    Counts,
    PairCounts,
    PreparedMask,
    compile_kernels,
    count_pair,
    pair_counts,
)
from sodbench.metrics.evaluator import Evaluator
from sodbench.metrics.protocols import DEFAULT_PROTOCOL, PROTOCOLS, Protocol, protocol
from sodbench.metrics.scores import (
    CURVES,
    LOWER_IS_BETTER,
    PerImage,
    Scores,
    image_curves,
    image_measures,
    score,
    summarise,
)

__all__ = [
    "CURVES",
    "DEFAULT_PROTOCOL",
    "LOWER_IS_BETTER",
    "PROTOCOLS",
    "Counts",
    "Evaluator",
    "PairCounts",
    "PerImage",
    "PreparedMask",
    "Protocol",
    "Scores",
    "compile_kernels",
    "count_pair",
    "image_curves",
    "image_measures",
    "pair_counts",
    "protocol",
    "score",
    "summarise",
]
