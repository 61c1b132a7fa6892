"""Size-invariant metrics with PySODMetrics' interface."""

from typing import Any

import numpy as np

from sodbench.metrics.pysodmetrics.fmeasurev2 import FmeasureV2, handler_results, pixels_of
from sodbench.metrics.pysodmetrics.stepping import SteppedMetric
from sodbench.metrics.pysodmetrics_input import PreparedPair
from sodbench.metrics.size_invariant import object_boxes, size_invariant_mae

__all__ = ["SizeInvarianceFmeasureV2", "SizeInvarianceMAE"]


class SizeInvarianceMAE(SteppedMetric):
    """Size-invariant MAE (size_invariant.py); ``get_results()`` is ``{"si_mae": mean}``."""

    def __init__(self) -> None:
        self.maes: list[float] = []

    def _add(self, pair: PreparedPair) -> None:
        self.maes.append(size_invariant_mae(pair.values, pair.foreground))

    def _results(self) -> dict[str, Any]:
        return {"si_mae": np.mean(self.maes)}


class SizeInvarianceFmeasureV2(FmeasureV2):
    """Handlers over each object's bounding box, with everything outside background and 0 (size_invariant.py).

    ``get_results()`` is that of FmeasureV2, except for handlers with ``sample_based``: their ``dynamic`` is a list with an
    array [objects, 256] for each pair.  Masks without background, which PySODMetrics refuses, are one object.
    """

    def _add(self, pair: PreparedPair) -> None:
        objects = [pair.within(box) for box in object_boxes(pair.foreground)] or [pair]
        for handler in self._metric_handlers.values():
            if handler.dynamic_results is not None:
                curves = [handler(**pixels_of(each.dynamic)) for each in objects]
                if handler.sample_based:
                    handler.dynamic_results.append(np.array(curves))
                else:
                    handler.dynamic_results.extend(curves)
            if handler.adaptive_results is not None:
                adaptive = [handler(**pixels_of(each.adaptive)) for each in objects]
                handler.adaptive_results.append(np.mean(adaptive))
            self._add_binary(handler, objects)

    def _results(self) -> dict[str, dict[str, Any]]:
        return {
            name: dict(handler_results(handler, keep_curves=handler.sample_based))
            for name, handler in self._metric_handlers.items()
        }
