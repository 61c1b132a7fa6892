"""The numbers: every metric of salient object detection, from one pass over the pixels.

Arrays in, numbers out; no file is read here.  See counts.py for the idea, protocols.py for the conventions and
catalogue.py for the names.  The names below are imported when they are first used: whoever needs the catalogue only
does not wait for numba.
"""

from typing import TYPE_CHECKING

from sodbench.first_use import import_on_first_use

if TYPE_CHECKING:
    from sodbench.metrics.counts import Counts, PairCounts, compile_kernels, count_pair
    from sodbench.metrics.evaluator import Evaluator
    from sodbench.metrics.image_scores import PerImage, per_image_curves, per_image_metrics
    from sodbench.metrics.masks import PreparedMask
    from sodbench.metrics.protocols import (
        DEFAULT_PROTOCOL,
        PROTOCOLS,
        CountingRule,
        Protocol,
        get_protocol,
        register_protocol,
    )
    from sodbench.metrics.registration import register_metric, register_threshold_family
    from sodbench.metrics.schemes import CountingScheme
    from sodbench.metrics.scores import Scores, score
    from sodbench.metrics.set_metrics import aggregate

_MODULE_OF = {
    "CountingRule": "protocols",
    "CountingScheme": "schemes",
    "Counts": "counts",
    "DEFAULT_PROTOCOL": "protocols",
    "Evaluator": "evaluator",
    "PROTOCOLS": "protocols",
    "PairCounts": "counts",
    "PerImage": "image_scores",
    "PreparedMask": "masks",
    "Protocol": "protocols",
    "Scores": "scores",
    "aggregate": "set_metrics",
    "compile_kernels": "counts",
    "count_pair": "counts",
    "get_protocol": "protocols",
    "per_image_curves": "image_scores",
    "per_image_metrics": "image_scores",
    "register_metric": "registration",
    "register_protocol": "protocols",
    "register_threshold_family": "registration",
    "score": "scores",
}

__all__ = [
    "DEFAULT_PROTOCOL",
    "PROTOCOLS",
    "CountingRule",
    "CountingScheme",
    "Counts",
    "Evaluator",
    "PairCounts",
    "PerImage",
    "PreparedMask",
    "Protocol",
    "Scores",
    "aggregate",
    "compile_kernels",
    "count_pair",
    "get_protocol",
    "per_image_curves",
    "per_image_metrics",
    "register_metric",
    "register_protocol",
    "register_threshold_family",
    "score",
]

__getattr__, __dir__ = import_on_first_use(__name__, _MODULE_OF)
