"""A learning-rate schedule is a function: number of the training step (from 0) -> learning rate."""

from __future__ import annotations

import math
from collections.abc import Callable

LearningRate = Callable[[int], float]


def constant(rate: float) -> LearningRate:
    return lambda step: rate


def warm_up(schedule: LearningRate, steps: int) -> LearningRate:
    """Returns a schedule with a warm-up. The rate grows linearly from nearly zero to the schedule's first
    rate over `steps` steps. Then the schedule starts.

    >>> [warm_up(constant(1.0), 4)(step) for step in range(6)]
    [0.2, 0.4, 0.6, 0.8, 1.0, 1.0]
    """
    return lambda step: schedule(0) * (step + 1) / (steps + 1) if step < steps else schedule(step - steps)


def cosine(peak: float, floor: float, steps: int) -> LearningRate:
    """Returns a schedule that falls along half a cosine from `peak` to `floor` within `steps` steps. Then it
    stays at `floor` (Loshchilov and Hutter 2017).
    """
    def rate(step: int) -> float:
        progress = min(step / max(steps, 1), 1.0)
        return floor + (peak - floor) * 0.5 * (1 + math.cos(math.pi * progress))
    return rate
