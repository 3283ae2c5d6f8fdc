"""Expects data parallelism to share memory out: every rank has everything.

fails: values
says: PER_RANK_DP8 is 14
"""
WEIGHTS = 14
GRADIENTS = 14
OPTIMIZER = 84
TOTAL = 112
PER_RANK_TP8 = 14
PER_RANK_DP8 = 14
