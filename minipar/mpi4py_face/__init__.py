"""mpi4py's API on top of `Communicator`. An unchanged program (`from mpi4py import MPI`) runs with all
checks.

    minipar run -n 4 program.py             ranks as threads of this process
    mpirun -n 4 minipar run program.py      ranks as processes

`minipar.mpi4py_face.namespace` makes the program's `MPI`. Names and behaviour are those of mpi4py 4, for the
part of it that courses use. Any other name of mpi4py raises an error that says what to use instead
(`minipar.mpi4py_face.refused`). This package does not import mpi4py; the engine under mpirun does
(`minipar.comm.mpi`).
"""
