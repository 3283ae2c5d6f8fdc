"""Takes the first layout that fits.

fails: values
says: takes
"""


def choose(ranks, parameters, activations, memory, layers, heads, micro_batches, work, price):
    for pp in range(ranks, 0, -1):
        for tp in range(1, 9):
            if ranks % (tp * pp) == 0 and heads % tp == 0 and layers % pp == 0:
                if 16 * parameters / (tp * pp) + activations / tp <= memory:
                    return {"dp": ranks // (tp * pp), "tp": tp, "pp": pp}
