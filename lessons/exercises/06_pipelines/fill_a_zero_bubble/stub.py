def design(ranks, micro_batches):
    """The order of every rank, as a text such as "F0 F1 B0 W0 B1 W1"."""
    raise NotImplementedError("write design: by how many B may the W of rank s fall behind?")
