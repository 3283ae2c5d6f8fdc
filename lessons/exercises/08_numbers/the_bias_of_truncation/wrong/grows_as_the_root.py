"""Takes the errors for a random walk: 10,000 of them add up to 100 times one.

fails: values
says: SUM_TRUNCATED is -0.39
"""
LARGEST_TRUNCATED = 1
LARGEST_ROUNDED = 0.5
MEAN_TRUNCATED = -0.5
MEAN_ROUNDED = 0
SUM_TRUNCATED = -0.39
SUM_ROUNDED = 0
SUM_BOTH_SIGNS = 0
