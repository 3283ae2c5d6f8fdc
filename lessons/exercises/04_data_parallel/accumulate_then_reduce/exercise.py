import numpy as np

from minipar.exercises import Exercise, Par


def inputs(ranks, rng, size):
    d = 3
    w = rng.standard_normal(d)
    made = []
    for rank in range(ranks):
        lengths = size(rank)
        made.append([(rng.standard_normal((n, d)), rng.standard_normal(n)) for n in lengths])
    samples = sum(len(x) for batches in made for x, _ in batches)
    return [(w, batches, samples) for batches in made]


def reference(ranks, arguments):
    w = arguments[0][0]
    x, y = (np.concatenate([pair[i] for _, batches, _ in arguments for pair in batches]) for i in (0, 1))
    return [(2 * (x @ w - y)[:, None] * x).mean(axis=0)] * ranks


def par(ranks, arguments):
    """One all-reduce."""
    return Par(messages=2 * (ranks - 1), bytes=2 * (ranks - 1) * arguments[0][0].nbytes)


EXERCISE = Exercise(
    kind="write", minutes=10, lesson="5", function="gradient",
    goal="know that accumulation changes memory, and nothing that is sent",
    prerequisites=("average_or_sum",),
    cases={"different numbers of micro-batches": lambda rank: [2] * (1 + (rank + 1) % 3),
           "different sizes": lambda rank: [3, 1 + rank]},
    inputs=inputs, reference=reference, par=par,
    next_steps={"": "all samples count equally: is each divided by `samples`, or by the length of its own micro-batch or rank?"}, library="minipar/training/trainer.py:Trainer")
