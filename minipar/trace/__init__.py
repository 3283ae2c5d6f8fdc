"""One training step, looked at closely: when each rank computed what and waited for whom, and what its memory
held.

Read tracer.py (one rank), step.py (all of them), ports.py and predict.py (what the simulation says), with the
work as flops.py counts it.
"""
