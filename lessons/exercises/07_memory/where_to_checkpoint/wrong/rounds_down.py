"""Takes n // k for the longest segment: too short where k does not divide n.

fails: values
says: result
"""


def best(n):
    peak, k = min((k + n // k, k) for k in range(1, n + 1))
    return k, peak
