"""Trains with ranks that do not wait for each other after every step.

Read staleness.py (the effect of old gradients), parameter_server.py (asynchronous updates), local_sgd.py
(many local steps between two averages; DiLoCo), and merge.py (merges several models; assignment.py matches
their hidden units).
"""
