"""Programs with one common mistake each, and the error message that each must produce.

`python -m tests.comm.planted` runs all of them on threads and under mpirun, and writes the table
minipar/comm/FAULTS.md.
"""
