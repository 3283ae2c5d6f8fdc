"""Computes the time of a training step of GPT-3, and the memory of a device, on 64 devices.

A device has 80 GB. Eight devices are in one machine. The links within a machine carry 300 GB/s, the links
between machines 25 GB/s. Each device computes 150e12 FLOP/s.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import minipar as mp
from minipar.nn.counts import computed_pairs, parameter_count, training_flops
from minipar.plan.activations import TapeBytes
from minipar.plan.collectives import ring_all_reduce
from minipar.plan.memory import MIXED_ADAM, state
from minipar.plan.parameters import count, rank_shapes
from minipar.plan.stages import stages_of

GPT3 = mp.ModelConfig(vocabulary=50257, context=2048, layers=96, heads=96, width=12288)
DEVICES, MEMORY, IN_MACHINE = 64, 80.0, 8                           # MEMORY in GB
WITHIN, BETWEEN, RATE = 300e9, 25e9, 150e12                         # bytes per second; FLOP per second
HALF = 2                                                            # bytes of a number in 16 bits


def meshes(ranks: int = DEVICES) -> list[tuple[int, int, int]]:
    """Return all (dp, tp, pp) whose product is `ranks`, the largest dp first. tp divides the heads, and pp
    the layers.
    """
    return [(dp, tp, ranks // (dp * tp)) for dp, tp in product(range(ranks, 0, -1), repeat=2)
            if ranks % (dp * tp) == 0 and GPT3.heads % tp == 0 and GPT3.layers % (ranks // (dp * tp)) == 0]


def seconds(dp: int, tp: int, pp: int, samples: int) -> float:
    """Return the time of a step in seconds. Messages and computing do not overlap.

    samples: the samples of a step, a multiple of dp. A micro-batch has one sample.
    """
    T, D, L = GPT3.context, GPT3.width, GPT3.layers
    m = samples // dp
    computing = sum(training_flops(GPT3, samples, T).values()) / DEVICES / RATE
    numbers = m * 4 * L / pp * ring_all_reduce(tp, 0, T * D).elements
    tensor = numbers * HALF / (WITHIN if tp <= IN_MACHINE else BETWEEN)
    boundary = m * 2 * T * D * HALF / BETWEEN * (pp > 1)
    weights = parameter_count(GPT3) // (tp * pp)
    gradients = ring_all_reduce(dp, 0, weights).elements * HALF / BETWEEN
    return computing * (m + pp - 1) / m + tensor + boundary + gradients


def gigabytes(dp: int, tp: int, pp: int, samples: int, zero: int = 0) -> float:
    """Return the memory in GB of a device of the first stage, which needs most.

    Mixed precision with Adam takes 16 bytes per weight. zero: the stage of ZeRO. Activations are in 16 bits,
    with sequence parallelism, and attention's scores are computed again. A stage keeps the activations of
    min(m, pp) micro-batches.
    """
    share = stages_of(GPT3, mp.Layout(tp=tp, pp=pp)).of_rank(0)
    lines = state(count(rank_shapes(GPT3, tp, 0, share)), MIXED_ADAM, zero=zero, dp=dp)
    tape = TapeBytes(GPT3, 1, HALF, computed_pairs, tp, 0, sequence_parallel=tp > 1, recompute="selective")
    kept = sum(tape.of(len(share.layers), share.first, share.last).values())
    return replace(lines, activations=min(samples // dp, pp) * kept).total / 1e9
