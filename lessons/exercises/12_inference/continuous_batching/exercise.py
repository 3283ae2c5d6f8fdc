import heapq

import numpy as np

from minipar.exercises import Exercise


def inputs(ranks, rng, size):
    requests, batch, gap = size
    arrivals = np.cumsum(rng.integers(0, gap + 1, requests)).tolist()
    return [([int(count) for count in rng.integers(1, 12, requests)], arrivals, batch)]


def served(arguments, pause=0, arrive=True):
    """pause: steps that a row is free before it is taken again. arrive: whether requests come at their time."""
    counts, arrivals, batch = arguments[0]
    first, last, rows = [], [], [0] * batch                         # rows: the step from which each is free
    for count, arrival in zip(counts, arrivals, strict=True):
        first.append(max(heapq.heappop(rows), arrival * arrive))
        last.append(first[-1] + count - 1)
        heapq.heappush(rows, last[-1] + 1 + pause)
    return [(np.array(first, np.int64), np.array(last, np.int64))]


def static(arguments):
    counts, arrivals, batch = arguments[0]
    first, last, start, waiting = [0] * len(counts), [0] * len(counts), 0, list(range(len(counts)))
    while waiting:
        start = max(start, arrivals[waiting[0]])
        group = [one for one in waiting if arrivals[one] <= start][:batch]
        for one in group:
            first[one], last[one] = start, start + counts[one] - 1
        start, waiting = max(last[one] for one in group) + 1, waiting[len(group):]
    return [(np.array(first, np.int64), np.array(last, np.int64))]


EXERCISE = Exercise(
    kind="write", minutes=20, lesson="19", function="serve", comm="",
    goal="give a free row of the batch to the next request in the very next step",
    prerequisites=("kv_cache",),
    cases={"plain": (8, 3, 2), "all at once": (9, 4, 0), "one row": (5, 1, 1), "more rows than requests": (3, 8, 1),
           "pauses": (6, 2, 20), "no request": (0, 2, 1)},
    inputs=inputs, reference=lambda ranks, arguments: served(arguments),
    mistakes={"a request waits until the whole batch has ended\na row is free as soon as its own request has ended":
              lambda ranks, arguments: static(arguments),
              "a row stays free for a step\nthe step after a request's last token belongs to the next request":
              lambda ranks, arguments: served(arguments, pause=1),
              "requests run before they arrive\na request takes a row at its arrival or later":
              lambda ranks, arguments: served(arguments, arrive=False)},
    library="minipar/inference/scheduler.py:Scheduler")
