import numpy as np

from minipar.exercises import Exercise, Par


def inputs(ranks, rng, sizes):
    return [([rng.standard_normal(n) for n in sizes],) for _ in range(ranks)]


def reference(ranks, arguments, kept=0):
    sums = [sum(parts) for parts in zip(*(gradients for gradients, in arguments), strict=True)]
    return [{"chunks": [np.array_split(one, ranks)[rank] for one in sums], "whole gradients kept": kept}
            for rank in range(ranks)]


def keeps_all(ranks, arguments):
    return reference(ranks, arguments, kept=len(arguments[0][0]) - 1)


def keeps_one(ranks, arguments):
    return reference(ranks, arguments, kept=1)


def par(ranks, arguments):
    """A reduce-scatter of each layer, (p - 1)/p n; p numbers of slack for uneven chunks."""
    return Par(bytes=8 * sum(one.size + ranks for one in arguments[0][0]) if ranks > 1 else 0)


EXERCISE = Exercise(
    kind="write", minutes=15, lesson="13", function="backward",
    goal="free a gradient as soon as its sum is sharded, and know what keeps an array alive",
    prerequisites=("zero_1_step",), cases={"three layers": (40, 30, 20), "ragged": (23, 7, 31, 12)},
    inputs=inputs, reference=reference, par=par,
    mistakes={"a whole gradient is still there when the next one is computed\nwhich name, list or slice refers to it?": keeps_one,
              "the whole gradients of all layers are kept\nwhich list, name or slice refers to them?": keeps_all},
    library="minipar/parallel/sharded_gradients.py:StreamedReducer")
