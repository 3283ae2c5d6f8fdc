def choose(ranks, parameters, activations, memory, layers, heads, micro_batches, work, price):
    """{"dp": ..., "tp": ..., "pp": ...} of the fastest step that fits."""
    raise NotImplementedError("write choose: try all tp and pp that divide the ranks")
