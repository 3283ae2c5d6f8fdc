"""Counts the work and forgets the waiting.

fails: values
says: GPIPE_TIME is 24
"""
GPIPE_TIME = 24
GPIPE_KEPT = 8
F1B_TIME = 24
F1B_KEPT = 4
NAIVE_TIME = 24
IDLE = 0
