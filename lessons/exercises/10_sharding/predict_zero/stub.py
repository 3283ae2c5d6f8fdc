HELD_0 = None
HELD_1 = None
HELD_2 = None
HELD_3 = None
SENT_0 = None
SENT_1 = None
SENT_3 = None
