"""Twelve claims about parallel training from public sources, each against what minipar counts or simulates.

    python -m minipar.lessons.support.claims            # all of them
    python -m minipar.lessons.support.claims 5          # one: claim, formula, value, verdict

ERRATA_WORLD.md has the verdicts in words. A claim is right if its value is within its tolerance of minipar's.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

import minipar as mp
from minipar.config import GPT2
from minipar.plan.activations import published
from minipar.plan.amounts import by_axis
from minipar.plan.counts import parameter_counts, training_flops
from minipar.plan.memory import MIXED_ADAM, state
from minipar.plan.models import MODELS
from minipar.plan.traffic import step_traffic
from minipar.plan.utilisation import hardware_flops, model_flops
from minipar.schedules.generators import make_schedule


@dataclass(frozen=True)
class Claim:
    """source: by name and place. says: the claim. formula: as written. claimed, counted: the two values, in `unit`.

    tolerance: relative; the claim is right if the values agree within it.
    """

    source: str
    says: str
    formula: str
    claimed: float
    counted: float
    unit: str
    tolerance: float = 1e-9

    @property
    def right(self) -> bool:
        return abs(self.claimed - self.counted) <= self.tolerance * abs(self.counted)

    def lines(self, number: int) -> Iterator[str]:
        yield f"{number}. {self.source}"
        yield f"   claim    {self.says}"
        yield f"   formula  {self.formula}"
        yield f"   claimed  {self.claimed:.6g} {self.unit}"
        yield f"   minipar  {self.counted:.6g} {self.unit}"
        yield f"   verdict  {'right' if self.right else f'wrong: {100 * (self.claimed / self.counted - 1):+.2f} %'}"


def full_recomputation() -> Claim:
    m, B = MODELS["gpt-145b"], 2304
    T, L, D, V = m.context, m.layers, m.width, m.vocabulary
    written = 96 * B * T * L * D**2 * (1 + T / (6 * D) + V / (16 * L * D))
    return Claim(
        "Narayanan et al. 2021, equation 3",
        "FLOPs of a step with full recomputation, 145.6 billion parameters",
        "96 B s l h^2 (1 + s / 6h + V / 16lh)",
        written,
        hardware_flops(m, mp.TrainConfig(batch=B, recompute="full")),
        "FLOPs",
    )


def days_of_a_trillion() -> Claim:
    m, tokens, ranks, rate = MODELS["gpt-1t"], 450e9, 3072, 163e12
    per_token = hardware_flops(m, mp.TrainConfig(batch=1, recompute="full")) / m.context
    return Claim(
        "Narayanan et al. 2021, equation 4 and section 5.1",
        "1 trillion parameters on 450 billion tokens: 84 days",
        "8 T P / (n X)",
        84,
        per_token * tokens / (ranks * rate) / 86400,
        "days",
        tolerance=0.03,
    )


def interleaved_bubble() -> Claim:
    p, m, v = 4, 8, 2
    times = mp.simulate(make_schedule("interleaved", p, m, v))
    return Claim(
        "Narayanan et al. 2021, section 2.2.2",
        "v stages per rank divide the bubble by v",
        "(1 / v) (p - 1) / m of the work; p = 4, m = 8, v = 2",
        (p - 1) / m / v,
        float(times.bubble("ideal")),
        "of the work",
    )


def tensor_traffic() -> Claim:
    layers, b, T, D, t = 6, 2, 64, 32, 4
    model = mp.ModelConfig(64, T, layers, 4, D)

    def sent(number: int) -> int:
        config = mp.TrainConfig(batch=b, dtype="float32")
        lines = step_traffic(
            mp.ModelConfig(64, T, number, 4, D), config, mp.Layout(tp=t), 0, lambda *_, nodes: "ring"
        )
        return by_axis(lines)["tp"].bytes // 4

    per_layer = sent(model.layers) - sent(model.layers - 1)
    return Claim(
        "Narayanan et al. 2021, section 3.2",
        "elements that a device sends per layer and micro-batch",
        "8 b s h (t - 1) / t; b = 2, s = 64, h = 32, t = 4",
        8 * b * T * D * (t - 1) / t,
        per_layer,
        "elements",
    )


def selective_recomputation() -> Claim:
    m, B = MODELS["gpt-22b"], 4
    T, L, D, V = m.context, m.layers, m.width, m.vocabulary
    written = 72 * B * L * T * D**2 * (1 + T / (3 * D) + V / (12 * D * L))
    again = hardware_flops(m, mp.TrainConfig(batch=B, recompute="selective")) - model_flops(m, B)
    return Claim(
        "Korthikanti et al. 2022, equation 8",
        "FLOPs that selective recomputation adds, 22 billion parameters",
        "72 B l s h^2 (1 + s / 3h + V / 12hl), less equation 7",
        written - model_flops(m, B),
        again,
        "FLOPs",
    )


def four_micro_batches_per_rank() -> Claim:
    K = 8
    times = mp.simulate(make_schedule("gpipe", K, 4 * K))
    return Claim(
        "Huang et al. 2019 (GPipe), section 2.3",
        "the bubble is negligible with M >= 4 K micro-batches",
        "(K - 1) / (M + K - 1); negligible: below 5 % of the time; K = 8, M = 32",
        0.05,
        float(times.bubble()),
        "of the time",
        tolerance=0.05,
    )


def zero_bubble_of_h2() -> Claim:
    times = mp.simulate(make_schedule("zb-h2", 4, 8))
    return Claim(
        "Qi et al. 2023 (zero bubble), section 2.2",
        "ZB-H2 has no bubble",
        "idle / total over each rank's own span; p = 4, m = 8, F = B = W",
        0.0,
        float(times.bubble(over="span")),
        "of the span",
    )


def traffic_of_stage_3() -> Claim:
    factors = stage_3_factors((1,))
    return Claim(
        "Rajbhandari et al. 2020 (ZeRO), section 7.2.2",
        "stage 3 sends 1.5 times the bytes of data parallelism",
        "3 Psi / 2 Psi, for one micro-batch",
        1.5,
        factors[0],
        "times",
        tolerance=0.02,
    )


def stage_3_factors(micro_batches: tuple[int, ...]) -> list[float]:
    """Bytes along dp with ZeRO's stage 3, divided by those without ZeRO, for these numbers of micro-batches."""
    model, dp = mp.ModelConfig(64, 16, 4, 4, 64, bias=False), 4

    def sent(zero: int, m: int) -> int:
        train = mp.TrainConfig(batch=dp * m, micro_batches=m)
        return by_axis(step_traffic(model, train, mp.Layout(dp=dp, zero=zero), 0, lambda *_, nodes: "ring"))[
            "dp"
        ].bytes

    return [sent(3, m) / sent(0, m) for m in micro_batches]


def memory_of_zero() -> Claim:
    return Claim(
        "Rajbhandari et al. 2020 (ZeRO), figure 1",
        "7.5 billion parameters, 64 devices, stage 2: 16.6 GB",
        "2 Psi + (2 + 12) Psi / 64",
        16.6,
        state(7_500_000_000, MIXED_ADAM, zero=2, dp=64).total / 1e9,
        "GB",
        tolerance=0.005,
    )


def six_n() -> Claim:
    counts = parameter_counts(GPT2)
    N = sum(counts.values()) - counts["tokens"] - counts["positions"]
    counted = sum(training_flops(GPT2, 1, GPT2.context).values()) / GPT2.context
    return Claim(
        "Kaplan et al. 2020, section 2.1",
        "training takes about 6 N FLOPs per token, N without embeddings (GPT-2, 124M)",
        "6 N",
        6.0 * N,
        counted,
        "FLOPs per token",
        tolerance=0.05,
    )


def calculator_without_the_mlp() -> Claim:
    m = MODELS["gpt-22b"]
    T, D, H = m.context, m.width, m.heads
    written = 11 * T * D + 5 * H * T * T
    counted = published(1, D, H, T, 1)
    return Claim(
        "hesamation/primer-llm-embedding, python/memory/formulas/utils.py, activation_memory",
        "activations of one layer without recomputation are those of attention",
        "11 s b h + 5 a s^2 b",
        written,
        float(counted),
        "bytes",
    )


def mean_of_means() -> Claim:
    """Two micro-batches of 12 and 3 targets that count: the mean of their means against the mean of all."""
    model = mp.GPT(mp.ModelConfig(vocabulary=16, context=12, layers=1, heads=2, width=8), dtype=np.float64)
    tokens = np.random.default_rng(7).integers(0, 16, (2, 13))
    targets = tokens[:, 1:].copy()
    targets[1, 3:] = -1  # padding, which does not count
    means = [float(model.loss(tokens[row : row + 1, :-1], targets[row : row + 1]).data) for row in range(2)]
    together = float(model.loss(tokens[:, :-1], targets).data)
    return Claim(
        "huggingface/trl, issue 2175 (and transformers, issue 24725)",
        "the mean of the micro-batches' losses is the loss of the batch (the issue shows that it is not)",
        "mean of the micro-batches' means, 12 and 3 targets",
        float(np.mean(means)),
        together,
        "nats",
    )


CLAIMS: list[Callable[[], Claim]] = [
    full_recomputation,
    days_of_a_trillion,
    interleaved_bubble,
    tensor_traffic,
    selective_recomputation,
    four_micro_batches_per_rank,
    zero_bubble_of_h2,
    traffic_of_stage_3,
    memory_of_zero,
    six_n,
    calculator_without_the_mlp,
    mean_of_means,
]


def main(words: list[str]) -> None:
    numbers = [int(word) for word in words] or range(1, len(CLAIMS) + 1)
    for number in numbers:
        print(*CLAIMS[number - 1]().lines(number), sep="\n")


if __name__ == "__main__":
    main(sys.argv[1:])
