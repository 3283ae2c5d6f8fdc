"""Exchanges rows and columns.

fails: values
says: result
"""


def sums(comm, x, columns):
    rank = comm.Get_rank()
    row = comm.Split(rank % columns, rank)
    column = comm.Split(rank // columns, rank)
    return row.allreduce(x), column.allreduce(x)
