"""Counts an all-reduce for each of the two matrices.

fails: values
says: twice too large
"""
FORWARD_BYTES = 6144
BACKWARD_BYTES = 6144
WEIGHT_BYTES = 0
SEQUENCE_BYTES = 3072
GATHERED_BYTES = 6144
