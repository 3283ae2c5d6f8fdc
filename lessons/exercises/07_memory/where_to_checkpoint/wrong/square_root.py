"""Takes the root of n, which is right for squares.

fails: values
says: result
"""
import math


def best(n):
    k = max(1, round(math.sqrt(n)))
    return k, k + math.ceil(n / k)
