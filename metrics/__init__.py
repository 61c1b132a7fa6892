"""The numbers: every metric of salient object detection, from one pass over the pixels.

Arrays in, numbers out; no file is read here.  See counts.py for the idea, protocols.py for the conventions and
catalogue.py for the names.  The names below are imported when they are first used: whoever needs the catalogue only
does not wait for numba.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sodbench.metrics.catalogue import DEFAULT_PROTOCOL, LOWER_IS_BETTER
    from sodbench.metrics.counts import (
        Counts,
        PairCounts,
        PreparedMask,
        compile_kernels,
        count_pair,
        pair_counts,
    )
    from sodbench.metrics.evaluator import Evaluator
    from sodbench.metrics.protocols import PROTOCOLS, Protocol, protocol
    from sodbench.metrics.scores import (
        CURVES,
        PerImage,
        Scores,
        image_curves,
        image_measures,
        score,
        summarise,
    )

_MODULES = {
    "catalogue": ("DEFAULT_PROTOCOL", "LOWER_IS_BETTER"),
    "counts": (
        "Counts",
        "PairCounts",
        "PreparedMask",
        "compile_kernels",
        "count_pair",
        "pair_counts",
    ),
    "evaluator": ("Evaluator",),
    "protocols": ("PROTOCOLS", "Protocol", "protocol"),
    "scores": (
        "CURVES",
        "PerImage",
        "Scores",
        "image_curves",
        "image_measures",
        "score",
        "summarise",
    ),
}
_MODULE_OF = {name: module for module, names in _MODULES.items() for name in names}

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


def __getattr__(name: str) -> Any:
    """Import a public name from its module when it is first used."""
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_MODULE_OF[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
