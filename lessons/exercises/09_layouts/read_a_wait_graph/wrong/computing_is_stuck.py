"""Counts rank 5 as stuck, though rank 4 still computes.

fails: values
says: STUCK is 6
"""
CYCLE = 3
STUCK = 6
CAN_GO_ON = 0
LEFT = 7
FREED = 2
