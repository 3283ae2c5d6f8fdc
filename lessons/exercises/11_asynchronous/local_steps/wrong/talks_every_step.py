"""Averages after every step too, "to be safe", and throws the average away.

fails: cost
says: bytes; par is
"""
import minipar as mp


def train(comm, w, goals, lr, every, outer):
    common = own = w
    for step, goal in enumerate(goals, start=1):
        own = own - lr * (own - goal)
        difference = mp.all_reduce(comm, common - own, "mean", algorithm="naive")
        mp.all_reduce(comm, own, "mean", algorithm="naive")
        if step % every == 0:
            common = common - outer * difference
            own = common
    return common
