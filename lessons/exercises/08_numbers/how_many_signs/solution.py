import numpy as np


def ranks(scores):
    """For each score, the number of smaller scores."""
    return np.argsort(np.argsort(scores))


def vectors_needed(times, signs, w, exact, goal):
    """{"agreement": float64 [k], "needed"}: how many vectors of signs [k, n] order the OBD scores well enough."""
    wanted = ranks(exact * w**2 / 2)
    total, agreement = np.zeros_like(w), []
    for number, z in enumerate(signs, 1):
        total += z * times(z)
        found = ranks(total / number * w**2 / 2)
        agreement.append(np.corrcoef(found, wanted)[0, 1])
    too_low = np.flatnonzero(np.array(agreement) < goal)
    return {"agreement": np.array(agreement), "needed": int(too_low[-1]) + 2 if len(too_low) else 1}
