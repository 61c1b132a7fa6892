"""What prepares a worker process when it is imported: everything that counting and scoring need, compiled."""

from sodbench.plugins import load_plugins
from sodbench.runners.evaluation.count import warm_up_kernels, warm_up_scoring

load_plugins("sodbench.metrics", "sodbench.protocols")
warm_up_kernels()
warm_up_scoring()
