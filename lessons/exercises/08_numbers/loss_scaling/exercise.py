import numpy as np

from minipar.exercises import Exercise
from minipar.precision.scaling import LossScale


def inputs(ranks, rng, size):
    steps, scale, growth, spikes = size
    gradients = [(rng.standard_normal(4) * 1e-6).astype(np.float32) for _ in range(steps)]
    for step in spikes:
        gradients[step] = (gradients[step] * 1e9).astype(np.float32)
    return [(gradients, float(scale), growth)]


def reference(ranks, arguments):
    """With the library's scale."""
    gradients, start, growth = arguments[0]
    scale, update = LossScale(start, growth), np.zeros_like(gradients[0])
    for gradient in gradients:
        with np.errstate(over="ignore"):
            rounded = (gradient * np.float32(scale.scale)).astype(np.float16).astype(np.float32)
        before = np.float32(scale.scale)
        if scale.update(bool(np.isfinite(rounded).all())):
            update += rounded / before
    return [{"update": update, "scale": float(scale.scale), "skipped": float(scale.skipped)}]


EXERCISE = Exercise(
    kind="write", minutes=15, lesson="6", function="train", comm="",
    goal="keep small gradients alive in 16 bits",
    cases={"plain": (6, 1024, 3, ()), "a spike": (7, 65536, 3, (2,)), "two spikes": (9, 65536, 2, (0, 5)), "tiny scale": (3, 1, 5, ())},
    inputs=inputs, reference=reference, library="minipar/precision/scaling.py:LossScale")
