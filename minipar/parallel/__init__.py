"""Where tensors meet ranks.

Read operators.py first: a communication with a gradient, and its type. Then tensor.py (regions),
vocabulary.py, data.py; then stages.py and pipeline.py. grid.py says which ranks talk along which axis,
norm.py and gather_parameters.py put together what is spread.
"""

from minipar.parallel.grid import Grid
from minipar.parallel.tensor import SequenceRegion, TensorRegion, region_of

__all__ = ["Grid", "SequenceRegion", "TensorRegion", "region_of"]
