"""Leaves W where it was: the time of 1F1B.

fails: values
says: par is
"""


def design(ranks, micro_batches):
    orders = []
    for rank in range(ranks):
        warm = min(ranks - 1 - rank, micro_batches)
        order = [f"F{m}" for m in range(warm)]
        for m in range(micro_batches):
            if warm + m < micro_batches:
                order.append(f"F{warm + m}")
            order += [f"B{m}", f"W{m}"]
        orders.append(" ".join(order))
    return orders
