"""Questions on lessons 17 to 20: elastic and asynchronous training, inference, and the whole course."""

from math import ceil

import numpy as np
from minipar.lessons.teaching.questions.form import Collection

import minipar as mp
from minipar.asynchronous.staleness import stability_limit
from minipar.plan.checkpoint_interval import young_interval
from minipar.training.elastic import choose_layout

ALL = Collection()


@ALL.ask(
    "17",
    "A step computes for 80 ms on one rank, and reads its data for 10 ms whatever the number of ranks. How many ranks are "
    "useful?",
    wrong={80: "from 8 ranks on, reading is the limit"},
)
def useful_ranks() -> int:
    return ceil(80 / 10)


@ALL.ask(
    "17",
    "Allowed are dp 4, dp 2 x tp 2, and pp 2. Three of four ranks are left. On how many does the training go on?",
    wrong={3: "none of these layouts has 3 ranks"},
)
def ranks_that_go_on() -> int:
    return choose_layout([mp.Layout(dp=4), mp.Layout(dp=2, tp=2), mp.Layout(pp=2)], 3).ranks


@ALL.ask(
    "17",
    "A checkpoint takes 5 s, and a rank dies every 1000 s. How many seconds should pass between two checkpoints?",
    unit="s",
    wrong={1000: "then half of the work between two deaths is lost"},
)
def seconds_between_checkpoints() -> float:
    return young_interval(5, 1000)


@ALL.ask(
    "18",
    "Gradient descent on x²/2 shrinks below the rate 2. Below which rate if each gradient is one step old?",
    wrong={2: "that is the limit without delay"},
)
def rate_with_old_gradients() -> float:
    return stability_limit(1)


@ALL.ask(
    "18",
    "A parameter server has 4 equal workers and waits for nobody. How many updates old are most gradients?",
    wrong={4: "the own update does not come in between"},
)
def age_of_gradients() -> int:
    return 4 - 1


@ALL.ask(
    "18",
    "Two models compute the same, with their hidden units in another order. Does the average of their weights compute it, too?",
    choices=["yes", "no"],
    wrong={"yes": "it mixes units that have nothing to do with each other"},
)
def average_of_models() -> str:
    first, second = np.array([1.0, 2.0]), np.array([3.0, -1.0])     # y = sum of second * tanh(first * x)
    mean = (first + first[::-1]) / 2, (second + second[::-1]) / 2
    return "yes" if np.isclose((second * np.tanh(first)).sum(), (mean[1] * np.tanh(mean[0])).sum()) else "no"


@ALL.ask(
    "19",
    "A product with a 4096 x 4096 matrix of 4-byte numbers for one request: how many FLOPs per byte of the matrix?",
    wrong={2: "each number has 4 bytes"},
)
def flops_per_byte() -> float:
    return 2 * 4096**2 / (4 * 4096**2)


@ALL.ask(
    "19",
    "A KV cache has blocks of 16 tokens. A request has 40 tokens. How many tokens of room are not used?",
    wrong={0: "40 is no multiple of 16"},
)
def room_in_blocks() -> int:
    return ceil(40 / 16) * 16 - 40


@ALL.ask(
    "20",
    "First 80 % of the weights are pruned, then the model is trained with plain Adam. How many percent are still zero?",
    unit="%",
    wrong={80: "without a mask, each weight with a gradient moves"},
)
def zeros_after_training() -> float:
    weights, gradient = np.where(np.arange(10) < 8, 0.0, 1.0), np.linspace(0.5, 1.5, 10)
    after = weights - 0.1 * gradient / np.sqrt(gradient**2)  # the first step of Adam: the rate, with a sign
    return 100 * float((after == 0).mean())


@ALL.ask(
    "20",
    "Model a is smaller than b and has a lower loss. Can b be on the Pareto front of bytes and loss?",
    choices=["yes", "no"],
    wrong={"yes": "a is better in both"},
)
def dominated_model() -> str:
    a, b = (1.0, 2.0), (2.0, 3.0)
    return "no" if all(one <= two for one, two in zip(a, b, strict=True)) else "yes"
