import numpy as np


def reduce_scatter(comm, x):
    """Chunk `comm.rank` of the sum of all ranks' x. x: float64 [n]; the chunks are those of np.array_split."""
    p, rank = comm.size, comm.rank
    right, left = (rank + 1) % p, (rank - 1) % p
    chunks = np.array_split(x, p)
    passing = chunks[left]  # the chunk that ends on the left neighbour
    for step in range(p - 1):
        own = chunks[(rank - step - 2) % p]
        received = comm.sendrecv(passing, right, np.empty_like(own), left)
        passing = received + own
    return passing.copy()
