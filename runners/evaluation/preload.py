"""What the fork server of the worker processes imports: everything that counting and scoring need, compiled."""

from sodbench.runners.evaluation.count import warm_up_kernels, warm_up_scoring

warm_up_kernels()
warm_up_scoring()
