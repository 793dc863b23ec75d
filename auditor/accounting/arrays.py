"""Array types of the accounting."""

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Floats: TypeAlias = NDArray[np.floating[Any]]
Complexes: TypeAlias = NDArray[np.complexfloating[Any, Any]]
