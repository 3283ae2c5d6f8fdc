"""Wrong: both ranks receive before they send, so both wait for ever.    minipar run -n 2 wrong_receive_first.py"""

import numpy as np
from mpi4py import MPI

comm = MPI.COMM_WORLD
other = 1 - comm.Get_rank()
mine, theirs = np.full(3, float(comm.Get_rank())), np.empty(3)

comm.Recv(theirs, source=other)             # nobody has sent yet; comm.Sendrecv does both at once
comm.Send(mine, dest=other)
print(theirs)
