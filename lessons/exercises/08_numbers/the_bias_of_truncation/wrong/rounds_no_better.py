"""Thinks that rounding has the same largest error, because both drop 16 bits.

fails: values
says: LARGEST_ROUNDED is 1
"""
LARGEST_TRUNCATED = 1
LARGEST_ROUNDED = 1
MEAN_TRUNCATED = -0.5
MEAN_ROUNDED = 0
SUM_TRUNCATED = -39
SUM_ROUNDED = 0
SUM_BOTH_SIGNS = 0
