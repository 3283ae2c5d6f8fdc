"""Wrong: rank 0 sends float32, rank 1 receives float64. Plain MPI copies the bytes: 8 numbers arrive as 4 others, without a
word.    minipar run -n 2 wrong_type.py
"""

import numpy as np
from mpi4py import MPI

comm = MPI.COMM_WORLD

if comm.Get_rank() == 0:
    comm.Send(np.arange(8, dtype=np.float32), dest=1)
else:
    weights = np.empty(4)                   # float64, NumPy's default; np.empty(8, np.float32) fits
    comm.Recv(weights, source=0)
    print(weights)
