"""Takes argsort for the ranks. It returns the indices in sorted order.

fails: values
says: not ranks
"""
import numpy as np


def vectors_needed(times, signs, w, exact, goal):
    wanted, total, agreement = np.argsort(exact * w**2), np.zeros_like(w), []
    for number, z in enumerate(signs, 1):
        total += z * times(z)
        agreement.append(np.corrcoef(np.argsort(total / number * w**2), wanted)[0, 1])
    too_low = np.flatnonzero(np.array(agreement) < goal)
    return {"agreement": np.array(agreement), "needed": int(too_low[-1]) + 2 if len(too_low) else 1}
