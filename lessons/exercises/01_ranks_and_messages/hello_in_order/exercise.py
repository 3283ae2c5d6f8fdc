from minipar.exercises import Exercise, Par


def inputs(ranks, rng, size):
    return [()] * ranks


def reference(ranks, arguments):
    lines = "\n".join(f"hello from rank {rank} of {ranks}" for rank in range(ranks))
    return [lines, *[""] * (ranks - 1)]


def par(ranks, arguments):
    """Each rank but rank 0 sends one text."""
    return Par(messages=[0, *[1] * (ranks - 1)])


EXERCISE = Exercise(
    kind="write", minutes=10, lesson="0", function="hello", comm="mpi4py",
    goal="let one program do different things on different ranks",
    forbids=("gather", "allgather", "bcast", "allreduce", "reduce", "scatter", "alltoall"),
    cases={"plain": 0}, inputs=inputs, reference=reference, par=par,
    library="minipar/comm/collectives/gather_values.py")
