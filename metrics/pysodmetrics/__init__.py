"""PySODMetrics' interface to sodbench's kernels: ``import sodbench.metrics.pysodmetrics as py_sod_metrics``.

Classes, constructor arguments, ``step(pred, gt, normalize=True)``, the shapes and order of ``get_results()``, the submodules
and the numbers are those of PySODMetrics 1.6.2 (to 1e-9, except for MSIoU, see multiscale_iou.py; curves run from threshold
255 down to 0, as there).  A float32 map gives metrics that differ from PySODMetrics' by its rounding, up to 1e-6.
"""

from sodbench.metrics.pysodmetrics.context_measure import CamouflageContextMeasure, ContextMeasure
from sodbench.metrics.pysodmetrics.fmeasurev2 import (
    BERHandler,
    DICEHandler,
    FmeasureHandler,
    FmeasureV2,
    FPRHandler,
    IOUHandler,
    KappaHandler,
    OverallAccuracyHandler,
    PrecisionHandler,
    RecallHandler,
    SensitivityHandler,
    SpecificityHandler,
    TNRHandler,
    TPRHandler,
)
from sodbench.metrics.pysodmetrics.multiscale_iou import MSIoU
from sodbench.metrics.pysodmetrics.size_invariance import (
    SizeInvarianceFmeasureV2,
    SizeInvarianceMAE,
)
from sodbench.metrics.pysodmetrics.sod_metrics import (
    MAE,
    Emeasure,
    Fmeasure,
    HumanCorrectionEffortMeasure,
    Smeasure,
    WeightedFmeasure,
)

__all__ = [
    "MAE",
    "BERHandler",
    "CamouflageContextMeasure",
    "ContextMeasure",
    "DICEHandler",
    "Emeasure",
    "FPRHandler",
    "Fmeasure",
    "FmeasureHandler",
    "FmeasureV2",
    "HumanCorrectionEffortMeasure",
    "IOUHandler",
    "KappaHandler",
    "MSIoU",
    "OverallAccuracyHandler",
    "PrecisionHandler",
    "RecallHandler",
    "SensitivityHandler",
    "SizeInvarianceFmeasureV2",
    "SizeInvarianceMAE",
    "Smeasure",
    "SpecificityHandler",
    "TNRHandler",
    "TPRHandler",
    "WeightedFmeasure",
]
