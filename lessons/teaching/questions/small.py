"""Questions on lessons 7 to 12: quantisation, pruning, distillation."""

from __future__ import annotations

import math

import numpy as np
from minipar.lessons.teaching.questions.form import Collection

import minipar as mp
from minipar import autograd as ag
from minipar.compress import prune
from minipar.compress.distill import soft_targets
from minipar.compress.quantize import Scheme, quantize, sigmoid_codes

ALL = Collection()


@ALL.ask("7", "Numbers from -1 to 2 are quantised with 8 bits. What is the distance of two levels?",
         wrong={3: "that is the whole range; 256 levels have 255 distances between them"})
def step_of_codes() -> float:
    return float(quantize(np.array([-1.0, 2.0]), Scheme(8, symmetric=False)).grid.scale.item())


@ALL.ask(
    "7",
    "A code of 200 is stored in a signed integer of 8 bits, without clipping. Which number is it then?",
    wrong={127: "that is what clipping gives; without it the number wraps"},
)
def wrapped_code() -> int:
    return int(np.array([200]).astype(np.int8)[0])


@ALL.ask("7", "One bit more: by how many decibels does the error fall?", unit="dB",
         wrong={3: "the error halves, so its square falls to a quarter: 10 log10(4)"})
def worth_of_a_bit() -> float:
    return 20 * math.log10(2)


@ALL.ask(
    "8",
    "A sigmoid without a gain takes -0.1 and 0.1 to 0.475 and 0.525. How many of 256 codes do the numbers between them use?",
    wrong={256: "5 % of the range, so 5 % of the codes"},
)
def codes_without_a_gain() -> int:
    x = np.linspace(-0.1, 0.1, 10_001)
    return len(np.unique(np.rint(255 / (1 + np.exp(-x)))))


@ALL.ask(
    "8",
    "Weights have the standard deviation 0.02. Which gain is best for a sigmoid?",
    choices=["0.02", "1", "50", "100"],
    wrong={"1": "then the weights lie where the sigmoid is a straight line"},
)
def best_gain() -> str:
    x = 0.02 * np.random.default_rng(0).normal(size=20_000)
    def error(gain: str) -> float:
        return float(((sigmoid_codes(x, 8, float(gain)).dequantize() - x) ** 2).mean())
    return min(["0.02", "1", "50", "100"], key=error)


@ALL.ask(
    "9", "What is the derivative of round(w) at w = 0.3?", wrong={1: "that is what straight-through pretends"}
)
def slope_of_rounding() -> float:
    return float((np.rint(0.3001) - np.rint(0.2999)) / 0.0002)


@ALL.ask(
    "9",
    "The loss is (round(w) - 2)² / 2, and w = 0.6. What is the gradient by w with the straight-through estimator?",
    wrong={0: "that is without the estimator", -1.4: "the loss sees the rounded number, 1"},
)
def straight_through() -> float:
    rounded = mp.Tensor(np.rint(np.array([0.6])), requires_grad=True)
    off = rounded - mp.Tensor(np.array([2.0]))
    mp.backward(ag.sum(off * off) * 0.5)
    assert rounded.grad is not None
    return float(rounded.grad[0])


@ALL.ask(
    "10",
    "Weights 1.0, 0.5, 0.2, 0.8, 0.3, 0.1, 0.6, 0.4, 0.0. Those with |w| < 0.3 are set to 0. How many zeros are there?",
    wrong={4: "0.3 is not below 0.3; it stays"},
)
def zeros_of_a_threshold() -> int:
    weights = np.array([1.0, 0.5, 0.2, 0.8, 0.3, 0.1, 0.6, 0.4, 0.0])
    return int((np.where(abs(weights) >= 0.3, weights, 0) == 0).sum())


@ALL.ask("10", "A sparse format stores 4 bytes of value and 4 bytes of index for each weight that is not 0. From which sparsity on is "
         "it no larger than the dense matrix of 4 bytes per weight?", unit="%", wrong={0: "each remaining weight takes twice its bytes"})
def break_even() -> float:
    return float(next(zeros for zeros in range(101) if 8 * (100 - zeros) <= 4 * 100))


@ALL.ask(
    "10",
    "Half of the weights are set to 0, and the model is trained on with SGD and no mask. How many of them are still 0 after "
    "one step?",
    choices=["all", "about half", "none, if their gradients are not 0"],
    wrong={"all": "a zero has a gradient like every other weight"},
)
def zeros_without_a_mask() -> str:
    weights = np.random.default_rng(0).normal(size=100)
    weights[:50] = 0
    weights -= 0.1 * np.random.default_rng(1).normal(size=100)
    left = int((weights == 0).sum())
    return {50: "all", 0: "none, if their gradients are not 0"}.get(left, "about half")


@ALL.ask(
    "11",
    "The loss bends by 8 along a weight of 0.5 (H = 8), at a minimum. By how much does it rise if the weight goes?",
    wrong={2: "there is a half in 1/2 H w²", 0: "the slope is zero, the curvature is not"},
)
def cost_of_a_weight() -> float:
    return float(prune.obd({"w": np.array([0.5])}, {"w": np.array([8.0])})["w"][0])


@ALL.ask(
    "11",
    "The soft threshold 0.3 is applied to a weight of -1. What is it afterwards?",
    wrong={-1: "that is a hard threshold"},
)
def soft_threshold() -> float:
    return float(prune.lasso_prox(np.array([-1.0]), 0.3)[0])


@ALL.ask(
    "12",
    "The logits of two classes are 2 and 0. What is the probability of the first at temperature 2?",
    wrong={0.881: "that is at temperature 1"},
)
def softened() -> float:
    z = np.array([2.0, 0.0]) / 2
    return float(np.exp(z[0]) / np.exp(z).sum())


@ALL.ask(
    "12",
    "The student's logits equal the teacher's. How large is the gradient of the distillation loss T² KL?",
)
def nothing_to_learn() -> float:
    z = np.array([[2.0, 0.0, -1.0]])
    student = mp.Tensor(z, requires_grad=True)
    mp.backward(soft_targets(student, z, 4.0))
    assert student.grad is not None
    return round(float(abs(student.grad).max()), 12)
