# Each rank passes one segment on while the next one comes in. The best k is where alpha and n beta / k^2 balance.

from minipar.comm.collectives import broadcast


def chain(comm, array, k):
    segments, waiting = np.array_split(array, k), []
    if comm.rank > 0:
        waiting = [comm.irecv(segment, comm.rank - 1, label="segment") for segment in segments]
    sent = []
    for number, segment in enumerate(segments):
        if waiting:
            comm.wait(waiting[number])
        if comm.rank < comm.size - 1:
            sent.append(comm.isend(segment, comm.rank + 1, label="segment"))
    for request in sent:
        comm.wait(request)


def clocked_chain(comm, elements, k):
    clock = Clock(comm, Network(ALPHA, BETA), flops_per_second=1e9)
    mine = np.arange(float(elements)) if comm.rank == 0 else np.zeros(elements)
    chain(clock, mine, k)
    assert np.array_equal(mine, broadcast(comm, np.arange(float(elements)), root=0, label="expected"))
    return clock.now


def predicted_chain(p, nbytes, k):
    return (p - 2 + k) * (ALPHA + Fraction(nbytes, k) * BETA)


for k in (1, 2, 5, 10):
    assert max(mp.run(5, clocked_chain, 1000, k)) == predicted_chain(5, 8000, k)
best_k = min(range(1, 1000), key=lambda k: predicted_chain(5, 10**6, k))
assert abs(best_k - float(3 * 10**6 * BETA / ALPHA) ** 0.5) < 1
chain_wins = [p for p in range(3, 65) if min(predicted_chain(p, 10**6, k) for k in range(1, 200))
              < seconds.ring_broadcast(p, Fraction(10**6), LINKS)]
assert chain_wins == list(range(3, 27)), (
    "with more ranks the start of so many messages costs more than the ring's bytes"
)
