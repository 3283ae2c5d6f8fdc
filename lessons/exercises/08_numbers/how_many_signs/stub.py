import numpy as np


def vectors_needed(times, signs, w, exact, goal):
    """{"agreement": float64 [k], "needed"}: how many vectors of signs [k, n] order the OBD scores well enough."""
    raise NotImplementedError("write vectors_needed: the ranks of the exact scores first")
