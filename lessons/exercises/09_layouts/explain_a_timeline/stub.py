SCHEDULE = None
TIME = None
IDLE_0 = None
BUBBLE = None
KEPT_0 = None
NEW_TIME = None
