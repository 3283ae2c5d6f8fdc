"""Does all forwards before the first backward. The bubble is par, but rank 0 keeps 2 m activations.

fails: values
says: rank 0 keeps
"""


def design(ranks, micro_batches):
    orders = []
    for rank in range(ranks):
        forwards = [f"F{m}@{stage}" for stage in (rank, rank + ranks) for m in range(micro_batches)]
        backwards = [f"B{m}@{stage}" for stage in (rank + ranks, rank) for m in range(micro_batches)]
        orders.append(" ".join(forwards + backwards))
    return orders
