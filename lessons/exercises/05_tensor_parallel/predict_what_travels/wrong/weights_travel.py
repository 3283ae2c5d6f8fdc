"""Thinks that weight gradients are summed, as in data parallelism.

fails: values
says: WEIGHT_BYTES is 3072
"""
FORWARD_BYTES = 3072
BACKWARD_BYTES = 3072
WEIGHT_BYTES = 3072
SEQUENCE_BYTES = 3072
GATHERED_BYTES = 6144
