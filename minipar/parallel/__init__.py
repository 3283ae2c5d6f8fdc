"""Parallel training: tensors and gradients that are distributed over ranks.

Reading order:

    operators.py            communication with a gradient, and its type
    tensor.py               regions of tensor and sequence parallelism; vocabulary.py: the sharded loss
    data.py                 the sum of gradients over dp; bitwise.py: in a fixed order; compressed.py and
                            codes.py: in few bytes
    gather_step_scatter.py  ZeRO by its definition; shards.py, sharded.py: who owns what, and the buffers;
                            sharded_gradients.py: reduce-scatter; sharded_units.py: weights that come and go
    stages.py, pipeline.py  the stages of one rank, and the executor of schedules
    grid.py                 the communicators along each axis
    norm.py                 the norm of a sharded gradient
    gather_parameters.py    whole parameters from their shards; rank_elements.py: what each rank holds,
                            computed in one process
"""

from minipar.parallel.grid import Grid
from minipar.parallel.tensor import SequenceRegion, TensorRegion, region_of

__all__ = ["Grid", "SequenceRegion", "TensorRegion", "region_of"]
