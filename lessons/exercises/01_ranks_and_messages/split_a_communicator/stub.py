def sums(comm, x, columns):
    """(sum over the row, sum over the column) of this rank. x: a number."""
    raise NotImplementedError("write sums: which ranks have the same color in a row?")
