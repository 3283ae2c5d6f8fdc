"""Wrong: the array of a non-blocking send is changed before the send is waited for. What arrives is the old value, the new
one, or some of both.    minipar run -n 2 wrong_in_flight.py
"""

import numpy as np
from mpi4py import MPI

comm = MPI.COMM_WORLD
data = np.zeros(4)

for step in range(3):
    if comm.Get_rank() == 0:
        data[:] = step
        request = comm.Isend(data, dest=1)
        data += 100                         # too early: belongs behind request.Wait(), or to another array
        request.Wait()
    else:
        comm.Recv(data, source=0)
        print(step, data)
