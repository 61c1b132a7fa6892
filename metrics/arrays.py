"""What the metric modules share: the type of their arrays, and the epsilon of the published formulas."""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

# MATLAB's eps and np.spacing(1.0): added to denominators that may be 0, as the authors' programs do
EPSILON = float(np.finfo(np.float64).eps)
