"""The checks of `minipar doctor`: can this machine run ranks, and which command repairs it? Returned as data.

Read checkup.py, which runs smoke.py on ranks, then remedies.py, a list of the usual failures.
"""
