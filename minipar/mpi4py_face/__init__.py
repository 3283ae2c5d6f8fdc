"""mpi4py's API, built on `Communicator`. A program for mpi4py runs on it without changes, with all checks of
minipar.

    minipar run -n 4 program.py             ranks as threads of this process
    mpirun -n 4 minipar run program.py      ranks as processes

`minipar.mpi4py_face.namespace` makes the program's `MPI`. It has the part of mpi4py 4 that courses use, with
the same names and behaviour. Any other name of mpi4py raises an error that says what to use instead
(`minipar.mpi4py_face.refused`). This package does not import mpi4py. Under mpirun, the engine imports it
(`minipar.comm.mpi`).
"""
