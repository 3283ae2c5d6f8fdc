"""Counts numbers, not bytes.

fails: values
says: is 1500; wanted is 12000
"""
RING_MESSAGES = 6
RING_BYTES = 1500
DOUBLING_MESSAGES = 2
DOUBLING_BYTES = 2000
NAIVE_MESSAGES = 3
