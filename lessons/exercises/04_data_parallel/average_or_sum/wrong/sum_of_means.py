"""Each rank takes the mean over its own samples, and the ranks add: p times too large a step.

fails: values
says: too large as there are ranks
"""
import minipar as mp


def step(comm, w, x, y, lr):
    gradient = 2 * x.T @ (x @ w - y) / len(x)
    return w - lr * mp.all_reduce(comm, gradient)
