"""mpi4py's own API on top of `Communicator`: an unchanged program (`from mpi4py import MPI`) runs checked.

    minipar run -n 4 program.py             ranks as threads of this process
    mpirun -n 4 minipar run program.py      ranks as processes

A program's `MPI` is `minipar.mpi4py_face.namespace`. Names and behaviour are those of mpi4py 4, for the part
of it that courses use; what is missing is refused by name (`minipar.mpi4py_face.refused`). Nothing here
imports mpi4py: the engine under mpirun does (`minipar.comm.mpi`).
"""
