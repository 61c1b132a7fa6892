"""What the fork server of the worker processes imports: everything that counting needs, compiled."""

from sodbench.runners.evaluation.count import warm_up_kernels

warm_up_kernels()
