def gpipe(ranks, micro_batches):
    """The order of every rank, as a text such as "F0 F1 B0 B1"."""
    forwards = [f"F{m}" for m in range(micro_batches)]
    backwards = [f"B{m}" for m in range(micro_batches)]
    return [" ".join(forwards + backwards)] * ranks
