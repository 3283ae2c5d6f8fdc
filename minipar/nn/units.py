"""Units are the parts of a model whose weights are gathered and freed together.

Fully sharded data parallelism (ZeRO-3, FSDP) keeps the weights of a block on a rank only while the block
runs. So a GPT calls the methods of `Units` before the forward and before the backward of each unit. The units
of a part of a model are, in the order of forward:

    "embedding"         on the first stage: the token and the position table
    "blocks.0", ...     each block
    "head"              on the last stage: the last LayerNorm, and the head, which may be the token table

This file has the units of a model whose weights are always whole, so all calls are no-ops. See
`minipar/parallel/sharded_units.py` for the other units.
"""

from __future__ import annotations

from minipar.autograd import Tensor


class Units:
    """Implements units whose weights are always whole. All methods are no-ops."""

    def before_forward(self, unit: str) -> None:
        """Called before the forward of a unit, which needs its weights."""

    def before_backward(self, unit: str, y: Tensor) -> Tensor:
        """Returns y, the output of a unit. Backward reaches y before it needs the weights of this unit, so a
        subclass can gather them at y.
        """
        return y

    def end(self) -> None:
        """Called after each forward and each backward of a whole part of the model."""


ALWAYS_THERE = Units()
EMBEDDING, HEAD = "embedding", "head"                               # the names of the units at both ends
