"""The former name of `sodbench.metrics.pysodmetrics`, which stays importable."""

from sodbench.metrics.pysodmetrics import *
