"""The checks of `minipar doctor`. They find out whether this machine can run ranks. If it cannot, they name
the command that repairs the installation. Their results are data; the command line prints them.

Read checkup.py first. It runs smoke.py on ranks. Then read remedies.py, a list of the usual failures.
collective_calls.py measures the cost of a collective call for the planner.
"""
