"""One forward too many in the warm-up.

fails: values
says: line
"""


def one_f_one_b(ranks, micro_batches):
    orders = []
    for rank in range(ranks):
        warm = min(ranks - rank, micro_batches)
        order = [f"F{m}" for m in range(warm)]
        for m in range(micro_batches - warm):
            order += [f"B{m}", f"F{warm + m}"]
        order += [f"B{m}" for m in range(micro_batches - warm, micro_batches)]
        orders.append(" ".join(reversed(order)))
    return orders
