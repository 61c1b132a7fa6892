"""The former name of `sodbench.metrics.pysodmetrics`, which stays importable, with its submodules."""

from sodbench.metrics import pysodmetrics
from sodbench.metrics.pysodmetrics import *

# what makes a module a package: its submodules are found there
__path__ = pysodmetrics.__path__
