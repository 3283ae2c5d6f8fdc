import numpy as np


def all_reduce(comm, x):
    """The sum of all ranks' x. x: float64 [n]."""
    p, rank = comm.size, comm.rank
    right, left = (rank + 1) % p, (rank - 1) % p
    chunks = np.array_split(x.copy(), p)
    spare = np.empty_like(chunks[0])
    for step in range(p - 1):
        going, coming = chunks[(rank - step) % p], chunks[(rank - step - 1) % p]
        coming += comm.sendrecv(going, right, spare[:coming.size], left)
    for step in range(p - 1):
        comm.sendrecv(chunks[(rank - step + 1) % p], right, chunks[(rank - step) % p], left)
    return np.concatenate(chunks)
