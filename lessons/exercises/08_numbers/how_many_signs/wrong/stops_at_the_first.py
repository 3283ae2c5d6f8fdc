"""Takes the first number of vectors that reaches the goal, by good luck.

fails: values
says: 'needed' is the first
"""
import numpy as np


def ranks(scores):
    return np.argsort(np.argsort(scores))


def vectors_needed(times, signs, w, exact, goal):
    estimates = np.cumsum([z * times(z) for z in signs], axis=0) / np.arange(1, len(signs) + 1)[:, None]
    wanted = ranks(exact * w**2)
    agreement = np.array([np.corrcoef(ranks(one * w**2), wanted)[0, 1] for one in estimates])
    reached = np.flatnonzero(agreement >= goal)
    return {"agreement": agreement, "needed": int(reached[0]) + 1 if len(reached) else len(signs) + 1}
