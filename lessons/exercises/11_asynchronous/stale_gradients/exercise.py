import numpy as np

from minipar.exercises import Exercise


def inputs(ranks, rng, updates):
    pulled = [int(rng.integers(max(0, update - 4), update + 1)) for update in range(updates)]
    return [(rng.standard_normal(5), rng.uniform(0.2, 2.0, 5), pulled, 0.4)]


def replayed(arguments, rate_of=lambda lr, age: lr / (1 + age), pull=lambda pulled, update: pulled):
    """rate_of: the rate of a gradient of this age. pull: the version that a gradient is computed with."""
    w, curvature, pulled, lr = arguments[0]
    versions, ages = [w], []
    for update, version in enumerate(pulled):
        ages.append(update - version)
        gradient = curvature * versions[pull(version, update)]
        versions.append(versions[-1] - rate_of(lr, ages[-1]) * gradient)
    return [(versions[-1], np.array(ages, np.int64))]


EXERCISE = Exercise(
    kind="write", minutes=15, lesson="18", function="replay", comm="",
    goal="tell the weights that a gradient belongs to from those it is applied to",
    cases={"plain": 12, "one update": 1, "long": 60, "none": 0}, inputs=inputs,
    reference=lambda ranks, arguments: replayed(arguments),
    mistakes={"every gradient is computed with the newest weights\na gradient must be computed with the weights of its pull":
              lambda ranks, arguments: replayed(arguments, pull=lambda version, update: update),
              "the rate does not depend on the age\nan old gradient gets a smaller step: lr / (1 + age)":
              lambda ranks, arguments: replayed(arguments, rate_of=lambda lr, age: lr)},
    library="minipar/asynchronous/parameter_server.py:train_with_server")
