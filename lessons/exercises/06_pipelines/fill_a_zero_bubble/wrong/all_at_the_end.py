"""Puts off all W to the end: fast, and the last ranks keep every micro-batch.

fails: values
says: keeps
"""


def design(ranks, micro_batches):
    orders = []
    for rank in range(ranks):
        warm = min(ranks - 1 - rank, micro_batches)
        order = [f"F{m}" for m in range(warm)]
        for m in range(micro_batches):
            if warm + m < micro_batches:
                order.append(f"F{warm + m}")
            order.append(f"B{m}")
        orders.append(" ".join(order + [f"W{m}" for m in range(micro_batches)]))
    return orders
