"""The checks of `minipar doctor`. They find out whether this machine can run ranks, and which command repairs
it. The result is data.

Read checkup.py, which runs smoke.py on ranks, then remedies.py, a list of the usual failures.
"""
