import numpy as np

from minipar.optim import cosine


def rates(first, steps):
    """The rate of each step of Adam, float64 [steps]; the first one is `first`."""
    schedule = cosine(first, 0.0, steps)
    return np.array([schedule(step) for step in range(steps)])
