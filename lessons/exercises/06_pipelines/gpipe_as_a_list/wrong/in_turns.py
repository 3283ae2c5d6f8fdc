"""Writes F and B in turns, as one process does: the pipeline is idle most of the time.

fails: values
says: line
"""


def gpipe(ranks, micro_batches):
    return [" ".join(f"F{m} B{m}" for m in range(micro_batches))] * ranks
