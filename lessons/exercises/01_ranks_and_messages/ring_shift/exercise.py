from minipar.exercises import Exercise, Par


def inputs(ranks, rng, size):
    return [(rng.standard_normal(size),) for _ in range(ranks)]


def reference(ranks, arguments):
    return [arguments[rank - 1][0] for rank in range(ranks)]


def par(ranks, arguments):
    """Each array travels once."""
    sent = arguments[0][0].nbytes
    return Par(messages=1, bytes=sent, at_least=sent if ranks > 1 else 0)


EXERCISE = Exercise(
    kind="write", minutes=10, lesson="collectives", function="shift", comm="mpi4py",
    goal="know why all ranks must not send first, and what to do instead",
    cases={"plain": 4, "one number": 1, "long": 5000}, inputs=inputs, reference=reference, par=par,
    library="minipar/comm/protocol.py:sendrecv")
