import numpy as np


def train(comm, xs, w):
    """The gradient of this rank's weight over all micro-batches xs."""
    gradient, m = 0.0, len(xs)
    if comm.rank == 0:
        comm.send(xs[0] * w, dest=1)
        for i in range(m):
            if i + 1 < m:
                comm.send(xs[i + 1] * w, dest=1)                    # F i + 1
            back = np.empty_like(xs[i])
            comm.recv(back, source=1)                               # B i
            gradient += back @ xs[i]
    elif comm.rank == 1:
        for x in xs:
            h = np.empty_like(x)
            comm.recv(h, source=0)                                  # F i
            y = h * w
            gradient += y @ h                                       # B i
            comm.send(y * w, dest=0)
    return gradient
