import numpy as np

from minipar.exercises import Exercise

EPS = 1e-5


def inputs(ranks, rng, size):
    return [(rng.standard_normal(size), rng.standard_normal(size))]


def reference(ranks, arguments):
    """Row by row, with the Jacobian of (x - mean) / deviation."""
    x, g = arguments[0]
    D = x.shape[1]
    centring = np.eye(D) - 1 / D
    grads, rows = [], []
    for row, one in zip(x, g, strict=True):
        c = centring @ row
        d = np.sqrt(c @ c / D + EPS)
        rows.append(c / d)
        grads.append((centring / d - np.outer(c, c) / (D * d**3)).T @ one)
    return [{"n": np.stack(rows), "grad x": np.stack(grads)}]


EXERCISE = Exercise(
    kind="write", minutes=25, lesson="1", function="layernorm backward", comm="", tolerance=1e-10,
    goal="find a gradient by asking along which directions nothing changes",
    prerequisites=("softmax_backward",),
    cases={"plain": (3, 5), "one row": (1, 4), "one number": (2, 1), "wide": (2, 64)},
    inputs=inputs, reference=reference, library="minipar/autograd/fused/layernorm.py:layernorm")
