"""Counts the FLOPs of a pipeline's instructions. Only the matrix products on one rank of tp are counted."""

# tp: the axis of tensor parallelism

from __future__ import annotations

from collections.abc import Container

from minipar.config import ModelConfig
from minipar.nn import Part
from minipar.nn.counts import computed_pairs, forward_flops
from minipar.parallel.pipeline import Execution
from minipar.plan.pieces import piece
from minipar.schedules.instruction import Instruction

# Kind of product -> the size of the model that tp shards in this product.
UNITS = {"qkv": "heads", "scores": "heads", "weighted values": "heads", "out": "heads",
         "up": "mlp_width", "down": "mlp_width", "head": "vocabulary"}

# Recomputation -> the kinds of products that backward computes a second time, see nn/recomputation.py.
AGAIN = {"none": (), "selective": ("scores", "weighted values"),
         "full": tuple(kind for kind in UNITS if kind != "head")}


def part_flops(model: ModelConfig, part: Part, samples: int, tp: int = 1, rank: int = 0,
               kinds: Container[str] = UNITS) -> int:
    """Returns the FLOPs of one forward of a stage on rank `rank` of `tp`. kinds: the kinds of products, by
    default all.

    Backward needs the same FLOPs for the gradient of the inputs (B), and again for the gradient of the
    weights (W).
    """
    total = 0
    for kind, flops in forward_flops(model, samples, model.context, computed_pairs).items():
        if kind not in kinds:
            continue
        units = getattr(model, UNITS[kind])
        share = int(part.last) * model.layers if kind == "head" else len(part.layers)
        total += flops * share // model.layers * piece(units, tp, rank) // units
    return total


def instruction_flops(recompute: str, instruction: Instruction, execution: Execution) -> int:
    """Returns the FLOPs of one instruction on this rank.

    F, W and a split B need the FLOPs of one forward. A B that is not split needs the FLOPs of two forwards. B
    also includes the recomputed products (`recompute`).
    """
    kind, stage, micro = instruction
    stages, samples = execution.stages, len(execution.batch[micro].inputs)
    of_rank = (stages.config, stages.parts[stage].part, samples, stages.tp.size, stages.tp.rank)
    flops = part_flops(*of_rank)
    if kind != "B":
        return flops
    return (flops if execution.schedule.split else 2 * flops) + part_flops(*of_rank, AGAIN[recompute])
