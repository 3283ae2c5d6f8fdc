"""Divides everything by the number of ranks in every stage.

fails: values
says: HELD_1 is 32000
"""
HELD_0, HELD_1, HELD_2, HELD_3 = 128000, 32000, 32000, 32000
SENT_0, SENT_1, SENT_3 = 24000, 24000, 36000
