"""The checks of `minipar doctor`. They find out whether this machine can run ranks. If it cannot, they name
the command that repairs it. The result is data.

Read checkup.py, which runs smoke.py on ranks, then remedies.py, a list of the usual failures.
"""
