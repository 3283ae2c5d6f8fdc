"""Counts numbers, not bytes.

fails: values
says: 0.125 times
"""
RING_MESSAGES = 6
RING_BYTES = 1500
DOUBLING_MESSAGES = 2
DOUBLING_BYTES = 2000
NAIVE_MESSAGES = 3
