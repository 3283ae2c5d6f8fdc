"""All micro-batches through one stage, then through the next: legal, but backward in the wrong groups.

fails: values
says: bubble
"""


def design(ranks, micro_batches):
    orders = []
    for rank in range(ranks):
        order = [f"F{m}@{stage}" for m in range(micro_batches) for stage in (rank, rank + ranks)]
        order += [f"B{m}@{stage}" for m in range(micro_batches) for stage in (rank + ranks, rank)]
        orders.append(" ".join(order))
    return orders
