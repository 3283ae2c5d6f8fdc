from minipar.exercises import BugToFind, Exercise, Par


def inputs(ranks, rng, size):
    return [(rng.standard_normal(size),) for _ in range(ranks)]


def reference(ranks, arguments):
    x = [one for one, in arguments]
    return [(x[rank - 1] + x[rank] + x[(rank + 1) % ranks]) / 3 for rank in range(ranks)]


def par(ranks, arguments):
    """One message to each neighbour; twice as many do no harm."""
    sent = 2 * arguments[0][0].nbytes
    return Par(messages=4, bytes=sent, at_least=sent if ranks > 1 else 0)


EXERCISE = Exercise(
    bug=BugToFind(lines=("comm.Send(x, dest=right", "comm.Send(x, dest=left", "comm.Recv(from_left", "comm.Recv(from_right"),
            reason="every rank sends before it receives, and a large send waits for its receive",
            others=("the tags of the two messages are exchanged", "with 2 ranks both neighbours are the same rank",
                    "the receives are in another order than the sends")),
    kind="find", minutes=10, lesson="0", function="smooth", comm="mpi4py",
    goal="recognise a program that needs MPI to keep a copy, and make it safe",
    prerequisites=("ring_shift",),
    cases={"small": 10, "one number": 1, "large": 5000}, inputs=inputs, reference=reference, par=par,
    library="minipar/comm/protocol.py:sendrecv")
