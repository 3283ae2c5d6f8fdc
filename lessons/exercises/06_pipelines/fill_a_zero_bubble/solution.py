def design(ranks, micro_batches):
    """The order of every rank, as a text such as "F0 F1 B0 W0 B1 W1"."""
    orders = []
    for rank in range(ranks):
        warm = min(ranks - 1 - rank, micro_batches)
        order = [f"F{m}" for m in range(warm)]
        behind = rank  # W follows the B of so many micro-batches later
        for m in range(micro_batches):
            if warm + m < micro_batches:
                order.append(f"F{warm + m}")
            order.append(f"B{m}")
            if m >= behind:
                order.append(f"W{m - behind}")
        order += [f"W{m}" for m in range(max(micro_batches - behind, 0), micro_batches)]
        orders.append(" ".join(order))
    return orders
