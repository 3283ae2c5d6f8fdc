from functools import partial

import numpy as np

from minipar.exercises import Exercise, Par


def inputs(ranks, rng, n):
    w = rng.standard_normal(n)
    return [
        (w, rng.standard_normal(n), chunk, 0.1) for chunk in np.array_split(rng.standard_normal(n), ranks)
    ]


def reference(ranks, arguments, gradient_of=lambda rank, gradients: sum(gradients)):
    """gradient_of: a mistake in the gradient that a rank uses."""
    w, lr = arguments[0][0], arguments[0][3]
    momenta = []
    for rank, (_, _, momentum, _) in enumerate(arguments):
        gradient = gradient_of(rank, [one[1] for one in arguments])
        momenta.append(0.9 * momentum + np.array_split(gradient, ranks)[rank])
    new = w - lr * np.concatenate(momenta)
    return [(new, momentum) for momentum in momenta]


def par(ranks, arguments):
    """A reduce-scatter and an all-gather: about (p - 1)/p n each; p numbers of slack for uneven chunks."""
    return Par(bytes=2 * 8 * (arguments[0][0].size + ranks) if ranks > 1 else 0)


EXERCISE = Exercise(
    kind="write", minutes=15, lesson="13", function="step",
    goal="put the optimiser between the two halves of an all-reduce",
    prerequisites=("ring_reduce_scatter", "ring_all_gather", "average_or_sum"),
    cases={"plain": 40, "ragged": 23}, inputs=inputs, reference=reference, par=par,
    mistakes={"each rank updates its chunk with its own gradient only\nthe gradient of the batch is the sum over the ranks":
              partial(reference, gradient_of=lambda rank, gradients: gradients[rank]),
              "the gradient is the mean over the ranks\nthe task asks for the sum":
              partial(reference, gradient_of=lambda rank, gradients: sum(gradients) / len(gradients))},
    library="minipar/parallel/sharded_gradients.py:ShardedReducer")
