"""Expects twice as many micro-batches to take twice as long: the filling is paid once.

fails: values
says: NEW_TIME is 36
"""
SCHEDULE = 1
TIME = 18
IDLE_0 = 6
BUBBLE = 1 / 3
KEPT_0 = 4
NEW_TIME = 36
