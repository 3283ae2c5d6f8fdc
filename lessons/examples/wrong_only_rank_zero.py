"""Wrong: a collective stands behind `if rank == 0`, but all ranks must call it.    minipar run -n 3 wrong_only_rank_zero.py"""

import numpy as np
from mpi4py import MPI

comm = MPI.COMM_WORLD
loss, total = np.array([comm.Get_rank() + 1.0]), np.empty(1)

if comm.Get_rank() == 0:
    comm.Allreduce(loss, total)             # belongs in front of the if; only the print belongs behind it
    print("mean loss", total[0] / comm.Get_size())
