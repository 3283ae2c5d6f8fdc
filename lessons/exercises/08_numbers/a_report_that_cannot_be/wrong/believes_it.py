"""Trusts the table: .90 looks plausible.

fails: values
says: PRECISION_A is 0.9
"""
FOUND_A = 114
FOUND_B = 64
CALLED_A = 130
PRECISION_A = 0.9
ACCURACY = 0.89
POSSIBLE = 1
