"""Counts an all-reduce for each of the two matrices.

fails: values
says: FORWARD_BYTES is 6144
"""
FORWARD_BYTES = 6144
BACKWARD_BYTES = 6144
WEIGHT_BYTES = 0
SEQUENCE_BYTES = 3072
GATHERED_BYTES = 6144
