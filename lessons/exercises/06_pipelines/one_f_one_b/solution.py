def one_f_one_b(ranks, micro_batches):
    """The order of every rank, as a text such as "F0 F1 B0 B1"."""
    orders = []
    for rank in range(ranks):
        warm = min(ranks - 1 - rank, micro_batches)
        order = [f"F{m}" for m in range(warm)]
        for m in range(micro_batches - warm):
            order += [f"F{warm + m}", f"B{m}"]
        order += [f"B{m}" for m in range(micro_batches - warm, micro_batches)]
        orders.append(" ".join(order))
    return orders
