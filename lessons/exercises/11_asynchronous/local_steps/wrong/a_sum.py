"""Adds up the differences, as gradients are added up in data parallelism.

fails: values
says: differences are added up
"""
import minipar as mp


def train(comm, w, goals, lr, every, outer):
    common = own = w
    for step, goal in enumerate(goals, start=1):
        own = own - lr * (own - goal)
        if step % every == 0:
            common = common - outer * mp.all_reduce(comm, common - own)
            own = common
    return common
