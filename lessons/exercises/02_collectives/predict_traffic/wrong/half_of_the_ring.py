"""Counts the reduce-scatter and forgets the all-gather.

fails: values
says: half of what
"""
RING_MESSAGES = 3
RING_BYTES = 6000
DOUBLING_MESSAGES = 2
DOUBLING_BYTES = 16000
NAIVE_MESSAGES = 3
