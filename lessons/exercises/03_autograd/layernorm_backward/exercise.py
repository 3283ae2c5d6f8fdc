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


def normed(
    eps=EPS,
    ddof=0,
    gradient=lambda n, g: g - g.mean(axis=1, keepdims=True) - n * (n * g).mean(axis=1, keepdims=True),
):
    """The reference with a mistake."""
    def mistaken(ranks, arguments):
        x, g = arguments[0]
        d = np.sqrt(x.var(axis=1, keepdims=True, ddof=min(ddof, x.shape[1] - 1)) + eps)
        n = (x - x.mean(axis=1, keepdims=True)) / d
        return [{"n": n, "grad x": gradient(n, g) / d}]
    return mistaken


EXERCISE = Exercise(
    kind="write", minutes=25, lesson="1", function="layernorm backward", comm="", tolerance=1e-10,
    goal="find a gradient by asking along which directions nothing changes",
    prerequisites=("softmax_backward",),
    cases={"plain": (3, 5), "one row": (1, 4), "one number": (2, 1), "wide": (2, 64)},
    inputs=inputs, reference=reference,
    next_steps={"grad x": "the task names two checks of each row of the gradient: which of them fails?"},
    mistakes={"eps is missing\nsee the formula in the task": normed(eps=0),
              "the variance divides by D - 1\nnp.var divides by D if ddof is 0": normed(ddof=1),
              "mean and variance count as constants\nthey depend on x, too": normed(gradient=lambda n, g: g),
              "the variance counts as a constant\nit depends on x, too": normed(
                  gradient=lambda n, g: g - g.mean(axis=1, keepdims=True))}, library="minipar/autograd/fused/layernorm.py:layernorm")
