import numpy as np

from minipar.exercises import BugToFind, Exercise


def inputs(ranks, rng, size):
    n, k, m = size
    return [(rng.standard_normal((n, k)), rng.standard_normal((k, m)), rng.standard_normal(m),
             rng.standard_normal(n), rng.standard_normal((n, m)))]


def reference(ranks, arguments):
    a, b, bias, s, g = arguments[0]
    z = a @ b + bias
    grad_r = g * s[:, None]
    grad_z = np.where(z > 0, grad_r, 0)
    return [{"result": np.where(z > 0, z, 0) * s[:, None], "grad a": grad_z @ b.T, "grad b": a.T @ grad_z,
             "grad bias": grad_z.sum(0), "grad s": (g * np.where(z > 0, z, 0)).sum(1)}]


EXERCISE = Exercise(
    bug=BugToFind(lines=("(g * x).mean(axis=1)",),
            reason="a number that is used several times gets the sum of the gradients, not their mean",
            others=("the gradient of x must not contain s", "the gradient must be summed over the rows, axis 0",
                    "relu has no gradient at 0")),
    kind="find", minutes=10, lesson="1", function="matmul add_bias relu scale_rows", comm="",
    goal="know that what is spread forward is summed backward",
    cases={"plain": (3, 4, 5), "one row": (1, 2, 3), "one column": (4, 3, 1)},
    inputs=inputs, reference=reference, library="minipar/autograd/tensor.py:unbroadcast")
