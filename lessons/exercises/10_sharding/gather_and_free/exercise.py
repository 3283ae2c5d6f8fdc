import numpy as np

from minipar.exercises import Exercise, Par


def inputs(ranks, rng, size):
    layers, n, d = size
    weights = rng.standard_normal((layers, d, d)) / np.sqrt(d)
    shards = [np.array_split(one.reshape(-1), ranks) for one in weights]
    return [([one[rank] for one in shards], (d, d), rng.standard_normal((n, d)), rng.standard_normal((n, d)))
            for rank in range(ranks)]


def reference(ranks, arguments, held=0, gathers=2):
    layers, shape = len(arguments[0][0]), arguments[0][1]
    weights = [np.concatenate([one[0][i] for one in arguments]).reshape(shape) for i in range(layers)]
    rows, gradients = [], [0] * layers
    for _, _, x, g in arguments:
        hidden = [x]
        for w in weights:
            hidden.append(hidden[-1] @ w)
        for i in reversed(range(layers)):
            gradients[i] = gradients[i] + hidden[i].T @ g
            g = g @ weights[i].T
        rows.append((hidden[-1], g))
    return [{"y": y, "whole weights held": held, "gathers": gathers * layers, "grad x": g,
             "grad of the weights": [np.array_split(one.reshape(-1), ranks)[rank] for one in gradients]}
            for rank, (y, g) in enumerate(rows)]


def one_is_left(ranks, arguments):
    return reference(ranks, arguments, held=1)


def all_are_kept(ranks, arguments):
    return reference(ranks, arguments, held=len(arguments[0][0]) - 1, gathers=1)


def par(ranks, arguments):
    """Two all-gathers and a reduce-scatter of each layer, (p - 1)/p n each; p numbers of slack."""
    size = arguments[0][1][0] ** 2 + ranks
    return Par(bytes=8 * 3 * size * len(arguments[0][0]) if ranks > 1 else 0)


EXERCISE = Exercise(
    kind="write", minutes=20, lesson="13", function="step",
    goal="hold one layer at a time, and know why ZeRO-3 gathers twice",
    prerequisites=("sharded_gradients",), cases={"two layers": (2, 2, 4), "ragged": (3, 3, 3), "one layer": (1, 2, 2)},
    inputs=inputs, reference=reference, par=par,
    mistakes={"a whole weight is still there when the next one is gathered\nwhich name refers to it? `del` removes a name":
              one_is_left,
              "all weights are kept from forward to backward\nfree each one, and gather it again in backward": all_are_kept},
    library="minipar/parallel/sharded_units.py:Gathering")
