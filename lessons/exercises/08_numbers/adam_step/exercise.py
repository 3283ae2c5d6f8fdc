import numpy as np

from minipar.exercises import Exercise

B1, B2, EPS = 0.9, 0.999, 1e-8


def inputs(ranks, rng, size):
    t, scale = size
    w, g, m = rng.standard_normal((3, 6))
    return [(w, scale * g, scale * m * (t > 1), (scale * rng.standard_normal(6)) ** 2 * (t > 1), t, 0.01)]


def adam(correct=True, inside=False, shift=0):
    """The reference; correct, inside, shift: mistakes."""
    def reference(ranks, arguments):
        w, g, m, v, t, lr = arguments[0]
        m, v = B1 * m + (1 - B1) * g, B2 * v + (1 - B2) * g**2
        t += shift
        first, second = (m / (1 - B1**t), v / (1 - B2**t)) if correct else (m, v)
        root = np.sqrt(second + EPS) if inside else np.sqrt(second) + EPS
        return [(w - lr * first / root, m, v)]
    return reference


EXERCISE = Exercise(
    kind="write", minutes=10, lesson="2", function="step", comm="",
    goal="know what Adam's bias correction corrects",
    cases={"first step": (1, 1.0), "tenth step": (10, 1.0), "tiny gradients": (3, 1e-9), "large gradients": (2, 1e4)},
    inputs=inputs, reference=adam(), mistakes={
        "the bias correction is missing\nm and v start at 0: what is m after one step with g = 3?": adam(correct=False),
        "eps is inside the root\nsee the formula in the task": adam(inside=True),
        "the bias correction is that of another step\nt counts from 1": adam(shift=1)},
    library="minipar/optim/__init__.py")
