def design(ranks, micro_batches):
    """The order of every rank, as a text such as "F0@0 F1@0 F0@2 ...". Stage s is on rank s mod p."""
    raise NotImplementedError("write design: in which order does one rank do the forwards of its two stages?")
