def peaks(orders):
    """The largest number of micro-batches that each rank keeps at once."""
    raise NotImplementedError("write peaks: when does a number go up, and when down?")
