def best(n):
    """(k, peak): how many segments to cut n layers into, and what is then kept at most."""
    raise NotImplementedError("write best: how long is the longest of k segments?")
