"""Programs with one common mistake each, and the message that each must end with.

`python -m tests.comm.planted` runs all of them on threads and under mpirun, and writes the table
minipar/comm/FAULTS.md.
"""
