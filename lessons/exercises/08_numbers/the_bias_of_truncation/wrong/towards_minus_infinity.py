"""Takes truncation for rounding down, also below 0.

fails: values
says: SUM_BOTH_SIGNS is -39
"""
LARGEST_TRUNCATED = 1
LARGEST_ROUNDED = 0.5
MEAN_TRUNCATED = -0.5
MEAN_ROUNDED = 0
SUM_TRUNCATED = -39
SUM_ROUNDED = 0
SUM_BOTH_SIGNS = -39
