"""What a training will send, hold and take, by formula and before it runs. `comm` counts it, `verify`
compares.

Read collectives.py (messages and elements) and collective_times.py (seconds); then traffic.py, a whole step,
and memory.py, the ledger of a training; what they are made of stands in the files that they import. pool.py
is for itself: a lesson's.
"""
