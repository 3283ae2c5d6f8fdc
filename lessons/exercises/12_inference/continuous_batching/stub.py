import numpy as np


def serve(counts, arrivals, batch):
    """(first, last), int64 [requests]: the steps in which each request gets its first and its last token."""
    raise NotImplementedError("write serve: in each step, fill the free rows, then give a token to each row")
