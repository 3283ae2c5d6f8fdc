"""Sweeps of layouts typed from public sources: seconds of a step, or None if the layout ran out of memory."""

from __future__ import annotations

from typing import NamedTuple

from minipar.config import Layout, ModelConfig, TrainConfig
from minipar.plan.calibrate import MeasuredStep
from minipar.plan.counts import Architecture
from minipar.plan.models import MODELS
from tests.plan.published import eq3


class SweepRow(NamedTuple):
    """micro: samples of a micro-batch. seconds: of a step, None if out of memory."""

    dp: int
    tp: int
    pp: int
    micro: int
    batch: int
    seconds: float | None

    def step(self, model: ModelConfig, precision: str, recompute: str) -> MeasuredStep:
        """Every sweep here trains with ZeRO stage 1 and 1F1B."""
        train = TrainConfig(
            batch=self.batch,
            micro_batches=self.batch // self.dp // self.micro,
            precision=precision,
            recompute=recompute,
        )
        layout = Layout(dp=self.dp, tp=self.tp, pp=self.pp, zero=1, pipeline="1f1b")
        return MeasuredStep(model, train, layout, self.seconds or 0.0, str(self[:4]))


# BigScience, bigscience/train/tr11-176B-ml/chronicles-prequel.md: runs of 25 February before the training of
# BLOOM. 72 layers of width 14336, 384 A100 80GB, fp16, full recomputation. One layout was measured twice.
BLOOM = ModelConfig(250880, 2048, 72, 64, 14336, dropout=0.1)
BLOOM_SWEEP = [
    SweepRow(8, 8, 6, 4, 2048, 114.11),
    SweepRow(8, 8, 6, 6, 2016, 123.57),
    SweepRow(4, 8, 12, 4, 2048, 117.07),
    SweepRow(4, 8, 12, 2, 2048, 128.82),
    SweepRow(6, 8, 8, 4, 2016, 113.16),
    SweepRow(12, 8, 4, 2, 2016, 125.52),
    SweepRow(12, 8, 4, 4, 2016, 114.81),
    SweepRow(24, 8, 2, 1, 2016, 145.45),
    SweepRow(24, 8, 2, 2, 2016, 136.13),
    SweepRow(8, 4, 12, 4, 2048, 111.89),
    SweepRow(8, 4, 12, 2, 2048, 110.48),
    SweepRow(8, 4, 12, 2, 2048, 113.54),
    SweepRow(16, 4, 6, 4, 2048, 117.11),
    SweepRow(16, 4, 6, 2, 2048, 111.71),
    SweepRow(16, 2, 12, 2, 2048, 112.50),
    SweepRow(8, 2, 24, 1, 2048, 119.53),
    SweepRow(8, 2, 24, 2, 2048, 122.75),
    SweepRow(4, 4, 24, 1, 2048, 130.60),
    SweepRow(48, 8, 1, 1, 2016, None),
    SweepRow(32, 2, 6, 2, 2048, None),
    SweepRow(32, 2, 6, 1, 2048, None),
]


def _llama(micro: int, tp: int, pp: int, seconds: float | None) -> SweepRow:
    return SweepRow(128 // tp // pp, tp, pp, micro, 2048, seconds)


# Hagemann et al. 2023, "Efficient Parallelization Layouts", data sheet of LLaMA 65B on 128 A100 80GB with
# FlashAttention 2 and the RMSNorm kernel: bfloat16, no recomputation, a vocabulary of 128,000.
LLAMA_65B = MODELS["llama-65b"]
LLAMA_65B_SWEEP = [
    _llama(1, 2, 4, 79.31),
    _llama(1, 2, 8, 79.54),
    _llama(2, 4, 4, 82.88),
    _llama(2, 4, 8, 86.55),
    _llama(1, 4, 4, 86.61),
    _llama(1, 4, 2, 87.14),
    _llama(1, 4, 8, 92.61),
    _llama(2, 8, 2, 101.28),
    _llama(2, 8, 4, 103.16),
    _llama(1, 8, 2, 107.85),
    _llama(1, 8, 4, 111.83),
    _llama(2, 8, 8, 115.58),
    _llama(1, 8, 8, 121.93),
    *(
        _llama(micro, tp, pp, None)
        for micro, tp, pp in (
            *((4, tp, pp) for tp in (2, 4, 8) for pp in (2, 4, 8)),
            *((2, 2, pp) for pp in (2, 4, 8)),
            (2, 4, 2),
            (1, 2, 2),
        )
    ),
]


def _strong(model: str, pp: int, ranks: int, batch: int, seconds: float) -> MeasuredStep:
    dp = ranks // 8 // pp
    train = TrainConfig(batch=batch, micro_batches=batch // dp, precision="float16", recompute="full")
    layout = Layout(dp=dp, tp=8, pp=pp, pipeline="1f1b")
    return MeasuredStep(MODELS[model], train, layout, seconds, str(ranks))


def _by_rate(model: str, pp: int, batch: int, rates: dict[int, float]) -> list[MeasuredStep]:
    """rates: ranks -> teraFLOP/s per GPU."""
    return [
        _strong(model, pp, ranks, batch, eq3(model, batch) / ranks / rate / 1e12)
        for ranks, rate in rates.items()
    ]


# Narayanan et al. 2021, table 2 (PTD parallelism), and Smith et al. 2022 (MT-NLG), section 2.4.
STRONG = {
    "175B": _by_rate("gpt3-175b", 12, 1536, {384: 153, 768: 149, 1536: 141}),
    "530B": _by_rate("gpt-530b", 35, 2240, {560: 171, 1120: 167, 2240: 159}),
    "MT-NLG": [
        _strong("gpt-530b", 35, ranks, 1920, seconds)
        for ranks, seconds in ((2240, 60.1), (2800, 50.2), (3360, 44.4))
    ],
}


# Qi et al. 2023, tables 3 and 4: samples per GPU and second for three numbers of micro-batches.
# Name -> (layers, heads, width, ranks, samples of a micro-batch, micro-batches, stages per rank of 1F1B-I).
# The first and the last stage have one layer less.
ZERO_BUBBLE_MODELS = {
    "1.5B": (22, 24, 2304, 8, 6, (24, 32, 64), 3),
    "6.2B": (30, 32, 4096, 8, 3, (24, 32, 64), 4),
    "14.6B": (46, 40, 5120, 16, 1, (48, 64, 128), 3),
    "28.3B": (62, 48, 6144, 32, 1, (96, 128, 256), 2),
}
ZERO_BUBBLE = {
    "1f1b": ((11.8, 12.5, 13.6), (3.50, 3.70, 4.03), (1.40, 1.49, 1.64), (0.76, 0.80, 0.88)),
    "interleaved": ((13.1, 13.4, 13.9), (4.01, 4.08, 4.19), (1.54, 1.59, 1.66), (0.82, 0.85, 0.90)),
    "zb-h1": ((12.9, 13.4, 14.2), (3.88, 4.00, 4.20), (1.61, 1.67, 1.76), (0.87, 0.90, 0.96)),
    "zb-h2": ((14.5, 14.8, 14.9), (4.32, 4.35, 4.39), (1.81, 1.83, 1.85), (0.99, 1.00, 1.00)),
}


def zero_bubble_step(name: str, schedule: str, column: int) -> MeasuredStep:
    layers, heads, width, p, b, counts, v = ZERO_BUBBLE_MODELS[name]
    m, row = counts[column], list(ZERO_BUBBLE_MODELS).index(name)
    stages = p * v if schedule == "interleaved" else p
    each = (layers + 2) // stages
    layout = Layout(
        pp=p,
        pipeline=schedule,
        virtual=v if schedule == "interleaved" else 0,
        stage_layers=(each - 1, *(each,) * (stages - 2), each - 1),
    )
    model = ModelConfig(50304, 1024, layers, heads, width, dropout=0.1)
    train = TrainConfig(batch=m * b, micro_batches=m, precision="float16")
    return MeasuredStep(model, train, layout, m * b / p / ZERO_BUBBLE[schedule][row][column], name)


# llm-foundry, scripts/train/benchmarking/README.md, "H100 80GB BF16 (Large Scale, >= 128 GPUs)": tokens per
# second and GPU on 128, 256 and 512 GPUs. Name -> (layers, heads, width, samples of a rank, ZeRO stage,
# recomputation, the three measurements). FULL_SHARD is stage 3, SHARD_GRAD_OP is stage 2.
MPT = {
    "70b": (80, 64, 8192, 8, 3, "full", (1058, 1035, 1007)),
    "30b": (48, 56, 7168, 8, 3, "full", (2199, 2148, 2115)),
    "13b": (40, 40, 5120, 16, 3, "full", (5080, 4989, 4952)),
    "7b": (32, 32, 4096, 6, 3, "none", (10475, 10119, 9670)),
    "3b": (32, 20, 2560, 8, 2, "none", (23422, 22772, 21664)),
    "1b": (24, 16, 2048, 12, 2, "none", (44123, 42555, 39837)),
}


def mpt_step(name: str, column: int) -> MeasuredStep:
    layers, heads, width, b, zero, recompute, rates = MPT[name]
    model = Architecture(50368, 2048, layers, heads, width, bias=False, positions=False)
    ranks = 128 << column
    train = TrainConfig(batch=b * ranks, precision="bfloat16", recompute=recompute)
    seconds = b * model.context / rates[column]
    return MeasuredStep(model, train, Layout(dp=ranks, zero=zero), seconds, f"{name} on {ranks}")
