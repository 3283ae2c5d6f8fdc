
import minipar as mp


def step(comm, w, x, y, lr):
    """w after one step on the batch of all ranks. w: [d]; x: [n, d]; y: [n]."""
    samples = comm.size * len(x)                                    # of the whole batch
    gradient = 2 * x.T @ (x @ w - y) / samples
    return w - lr * mp.all_reduce(comm, gradient)
