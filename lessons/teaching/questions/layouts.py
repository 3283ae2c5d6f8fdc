"""Questions on lessons 15 and 16: pipelines, and all three kinds on a mesh."""

from __future__ import annotations

from fractions import Fraction
from itertools import product

from minipar.lessons.teaching.questions.form import Collection

import minipar as mp
from minipar.comm.collectives import select
from minipar.plan.amounts import by_axis
from minipar.plan.traffic import step_traffic

ALL = Collection()


def _bubble(name: str, ranks: int, micro_batches: int) -> Fraction:
    return Fraction(mp.simulate(mp.schedule(name, ranks, micro_batches)).bubble())


@ALL.ask("15", "A pipeline of 4 stages and 8 micro-batches, 1F1B. Which part of the time is the bubble?",
         wrong={0.375: "that is idle time over working time, 3/8"})
def bubble_of_1f1b() -> float:
    return float(_bubble("1f1b", 4, 8))


@ALL.ask("15", "How many micro-batches does a pipeline of 4 stages need for a bubble of at most 10 %?",
         wrong={30: "3/(m + 3) is wanted, not 3/m"})
def enough_micro_batches() -> int:
    return next(m for m in range(1, 100) if _bubble("1f1b", 4, m) <= Fraction(1, 10))


@ALL.ask(
    "15",
    "4 stages, 8 micro-batches. How many micro-batches' activations does the first stage hold at most with GPipe?",
    wrong={4: "that is 1F1B"},
)
def held_by_gpipe() -> int:
    return int(mp.lint(mp.schedule("gpipe", 4, 8)).peaks[0])


@ALL.ask("15", "And with 1F1B?", wrong={8: "that is GPipe"})
def held_by_1f1b() -> int:
    return int(mp.lint(mp.schedule("1f1b", 4, 8)).peaks[0])


@ALL.ask("15", "Layers on 4 ranks, one micro-batch. How many times as fast as one rank is that?",
         wrong={4: "while one rank computes, the three others wait"})
def speed_of_layer_parallel() -> float:
    return float(4 * (1 - _bubble("1f1b", 4, 1)))


@ALL.ask(
    "15",
    "4 ranks, 8 micro-batches, each rank has two stages (interleaved). Which part of the time is the bubble?",
    wrong={0.273: "that is with one stage for each rank"},
)
def bubble_of_interleaved() -> float:
    return float(_bubble("interleaved", 4, 8))


@ALL.ask(
    "16",
    "A mesh dp 2 x tp 2 x pp 2: rank = (stage · dp + replica) · tp + shard. What is the stage of rank 5?",
    wrong={0: "5 = (1 · 2 + 0) · 2 + 1"},
)
def stage_of_rank_5() -> int:
    return int(mp.run(8, lambda comm: mp.Grid(comm, mp.Layout(dp=2, tp=2, pp=2)).at["pp"])[5])


@ALL.ask("16", "In this mesh, with which rank does rank 5 add up the gradients of its weights?",
         wrong={4: "that is its partner in tp", 1: "that is its partner in pp"})
def partner_of_rank_5() -> int:
    groups = mp.run(8, lambda comm: mp.Grid(comm, mp.Layout(dp=2, tp=2, pp=2)).dp.members)
    (partner,) = set(groups[5]) - {5}
    return int(partner)


@ALL.ask(
    "16",
    "In how many ways can 8 ranks form a mesh dp x tp x pp?",
    wrong={3: "8 = 2 · 2 · 2: three factors on three axes"},
)
def ways_of_8_ranks() -> int:
    return sum(dp * tp * pp == 8 for dp, tp, pp in product(range(1, 9), repeat=3))


@ALL.ask(
    "16",
    "A model of 1.2e9 weights on dp 4 x tp 2 x pp 2. About how many weights does a rank hold?",
    unit="million",
    wrong={75: "dp does not split the model"},
)
def weights_on_a_mesh() -> float:
    return 1.2e9 / (2 * 2) / 1e6


@ALL.ask(
    "16",
    "GPT-3 on dp 2 x tp 2 x pp 2, a batch of 64 sequences. Which axis sends most?",
    choices=["dp", "tp", "pp"],
    wrong={"dp": "dp sends once per step, tp for every sample"},
)
def busiest_axis() -> str:
    model = mp.ModelConfig(vocabulary=50257, context=2048, layers=96, heads=96, width=12288)
    lines = step_traffic(
        model, mp.TrainConfig(batch=64, micro_batches=32), mp.Layout(dp=2, tp=2, pp=2), 0, select
    )
    sent = {axis: amount.bytes for axis, amount in by_axis(lines).items()}
    return max(("dp", "tp", "pp"), key=lambda axis: sent.get(axis, 0))
