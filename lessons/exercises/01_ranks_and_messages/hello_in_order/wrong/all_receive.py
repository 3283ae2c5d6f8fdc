"""Writes no `if`: every rank receives from all others, though they send to rank 0 alone.

fails: no deadlock
says: waits
"""


def hello(comm):
    rank, size = comm.Get_rank(), comm.Get_size()
    text = f"hello from rank {rank} of {size}"
    comm.send(text, dest=0)
    return "\n".join(comm.recv(source=other) for other in range(size))
