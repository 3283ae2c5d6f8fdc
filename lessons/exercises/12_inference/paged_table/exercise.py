import numpy as np

from minipar.exercises import Exercise

BLOCKS, SIZE = 12, 4


def inputs(ranks, rng, size):
    length, new = size
    order = [int(block) for block in rng.permutation(BLOCKS)]
    used = -(-length // SIZE)
    return [(rng.standard_normal((BLOCKS, SIZE, 3)), order[:used], order[used:], length,
             rng.standard_normal((new, 3)))]


def appended(arguments, find=lambda table, at: table[at]):
    """find: the block of entry `at` of the table."""
    pool, table, free, length, new = arguments[0]
    pool, table, free = pool.copy(), list(table), list(free)
    for position in range(length, length + len(new)):
        if position % SIZE == 0:
            table.append(free.pop(0))
        pool[find(table, position // SIZE), position % SIZE] = new[position - length]
    text = [pool[find(table, position // SIZE), position % SIZE] for position in range(length + len(new))]
    return [{"pool": pool, "table": np.array(table, np.int64), "text": np.array(text).reshape(-1, 3)}]


EXERCISE = Exercise(
    kind="write", minutes=20, lesson="19", function="append", comm="",
    goal="find a token in a paged cache, and give a block only when one is needed",
    prerequisites=("kv_cache",),
    cases={"plain": (5, 2), "the last block is full": (8, 1), "it becomes full": (3, 5),
           "several blocks": (3, 14), "a new text": (0, 5),
           "nothing new": (6, 0)},
    inputs=inputs, reference=lambda ranks, arguments: appended(arguments),
    mistakes={"the table is not used\ntoken i stands in block table[i // size], not in block i // size":
              lambda ranks, arguments: appended(arguments, find=lambda table, at: at)},
    library="minipar/inference/paged_cache.py:PagedCache")
