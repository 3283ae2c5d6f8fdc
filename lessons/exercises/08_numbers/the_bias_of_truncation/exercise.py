import numpy as np

from minipar.exercises import Exercise
from minipar.precision import BFLOAT16

COUNT, STEP = 10_000, 2.0**-7


def inputs(ranks, rng, size):
    return [()]


def truncated(x):
    return (x.view(np.uint32) & np.uint32(0xFFFF0000)).view(np.float32)


def errors(kind, x):
    return kind(x).astype(np.float64) - x


def reference(ranks, arguments):
    x = (1 + (np.arange(COUNT) + 0.5) / COUNT).astype(np.float32)
    signed = x * np.where(np.arange(COUNT) % 2, -1, 1).astype(np.float32)
    chopped, rounded = errors(truncated, x), errors(BFLOAT16.round, x)
    return [{"LARGEST_TRUNCATED": abs(chopped).max() / STEP, "LARGEST_ROUNDED": abs(rounded).max() / STEP,
             "MEAN_TRUNCATED": chopped.mean() / STEP, "MEAN_ROUNDED": rounded.mean() / STEP,
             "SUM_TRUNCATED": chopped.sum(), "SUM_ROUNDED": rounded.sum(),
             "SUM_BOTH_SIGNS": errors(truncated, signed).sum()}]


EXERCISE = Exercise(
    kind="predict", minutes=10, lesson="6", comm="",
    function="LARGEST_TRUNCATED LARGEST_ROUNDED MEAN_TRUNCATED MEAN_ROUNDED SUM_TRUNCATED SUM_ROUNDED SUM_BOTH_SIGNS",
    goal="tell errors that cancel from errors that add up", tolerance=0.02,
    prerequisites=("truncate_or_round",),
    cases={"10,000 numbers": 0}, inputs=inputs, reference=reference, library="minipar/precision/__init__.py")
