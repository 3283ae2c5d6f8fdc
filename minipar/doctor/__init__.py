"""Is this machine fit to run ranks? If not, which command mends it? What `minipar doctor` shows, as data.

Read checkup.py, which lets ranks run smoke.py, then remedies.py, which knows the usual failures.
"""
