"""Wrong: both ranks send before they receive. Small messages fit into MPI's own buffers, large ones do not: the program
works in the test and hangs in the real run.    minipar run -n 2 --synchronous wrong_send_first.py
"""

import sys

import numpy as np
from mpi4py import MPI

comm = MPI.COMM_WORLD
other = 1 - comm.Get_rank()
size = int(sys.argv[1]) if len(sys.argv) > 1 else 10
mine, theirs = np.full(size, float(comm.Get_rank())), np.empty(size)

comm.Send(mine, dest=other)                 # may wait until the other rank receives; comm.Sendrecv never does
comm.Recv(theirs, source=other)
print(theirs[:3])
