import numpy as np

from minipar.exercises import Exercise, Par


def inputs(ranks, rng, size):
    layers, n = size
    parts = [np.array_split(one, ranks) for one in rng.standard_normal((layers, n))]
    return [([one[rank] for one in parts], [part.size for part in parts[0]]) for rank in range(ranks)]


def reference(ranks, arguments):
    whole = [np.concatenate(parts) for parts in zip(*(shards for shards, _ in arguments), strict=True)]
    return [{"sums of the weights": np.array([one.sum() for one in whole]), "weights held at once, beyond 2": 0,
             "units of time beyond par": 0.0}] * ranks


def par(ranks, arguments):
    """An all-gather per layer and one to set the unit, each with a stamp per message for the clock."""
    layers = len(arguments[0][0])
    return Par(messages=2 * (ranks - 1) * (layers + 1) * 2)


EXERCISE = Exercise(
    kind="write", minutes=15, lesson="13", function="forward",
    goal="hide a gather behind computation without holding all weights",
    prerequisites=("gather_and_free", "buckets_that_overlap"), ranks=(1, 2, 4),
    cases={"8 layers": (8, 2000), "5 layers": (5, 400)},
    inputs=inputs, reference=reference, par=par,
    next_steps={"units of time beyond par": "wait() stops the rank until the weight is there: which gather must start before?",
                "weights held at once, beyond 2": "which gathers have started before compute(i)? only those of layers i and i + 1 may"}, library="minipar/parallel/sharded_units.py:Gathering")
