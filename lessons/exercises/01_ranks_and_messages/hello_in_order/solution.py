def hello(comm):
    """On rank 0: the greetings of all ranks, in order, one a line. On the others: ""."""
    rank, size = comm.Get_rank(), comm.Get_size()
    text = f"hello from rank {rank} of {size}"
    if rank > 0:
        comm.send(text, dest=0)
        return ""
    return "\n".join([text, *(comm.recv(source=other) for other in range(1, size))])
