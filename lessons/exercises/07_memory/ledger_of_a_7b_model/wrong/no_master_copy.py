"""Forgets the master copy of the weights.

fails: values
says: OPTIMIZER is 56
"""
WEIGHTS = 14
GRADIENTS = 14
OPTIMIZER = 56
TOTAL = 84
PER_RANK_TP8 = 10.5
PER_RANK_DP8 = 84
