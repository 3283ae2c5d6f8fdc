"""Expects 1F1B to be faster: it saves memory, not time.

fails: values
says: F1B_TIME is 27
"""
GPIPE_TIME = 33
GPIPE_KEPT = 8
F1B_TIME = 27
F1B_KEPT = 4
NAIVE_TIME = 96
IDLE = 9
