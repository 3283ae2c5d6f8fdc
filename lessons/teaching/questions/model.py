"""Questions on lessons 1 to 6: loss and gradient, Adam, reports, memory, accumulation, 16 bits."""

from __future__ import annotations

import math

import numpy as np
from minipar.lessons.support.metrics import classification_report, f1_score
from minipar.lessons.teaching.questions.form import Collection

import minipar as mp
from minipar import autograd as ag
from minipar.nn import Parameter, Start
from minipar.nn.counts import computed_pairs
from minipar.optim import Adam, AdamW, Flat, Optimizer
from minipar.plan.memory import FLOAT32_ADAM, MIXED_ADAM, state, training_memory
from minipar.precision.formats import format_of

ALL = Collection()


@ALL.ask(
    "1",
    "A model gives the right answer the probability 0.5. What is the loss (cross-entropy)?",
    unit="nats",
    wrong={0.5: "the loss is -log p", 1: "that is in bits; a nat is 1.44 bits"},
)
def loss_of_a_coin() -> float:
    return -math.log(0.5)


@ALL.ask(
    "1",
    "The softmax of three logits is (0.7, 0.2, 0.1). The first class is right. What is the derivative of the loss by the "
    "first logit?",
    wrong={0.7: "subtract 1 for the right class: p - y"},
)
def derivative_by_a_logit() -> float:
    logits = mp.Tensor(np.log([[0.7, 0.2, 0.1]]), requires_grad=True)
    mp.backward(ag.cross_entropy(logits, np.array([0])))
    assert logits.grad is not None
    return round(float(logits.grad[0, 0]), 12)


@ALL.ask(
    "1",
    "A model of 50257 words has learnt nothing: all words are equally likely. What is its loss?",
    unit="nats",
)
def loss_of_knowing_nothing() -> float:
    return float(ag.cross_entropy(mp.Tensor(np.zeros((1, 50257))), np.array([0])).item())


@ALL.ask("1", "The loss is 4 w². From which learning rate on does gradient descent diverge?",
         wrong={0.125: "there it reaches the minimum in one step"})
def largest_rate() -> float:
    low, high = 0.0, 1.0
    while high - low > 1e-9:                            # the weight changes by the factor 1 - 8 rate
        rate = (low + high) / 2
        low, high = (rate, high) if abs(1 - 8 * rate) < 1 else (low, rate)
    return round(high, 6)


def _after_one_step(
    make: type[Optimizer], rate: float, start: float, slope: float, **options: float
) -> float:
    weight = Parameter("w", (1, 1), Start())
    weight.data = np.array([[start]])
    flat = Flat([weight])
    flat.zero_grad()
    mp.backward(ag.sum(weight * mp.Tensor(np.array([[slope]]))))
    make(flat, **options).step(rate)
    return round(float(weight.data[0, 0]), 6)


@ALL.ask(
    "2",
    "A weight is 1, its first gradient 1000, the learning rate 0.1. Where is it after one step of Adam?",
    wrong={-99: "that is gradient descent; Adam divides by the size of the gradient"},
)
def first_step_of_adam() -> float:
    return _after_one_step(Adam, 0.1, 1.0, 1000.0)


@ALL.ask("2", "AdamW, learning rate 0.1, weight decay 0.01, weight 2, gradient 0. Where is the weight after one step?",
         wrong={2: "AdamW shrinks a weight even if its gradient is 0", 1.9: "the decay is not divided by the gradient's size"})
def decay_of_adamw() -> float:
    return _after_one_step(AdamW, 0.1, 2.0, 0.0, weight_decay=0.01)


@ALL.ask(
    "3",
    "For class A there are 4 true positives, 1 false positive and 2 false negatives. What is its F1?",
    wrong={0.8: "that is the precision"},
)
def f1_from_counts() -> float:
    return f1_score(4 / 5, 4 / 6)


@ALL.ask("3", "A report prints precision 0.90, recall 0.60, F1 0.75. What must F1 be?",
         wrong={0.75: "that is the plain mean; F1 is 2PR/(P + R)"})
def f1_of_a_report() -> float:
    return f1_score(0.9, 0.6)


@ALL.ask("3", "80 % of the words are O, 20 % are N. A program always answers O. What is its macro F1?",
         wrong={0.8: "that is its accuracy, the micro F1", 0.889: "that is the F1 of O; the F1 of N is 0"})
def macro_of_always_o() -> float:
    labels = np.array([0] * 8 + [1] * 2)
    return classification_report(labels, np.zeros_like(labels), ["O", "N"]).macro.f1


@ALL.ask(
    "4",
    "A model has 1e9 weights, trained in float32 with Adam. How much memory do weights, gradients and optimiser need?",
    unit="GB",
    wrong={4: "these are the weights only", 8: "Adam keeps two numbers for each weight"},
)
def state_in_float32() -> float:
    return state(10**9, FLOAT32_ADAM).total / 1e9


@ALL.ask(
    "4",
    "The same model in mixed precision (16-bit weights and gradients, float32 master weights and moments). How much now?",
    unit="GB",
    wrong={8: "master weights and moments stay in float32"},
)
def state_in_mixed_precision() -> float:
    return state(10**9, MIXED_ADAM).total / 1e9


@ALL.ask("4", "Which of the four lines of memory grows with the batch?",
         choices=["weights", "gradients", "optimiser", "activations"])
def what_grows() -> str:
    model = mp.ModelConfig(vocabulary=10, context=8, layers=2, heads=2, width=8)
    small, large = (
        training_memory(model, mp.TrainConfig(batch=batch), mp.Layout(), 0, computed_pairs)
        for batch in (4, 8)
    )
    (line,) = (name for name, held in vars(small).items() if held != getattr(large, name))
    return str(line)


@ALL.ask("5", "A batch of 64 is computed in micro-batches of 4. By which factor do the activations shrink?",
         wrong={4: "the number of micro-batches counts: 64 / 4"})
def accumulation_saves() -> int:
    return 64 // 4


@ALL.ask(
    "5",
    "You add up the mean losses of 8 equal micro-batches, and forget to divide. How many times too large is the gradient?",
    wrong={1: "each mean is as large as that of the whole batch"},
)
def forgotten_division() -> float:
    x = np.arange(16.0)
    return float(sum(part.mean() for part in np.split(x, 8)) / x.mean())


@ALL.ask(
    "5",
    "Micro-batches of 3 and 1 samples have the mean losses 2 and 6. What is the mean loss of the batch?",
    wrong={4: "weight each mean by its samples"},
)
def unequal_pieces() -> float:
    return float(np.average([2, 6], weights=[3, 1]))


@ALL.ask(
    "6",
    "What is 1 + 1/4096 in float16?",
    wrong={1.000244: "float16 has 11 bits: the next number after 1 is 1 + 1/1024"},
)
def small_update() -> float:
    return float(np.float16(1) + np.float16(1 / 4096))


@ALL.ask(
    "6",
    "A gradient of 1e-9 becomes 0 in float16. What is the smallest power of two as a loss scale that saves it?",
    wrong={64: "the smallest float16 is 6e-8, and what is above half of it rounds up"},
)
def needed_scale() -> int:
    return next(2**k for k in range(64) if np.float16(1e-9 * 2**k) > 0)


@ALL.ask("6", "What is 257 in bfloat16?", wrong={257: "it has 8 bits: above 256 the distance is 2"})
def rounded_to_bfloat16() -> float:
    return float(format_of("bfloat16").round(np.array([257.0], np.float32))[0])
