"""Programs with one mistake each, the mistakes that students and engineers make, and what must be said about
them.

`python -m tests.comm.planted` runs them all as threads and under mpirun, and writes the table
minipar/comm/FAULTS.md.
"""
