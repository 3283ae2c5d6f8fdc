"""The work of a pipeline's instructions: FLOPs of matrix products, of one rank's share of a stage."""

from __future__ import annotations

from collections.abc import Container

from minipar.config import ModelConfig
from minipar.nn import Part
from minipar.nn.counts import computed_pairs, forward_flops
from minipar.parallel.pipeline import Execution
from minipar.plan.pieces import piece
from minipar.schedules.instruction import Instruction

# Of which units a rank of tp has a share, by kind of product.
UNITS = {"qkv": "heads", "scores": "heads", "weighted values": "heads", "out": "heads",
         "up": "mlp_width", "down": "mlp_width", "head": "vocabulary"}

# Which products backward computes a second time, by what is recomputed: see nn/recomputation.py.
AGAIN = {"none": (), "selective": ("scores", "weighted values"),
         "full": tuple(kind for kind in UNITS if kind != "head")}


def part_flops(model: ModelConfig, part: Part, samples: int, tp: int = 1, rank: int = 0,
               kinds: Container[str] = UNITS) -> int:
    """FLOPs of one forward of a stage for so many samples, on rank `rank` of `tp`. kinds: of products, by
    default all.

    Backward takes as many for the gradient of its inputs (B), and as many again for that of its weights (W).
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
    """FLOPs of an instruction that this rank carries out. A B that is not split from its W takes two
    forwards' worth; what backward computes again (`recompute`) comes on top.
    """
    kind, stage, micro = instruction
    stages, samples = execution.stages, len(execution.batch[micro].inputs)
    of_rank = (stages.config, stages.parts[stage].part, samples, stages.tp.size, stages.tp.rank)
    flops = part_flops(*of_rank)
    if kind != "B":
        return flops
    return (flops if execution.schedule.split else 2 * flops) + part_flops(*of_rank, AGAIN[recompute])
