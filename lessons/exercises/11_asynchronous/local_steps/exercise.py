import numpy as np

from minipar.exercises import Exercise, Par


def inputs(ranks, rng, steps):
    w = rng.standard_normal(6)
    return [(w, rng.standard_normal((steps, 6)), 0.1, 3, 0.7) for _ in range(ranks)]


def trained(arguments, start_of=lambda shared, local: shared, total=np.mean):
    """start_of: from where a rank goes on after an outer step. total: mean or sum of the differences."""
    shared = arguments[0][0]
    local = [shared for _ in arguments]
    for step in range(len(arguments[0][1])):
        local = [w - lr * (w - goals[step]) for w, (_, goals, lr, _, _) in zip(local, arguments, strict=True)]
        _, _, _, every, outer = arguments[0]
        if (step + 1) % every == 0:
            shared = shared - outer * total([shared - w for w in local], axis=0)
            local = [start_of(shared, w) for w in local]
    return [shared for _ in arguments]


def par(ranks, arguments):
    """An all-reduce of n numbers every third step: 2 (p - 1)/p n each, or all of them through a tree."""
    w, goals, _, every, _ = arguments[0]
    rounds = len(goals) // every
    return Par(bytes=8 * 3 * rounds * (w.size + ranks) if ranks > 1 else 0)


EXERCISE = Exercise(
    kind="write", minutes=20, lesson="18", function="train",
    goal="train with a message every few steps, and make an outer step with what the ranks found",
    prerequisites=("average_or_sum",),
    cases={"two rounds": 6, "one round": 3, "long": 15}, inputs=inputs,
    reference=lambda ranks, arguments: trained(arguments), par=par,
    mistakes={"the ranks go on from their own weights\nafter an outer step all ranks go on from the common weights":
              lambda ranks, arguments: trained(arguments, start_of=lambda shared, local: local),
              "the differences are added up\nthe outer step uses their mean over the ranks":
              lambda ranks, arguments: trained(arguments, total=np.sum)},
    library="minipar/asynchronous/local_sgd.py:train_locally")
