from minipar.exercises import Exercise, Par


def inputs(ranks, rng, size):
    return [(rng.standard_normal(size),) for _ in range(ranks)]


def chunk(n, ranks, r):
    """Elements of chunk r."""
    return n // ranks + (r % ranks < n % ranks)


def reference(ranks, arguments):
    total = sum(x for x, in arguments)
    starts = [sum(chunk(total.size, ranks, r) for r in range(rank)) for rank in range(ranks)]
    return [total[start:start + chunk(total.size, ranks, rank)] for rank, start in enumerate(starts)]


def par(ranks, arguments):
    """p - 1 messages to the right; rank r sends every chunk but its own once, since chunk r ends there."""
    n = arguments[0][0].size
    sent = [8 * (n - chunk(n, ranks, rank)) for rank in range(ranks)]
    right = [[(rank + 1) % ranks] for rank in range(ranks)]
    return Par(messages=ranks - 1, bytes=sent, at_least=sent, peers=right)


EXERCISE = Exercise(
    kind="write", minutes=25, lesson="collectives", function="reduce_scatter",
    goal="move each chunk once around a ring, so that all links carry the same, all the time",
    forbids=("minipar.comm.collectives", "mp.all_reduce", "minipar.all_reduce"),
    cases={"plain": 60, "ragged": 7, "fewer elements than ranks": 2, "empty": 0},
    inputs=inputs, reference=reference, par=par, version=2,
    library="minipar/comm/collectives/algorithms/ring.py:add_around")
