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


def over(axis):
    """A mistake: the softmax over another axis; backward is that of its own p."""
    def mistaken(ranks, arguments):
        z, g = arguments[0]
        e = np.exp(z - z.max())
        p = e / e.sum(axis=axis, keepdims=True)
        return [{"p": p, "grad z": p * g - p * (p * g).sum(axis=axis, keepdims=True)}]
    return mistaken


def diagonal(ranks, arguments):
    """A mistake: each p depends on its own z only."""
    p, g = reference(ranks, arguments)[0]["p"], arguments[0][1]
    return [{"p": p, "grad z": g * p * (1 - p)}]


EXERCISE = Exercise(
    kind="write", minutes=20, lesson="1", function="softmax backward", comm="",
    goal="turn a Jacobian into a product that needs no matrix",
    cases={"plain": (3, 4, 1), "one row": (1, 5, 1), "one column": (4, 1, 1), "large numbers": (3, 6, 500)},
    inputs=inputs, reference=reference,
    next_steps={"grad z": "does each row add up to 0? it must, because one number added to all z changes nothing"},
    mistakes={"the softmax is over the whole matrix\neach row adds up to 1: sum with axis=1, keepdims=True": over(None),
              "the softmax is over the columns\neach row adds up to 1: sum with axis=1, keepdims=True": over(0),
              "z_j changes p_j only\nthe sum in p depends on all z: dp_i/dz_j is not 0 where i != j": diagonal}, library="minipar/autograd/reductions.py:softmax")
