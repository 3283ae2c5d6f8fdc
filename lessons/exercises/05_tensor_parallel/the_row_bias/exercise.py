
from minipar.exercises import BugToFind, Exercise, Par


def inputs(ranks, rng, size):
    n, o, widths = size
    bias = rng.standard_normal(o)
    return [(rng.standard_normal((n, widths(rank))), rng.standard_normal((widths(rank), o)), bias)
            for rank in range(ranks)]


def reference(ranks, arguments):
    return [sum(x @ w for x, w, _ in arguments) + arguments[0][2]] * ranks


def mean_of_parts(ranks, arguments):
    """The mistake that everything is divided by the number of ranks."""
    return [sum(x @ w for x, w, _ in arguments) / ranks + arguments[0][2]] * ranks


def par(ranks, arguments):
    """One all-reduce of [n, o]."""
    x, w, _ = arguments[0]
    return Par(messages=2 * (ranks - 1), bytes=2 * (ranks - 1) * 8 * len(x) * w.shape[1])


EXERCISE = Exercise(
    bug=BugToFind(lines=("y = x @ w + bias",), reason="each rank adds the bias, so the sum contains it p times",
            others=("each rank needs its own part of the bias", "the sum over the ranks must be a mean",
                    "x @ w is a part of the result, and must be gathered")),
    kind="find", minutes=5, lesson="14", function="row_parallel",
    goal="see which terms a sum over ranks counts more than once",
    prerequisites=("column_row_pair",), cases={"plain": (2, 3, lambda rank: 2), "uneven": (1, 4, lambda rank: rank + 1)},
    inputs=inputs, reference=reference, par=par,
    mistakes={"the products are divided by the number of ranks\nonly the bias was added too often: X W is a sum, not "
              "a mean": mean_of_parts}, library="minipar/nn/layers.py:RowParallelLinear")
