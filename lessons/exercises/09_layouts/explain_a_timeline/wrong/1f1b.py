"""Takes it for 1F1B, since the last rank has no gap.

fails: values
says: SCHEDULE is 2
"""
SCHEDULE = 2
TIME = 18
IDLE_0 = 6
BUBBLE = 1 / 3
KEPT_0 = 3
NEW_TIME = 30
