import numpy as np

from minipar.comm.wrappers.clock import Clock
from minipar.comm.wrappers.network import Network


def drive(submission, comm, sizes, alpha, beta):
    seconds = []
    for n in sizes:
        clock = Clock(comm, Network(alpha, beta), flops_per_second=1.0)
        submission.ping_pong(clock, n)
        seconds.append(float(clock.now))
    rounds = np.array([one / (2 * (alpha + n * beta)) for n, one in zip(sizes, seconds, strict=True)])
    if comm.rank > 0:
        return {"round / two messages": 0 * rounds, "alpha / right alpha": 0.0, "beta / right beta": 0.0}
    found = submission.fit(sizes, seconds)
    return {
        "round / two messages": rounds,
        "alpha / right alpha": np.float64(found[0]) / alpha,
        "beta / right beta": np.float64(found[1]) / beta,
    }
