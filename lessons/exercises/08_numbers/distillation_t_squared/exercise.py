import numpy as np

from minipar.exercises import Exercise


def inputs(ranks, rng, size):
    n, c, T = size
    return [(rng.standard_normal((n, c)), rng.standard_normal((n, c)), float(T))]


def reference(ranks, arguments):
    """Sample by sample; the gradient by the Jacobian of log-softmax."""
    student, teacher, T = arguments[0]
    losses, grads = [], []
    for s, t in zip(student / T, teacher / T, strict=True):
        log_q, log_p = (z - np.log(np.exp(z).sum()) for z in (s, t))
        losses.append(T**2 * np.exp(log_p) @ (log_p - log_q))
        jacobian = np.eye(len(s)) - np.exp(log_q)                   # of log q by its logits
        grads.append(-T**2 / T * np.exp(log_p) @ jacobian)
    return [{"loss": float(np.mean(losses)), "grad": np.stack(grads) / len(student)}]


EXERCISE = Exercise(
    kind="write", minutes=15, lesson="12", function="loss_and_gradient", comm="",
    goal="derive the gradient of a softened divergence",
    prerequisites=("softmax_backward",),
    cases={"T = 2": (3, 4, 2), "T = 1": (2, 3, 1), "T = 8, one sample": (1, 5, 8)},
    inputs=inputs, reference=reference, library="minipar/compress/distill/losses.py")
