def best(n):
    """(k, peak): how many segments to cut n layers into, and what is then kept at most."""
    peak, k = min((k + -(-n // k), k) for k in range(1, n + 1))
    return k, peak
