"""The former name of :mod:`sodbench.metrics.pysodmetrics`, which stays importable."""

from sodbench.metrics.pysodmetrics import *
