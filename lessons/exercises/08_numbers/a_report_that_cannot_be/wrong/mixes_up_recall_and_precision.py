"""Takes recall for the share of those that were called A.

fails: values
says: CALLED_A is 120
"""
FOUND_A = 114
FOUND_B = 64
CALLED_A = 120
PRECISION_A = 0.95
ACCURACY = 0.89
POSSIBLE = 0
