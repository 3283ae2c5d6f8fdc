def one_f_one_b(ranks, micro_batches):
    """The order of every rank, as a text such as "F0 F1 B0 B1"."""
    raise NotImplementedError(
        "write one_f_one_b: how many forwards does rank s do before its first backward?"
    )
