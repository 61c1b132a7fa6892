"""The former name of `sodbench.metrics.pysodmetrics`, which stays importable."""

from sodbench.metrics.pysodmetrics import *
from sodbench.metrics.pysodmetrics import __all__
