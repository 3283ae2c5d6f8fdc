"""Believes that stage 1 pays for its memory: an all-reduce, and an all-gather on top.

fails: values
says: SENT_1 is 36000
"""
HELD_0, HELD_1, HELD_2, HELD_3 = 128000, 56000, 44000, 32000
SENT_0, SENT_1, SENT_3 = 24000, 36000, 36000
