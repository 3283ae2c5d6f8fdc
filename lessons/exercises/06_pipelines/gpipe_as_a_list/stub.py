def gpipe(ranks, micro_batches):
    """The order of every rank, as a text such as "F0 F1 B0 B1"."""
    raise NotImplementedError("write gpipe: what does one rank do?")
