"""Wrong: the answers are kept in the order in which they come, as if that were the order of the ranks. It mostly is.

    minipar run -n 4 --races 20 wrong_who_comes_first.py
"""

from mpi4py import MPI

comm = MPI.COMM_WORLD
rank, size = comm.Get_rank(), comm.Get_size()

if rank == 0:
    squares = [comm.recv(source=MPI.ANY_SOURCE) for _ in range(1, size)]  # source=worker keeps them in order
    for worker, square in enumerate(squares, 1):
        print(f"worker {worker} found {square}")
else:
    comm.send(rank**2, dest=0)
