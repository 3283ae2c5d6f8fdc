"""Counts the reduce-scatter and forgets the all-gather.

fails: values
says: RING_MESSAGES is 3
"""
RING_MESSAGES = 3
RING_BYTES = 6000
DOUBLING_MESSAGES = 2
DOUBLING_BYTES = 16000
NAIVE_MESSAGES = 3
