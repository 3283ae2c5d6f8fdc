import numpy as np

from minipar.exercises import Exercise, Par

T, D, CLASSES = 8, 3, 600
SLACK = 300_000                                 # bytes: small arrays, and what a first call of NumPy imports


def inputs(ranks, rng, size):
    samples, shortest, empty = size
    pieces = []
    for number, b in enumerate(samples):
        targets = rng.integers(0, CLASSES, (b, T))
        targets[:, 0] = 0                                           # class 0 counts, too
        lengths = rng.integers(shortest, T + 1, (b, 1)) if shortest < T else np.full((b, 1), T)
        lengths[0] = 1 + number % T if shortest < T else T          # pieces differ in their number of tokens
        if number in empty:
            lengths[:] = 0
        targets[np.arange(T) >= lengths] = -1
        pieces.append((rng.standard_normal((b, T, D)), targets))
    return [(rng.standard_normal((D, CLASSES)), pieces)]


def sums(w, x, targets, counted):
    """Return the sum of the losses of the counted tokens of a piece, its gradient, and the number of these tokens."""
    x, targets = x[counted], targets[counted]
    z = x @ w
    of_tokens = np.logaddexp.reduce(z, axis=1)
    slope = np.exp(z - of_tokens[:, None])
    slope[np.arange(len(targets)), targets] -= 1
    return np.array(of_tokens.sum() - z[np.arange(len(targets)), targets].sum()), x.T @ slope, len(targets)


def result(parts, divisors):
    return [{"loss": sum(part[0] / by for part, by in zip(parts, divisors, strict=True)),
             "grad": sum(part[1] / by for part, by in zip(parts, divisors, strict=True))}]


def parts_of(arguments, padding=False):
    w, pieces = arguments[0]
    return [sums(w, x, targets, targets >= (-1 if padding else 0)) for x, targets in pieces]


def reference(ranks, arguments):
    parts = parts_of(arguments)
    return result(parts, [sum(part[2] for part in parts)] * len(parts))


def mean_of_means(ranks, arguments):
    parts = parts_of(arguments)
    return result(parts, [len(parts) * max(part[2], 1) for part in parts])


def sum_of_means(ranks, arguments):
    parts = parts_of(arguments)
    return result(parts, [max(part[2], 1) for part in parts])


def padding_in_the_divisor(ranks, arguments):
    parts = parts_of(arguments)
    return result(parts, [sum(targets.size for _, targets in arguments[0][1])] * len(parts))


def padding_as_a_class(ranks, arguments):
    parts = parts_of(arguments, padding=True)
    return result(parts, [sum(part[2] for part in parts)] * len(parts))


def last_piece(ranks, arguments):
    parts = parts_of(arguments)
    last = [part for part in parts if part[2]][-1]
    return [{**reference(ranks, arguments)[0], "grad": last[1] / sum(part[2] for part in parts)}]


def par(ranks, arguments):
    """Four arrays of the size of a piece's logits: logits and their gradient, for a piece and for the one before."""
    return Par(memory=4 * max(x.shape[0] for x, _ in arguments[0][1]) * T * CLASSES * 8 + SLACK)


EXERCISE = Exercise(
    version=2, kind="write", minutes=15, lesson="5", function="accumulate", comm="",
    goal="accumulate the gradient of a mean over tokens, whatever the pieces are",
    prerequisites=("loss_of_nine_classes",),
    cases={"different lengths": ([2] * 8, 1, ()), "no padding": ([2] * 4, T, ()),
           "pieces of different size": ([3, 1, 2, 3, 2, 1, 3, 1], 1, ()),
           "pieces with only padding": ([2] * 4, 1, (1, 3))},
    inputs=inputs, reference=reference, par=par, mistakes={
        "the loss is the mean of the pieces' means\na piece with few tokens must not count as much as one with many: "
        "by what must all pieces divide?": mean_of_means,
        "the loss is the sum of the pieces' means\nall pieces must divide by the same number": sum_of_means,
        "the divisor counts padding\nonly tokens with a target of 0 or more count": padding_in_the_divisor,
        "padding counts as the last class\ntargets of -1 must be left out: in NumPy, index -1 is the last one":
            padding_as_a_class,
        "'grad' is the gradient of the last piece only\nadd up the gradients of all pieces": last_piece},
    library="minipar/autograd/fused/cross_entropy.py:tokens_that_count")
