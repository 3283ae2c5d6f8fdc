"""Takes as much data parallelism as possible, which divides no memory.

fails: values
says: bytes
"""


def choose(ranks, parameters, activations, memory, layers, heads, micro_batches, work, price):
    return {"dp": ranks, "tp": 1, "pp": 1}
