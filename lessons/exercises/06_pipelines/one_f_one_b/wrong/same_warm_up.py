"""Warms up equally on every rank: legal, but the last ranks keep more than they need.

fails: values
says: line
"""


def one_f_one_b(ranks, micro_batches):
    warm = min(ranks - 1, micro_batches)
    order = [f"F{m}" for m in range(warm)]
    for m in range(micro_batches - warm):
        order += [f"F{warm + m}", f"B{m}"]
    order += [f"B{m}" for m in range(micro_batches - warm, micro_batches)]
    return [" ".join(order)] * ranks
