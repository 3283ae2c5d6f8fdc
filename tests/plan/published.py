"""Tables typed from papers: what was trained, with which layout, and what was measured."""

from __future__ import annotations

from typing import NamedTuple

from minipar.config import Layout, TrainConfig
from minipar.plan.calibrate import MeasuredStep
from minipar.plan.models import MODELS


class Row(NamedTuple):
    """micro: samples of a micro-batch. seconds: of an iteration."""

    model: str
    tp: int
    pp: int
    virtual: int
    ranks: int
    batch: int
    micro: int
    seconds: float

    def layout(self, sequence_parallel: bool = False) -> Layout:
        return Layout(
            dp=self.ranks // self.tp // self.pp,
            pp=self.pp,
            tp=self.tp,
            sequence_parallel=sequence_parallel,
            pipeline="interleaved" if self.virtual > 1 else "1f1b",
            virtual=self.virtual,
        )

    def train(self, recompute: str = "full") -> TrainConfig:
        dp = self.ranks // self.tp // self.pp
        return TrainConfig(
            batch=self.batch,
            micro_batches=self.batch // dp // self.micro,
            precision="float16",
            recompute=recompute,
        )

    def measured(self, sequence_parallel: bool = False, recompute: str = "full") -> MeasuredStep:
        return MeasuredStep(
            MODELS[self.model],
            self.train(recompute),
            self.layout(sequence_parallel),
            self.seconds,
            self.model,
        )


def eq3(model: str, batch: int) -> float:
    """Narayanan et al. 2021, equation 3."""
    m = MODELS[model]
    B, T, L, D, V = batch, m.context, m.layers, m.width, m.vocabulary
    return 96 * B * T * L * D**2 * (1 + T / (6 * D) + V / (16 * L * D))


def _row(
    model: str, tp: int, pp: int, virtual: int, ranks: int, batch: int, micro: int, teraflops: float
) -> Row:
    return Row(model, tp, pp, virtual, ranks, batch, micro, eq3(model, batch) / (teraflops * 1e12 * ranks))


# Narayanan et al. 2021, table 1: teraFLOP/s per GPU. The sizes of the micro-batches and the virtual stages
# are those of the authors' scripts for this table.
TABLE_1 = [
    _row("gpt-1.7b", 1, 1, 1, 32, 512, 16, 137),
    _row("gpt-3.6b", 2, 1, 1, 64, 512, 16, 138),
    _row("gpt-7.5b", 4, 1, 1, 128, 512, 16, 142),
    _row("gpt-18b", 8, 1, 1, 256, 1024, 8, 135),
    _row("gpt-39b", 8, 2, 1, 512, 1536, 4, 138),
    _row("gpt-76b", 8, 4, 3, 1024, 1792, 2, 140),
    _row("gpt-145b", 8, 8, 2, 1536, 2304, 2, 148),
    _row("gpt-310b", 8, 16, 2, 1920, 2160, 1, 155),
    _row("gpt-530b", 8, 35, 3, 2520, 2520, 1, 163),
    _row("gpt-1t", 8, 64, 1, 3072, 3072, 1, 163),
]
TERAFLOPS = [137, 138, 142, 135, 138, 140, 148, 155, 163, 163]

# Korthikanti et al. 2022, tables 3 and 5: full recomputation, then selective with sequence parallelism; MFU,
# HFU.
FULL = [
    Row("gpt-22b", 8, 1, 1, 8, 4, 4, 1.42),
    Row("gpt3-175b", 8, 8, 3, 64, 64, 1, 18.13),
    Row("gpt-530b", 8, 35, 3, 280, 280, 1, 49.05),
    Row("gpt-1t", 8, 64, 1, 512, 512, 1, 94.42),
]
SELECTIVE = [
    row._replace(seconds=seconds) for row, seconds in zip(FULL, (1.10, 13.75, 37.83, 71.49), strict=True)
]
MFU, HFU = [41.5, 51.4, 56.0, 56.3], [43.7, 52.8, 57.0, 57.0]  # percent
