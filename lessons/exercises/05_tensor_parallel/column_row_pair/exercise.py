from functools import partial

import numpy as np

from minipar.exercises import Exercise, Par


def inputs(ranks, rng, size):
    n, d, widths = size
    x, g = rng.standard_normal((2, n, d))
    return [(x, rng.standard_normal((d, widths(rank))), rng.standard_normal((widths(rank), d)), g)
            for rank in range(ranks)]


def reference(ranks, arguments, mask=True):
    """One process, with the whole matrices. mask=False: the mistake that backward forgets relu."""
    x, g = arguments[0][0], arguments[0][3]
    a = np.concatenate([one[1] for one in arguments], axis=1)
    b = np.concatenate([one[2] for one in arguments])
    hidden = x @ a
    grad_hidden = np.where((hidden > 0) | (not mask), g @ b.T, 0)
    ends = np.cumsum([one[1].shape[1] for one in arguments])[:-1]
    grads_a = np.split(x.T @ grad_hidden, ends, axis=1)
    grads_b = np.split(np.where(hidden > 0, hidden, 0).T @ g, ends)
    y, grad_x = np.where(hidden > 0, hidden, 0) @ b, grad_hidden @ a.T
    return [
        {"y": y, "grad x": grad_x, "grad a": grads_a[rank], "grad b": grads_b[rank]} for rank in range(ranks)
    ]


def g_is_summed(ranks, arguments):
    """The mistake that backward sums g over the ranks, and not the gradient of x."""
    (whole, *_), parts = reference(ranks, arguments), [reference(1, [one]) for one in arguments]
    return [
        {name: ranks * one[name] for name in ("grad x", "grad a", "grad b")} | {"y": whole["y"]}
        for (one,) in parts
    ]


def hidden_without_relu(ranks, arguments):
    """The mistake that the gradient of b uses x a, and not relu(x a)."""
    return [{**one, "grad b": (x @ a).T @ g}
            for one, (x, a, _, g) in zip(reference(ranks, arguments), arguments, strict=True)]


def grad_x_without_mask(ranks, arguments):
    """The mistake that only the gradient of x forgets relu."""
    right, wrong = reference(ranks, arguments), reference(ranks, arguments, mask=False)
    return [{**one, "grad x": other["grad x"]} for one, other in zip(right, wrong, strict=True)]


def relu_after_sum(ranks, arguments):
    """The mistake that relu is applied to the sum, and not to each hidden number."""
    y = sum(x @ a @ b for x, a, b, _ in arguments)
    return [{**one, "y": np.where(y > 0, y, 0)} for one in reference(ranks, arguments)]


def par(ranks, arguments):
    """Two all-reduces of [n, d]."""
    return Par(messages=4 * (ranks - 1), bytes=4 * (ranks - 1) * arguments[0][0].nbytes)


EXERCISE = Exercise(
    kind="write", minutes=25, lesson="14", function="forward backward",
    goal="cut two layers so that they need one all-reduce each way",
    prerequisites=("f_and_g",),
    cases={"equal parts": (3, 4, lambda rank: 2), "uneven parts": (2, 3, lambda rank: rank + 1),
           "one row": (1, 5, lambda rank: 1)},
    inputs=inputs, reference=reference, par=par,
    mistakes={"the gradients of x and a go through relu where x a is negative\nthe derivative of relu is 0 there":
              partial(reference, mask=False),
              "g is summed over the ranks\nall ranks have the same g already; which gradient is a part of a sum?": g_is_summed,
              "the gradient of b uses x a, before relu\nb is multiplied by relu(x a)": hidden_without_relu,
              "the gradient of x goes through relu where x a is negative\nthe derivative of relu is 0 there":
              grad_x_without_mask,
              "relu is applied after the second matrix\nthe formula is relu(x A) B": relu_after_sum}, library="minipar/nn/layers.py:RowParallelLinear")
