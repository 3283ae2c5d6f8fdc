"""Parallel training distributes tensors and gradients over ranks.

Reading order:

    operators.py            differentiable communication
    tensor.py               regions of tensor and sequence parallelism
    vocabulary.py           the loss of logits that are sharded over the vocabulary
    data.py                 the sum of gradients over dp
    bitwise.py              a sum of gradients in a fixed order
    codes.py, compressed.py a sum of gradients with short messages
    gather_step_scatter.py  ZeRO by its definition
    shards.py, sharded.py   ZeRO: the owner of each element, and the buffers
    sharded_gradients.py    ZeRO: the sum of gradients by reduce-scatter
    sharded_units.py        ZeRO: weights that are gathered before their use
    stages.py, pipeline.py  the stages of one rank, and the executor of schedules
    grid.py                 the communicators along each axis
    norm.py                 the norm of a sharded gradient
    gather_parameters.py    whole parameters, gathered from their shards
    rank_elements.py        the elements of each rank, computed in one process
"""

from minipar.parallel.grid import Grid
from minipar.parallel.tensor import SequenceRegion, TensorRegion, region_of

__all__ = ["Grid", "SequenceRegion", "TensorRegion", "region_of"]
