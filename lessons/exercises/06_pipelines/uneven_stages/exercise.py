from functools import cache

from minipar.exercises import Exercise


def inputs(ranks, rng, size):
    layers, stages = size
    times = [int(time) for time in rng.integers(1, 10, layers)]
    times[0] += 8
    return [(times, stages)]


def slowest(times, counts):
    first, found = 0, 0
    for count in counts:
        found = max(found, sum(times[first:first + count]))
        first += count
    return found


def judge(ranks, arguments, results):
    times, stages = arguments[0]
    counts = results[0]
    if (
        not isinstance(counts, list)
        or len(counts) != stages
        or not all(type(c) is int and c > 0 for c in counts)
        or sum(counts) != len(times)
    ):
        return f"give a list of {stages} whole numbers from 1 on that add up to {len(times)} layers"

    @cache
    def best(stages, start):
        if stages == 1:
            return sum(times[start:])
        return min(
            max(sum(times[start:end]), best(stages - 1, end))
            for end in range(start + 1, len(times) - stages + 2)
        )

    mine, par = slowest(times, counts), best(stages, 0)
    return "" if mine <= par else f"the slowest stage takes {mine}; par is {par}"


EXERCISE = Exercise(
    kind="design", minutes=20, lesson="15", function="stage_layers", comm="",
    goal="balance the stages of a pipeline",
    prerequisites=("predict_bubble",),
    cases={"8 layers, 3 stages": (8, 3), "12 layers, 4 stages": (12, 4), "one layer each": (3, 3), "24 layers, 5 stages": (24, 5)},
    inputs=inputs, judge=judge, library="minipar/parallel/stages.py:parts_of")
