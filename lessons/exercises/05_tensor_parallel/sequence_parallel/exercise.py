import numpy as np

from minipar.exercises import Exercise, Par


def inputs(ranks, rng, size):
    d, h, lengths = size
    tokens = [lengths(rank) for rank in range(ranks)]
    return [(rng.standard_normal((tokens[rank], d)), rng.standard_normal((d, h)), rng.standard_normal((h, d)), tokens)
            for rank in range(ranks)]


def reference(ranks, arguments):
    x = np.concatenate([one[0] for one in arguments])
    y = sum(np.where(x @ a > 0, x @ a, 0) @ b for _, a, b, _ in arguments)
    return np.split(y, np.cumsum(arguments[0][3])[:-1])


def own_part_only(ranks, arguments):
    """The mistake that each rank returns its part of the sum."""
    x, ends = np.concatenate([one[0] for one in arguments]), np.cumsum(arguments[0][3])[:-1]
    return [
        np.split(np.where(x @ a > 0, x @ a, 0) @ b, ends)[rank] for rank, (_, a, b, _) in enumerate(arguments)
    ]


def own_columns_only(ranks, arguments):
    """The mistake that each rank's hidden numbers are those of its own tokens and its own columns."""
    hidden = np.concatenate([np.where(x @ a > 0, x @ a, 0) for x, a, _, _ in arguments])
    return np.split(sum(hidden @ b for _, _, b, _ in arguments), np.cumsum(arguments[0][3])[:-1])


def relu_after_sum(ranks, arguments):
    """The mistake that relu is applied to the sum, and not to each hidden number."""
    x = np.concatenate([one[0] for one in arguments])
    y = sum(x @ a @ b for _, a, b, _ in arguments)
    return np.split(np.where(y > 0, y, 0), np.cumsum(arguments[0][3])[:-1])


def par(ranks, arguments):
    """An all-gather and a reduce-scatter: on a ring each sends all tokens but some rank's, once."""
    tokens, d = arguments[0][3], arguments[0][0].shape[1]
    most = sum(tokens) - min(tokens)
    return Par(bytes=2 * 8 * d * most)


EXERCISE = Exercise(
    kind="write", minutes=15, lesson="14", function="layer",
    goal="replace an all-reduce by its two halves, and know what that saves",
    prerequisites=("column_row_pair", "ring_reduce_scatter"),
    cases={"plain": (4, 3, lambda rank: 2), "different numbers of tokens": (3, 2, lambda rank: 1 + rank % 2), "one token each": (2, 2, lambda rank: 1)},
    inputs=inputs, reference=reference, par=par,
    mistakes={"each rank has only its own part of the sum\ndoes each rank compute with all tokens? which "
              "collective adds the parts, and leaves each rank its own tokens?": own_part_only,
              "each token is multiplied by the columns of one rank only\neach rank needs the tokens of all ranks before it "
              "multiplies by a: which collective comes first?": own_columns_only,
              "relu is applied after the second matrix\nthe formula is relu(X A) B": relu_after_sum},
    library="minipar/parallel/tensor.py:SequenceRegion")
