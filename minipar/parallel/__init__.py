"""Where tensors meet ranks.

Read operators.py first: a communication with a gradient, and its type. Then tensor.py (regions), vocabulary.py, data.py.
"""

from minipar.parallel.grid import Grid
from minipar.parallel.tensor import SequenceRegion, TensorRegion, region_of

__all__ = ["Grid", "SequenceRegion", "TensorRegion", "region_of"]
