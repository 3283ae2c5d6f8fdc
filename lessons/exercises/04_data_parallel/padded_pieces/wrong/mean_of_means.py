"""Takes the mean of each piece and divides by the number of pieces, as many training loops do.

fails: values
says: mean of the pieces' means
"""
import minipar as mp
from minipar.autograd import cross_entropy


def accumulate(w, pieces):
    counts = [int((targets >= 0).sum()) for _, targets in pieces]
    weights, total = mp.Tensor(w, requires_grad=True), 0.0
    for (x, targets), count in zip(pieces, counts, strict=True):
        if count:
            loss = cross_entropy(mp.Tensor(x) @ weights, targets) * (1 / len(pieces))
            mp.backward(loss)
            total += loss.item()
    return {"loss": total, "grad": weights.grad}
