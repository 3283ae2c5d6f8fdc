import numpy as np

from minipar.exercises import Exercise


def inputs(ranks, rng, size):
    rows, n, scale = size
    return [(scale * rng.standard_normal((rows, n)), rng.standard_normal((rows, n)))]


def reference(ranks, arguments):
    """Row by row, with the whole Jacobian."""
    z, g = arguments[0]
    e = np.exp(z - z.max(axis=1, keepdims=True))
    p = e / e.sum(axis=1, keepdims=True)
    grad = np.stack([(np.diag(row) - np.outer(row, row)) @ one for row, one in zip(p, g, strict=True)])
    return [{"p": p, "grad z": grad.reshape(z.shape)}]


EXERCISE = Exercise(
    kind="write", minutes=20, lesson="1", function="softmax backward", comm="",
    goal="turn a Jacobian into a product that needs no matrix",
    cases={"plain": (3, 4, 1), "one row": (1, 5, 1), "one column": (4, 1, 1), "large numbers": (3, 6, 500)},
    inputs=inputs, reference=reference, library="minipar/autograd/reductions.py:softmax")
