"""Does the backwards in reverse, as a stack would: then the gradients add up in another order.

fails: values
says: line
"""


def gpipe(ranks, micro_batches):
    forwards = [f"F{m}" for m in range(micro_batches)]
    backwards = [f"B{m}" for m in reversed(range(micro_batches))]
    return [" ".join(forwards + backwards)] * ranks
