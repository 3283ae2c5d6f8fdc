def design(ranks, micro_batches):
    """The order of every rank, as a text such as "F0@0 F1@0 F0@2 ...". Stage s is on rank s mod p."""
    orders = []
    for rank in range(ranks):
        groups = range(0, micro_batches, ranks)
        forwards = [f"F{m}@{stage}" for first in groups for stage in (rank, rank + ranks)
                    for m in range(first, first + ranks)]
        backwards = [f"B{m}@{stage}" for first in groups for stage in (rank + ranks, rank)
                     for m in range(first, first + ranks)]
        warm = min(2 * (ranks - 1 - rank) + ranks, len(forwards))
        order = forwards[:warm]
        for forward, backward in zip(forwards[warm:], backwards, strict=False):
            order += [forward, backward]
        orders.append(" ".join(order + backwards[len(forwards) - warm:]))
    return orders
