"""Counts the circle alone: who waits for it is stuck as well.

fails: values
says: STUCK is 3
"""
CYCLE = 3
STUCK = 3
CAN_GO_ON = 1
LEFT = 7
FREED = 2
