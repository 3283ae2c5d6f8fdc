import numpy as np

from minipar.exercises import Exercise, Par


def inputs(ranks, rng, size):
    width, rows = size
    return [([rng.standard_normal((n, width)) for n in rows], 1.5 * rng.standard_normal((width, width)))
            for _ in range(ranks)]


def one_process(arguments, slope=lambda x, y: 1 - y**2, share=lambda part, whole: whole, back=lambda d, W: d @ W.T):
    """One process with all layers and the whole batch.

    The words replace one formula by a mistake: the slope of tanh, the number that the loss is divided by, and
    the gradient that goes to the rank before.
    """
    rows = [len(x) for x in arguments[0][0]]
    xs, ends = [np.concatenate(arguments[0][0])], np.cumsum(rows)[:-1]
    for _, W in arguments:
        xs.append(np.tanh(xs[-1] @ W))
    g = xs[-1] / np.concatenate([np.full((n, 1), float(share(n, sum(rows)))) for n in rows])
    results = []
    for (_, W), x, y in reversed(list(zip(arguments, xs, xs[1:], strict=False))):
        d = g * slope(x, y)
        results.insert(0, {"ys": np.split(y, ends), "grad W": x.T @ d})
        g = back(d, W)
    return results


def reference(ranks, arguments):
    return one_process(arguments)


def par(ranks, arguments):
    """In forward, all ranks but the last send every micro-batch once. In backward, all but rank 0 do."""
    xs = arguments[0][0]
    neighbours = [(rank < ranks - 1) + (rank > 0) for rank in range(ranks)]
    return Par(messages=[count * len(xs) for count in neighbours],
               bytes=[count * sum(x.nbytes for x in xs) for count in neighbours])


EXERCISE = Exercise(
    kind="write", minutes=30, lesson="20", function="step",
    goal="derive what travels between layers, and write both parts of the chain rule",
    prerequisites=("ring_shift", "softmax_backward"),
    forbids=("minipar.autograd", "minipar.backward", "mp.backward", "minipar.comm.collectives"),
    cases={"plain": (3, (2, 2, 2)), "ragged": (2, (3, 1)), "one micro-batch": (2, (4,))},
    inputs=inputs, reference=reference, par=par,
    mistakes={
        "the slope of tanh is taken at the input\nthe slope of tanh is 1 - tanh(z)²: which of x and y is tanh(z)?":
            lambda ranks, arguments: one_process(arguments, slope=lambda x, y: 1 - x**2),
        "each micro-batch is divided by its own number of rows\nN is the number of rows of the whole batch, not of a micro-batch":
            lambda ranks, arguments: one_process(arguments, share=lambda part, whole: part),
        "the gradient that goes back lacks the transpose of W\nwrite z[k] = sum_j x[j] W[j, k]: over which index "
        "does the gradient of x[j] sum?": lambda ranks, arguments: one_process(arguments, back=lambda d, W: d @ W),
        "d goes back without the weights\nthe rank before needs the gradient of x, not of x W":
            lambda ranks, arguments: one_process(arguments, back=lambda d, W: d)},
    library="minipar/parallel/stages.py:Stages")
