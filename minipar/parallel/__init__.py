"""Parallel training distributes tensors and gradients over ranks.

Reading order:

    operators.py            differentiable communication
    tensor.py               regions of tensor and sequence parallelism; vocabulary.py: the sharded loss
    data.py                 the sum of gradients over dp; bitwise.py: a sum in a fixed order; compressed.py
                            and codes.py: a sum with short messages
    gather_step_scatter.py  ZeRO by its definition; shards.py, sharded.py: owners of shards, and buffers;
                            sharded_gradients.py: reduce-scatter; sharded_units.py: gathered weights
    stages.py, pipeline.py  the stages of one rank, and the executor of schedules
    grid.py                 the communicators along each axis
    norm.py                 the norm of a sharded gradient
    gather_parameters.py    whole parameters from their shards; rank_elements.py: the elements of each rank,
                            computed in one process
"""

from minipar.parallel.grid import Grid
from minipar.parallel.tensor import SequenceRegion, TensorRegion, region_of

__all__ = ["Grid", "SequenceRegion", "TensorRegion", "region_of"]
