import numpy as np

from minipar.exercises import Exercise, Par


def inputs(ranks, rng, size):
    made = []
    for rank in range(ranks):
        n = 5 + (3 * rank) % 4
        weights = (rng.random(n) < size).astype(float)
        weights[0] = float(rank == 0 or size > 0.5)                 # somebody counts
        made.append((rng.random(n), rng.standard_normal((n, 4)), weights))
    return made


def reference(ranks, arguments):
    losses, gradients, weights = (np.concatenate([one[i] for one in arguments]) for i in range(3))
    count = weights.sum()
    return [{"loss": (weights * losses).sum() / count,
             "grad": (weights[:, None] * gradients).sum(axis=0) / count}] * ranks


def mean_of_means(ranks, arguments):
    losses = sum((loss * weight).sum() / weight.sum() for loss, _, weight in arguments) / ranks
    grads = (
        sum((weight[:, None] * gradient).sum(axis=0) / weight.sum() for _, gradient, weight in arguments)
        / ranks
    )
    return [{"loss": losses, "grad": grads}] * ranks


def par(ranks, arguments):
    """One all-reduce of 2 + d numbers."""
    return Par(messages=2 * (ranks - 1), bytes=2 * (ranks - 1) * 8 * (2 + arguments[0][1].shape[1]))


EXERCISE = Exercise(
    kind="write", minutes=15, lesson="13", function="mean_loss",
    goal="get the mean right when ranks have different numbers of tokens",
    prerequisites=("average_or_sum",), cases={"all count": 1.0, "half is padding": 0.5, "some ranks have only padding": 0.2},
    inputs=inputs, reference=reference, par=par,
    next_steps={"loss": "which tokens count? only weights * losses is added up, and the divisor is a sum, too",
                "grad": "which tokens count? only the weighted gradients are added up, over the tokens"},
    mistakes={"the result is the mean of the ranks' means\nadd up first, divide afterwards: a rank with few tokens must not count "
              "as much as one with many": mean_of_means}, library="minipar/autograd/fused/cross_entropy.py:tokens_that_count")
