from functools import partial

import numpy as np

from minipar.exercises import Exercise, Par


def inputs(ranks, rng, size):
    alpha, beta = 10 ** rng.uniform(-6, -4), 10 ** rng.uniform(-11, -8)
    return [(size, alpha, beta)] * ranks


def results(ranks, arguments, fit=lambda alpha, beta: (alpha, beta), one_message=1.0, number=1):
    """Multiples of the network's own alpha and beta, and the duration of each round as a multiple of two
    messages. fit: a mistake in alpha and beta. one_message: 0.5 if a round takes the time of one message.
    number: the bytes of one element of the array.
    """
    sizes, alpha, beta = arguments[0]
    found = fit(one_message * alpha, one_message * number * beta)
    rounds = np.array([one_message * (alpha + number * n * beta) / (alpha + n * beta) for n in sizes])
    nothing = {"round / two messages": 0 * rounds, "alpha / right alpha": 0.0, "beta / right beta": 0.0}
    return [{"round / two messages": rounds, "alpha / right alpha": found[0] / alpha, "beta / right beta": found[1] / beta},
            *[nothing] * (ranks - 1)]


ONE_WAY = "a round takes the time of one message"
ANSWER = "\ndoes rank 1 answer? does it wait for the message of rank 0 before it sends its answer?"


def par(ranks, arguments):
    """One message each way per size; the clock sends a stamp along with each."""
    count = 2 * len(arguments[0][0])
    return Par(messages=[count, count, *[0] * (ranks - 2)])


EXERCISE = Exercise(
    kind="write", minutes=15, lesson="0", function="ping_pong fit",
    goal="measure latency and bandwidth, and know what each is",
    prerequisites=("hello_in_order",), ranks=(2, 3), tolerance=1e-6,
    cases={"three sizes": [0, 1000, 1_000_000], "two sizes": [8, 800_000]},
    inputs=inputs, reference=results, par=par, version=2,
    mistakes={"alpha and beta are those of a whole round\na round is two messages":
              partial(results, fit=lambda alpha, beta: (2 * alpha, 2 * beta)),
              ONE_WAY + ANSWER: partial(results, one_message=0.5),
              ONE_WAY + ", and fit does not halve it" + ANSWER:
              partial(results, fit=lambda alpha, beta: (2 * alpha, 2 * beta), one_message=0.5),
              "the arrays have 8 n bytes\nnp.zeros(n) has 8 n bytes; np.zeros(n, np.uint8) has n bytes":
              partial(results, number=8),
              "alpha and beta are exchanged\nnp.polyfit returns the slope first, then the value at 0":
              partial(results, fit=lambda alpha, beta: (beta, alpha))}, library="minipar/doctor/checkup.py")
