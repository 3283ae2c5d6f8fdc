import minipar as mp
from minipar.autograd import cross_entropy


def accumulate(w, pieces):
    """{"loss": mean over all tokens that count, "grad": its gradient [d, k]}. pieces: [(x, targets), ...]."""
    counts = [int((targets >= 0).sum()) for _, targets in pieces]
    weights, total = mp.Tensor(w, requires_grad=True), 0.0
    for (x, targets), count in zip(pieces, counts, strict=True):
        if count:                                                   # else there is nothing to add
            loss = cross_entropy(mp.Tensor(x) @ weights, targets, sum(counts))
            mp.backward(loss)
            total += loss.item()
    return {"loss": total, "grad": weights.grad}
