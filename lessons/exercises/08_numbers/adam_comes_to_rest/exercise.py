from functools import cache

import numpy as np

from minipar.exercises import Exercise

BEND = np.array([100.0, 1.0])
TRAININGS = 64
SHARE = 5                                       # par is the loss of the constant rate, divided by this number


def inputs(ranks, rng, size):
    return [size]


def losses(rates):
    """Train with these rates. Return the mean loss of the trainings after the last step, and the loss of their mean
    weights. The second loss is small if Adam has arrived.
    """
    shocks = np.random.default_rng(len(rates)).standard_normal((len(rates), TRAININGS, 2))
    w = np.ones((TRAININGS, 2))
    m, v = np.zeros_like(w), np.zeros_like(w)
    for t, (rate, shock) in enumerate(zip(rates, shocks, strict=True), 1):
        g = BEND * w + shock
        m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g**2
        w = w - rate * (m / (1 - 0.9**t)) / (np.sqrt(v / (1 - 0.999**t)) + 1e-8)
    return float((w**2 @ BEND).mean() / 2), float(w.mean(axis=0) ** 2 @ BEND / 2)


@cache
def par_of(first, steps):
    """A fifth of the mean loss that a constant rate reaches."""
    return losses(np.full(steps, first))[0] / SHARE


def judge(ranks, arguments, results):
    (first, steps), rates = arguments[0], results[0]
    if not isinstance(rates, np.ndarray) or rates.shape != (steps,) or rates.dtype != np.float64:
        return f"give a float64 array of {steps} rates, one for each step"
    if not np.isfinite(rates).all():
        return "some rates are NaN or infinite\nwhich step divides by 0?"
    if rates[0] != first:
        return f"the first rate is {rates[0]:.4g}; it must be {first:g}\nthe other rates may be smaller"
    if rates.max() > first or rates.min() < 0:
        return f"the rates go from {rates.min():.4g} to {rates.max():.4g}; they must be from 0 to {first:g}"
    par = par_of(first, steps)
    end, far = losses(rates)
    if end <= par:
        return ""
    if far > end / 2:
        return (f"Adam does not reach the minimum: the loss is {end:.2g} after {steps} steps\n"
                f"the rates add up to {rates.sum():.3g}; do they stay large until Adam is near the minimum?")
    return (f"Adam does not come to rest: the loss is {end:.2g} after {steps} steps; par is {par:.2g}\n"
            "either the weights still walk in the last steps, or they stopped too suddenly: "
            "let the rate fall gradually")


EXERCISE = Exercise(
    kind="design", minutes=10, lesson="2", function="rates", comm="",
    goal="choose a schedule that lets Adam arrive and come to rest",
    prerequisites=("adam_step",),
    cases={"rate .03, 2000 steps": (0.03, 2000), "rate .05, 1500 steps": (0.05, 1500),
           "rate .02, 1800 steps": (0.02, 1800)},
    inputs=inputs, judge=judge, library="minipar/optim/schedules.py:cosine")
