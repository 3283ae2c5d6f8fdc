"""Gives a rank two neighbouring stages: that is a pipeline of p large stages again.

fails: values
says: rank
"""


def design(ranks, micro_batches):
    orders = []
    for rank in range(ranks):
        order = [f"F{m}@{stage}" for m in range(micro_batches) for stage in (2 * rank, 2 * rank + 1)]
        order += [f"B{m}@{stage}" for m in range(micro_batches) for stage in (2 * rank + 1, 2 * rank)]
        orders.append(" ".join(order))
    return orders
