"""Training in which the ranks do not wait for each other after every step.

Read staleness.py (how old a gradient may be), parameter_server.py (asynchronous updates), local_sgd.py (many
local steps between two averages; DiLoCo), and merge.py (one model from two; assignment.py finds which hidden
units belong together).
"""
