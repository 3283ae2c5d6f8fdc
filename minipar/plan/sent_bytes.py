"""Computes the bytes that the busiest rank sends in one step, by axis, with published formulas.

`plan.traffic` computes the exact traffic of minipar.

tensor      per layer and micro-batch, 4 all-reduces of n D elements (6 with full recomputation). On a ring,
            a rank sends 2 (t - 1)/t of the elements. The embedding and the head have one all-reduce each
            (Narayanan et al. 2021, section 3.2)
pipeline    n D elements per micro-batch, stage and direction. They are divided by t if each rank of tp sends
            a part of the message
data        a rank sends 2 (d - 1)/d of the gradient. With ZeRO, it sends (d - 1)/d of the gradient, and
            (d - 1)/d of the weights. In ZeRO stages 2 and 3, it sends the gradient once per micro-batch. In
            ZeRO stage 3, it sends the weights twice per micro-batch (Rajbhandari et al. 2020, section 7)
"""

# n: tokens of a micro-batch, D: model width, t: tp, d: dp
# dp, tp: the axes of data and tensor parallelism

from __future__ import annotations

from typing import NamedTuple

from minipar.config import Layout, ModelConfig, TrainConfig
from minipar.plan.shares import largest_share
from minipar.plan.software import Software, itemsize_of, recipe_of
from minipar.plan.stages import owners_of
from minipar.plan.step_time import micro_batches_of, without_zero


class SentBytes(NamedTuple):
    """Holds the bytes that one rank sends in one training step, along each axis."""

    tensor: float
    pipeline: float
    data: float

    @property
    def total(self) -> float:
        return self.tensor + self.pipeline + self.data


def sent_bytes(model: ModelConfig, train: TrainConfig, layout: Layout, software: Software) -> SentBytes:
    """Returns the bytes of the busiest rank.

    >>> gpt, train = ModelConfig(1000, 64, 4, 4, 64), TrainConfig(batch=8, micro_batches=8)
    >>> sent_bytes(gpt, train, Layout(pp=4), Software()).pipeline  # 8 x 64 x 64 x 4 bytes, two ways
    262144.0
    """
    b, m = micro_batches_of(train, layout)
    whole = float(b * model.context * model.width * itemsize_of(train))
    t, d, p = layout.tp, layout.dp, layout.pp
    layers = -(-model.layers // p)
    passes = 4 * layers + 2 * (train.recompute == "full") * layers + 2
    tensor = m * passes * 2 * (t - 1) / t * whole
    per_rank = len(owners_of(layout.pipeline, p, layout.virtual)) // p
    divided = t if layout.sequence_parallel or software.scatter else 1
    pipeline = 2 * m * per_rank * whole / divided if p > 1 else 0.0
    recipe, share = recipe_of(train, software), largest_share(model, without_zero(layout))
    gradient, weights = share * recipe.gradients, share * recipe.weights
    data = (d - 1) / d * 2 * gradient
    if layout.zero:
        gathers = 2 * m if layout.zero == 3 and layout.reshard_after_forward else 1
        data = (d - 1) / d * (gradient * (m if layout.zero >= 2 else 1) + weights * gathers)
    return SentBytes(tensor, pipeline, data)
