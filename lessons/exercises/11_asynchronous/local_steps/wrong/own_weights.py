"""Makes the outer step, but each rank goes on from its own weights.

fails: values
says: from their own weights
"""
import minipar as mp


def train(comm, w, goals, lr, every, outer):
    common = own = w
    for step, goal in enumerate(goals, start=1):
        own = own - lr * (own - goal)
        if step % every == 0:
            common = common - outer * mp.all_reduce(comm, common - own, "mean")
    return common
