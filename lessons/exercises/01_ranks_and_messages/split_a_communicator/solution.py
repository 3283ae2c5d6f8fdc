def sums(comm, x, columns):
    """(sum over the row, sum over the column) of this rank. x: a number."""
    rank = comm.Get_rank()
    row = comm.Split(rank // columns, rank)
    column = comm.Split(rank % columns, rank)
    return row.allreduce(x), column.allreduce(x)
